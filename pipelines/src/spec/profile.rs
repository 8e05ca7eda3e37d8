//! The options of `profile:`.

use super::decode::{Check, Context, Fields, record};
use super::report::ReportOptions;
use super::sql_text::SqlText;
use crate::source::Spanned;

record! {
    /// What a profile looks at.
    pub struct ProfileOptions as "a profile" {
        /// A column or an SQL expression that gives each row its class, such as a label: figures are told by class, and columns that give it away are warned of.
        "by" by: Option<SqlText>,
        /// Columns to leave out.
        "exclude" exclude: Vec<Spanned<String>>,
        /// Rows that quantiles, histograms, box plots and correlations are computed from; by default 100000. Tables up to this size are taken whole.
        "sample_rows" sample_rows: Option<Spanned<u64>>,
    }
}

impl ReportOptions for ProfileOptions {}

/// Fewer rows make no picture.
const MIN_SAMPLE: u64 = 100;
/// More rows are taken for a slip: they are held in memory.
const MAX_SAMPLE: u64 = 10_000_000;

impl Check for ProfileOptions {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        match self.sample_rows {
            Some(rows) if !(MIN_SAMPLE..=MAX_SAMPLE).contains(&rows.value) => {
                let message =
                    format!("`sample_rows` must be between {MIN_SAMPLE} and {MAX_SAMPLE}");
                cx.error("bad_count", message, rows.span);
                false
            }
            _ => true,
        }
    }
}
