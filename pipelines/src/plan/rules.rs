//! Rules on whole tables.

use std::fmt::Write as _;
use std::time::Duration;

use datafusion::common::ScalarValue;
use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::sql::{Statement, normalise};

use crate::spec::Otherwise;

/// A rule on the whole table.
#[derive(Debug, Clone)]
pub struct TableExpectation {
    /// Its name.
    pub name: String,
    /// What must hold.
    pub rule: TableRule,
    /// What happens when it is broken: `fail` or `warn`.
    pub otherwise: Otherwise,
}

/// What must hold of a whole table.
#[derive(Debug, Clone)]
pub enum TableRule {
    /// The values of the columns together occur only once; NULL equals nothing.
    Unique(Vec<String>),
    /// The columns have a value in every row.
    NotNull(Vec<String>),
    /// A column has no other values than these.
    AcceptedValues {
        /// The column.
        column: String,
        /// The values, in the column's type.
        values: Vec<ScalarValue>,
    },
    /// The values of a column are in a column of another table, or of this one.
    Relationship {
        /// The column.
        column: String,
        /// The table that has the values.
        to: TableName,
        /// Its column.
        to_column: String,
    },
    /// How many rows there are.
    RowCount {
        /// The fewest.
        min: Option<u64>,
        /// The most.
        max: Option<u64>,
    },
    /// The greatest value of a column is not older than this when the run starts.
    Freshness {
        /// The column: a date or a timestamp.
        column: String,
        /// How old it may be.
        within: Duration,
    },
    /// A query gives no rows.
    Custom {
        /// The query.
        query: Box<Statement>,
        /// Its text as written.
        text: String,
    },
}

impl TableRule {
    /// The rule's word in the language.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unique(_) => "unique",
            Self::NotNull(_) => "not_null",
            Self::AcceptedValues { .. } => "accepted_values",
            Self::Relationship { .. } => "relationships",
            Self::RowCount { .. } => "row_count",
            Self::Freshness { .. } => "freshness",
            Self::Custom { .. } => "custom",
        }
    }

    /// The rule as it could be written, in one line.
    pub fn words(&self) -> String {
        let kind = self.kind();
        match self {
            Self::Unique(columns) | Self::NotNull(columns) => {
                format!("{kind}: [{}]", columns.join(", "))
            }
            Self::AcceptedValues { column, values } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                format!(
                    "{kind}: {{column: {column}, values: [{}]}}",
                    values.join(", ")
                )
            }
            Self::Relationship {
                column,
                to,
                to_column,
            } => format!("{kind}: {{column: {column}, to: {to}.{to_column}}}"),
            Self::RowCount { min, max } => {
                let bound =
                    |name: &str, bound: &Option<u64>| bound.map(|bound| format!("{name}: {bound}"));
                let bounds: Vec<String> = [bound("min", min), bound("max", max)]
                    .into_iter()
                    .flatten()
                    .collect();
                format!("{kind}: {{{}}}", bounds.join(", "))
            }
            Self::Freshness { column, within } => {
                format!("{kind}: {{column: {column}, within: {}}}", length(*within))
            }
            Self::Custom { text, .. } => format!("{kind}: {}", text.trim()),
        }
    }

    /// What tells it from other rules.
    pub(crate) fn identity(&self) -> Value {
        match self {
            Self::Custom { query, .. } => json!([self.kind(), normalise(query)]),
            _ => json!(self.words()),
        }
    }

    /// Whether it tells, of any rows at all, whether they could be the table's: by their own
    /// values, and not by how many they are, how old, or what other tables have.
    pub(crate) fn judges_any_rows(&self) -> bool {
        matches!(
            self,
            Self::Unique(_) | Self::NotNull(_) | Self::AcceptedValues { .. }
        )
    }

    /// Whether time alone can break it.
    pub(crate) fn ages(&self) -> bool {
        matches!(self, Self::Freshness { .. })
    }
}

/// A length of time as the language has it: `1d2h`.
pub(crate) fn length(length: Duration) -> String {
    let mut seconds = length.as_secs();
    let mut text = String::new();
    for (unit, each) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        let count = seconds / each;
        seconds %= each;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    match text.is_empty() {
        true => "0s".to_owned(),
        false => text,
    }
}
