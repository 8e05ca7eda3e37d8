//! Which columns a name can mean at one place of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::SqlSpan;

/// Whether two names are the same to SQL, where case does not matter.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

/// One column, as its table spells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: Option<DataType>,
}

/// The columns of a table, a subquery or a CTE.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub(crate) named: Vec<Column>,
    /// `false` when there may be others: the table's schema is not known, or a
    /// subquery has expressions without an alias, which the planner names.
    pub(crate) complete: bool,
}

impl Columns {
    pub(crate) fn unknown() -> Self {
        Self::default()
    }

    pub(crate) fn of_schema(schema: &Schema) -> Self {
        let named = schema.fields().iter().map(|field| Column {
            name: field.name().clone(),
            data_type: Some(field.data_type().clone()),
        });
        Self {
            named: named.collect(),
            complete: true,
        }
    }

    pub(crate) fn complete(named: Vec<Column>) -> Self {
        Self {
            named,
            complete: true,
        }
    }

    /// The columns under the names of an alias list such as `t (a, b)`.
    pub(crate) fn renamed(self, names: &[&Ident]) -> Self {
        if names.is_empty() {
            return self;
        }
        let types_are_known = self.complete && self.named.len() == names.len();
        let named = names.iter().enumerate().map(|(index, name)| Column {
            name: name.value.clone(),
            data_type: types_are_known
                .then(|| self.named[index].data_type.clone())
                .flatten(),
        });
        Self::complete(named.collect())
    }

    /// The columns that `name` can mean: those spelled exactly so, else all
    /// that differ only in case.
    pub(crate) fn matching(&self, name: &str) -> Vec<&Column> {
        let exact: Vec<_> = self.named.iter().filter(|c| c.name == name).collect();
        if !exact.is_empty() {
            return exact;
        }
        self.named.iter().filter(|c| same(&c.name, name)).collect()
    }
}

/// A table, subquery or CTE in a `FROM` clause.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// What the statement writes before a column's dot: the alias, or the
    /// table's name with its layer and catalog as far as they were written.
    /// Empty for a subquery without an alias.
    pub(crate) declared: Vec<String>,
    /// What is written there instead: the same in its right spelling, or a
    /// fresh name.
    pub(crate) qualifier: Vec<String>,
    pub(crate) columns: Columns,
    /// Whether the qualifier is an alias or the name of a CTE.
    pub(crate) aliased: bool,
}

impl Relation {
    /// Whether `prefix.column` can mean a column of this relation.
    pub(crate) fn answers_to(&self, prefix: &[Ident]) -> bool {
        let asked: Vec<&str> = prefix.iter().map(|part| part.value.as_str()).collect();
        !(self.aliased && asked.len() != 1) && answers(&self.declared, &asked)
    }

    /// How the last `parts` parts of the qualifier are spelled.
    pub(crate) fn spelling(&self, parts: usize) -> &[String] {
        &self.qualifier[self.qualifier.len().saturating_sub(parts)..]
    }
}

/// Whether a table of the name `own` can be meant by `asked`: the parts that
/// both have are the same from the right.
fn answers(own: &[String], asked: &[&str]) -> bool {
    let mut pairs = own.iter().rev().zip(asked.iter().rev());
    !own.is_empty() && !asked.is_empty() && pairs.all(|(own, asked)| same(own, asked))
}

/// What names can mean in one `SELECT`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) relations: Vec<Relation>,
    /// While the condition of a join is read, only the relations from here on
    /// are visible: `FROM a, b JOIN c ON ...` does not see `a`.
    pub(crate) visible_from: usize,
    /// Columns that `USING` or `NATURAL` made one of several.
    pub(crate) merged: Vec<Merged>,
    /// Names in `USING` that were left to the planner, because the columns of
    /// a side are not known.
    pub(crate) left_alone: Vec<String>,
    /// The names that the select list gives, once it has been read.
    pub(crate) aliases: Vec<Column>,
    /// The same names, before that: to explain why they are unknown.
    pub(crate) promised: Vec<String>,
}

impl Scope {
    pub(crate) fn visible(&self) -> &[Relation] {
        &self.relations[self.visible_from.min(self.relations.len())..]
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.visible().iter().all(|r| r.columns.complete)
    }

    /// The merged column that a column of the relation at `index` is part of.
    pub(crate) fn merged_with(&self, index: usize, name: &str) -> Option<&Merged> {
        let is_member = |(at, member): &(usize, String)| *at == index && member == name;
        self.merged
            .iter()
            .find(|merged| merged.members.iter().any(is_member))
    }

    /// What `*` stands for, a merged column once.
    pub(crate) fn wildcard(&self) -> Vec<Visible<'_>> {
        let mut seen: Vec<&Merged> = Vec::new();
        let mut columns = Vec::new();
        let relations = self.relations.iter().enumerate().skip(self.visible_from);
        for (index, relation) in relations {
            for column in &relation.columns.named {
                let merged = self.merged_with(index, &column.name);
                if let Some(merged) = merged {
                    if seen.iter().any(|other| std::ptr::eq(*other, merged)) {
                        continue;
                    }
                    seen.push(merged);
                }
                columns.push(Visible {
                    relation,
                    column,
                    merged,
                });
            }
        }
        columns
    }

    /// The expression that a merged column is: the one source that is never
    /// NULL for want of a partner, or the first that is not.
    pub(crate) fn merged_expr(&self, merged: &Merged) -> Expr {
        let mut sources = merged.sources.iter().map(|(index, name)| {
            let relation = &self.relations[*index];
            column_expr(&relation.qualifier, name)
        });
        match (sources.next(), sources.len()) {
            (Some(only), 0) => only,
            (first, _) => coalesce(first.into_iter().chain(sources).collect()),
        }
    }
}

/// A column that `USING` made of several: `id` of `a JOIN b USING (id)`.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    /// As its first table spells it.
    pub(crate) name: String,
    /// The relations (by position) and columns of which the first that is not
    /// NULL is the value.
    pub(crate) sources: Vec<(usize, String)>,
    /// All columns that have become this one.
    pub(crate) members: Vec<(usize, String)>,
}

/// One column of `*`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visible<'s> {
    pub(crate) relation: &'s Relation,
    pub(crate) column: &'s Column,
    pub(crate) merged: Option<&'s Merged>,
}

impl Visible<'_> {
    pub(crate) fn name(&self) -> &str {
        self.merged.map_or(&self.column.name, |merged| &merged.name)
    }

    pub(crate) fn to_column(self) -> Column {
        Column {
            name: self.name().to_owned(),
            data_type: self.column.data_type.clone(),
        }
    }
}

/// `"qualifier"."name"`, or `"name"` without a qualifier.
pub(crate) fn column_expr(qualifier: &[String], name: &str) -> Expr {
    let parts = qualifier.iter().map(String::as_str).chain([name]);
    let mut parts: Vec<Ident> = parts.map(|part| Ident::with_quote('"', part)).collect();
    match parts.len() {
        1 => Expr::Identifier(parts.remove(0)),
        _ => Expr::CompoundIdentifier(parts),
    }
}

fn coalesce(values: Vec<Expr>) -> Expr {
    let args = values.into_iter();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new("coalesce")),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.map(|arg| FunctionArg::Unnamed(arg.into())).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A column that an expression in a `SELECT` can see.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeColumn {
    /// What stands before the dot to mean exactly this column: an alias, or
    /// the parts of the table's name. Empty when nothing can stand there: a
    /// subquery without an alias, or a column that `USING` merged.
    pub qualifier: Vec<String>,
    /// The column's name as its table spells it.
    pub name: String,
    /// The column's type; `None` when only planning can tell, as for an
    /// expression in a subquery.
    pub data_type: Option<DataType>,
}

impl ScopeColumn {
    /// The expression that means exactly this column.
    pub fn to_expr(&self) -> Expr {
        column_expr(&self.qualifier, &self.name)
    }
}

/// The columns that an expression in a `SELECT` can see without a subquery, in
/// the order in which `*` gives them.
#[derive(Debug, Clone)]
pub struct ScopeColumns {
    /// The columns.
    pub columns: Vec<ScopeColumn>,
    /// `false` when the tables in scope may have columns that are not listed:
    /// the schema of one is not known, or a subquery leaves an expression
    /// without an alias.
    pub complete: bool,
    text: Arc<str>,
}

impl ScopeColumns {
    pub(crate) fn new(scope: Option<&Scope>, text: Arc<str>) -> Self {
        let columns = scope.map_or_else(Vec::new, |scope| {
            let column_of = |visible: Visible<'_>| ScopeColumn {
                qualifier: match visible.merged {
                    Some(_) => Vec::new(),
                    None => visible.relation.qualifier.clone(),
                },
                name: visible.name().to_owned(),
                data_type: visible.column.data_type.clone(),
            };
            scope.wildcard().into_iter().map(column_of).collect()
        });
        Self {
            columns,
            complete: scope.is_none_or(Scope::is_complete),
            text,
        }
    }

    /// The columns that a name without a qualifier can mean: those spelled
    /// exactly so, else all that differ only in case.
    pub fn named(&self, name: &str) -> Vec<&ScopeColumn> {
        let exact: Vec<_> = self.columns.iter().filter(|c| c.name == name).collect();
        if !exact.is_empty() {
            return exact;
        }
        let matches = self.columns.iter().filter(|c| same(&c.name, name));
        matches.collect()
    }

    /// The columns of the relation that `qualifier.*` names, ignoring case.
    pub fn qualified(&self, qualifier: &[&str]) -> Vec<&ScopeColumn> {
        let columns = self.columns.iter();
        columns
            .filter(|column| answers(&column.qualifier, qualifier))
            .collect()
    }

    /// The place of a node of the syntax tree in the text of the statement.
    pub fn place(&self, span: Span) -> Option<SqlSpan> {
        SqlSpan::of(&self.text, span)
    }
}
