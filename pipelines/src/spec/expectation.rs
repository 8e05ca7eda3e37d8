//! `expect:`: what rows, and whole tables, must keep.

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, choice, record};
use super::duration::Length;
use super::scalar::{AtLeastOne, word};
use super::schema::Definitions;
use super::sql_text::SqlText;
use super::value::{Value, ValueKind};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// A rule that rows, or the whole table, must keep.
    pub struct Expectation as "an expectation" {
        /// What must hold: exactly one of these keys.
        .. rule: Rule,
        /// What happens when it is broken: `fail` the table, `drop` the row, put it into
        /// `quarantine`, or `warn` (the default). Rules of the whole table `fail` or `warn`.
        "otherwise" otherwise: Option<Spanned<Otherwise>>,
    }
}

choice! {
    /// What must hold.
    pub enum Rule {
        /// A condition in SQL on a row; a row for which it is not TRUE (NULL included) breaks it.
        "that" That(SqlText),
        /// Columns whose values together occur only once in the table; NULL equals nothing.
        "unique" Unique(AtLeastOne<Spanned<String>>),
        /// Columns that have a value in every row of the table.
        "not_null" NotNull(AtLeastOne<Spanned<String>>),
        /// A column that has no other values than these; NULL is none.
        "accepted_values" AcceptedValues(AcceptedValues),
        /// A column whose values are all in a column of another table; NULL is none.
        "relationships" Relationships(Relationship),
        /// How many rows the table has.
        "row_count" RowCount(RowCount),
        /// How old the latest row may be when the run starts.
        "freshness" Freshness(Freshness),
        /// A query that gives the rows that break the rule. Where it names the table itself, it
        /// reads the table as it would be.
        "custom" Custom(SqlText),
    }
}

impl Expectation {
    /// What happens when the rule is broken.
    #[must_use]
    pub fn otherwise(&self) -> Otherwise {
        self.otherwise
            .map_or(Otherwise::Warn, |otherwise| otherwise.value)
    }
}

impl Check for Expectation {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let (false, Some(otherwise)) = (matches!(self.rule, Rule::That(_)), self.otherwise) else {
            return true;
        };
        let (message, help) = match otherwise.value {
            Otherwise::Fail | Otherwise::Warn => return true,
            Otherwise::Drop => (
                "a rule of the whole table cannot drop rows",
                "write `fail` or `warn`; to keep one row of equals, say which in the SQL",
            ),
            Otherwise::Quarantine => (
                "a rule of the whole table cannot put rows into quarantine",
                "write `fail` or `warn`; what a row alone tells is a rule with `that:`",
            ),
        };
        cx.report(
            Diagnostic::error("conflicting_keys", message).help(help),
            otherwise.span,
        );
        false
    }
}

/// What happens when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The table is not made.
    Fail,
    /// The row is left out.
    Drop,
    /// The row goes to `layer.table__quarantine`.
    Quarantine,
    /// It is counted and reported.
    Warn,
}

const OTHERWISE: &[(&str, Otherwise)] = &[
    ("fail", Otherwise::Fail),
    ("drop", Otherwise::Drop),
    ("quarantine", Otherwise::Quarantine),
    ("warn", Otherwise::Warn),
];

impl Otherwise {
    /// The word in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Drop => "drop",
            Self::Quarantine => "quarantine",
            Self::Warn => "warn",
        }
    }
}

impl Decode for Otherwise {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("consequence", OTHERWISE, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": OTHERWISE.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

record! {
    /// The values that a column may have.
    pub struct AcceptedValues as "`accepted_values`" {
        /// The column that is looked at.
        "column" column: Spanned<String>,
        /// All values that it may have.
        "values" values: AtLeastOne<Spanned<Accepted>>,
    }
}

impl Check for AcceptedValues {}

/// One of the values that a column may have.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// A text, or what a text stands for in the column's type, such as a date.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// TRUE or FALSE.
    Bool(bool),
}

impl Decode for Accepted {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match Value::decode(node, cx)?.kind {
            ValueKind::Text(text) => Some(Self::Text(text)),
            ValueKind::Number(number) => Some(Self::Number(number.to_string())),
            ValueKind::Bool(value) => Some(Self::Bool(value)),
            ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => {
                cx.wrong_type("a text, a number, `true` or `false`", node);
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": ["string", "number", "boolean"]})
    }
}

record! {
    /// That the values of a column are in a column of another table.
    pub struct Relationship as "`relationships`" {
        /// The column that is looked at.
        "column" column: Spanned<String>,
        /// Where its values are: `layer.table.column`.
        "to" to: Spanned<String>,
    }
}

impl Check for Relationship {}

impl Relationship {
    /// The table and the column that `to` names; `None` where it does not name both.
    #[must_use]
    pub fn target(&self) -> Option<(&str, &str)> {
        let (table, column) = self.to.rsplit_once('.')?;
        (table.contains('.') && !column.is_empty()).then_some((table, column))
    }
}

record! {
    /// How many rows a table has.
    pub struct RowCount as "`row_count`" {
        /// The fewest rows.
        "min" min: Option<Spanned<u64>>,
        /// The most rows.
        "max" max: Option<Spanned<u64>>,
    }
}

impl Check for RowCount {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        match (self.min, self.max) {
            (None, None) => {
                let message = "`row_count` needs `min`, `max`, or both";
                cx.error("missing_key", message, fields.span);
                false
            }
            (Some(min), Some(max)) if min.value > max.value => {
                let message = format!("no table has {} rows or more, and {} at most", *min, *max);
                cx.error("bad_range", message, max.span);
                false
            }
            _ => true,
        }
    }
}

record! {
    /// How old the latest row of a table may be.
    pub struct Freshness as "`freshness`" {
        /// A date or a timestamp; one without a zone counts as UTC.
        "column" column: Spanned<String>,
        /// How long before the run's start its greatest value may lie, such as `24h`.
        "within" within: Spanned<Length>,
    }
}

impl Check for Freshness {}
