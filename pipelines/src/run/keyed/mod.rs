//! Tables whose rows are told apart by keys: `mode: {merge: ...}` keeps the last row of each
//! key, `mode: {scd2: ...}` its history.
//!
//! What a table holds is a function of its source alone ([`latest`], [`history`]): of several
//! rows of one key the one with the greatest `sequence_by` is the last, and of several of these
//! the one with the greatest content, so that it does not matter in which order, file or batch
//! rows arrive. An [`increment`] makes the same for the keys that changed only, and writes the
//! keys whose rows differ only. (Of an scd2 table the history that its source no longer has
//! counts, too.)

pub(crate) mod history;
pub(crate) mod increment;
mod known;
pub(crate) mod latest;
mod source;
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, SortExpr, lit};

use super::row_hash::row_hash;

/// What tells rows apart, and which of them counts.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    /// What is kept of a key.
    pub(crate) keeps: Keeps,
    /// The columns of the query, as the table stores them.
    pub(crate) columns: SchemaRef,
    /// The columns that make a key.
    pub(crate) keys: Vec<String>,
    /// The column that orders the rows of a key. A history has one.
    pub(crate) sequence: Option<String>,
    /// Whether a row says that its key is gone from then on: a condition on its columns.
    pub(crate) delete_when: Option<Expr>,
    /// Whether the rules of the table drop rows or put them aside: a row of the source may then
    /// be missing in what is known although none came after it.
    pub(crate) drops_rows: bool,
}

/// What is kept of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// The last row: `merge`.
    Latest,
    /// All rows, each with the time that it held: `scd2`.
    History,
}

impl Keyed {
    /// The query's columns.
    fn own(&self) -> Vec<Expr> {
        let fields = self.columns.fields().iter();
        fields.map(|field| column(field.name())).collect()
    }

    /// The columns that make a key.
    fn key(&self) -> Vec<Expr> {
        self.keys.iter().map(|name| column(name)).collect()
    }

    /// The columns of the table that come from here.
    fn kept(&self) -> Vec<Expr> {
        let mut columns = self.own();
        if self.keeps == Keeps::History {
            columns.extend([column(history::START), column(history::END)]);
        }
        columns
    }

    /// Whether a row says that its key is gone.
    fn is_deleted(&self) -> Expr {
        let condition = self.delete_when.clone();
        condition.map_or_else(|| lit(false), Expr::is_true)
    }

    /// Whether the source may hold rows that a late one has to be compared with, and that
    /// neither the table nor its quarantine holds: somebody may have cleared that.
    fn hides_rows(&self) -> bool {
        self.delete_when.is_some() || self.drops_rows
    }

    /// The order of rows of one key and sequence, the one that counts first. What has no order
    /// of its own goes by its hash.
    fn greatest_content(&self) -> Vec<SortExpr> {
        let fields = self.columns.fields().iter();
        let others = fields.filter(|field| !self.keys.contains(field.name()));
        let order = others.map(|field| {
            let value = column(field.name());
            let value = match field.data_type().is_nested() {
                true => row_hash(vec![value]),
                false => value,
            };
            greatest_first(value)
        });
        order.collect()
    }

    /// Rows in the order in which they are written: a table whose keys lie together has files
    /// that need not be read for others.
    pub(crate) fn sorted(&self, rows: DataFrame) -> Result<DataFrame> {
        let mut order: Vec<SortExpr> = self.key().into_iter().map(least_first).collect();
        if self.keeps == Keeps::History {
            order.push(least_first(column(history::START)));
        }
        rows.sort(order)
    }
}

/// A column by its name alone.
fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// NULL is less than all values.
fn greatest_first(value: Expr) -> SortExpr {
    value.sort(false, false)
}

fn least_first(value: Expr) -> SortExpr {
    value.sort(true, true)
}
