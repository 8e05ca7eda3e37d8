//! Names in expressions: what they mean, and how that is spelled.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Subscript, WindowType, visit_expressions,
};

use super::error::{SqlError, SqlErrorKind};
use super::mistakes::{qualified, several_spellings};
use super::references::is_call_of;
use super::scope::{Column, Relation, Scope, ScopeColumns, same};
use super::walk::{Clause, Walker};

/// What a name without a qualifier means in one scope.
enum Meaning {
    /// This column.
    Column(Column),
    /// A column that a join made of several, and the expression that it is.
    Merged(Column, Expr),
    /// Nothing, though all columns are known.
    Nothing,
    /// Perhaps a column that is not known: the name is left alone.
    Unknown,
}

impl Walker<'_> {
    /// Reads one node of an expression tree, before its children. Expressions
    /// among them that are names of fields are added to `fields`.
    pub(crate) fn expression(
        &mut self,
        expr: &mut Expr,
        clause: Clause,
        fields: &mut Vec<usize>,
    ) -> Result<(), SqlError> {
        match expr {
            Expr::Identifier(_) => self.identifier(expr, clause),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.field_access(root, access_chain, clause, fields)
            }
            Expr::QualifiedWildcard(name, _) => self.qualifier(name).map(drop),
            Expr::Function(function) => self.function(function),
            _ => Ok(()),
        }
    }

    fn identifier(&mut self, expr: &mut Expr, clause: Clause) -> Result<(), SqlError> {
        let Expr::Identifier(ident) = expr else {
            return Ok(());
        };
        for index in (0..self.scopes.len()).rev() {
            let innermost = index + 1 == self.scopes.len();
            let aliases = if innermost { clause } else { Clause::Tables };
            match self.meaning(index, ident, aliases)? {
                Meaning::Column(column) => {
                    ident.value = column.name;
                    return Ok(());
                }
                Meaning::Merged(_, merged) => {
                    *expr = merged;
                    return Ok(());
                }
                Meaning::Unknown => return Ok(()),
                Meaning::Nothing => {}
            }
        }
        let error = self.unknown_column(ident);
        self.unresolved.push(error);
        Ok(())
    }

    /// `a.b[1].c['d']`: the names before the first bracket are a column and
    /// fields of it, as in `a.b`.
    fn field_access(
        &mut self,
        root: &mut Expr,
        chain: &mut Vec<AccessExpr>,
        clause: Clause,
        fields: &mut Vec<usize>,
    ) -> Result<(), SqlError> {
        let mut parts = match &*root {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => {
                field_names(chain, None, fields);
                return Ok(());
            }
        };
        let own = parts.len();
        parts.extend(chain.iter().map_while(|access| match access {
            AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
            _ => None,
        }));
        let dots = parts.len() - own;
        if parts.len() == 1 {
            self.identifier(root, clause)?;
        } else {
            self.compound(&mut parts)?;
            if parts.len() == own + dots {
                // The tree keeps its shape.
                write_back(root, chain, &parts);
            } else {
                chain.drain(..dots);
                *root = Expr::CompoundIdentifier(parts.clone());
            }
        }
        // It has been read: the visitor must not read it again.
        fields.push(std::ptr::from_ref(root).addr());
        let data_type = match &*root {
            Expr::Identifier(_) if dots == 0 => self.column_of(root).and_then(|c| c.data_type),
            _ => self.path_type(&parts),
        };
        let kept = chain.len().min(dots);
        for access in &chain[..kept] {
            if let AccessExpr::Dot(expr) = access {
                fields.push(std::ptr::from_ref(expr).addr());
            }
        }
        field_names(&mut chain[kept..], data_type, fields);
        Ok(())
    }

    /// The type of `qualifier.column.field`, after it has been rewritten.
    fn path_type(&self, parts: &[Ident]) -> Option<DataType> {
        for length in (1..parts.len()).rev() {
            let prefix = ObjectName::from(parts[..length].to_vec());
            let Some(relation) = self.relation_named(&prefix) else {
                continue;
            };
            let columns = relation.columns.matching(&parts[length].value);
            if let Some(column) = columns.first() {
                return field_type(column.data_type.as_ref(), &parts[length + 1..]).cloned();
            }
        }
        let column = self.column_of(&Expr::Identifier(parts.first()?.clone()))?;
        field_type(column.data_type.as_ref(), &parts[1..]).cloned()
    }

    fn meaning(&self, index: usize, ident: &Ident, clause: Clause) -> Result<Meaning, SqlError> {
        let scope = &self.scopes[index];
        let alias = || scope.aliases.iter().find(|a| a.name == ident.value);
        let alias =
            || alias().or_else(|| scope.aliases.iter().find(|a| same(&a.name, &ident.value)));
        if clause == Clause::AliasesThenTables
            && let Some(alias) = alias()
        {
            return Ok(Meaning::Column(alias.clone()));
        }
        let left_alone = || scope.left_alone.iter().any(|name| same(name, &ident.value));
        let found: Vec<(usize, &Column)> = scope
            .relations
            .iter()
            .enumerate()
            .skip(scope.visible_from)
            .flat_map(|(index, relation)| {
                let columns = relation.columns.matching(&ident.value).into_iter();
                columns.map(move |column| (index, column))
            })
            .collect();
        match found.as_slice() {
            [] if clause == Clause::TablesThenAliases && alias().is_some() => {
                Ok(alias().map_or(Meaning::Unknown, |alias| Meaning::Column(alias.clone())))
            }
            [] if scope.is_complete() => Ok(Meaning::Nothing),
            [] => Ok(Meaning::Unknown),
            [(index, column)] if scope.merged_with(*index, &column.name).is_none() => {
                Ok(Meaning::Column((*column).clone()))
            }
            [(first, column), ..] => {
                if let Some(merged) = scope.merged_with(*first, &column.name) {
                    let members = &merged.members;
                    let is_member =
                        |(at, c): &(usize, &Column)| members.contains(&(*at, c.name.clone()));
                    if found.iter().all(is_member) {
                        let column = Column {
                            name: merged.name.clone(),
                            data_type: column.data_type.clone(),
                        };
                        return Ok(Meaning::Merged(column, scope.merged_expr(merged)));
                    }
                }
                if left_alone() {
                    return Ok(Meaning::Unknown);
                }
                let candidates: Vec<String> = found
                    .iter()
                    .map(|(index, column)| qualified(&scope.relations[*index], column))
                    .collect();
                Err(self.ambiguous(ident, &candidates))
            }
        }
    }

    /// The name of the column that `ident` means, if a join made it of several.
    pub(crate) fn merged_name(&self, ident: &Ident) -> Option<String> {
        let innermost = self.scopes.len().checked_sub(1)?;
        match self.meaning(innermost, ident, Clause::Tables) {
            Ok(Meaning::Merged(column, _)) => Some(column.name),
            _ => None,
        }
    }

    /// `a.b.c`: a qualifier, a column and fields, or a column and fields. A
    /// qualifier belongs to the innermost relation that it names, as the SQL
    /// standard has it.
    fn compound(&mut self, parts: &mut Vec<Ident>) -> Result<(), SqlError> {
        for index in (0..self.scopes.len()).rev() {
            for length in (1..parts.len()).rev() {
                let scope = &self.scopes[index];
                let prefix = &parts[..length];
                let named: Vec<&Relation> = scope
                    .visible()
                    .iter()
                    .filter(|relation| relation.answers_to(prefix))
                    .collect();
                if named.is_empty() {
                    continue;
                }
                let Some(relation) = self.one_relation(&named, parts, length)? else {
                    return Ok(());
                };
                if relation.columns.complete
                    && relation.columns.matching(&parts[length].value).is_empty()
                    && !relation.aliased
                    && length == 1
                    && self.is_column(index, &parts[0])
                {
                    // `address.street` of a table `address` that has a column
                    // `address` and none called `street`.
                    continue;
                }
                let relation = relation.clone();
                return self.qualified_column(parts, length, &relation);
            }
            if self.is_column(index, &parts[0]) {
                return self.column_with_fields(index, parts);
            }
        }
        if self.scopes.iter().all(Scope::is_complete) {
            let error = self.unknown_qualifier(parts);
            self.unresolved.push(error);
        }
        Ok(())
    }

    /// The relation that a qualifier means. Of several, the one that has the
    /// column; `None` when that cannot be told.
    fn one_relation<'r>(
        &self,
        named: &[&'r Relation],
        parts: &[Ident],
        length: usize,
    ) -> Result<Option<&'r Relation>, SqlError> {
        if let [only] = named {
            return Ok(Some(only));
        }
        let column = &parts[length];
        let having: Vec<&&Relation> = named
            .iter()
            .filter(|r| !r.columns.complete || !r.columns.matching(&column.value).is_empty())
            .collect();
        match having.as_slice() {
            [] => Ok(named.first().copied()),
            [only] => Ok(Some(only)),
            several => {
                let candidates: Vec<String> = several
                    .iter()
                    .map(|relation| format!("{}.{}", relation.qualifier.join("."), column.value))
                    .collect();
                Err(self.ambiguous(column, &candidates))
            }
        }
    }

    fn is_column(&self, index: usize, ident: &Ident) -> bool {
        let visible = self.scopes[index].visible();
        visible
            .iter()
            .any(|relation| !relation.columns.matching(&ident.value).is_empty())
    }

    /// Rewrites `qualifier.column.field`.
    fn qualified_column(
        &mut self,
        parts: &mut Vec<Ident>,
        length: usize,
        relation: &Relation,
    ) -> Result<(), SqlError> {
        let written = parts[length].clone();
        let columns = relation.columns.matching(&written.value);
        let column = match columns.as_slice() {
            [column] => Some((*column).clone()),
            [] => {
                if relation.columns.complete {
                    let error = self.column_not_in(&written, relation);
                    self.unresolved.push(error);
                }
                None
            }
            several => return Err(self.ambiguous(&written, &several_spellings(several))),
        };
        if let Some(column) = &column {
            parts[length].value.clone_from(&column.name);
            spell_fields(&mut parts[length + 1..], column.data_type.as_ref());
        }
        let spelling: Vec<Ident> = {
            let spelling = relation.spelling(length);
            let first = length - spelling.len().min(length);
            let old = parts[first..length].iter();
            let pairs = old.zip(spelling);
            pairs
                .map(|(old, spelled)| Ident {
                    value: spelled.clone(),
                    ..old.clone()
                })
                .collect()
        };
        parts.splice(..length, spelling);
        Ok(())
    }

    /// Rewrites `column.field`.
    fn column_with_fields(&mut self, index: usize, parts: &mut [Ident]) -> Result<(), SqlError> {
        // Renaming an alias must not turn `a.x` from a field into a column.
        let hidden = self
            .scopes
            .iter()
            .flat_map(|scope| scope.visible())
            .any(|r| r.aliased && r.answers_to(&parts[..1]));
        if hidden {
            return Err(SqlError::new(
                SqlErrorKind::Ambiguous,
                format!("`{}` is both an alias and a column", parts[0].value),
            )
            .at(self.place(&parts[0]))
            .with_help(Some("give the table another alias".to_owned())));
        }
        if let Meaning::Column(column) = self.meaning(index, &parts[0], Clause::Tables)? {
            parts[0].value = column.name;
            spell_fields(&mut parts[1..], column.data_type.as_ref());
        }
        Ok(())
    }

    fn function(&mut self, function: &mut Function) -> Result<(), SqlError> {
        if let Some(hook) = &mut self.calls
            && is_call_of(function, hook.name)
        {
            let columns = ScopeColumns::new(self.scopes.last(), self.text.clone());
            (hook.each)(function, &columns)?;
        }
        if let Some(WindowType::NamedWindow(name)) = &mut function.over {
            let windows = self.windows.iter().rev().flatten();
            let named: Vec<&Ident> = windows.filter(|w| same(&w.value, &name.value)).collect();
            if let Some(window) = named.first() {
                name.value.clone_from(&window.value);
            }
        }
        let FunctionArguments::List(list) = &mut function.args else {
            return Ok(());
        };
        for arg in &mut list.args {
            let (FunctionArg::Unnamed(arg)
            | FunctionArg::Named { arg, .. }
            | FunctionArg::ExprNamed { arg, .. }) = arg;
            match arg {
                FunctionArgExpr::QualifiedWildcard(name) => {
                    self.qualifier(name)?;
                }
                FunctionArgExpr::WildcardWithOptions(options) => self.wildcard(None, options)?,
                FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard => {}
            }
        }
        Ok(())
    }

    /// The column that an expression is, when it is nothing but one.
    pub(crate) fn column_of(&self, expr: &Expr) -> Option<Column> {
        match expr {
            Expr::Nested(inner) => self.column_of(inner),
            Expr::Identifier(ident) => {
                for index in (0..self.scopes.len()).rev() {
                    match self.meaning(index, ident, Clause::Tables) {
                        Ok(Meaning::Column(column) | Meaning::Merged(column, _)) => {
                            return Some(column);
                        }
                        Ok(Meaning::Nothing) => {}
                        Ok(Meaning::Unknown) | Err(_) => break,
                    }
                }
                Some(Column {
                    name: ident.value.clone(),
                    data_type: None,
                })
            }
            Expr::CompoundIdentifier(parts) => {
                let (name, prefix) = parts.split_last()?;
                let relation = self.relation_named(&ObjectName::from(prefix.to_vec()))?;
                let columns = relation.columns.matching(&name.value);
                Some(Column {
                    name: name.value.clone(),
                    data_type: columns.first().and_then(|c| c.data_type.clone()),
                })
            }
            _ => None,
        }
    }

    /// Remembers that the planner will name a column after this expression, if
    /// the name can show an alias.
    pub(crate) fn note_unnamed(&mut self, expr: &Expr) {
        if self.renaming.is_none() {
            return;
        }
        let plain = match expr {
            Expr::Identifier(_) => true,
            Expr::CompoundIdentifier(parts) if parts.len() >= 2 => {
                let prefix = &parts[..parts.len() - 1];
                let mut relations = self.scopes.iter().flat_map(|scope| scope.visible());
                relations.any(|relation| relation.answers_to(prefix))
            }
            _ => false,
        };
        let mentions_columns = || {
            visit_expressions(expr, |node| match node {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .is_break()
        };
        if !plain
            && mentions_columns()
            && let Some(renaming) = &mut self.renaming
        {
            renaming.shows_in_names = true;
        }
    }
}

/// Rewrites names of fields to the spelling in the type of their struct, as far
/// as the type is known.
fn spell_fields(parts: &mut [Ident], data_type: Option<&DataType>) {
    let mut data_type = data_type;
    for part in parts {
        data_type = spell_field(part, data_type);
    }
}

fn spell_field<'t>(part: &mut Ident, data_type: Option<&'t DataType>) -> Option<&'t DataType> {
    let DataType::Struct(fields) = data_type? else {
        return None;
    };
    let exact = fields.iter().find(|field| *field.name() == part.value);
    let field = exact.or_else(|| fields.iter().find(|field| same(field.name(), &part.value)))?;
    part.value.clone_from(field.name());
    Some(field.data_type())
}

/// The type of a field of a field of a column.
fn field_type<'t>(data_type: Option<&'t DataType>, path: &[Ident]) -> Option<&'t DataType> {
    path.iter().fold(data_type, |data_type, part| {
        let DataType::Struct(fields) = data_type? else {
            return None;
        };
        let field = fields.iter().find(|field| *field.name() == part.value)?;
        Some(field.data_type())
    })
}

/// Writes the parts of a name back where they came from.
fn write_back(root: &mut Expr, chain: &mut [AccessExpr], parts: &[Ident]) {
    let mut parts = parts.iter().cloned();
    match root {
        Expr::Identifier(ident) => {
            if let Some(part) = parts.next() {
                *ident = part;
            }
        }
        Expr::CompoundIdentifier(own) => {
            for (ident, part) in own.iter_mut().zip(parts.by_ref()) {
                *ident = part;
            }
        }
        _ => {}
    }
    for (access, part) in chain.iter_mut().zip(parts) {
        if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
            *ident = part;
        }
    }
}

/// Rewrites the fields of `root[1].field['key'].field`, and lists them so that
/// they are not read as columns.
fn field_names(chain: &mut [AccessExpr], root: Option<DataType>, fields: &mut Vec<usize>) {
    let mut data_type = root.as_ref();
    for access in chain {
        data_type = match access {
            AccessExpr::Dot(expr) => {
                fields.push(std::ptr::from_ref(expr).addr());
                match expr {
                    Expr::Identifier(ident) => spell_field(ident, data_type),
                    _ => None,
                }
            }
            AccessExpr::Subscript(Subscript::Index { .. }) => match data_type {
                Some(
                    DataType::List(item)
                    | DataType::LargeList(item)
                    | DataType::FixedSizeList(item, _),
                ) => Some(item.data_type()),
                _ => None,
            },
            AccessExpr::Subscript(Subscript::Slice { .. }) => data_type,
        };
    }
}
