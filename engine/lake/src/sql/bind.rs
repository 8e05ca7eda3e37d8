//! Names in expressions: what they mean, and how that is spelled.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, ObjectName, ObjectNamePart, Subscript, WildcardAdditionalOptions, WindowType,
    visit_expressions,
};

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::references::is_call_of;
use super::scope::{Column, Columns, Relation, Scope, ScopeColumns, same};
use super::walk::{Clause, Walker};
use crate::nearest::nearest;

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
        let alias = || alias().or_else(|| scope.aliases.iter().find(|a| same(&a.name, &ident.value)));
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
        let hidden = self.scopes.iter().flat_map(|scope| scope.visible()).any(|r| {
            r.aliased && r.answers_to(&parts[..1])
        });
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

    /// Rewrites the qualifier of `qualifier.*` and returns its relation.
    pub(crate) fn qualifier(&mut self, name: &mut ObjectName) -> Result<Option<Relation>, SqlError> {
        let prefix: Option<Vec<Ident>> =
            name.0.iter().map(|part| part.as_ident().cloned()).collect();
        let Some(prefix) = prefix else {
            return Ok(None);
        };
        for scope in self.scopes.iter().rev() {
            let Some(relation) = scope.visible().iter().find(|r| r.answers_to(&prefix)) else {
                continue;
            };
            let span = prefix.first().map(|first| first.span);
            let spelled = relation.spelling(prefix.len()).iter().map(|part| {
                let mut ident = Ident::new(part.clone());
                ident.quote_style = Some('"');
                ident.span = span.unwrap_or_else(|| ident.span);
                ObjectNamePart::Identifier(ident)
            });
            name.0 = spelled.collect();
            return Ok(Some(relation.clone()));
        }
        if self.scopes.iter().all(Scope::is_complete) {
            let error = self.unknown_qualifier(&prefix);
            self.unresolved.push(error);
        }
        Ok(None)
    }

    /// The relation that `qualifier.*` names, after it has been rewritten.
    pub(crate) fn relation_named(&self, name: &ObjectName) -> Option<&Relation> {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        let parts = parts?;
        let scopes = self.scopes.iter().rev();
        scopes.flat_map(|scope| scope.visible()).find(|relation| {
            let mut pairs = relation.qualifier.iter().rev().zip(parts.iter().rev());
            !relation.qualifier.is_empty() && pairs.all(|(own, asked)| *own == asked.value)
        })
    }

    /// Rewrites the lists after `*`, of one relation or of all in scope.
    pub(crate) fn wildcard(
        &mut self,
        relation: Option<Relation>,
        options: &mut WildcardAdditionalOptions,
    ) -> Result<(), SqlError> {
        let columns = match relation {
            Some(relation) => relation.columns,
            None => self.scopes.last().map_or_else(Columns::unknown, |scope| Columns {
                named: scope.wildcard().into_iter().map(|(_, c)| c.clone()).collect(),
                complete: scope.is_complete(),
            }),
        };
        for ident in listed(options) {
            match columns.matching(&ident.value).as_slice() {
                [column] => ident.value.clone_from(&column.name),
                [] if columns.complete => {
                    let names: Vec<&str> = columns.named.iter().map(|c| c.name.as_str()).collect();
                    let error = SqlError::new(
                        SqlErrorKind::UnknownColumn,
                        format!("unknown column `{}`", ident.value),
                    )
                    .at(SqlSpan::of(&self.text, ident.span))
                    .with_help(help_among(&ident.value, &names));
                    self.unresolved.push(error);
                }
                // The planner finds several itself; unknown ones are left.
                _ => {}
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expressions(&mut item.expr, Clause::Tables)?;
            }
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

    fn place(&self, ident: &Ident) -> Option<SqlSpan> {
        SqlSpan::of(&self.text, ident.span)
    }

    fn ambiguous(&self, ident: &Ident, candidates: &[String]) -> SqlError {
        let candidates: Vec<String> = candidates.iter().map(|c| format!("`{c}`")).collect();
        SqlError::new(
            SqlErrorKind::Ambiguous,
            format!("`{}` is ambiguous", ident.value),
        )
        .at(self.place(ident))
        .with_help(Some(format!("write {}", candidates.join(" or "))))
    }

    fn unknown_column(&self, ident: &Ident) -> SqlError {
        let error = SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!("unknown column `{}`", ident.value),
        )
        .at(self.place(ident));
        let Some(scope) = self.scopes.last() else {
            return error;
        };
        if scope.aliases.iter().any(|alias| same(&alias.name, &ident.value)) {
            return error.with_help(Some(format!(
                "`{}` is a name that this SELECT gives: repeat the expression, or use WITH",
                ident.value
            )));
        }
        let scopes = self.scopes.iter().rev();
        let visible = scopes.flat_map(|scope| scope.visible());
        let names: Vec<&str> = visible
            .flat_map(|relation| relation.columns.named.iter().map(|c| c.name.as_str()))
            .collect();
        if names.is_empty() && scope.relations.is_empty() {
            return error.with_help(Some(format!(
                "there is no FROM here; if `{}` is text, write it as '{}'",
                ident.value, ident.value
            )));
        }
        error.with_help(help_among(&ident.value, &names))
    }

    fn column_not_in(&self, ident: &Ident, relation: &Relation) -> SqlError {
        let names: Vec<&str> = relation.columns.named.iter().map(|c| c.name.as_str()).collect();
        SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!(
                "`{}` has no column `{}`",
                relation.qualifier.join("."),
                ident.value
            ),
        )
        .at(self.place(ident))
        .with_help(help_among(&ident.value, &names))
    }

    fn unknown_qualifier(&self, parts: &[Ident]) -> SqlError {
        let upto = parts.len().saturating_sub(1).max(1);
        let prefix: Vec<&str> = parts[..upto].iter().map(|p| p.value.as_str()).collect();
        let prefix = prefix.join(".");
        let relations = self.scopes.iter().rev().flat_map(|scope| scope.visible());
        let names: Vec<String> = relations.map(|r| r.declared.join(".")).collect();
        let help = nearest(&prefix, &names)
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| {
                let names: Vec<String> = names
                    .iter()
                    .filter(|name| !name.is_empty())
                    .map(|name| format!("`{name}`"))
                    .collect();
                (!names.is_empty()).then(|| format!("in scope here: {}", names.join(", ")))
            });
        SqlError::new(
            SqlErrorKind::UnknownColumn,
            format!("nothing is called `{prefix}` here"),
        )
        .at(parts.first().and_then(|first| self.place(first)))
        .with_help(help)
    }
}

/// The nearest name, or the names there are, if they are few.
pub(crate) fn help_among(name: &str, names: &[&str]) -> Option<String> {
    if let Some(near) = nearest(name, names.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if names.is_empty() || names.len() > 20 {
        return None;
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("there are {}", names.join(", ")))
}

/// The names of the columns that `EXCEPT` and `EXCLUDE` leave out.
pub(crate) fn excluded(options: &WildcardAdditionalOptions) -> Vec<Ident> {
    listed(&mut WildcardAdditionalOptions {
        opt_replace: None,
        opt_rename: None,
        ..options.clone()
    })
    .map(|ident| ident.clone())
    .collect()
}

/// Every column named in the lists after a wildcard.
pub(crate) fn listed(options: &mut WildcardAdditionalOptions) -> impl Iterator<Item = &mut Ident> {
    use datafusion::sql::sqlparser::ast::RenameSelectItem;
    let except = options.opt_except.iter_mut().flat_map(|except| {
        std::iter::once(&mut except.first_element).chain(&mut except.additional_elements)
    });
    let exclude = options.opt_exclude.iter_mut().flat_map(|exclude| match exclude {
        ExcludeSelectItem::Single(name) => std::slice::from_mut(name).iter_mut(),
        ExcludeSelectItem::Multiple(names) => names.as_mut_slice().iter_mut(),
    });
    let exclude = exclude.filter_map(|name| match name.0.as_mut_slice() {
        [ObjectNamePart::Identifier(ident)] => Some(ident),
        _ => None,
    });
    let replace = options.opt_replace.iter_mut();
    let replace = replace.flat_map(|r| r.items.iter_mut().map(|item| &mut item.column_name));
    let rename = options.opt_rename.iter_mut().flat_map(|rename| match rename {
        RenameSelectItem::Single(one) => std::slice::from_mut(one).iter_mut(),
        RenameSelectItem::Multiple(several) => several.as_mut_slice().iter_mut(),
    });
    let rename = rename.map(|renamed| &mut renamed.ident);
    except.chain(exclude).chain(replace).chain(rename)
}

fn several_spellings(columns: &[&Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.clone()).collect()
}

fn qualified(relation: &Relation, column: &Column) -> String {
    match relation.qualifier.last() {
        Some(last) => format!("{last}.{}", column.name),
        None => column.name.clone(),
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
