//! How a table of a query is kept up to date, resolved: what `mode:` and `refresh:` come to.

use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::sql::{Expression, normalise_expression};

use crate::spec::{Every, Instant, Refresh};

/// The column of a history that tells since when a row holds.
pub const START_COLUMN: &str = "__start_at";
/// The column of a history that tells until when a row held; NULL where it still does.
pub const END_COLUMN: &str = "__end_at";

/// How a table of a query is kept up to date.
#[derive(Debug, Clone)]
pub enum Mode {
    /// All rows are made again.
    Full,
    /// New rows of one table are added.
    Append(AppendMode),
    /// Rows of equal keys replace each other.
    Merge(MergeMode),
    /// Each state of a key, with the time from and to which it was so.
    Scd2(Scd2Mode),
    /// The rows of each interval of time are made once.
    Interval(IntervalMode),
}

/// `append`: the query is asked of the rows of `from` that are new.
#[derive(Debug, Clone)]
pub struct AppendMode {
    /// The table whose new rows are read; the query is row-wise in it.
    pub from: TableName,
}

/// `merge`: the query is asked of what changed in `from`.
#[derive(Debug, Clone)]
pub struct MergeMode {
    /// The table whose changes are read; the query is row-wise in it.
    pub from: TableName,
    /// The columns that tell rows apart, as the query spells them.
    pub keys: Vec<String>,
    /// The column by which the last of several rows of a key is taken.
    pub sequence_by: Option<String>,
    /// The condition on a row of the query that removes its key.
    pub delete_when: Option<Expression>,
}

/// `scd2`: the query is asked of what changed in `from`.
#[derive(Debug, Clone)]
pub struct Scd2Mode {
    /// The table whose changes are read; the query is row-wise in it.
    pub from: TableName,
    /// The columns that tell things apart, as the query spells them.
    pub keys: Vec<String>,
    /// The column that says since when a row holds.
    pub sequence_by: String,
    /// The condition on a row of the query that ends the history of its key.
    pub delete_when: Option<Expression>,
}

/// `interval`: the query is asked for one interval of time after the other.
#[derive(Debug, Clone)]
pub struct IntervalMode {
    /// The column that says which interval a row belongs to, as the query spells it.
    pub column: String,
    /// The type of that column: how the bounds of an interval are written.
    pub bounds: BoundType,
    /// How long an interval is.
    pub every: Every,
    /// Where the first interval begins.
    pub start: Instant,
    /// How many of the last intervals are made again when an input changed.
    pub lookback: u64,
    /// How many intervals one query and one commit make at most; at least 1.
    pub batch_size: u64,
    /// How many queries run side by side at most; at least 1.
    pub concurrency: u64,
}

/// What a bound of an interval is in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundType {
    /// `DATE`.
    Date,
    /// `TIMESTAMP` without a zone, meant in UTC.
    Timestamp,
    /// `TIMESTAMP` in UTC.
    TimestampUtc,
}

impl Mode {
    /// `full`, `append`, `merge`, `scd2` or `interval`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Append(_) => "append",
            Self::Merge(_) => "merge",
            Self::Scd2(_) => "scd2",
            Self::Interval(_) => "interval",
        }
    }

    /// The table whose changes alone are read; `None` where all rows are.
    #[must_use]
    pub fn from(&self) -> Option<&TableName> {
        match self {
            Self::Full | Self::Interval(_) => None,
            Self::Append(append) => Some(&append.from),
            Self::Merge(merge) => Some(&merge.from),
            Self::Scd2(scd2) => Some(&scd2.from),
        }
    }

    /// Whether it tells rows apart by keys.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        matches!(self, Self::Merge(_) | Self::Scd2(_))
    }

    /// Whether the table knows what its source may have forgotten.
    #[must_use]
    pub fn has_history(&self) -> bool {
        matches!(self, Self::Scd2(_))
    }

    /// Whether rows that are there stay when an input changes.
    #[must_use]
    pub fn is_incremental(&self) -> bool {
        !matches!(self, Self::Full)
    }

    /// What of a mode decides about the rows that there are: nothing for `full`, as before
    /// there were modes.
    pub(crate) fn identity(&self) -> Option<Value> {
        let deletes = |when: &Option<Expression>| when.as_ref().map(normalise_expression);
        // The order in which keys are written means nothing.
        let sorted = |keys: &[String]| {
            let mut keys = keys.to_vec();
            keys.sort();
            keys
        };
        match self {
            Self::Full => None,
            Self::Append(append) => Some(json!({"append": {"from": append.from.to_string()}})),
            Self::Merge(merge) => Some(json!({"merge": {
                "from": merge.from.to_string(),
                "keys": sorted(&merge.keys),
                "sequence_by": merge.sequence_by,
                "delete_when": deletes(&merge.delete_when),
            }})),
            Self::Scd2(scd2) => Some(json!({"scd2": {
                "from": scd2.from.to_string(),
                "keys": sorted(&scd2.keys),
                "sequence_by": scd2.sequence_by,
                "delete_when": deletes(&scd2.delete_when),
            }})),
            Self::Interval(interval) => Some(json!({"interval": {
                "column": interval.column,
                "every": interval.every.to_string(),
            }})),
        }
    }
}

/// What happens when rows that are there do not count any more, and how the table is made.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// How it is kept up to date.
    pub mode: Mode,
    /// What happens where that cannot be.
    pub refresh: Refresh,
}

impl Upkeep {
    /// Whether something is decided about it other than making it anew when anything changed.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.mode.is_incremental() || self.refresh == Refresh::Strict
    }
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            mode: Mode::Full,
            refresh: Refresh::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(keys: &[&str], sequence_by: &str) -> Option<Value> {
        let mode = Mode::Merge(MergeMode {
            from: "bronze.a".parse().unwrap(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            sequence_by: Some(sequence_by.to_owned()),
            delete_when: None,
        });
        mode.identity()
    }

    #[test]
    fn the_order_of_keys_means_nothing_and_all_else_does() {
        assert_eq!(Mode::Full.identity(), None);
        let base = identity(&["a", "b"], "at");
        assert_eq!(base, identity(&["b", "a"], "at"));
        assert_ne!(base, identity(&["a"], "at"));
        assert_ne!(base, identity(&["a", "b"], "then"));
    }
}
