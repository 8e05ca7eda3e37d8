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
            Expr::Identifier(ident) => self.identifier(ident, clause),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                // The root is read first, so that its type tells the fields.
                match root.as_mut() {
                    Expr::Identifier(ident) => self.identifier(ident, clause)?,
                    Expr::CompoundIdentifier(parts) => self.compound(parts)?,
                    _ => {}
                }
                let data_type = self.column_of(root).and_then(|column| column.data_type);
                field_names(access_chain, data_type, fields);
                Ok(())
            }
            Expr::QualifiedWildcard(name, _) => self.qualifier(name).map(drop),
            Expr::Function(function) => self.function(function),
            _ => Ok(()),
        }
    }

    fn identifier(&mut self, ident: &mut Ident, clause: Clause) -> Result<(), SqlError> {
        for index in (0..self.scopes.len()).rev() {
            let innermost = index + 1 == self.scopes.len();
            let aliases = if innermost { clause } else { Clause::Tables };
            match self.meaning(index, ident, aliases)? {
                Meaning::Column(column) => {
                    ident.value = column.name;
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
        let found: Vec<(&Relation, Vec<&Column>)> = scope
            .visible()
            .iter()
            .map(|relation| (relation, relation.columns.matching(&ident.value)))
            .filter(|(_, columns)| !columns.is_empty())
            .collect();
        match found.as_slice() {
            [] if clause == Clause::TablesThenAliases && alias().is_some() => {
                Ok(alias().map_or(Meaning::Unknown, |alias| Meaning::Column(alias.clone())))
            }
            [] if scope.is_complete() => Ok(Meaning::Nothing),
            [] => Ok(Meaning::Unknown),
            [(_, columns)] => match columns.as_slice() {
                [column] => Ok(Meaning::Column((*column).clone())),
                several => Err(self.ambiguous(ident, &several_spellings(several))),
            },
            several => {
                if let Some(merged) = scope.merged.iter().find(|m| same(m, &ident.value)) {
                    let columns = several.iter().flat_map(|(_, columns)| columns);
                    let merged = columns.into_iter().find(|column| column.name == *merged);
                    if let Some(column) = merged {
                        return Ok(Meaning::Column((*column).clone()));
                    }
                }
                let candidates: Vec<String> = several
                    .iter()
                    .flat_map(|(relation, columns)| {
                        columns.iter().map(|column| qualified(relation, column))
                    })
                    .collect();
                Err(self.ambiguous(ident, &candidates))
            }
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
                        Ok(Meaning::Column(column)) => return Some(column),
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
