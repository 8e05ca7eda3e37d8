//! Which columns a name can mean at one place of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{Expr, Ident};
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
    /// Columns that `USING` or `NATURAL` made one of two.
    pub(crate) merged: Vec<String>,
    /// The names that the select list gives, once it has been read.
    pub(crate) aliases: Vec<Column>,
}

impl Scope {
    pub(crate) fn visible(&self) -> &[Relation] {
        &self.relations[self.visible_from.min(self.relations.len())..]
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.visible().iter().all(|r| r.columns.complete)
    }

    pub(crate) fn is_merged(&self, name: &str) -> bool {
        self.merged.iter().any(|merged| same(merged, name))
    }

    /// What `*` stands for: each column with its relation, a merged one once.
    pub(crate) fn wildcard(&self) -> Vec<(&Relation, &Column)> {
        let mut seen: Vec<&str> = Vec::new();
        let mut columns = Vec::new();
        for relation in self.visible() {
            for column in &relation.columns.named {
                if self.is_merged(&column.name) {
                    if seen.contains(&column.name.as_str()) {
                        continue;
                    }
                    seen.push(&column.name);
                }
                columns.push((relation, column));
            }
        }
        columns
    }
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
        let mut parts: Vec<Ident> = self
            .qualifier
            .iter()
            .map(|part| Ident::with_quote('"', part))
            .collect();
        let name = Ident::with_quote('"', &self.name);
        if parts.is_empty() {
            return Expr::Identifier(name);
        }
        parts.push(name);
        Expr::CompoundIdentifier(parts)
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
            let column_of = |(relation, column): (&Relation, &Column)| ScopeColumn {
                qualifier: if scope.is_merged(&column.name) {
                    Vec::new()
                } else {
                    relation.qualifier.clone()
                },
                name: column.name.clone(),
                data_type: column.data_type.clone(),
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
