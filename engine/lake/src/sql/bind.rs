//! Names in expressions: what they mean, and how that is spelled.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, WindowType,
    visit_expressions,
};

use super::error::{SqlError, SqlErrorKind};
use super::fields::spell_fields;
use super::mistakes::{qualified, several_spellings};
use super::references::is_call_of;
use super::scope::{Column, Relation, Scope, ScopeColumns, same};
use super::walk::{Clause, Walker};

/// What a name without a qualifier means in one scope.
enum Meaning {
    /// This column.
    Column(Column),
    /// A column that a join made of several, and the expression that it is.
    Merged(Column, Box<Expr>),
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

    pub(crate) fn identifier(&mut self, expr: &mut Expr, clause: Clause) -> Result<(), SqlError> {
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
                    *expr = *merged;
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
                        return Ok(Meaning::Merged(column, Box::new(scope.merged_expr(merged))));
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
    pub(crate) fn compound(&mut self, parts: &mut Vec<Ident>) -> Result<(), SqlError> {
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
