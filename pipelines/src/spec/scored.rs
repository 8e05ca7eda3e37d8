//! `predict:`, a table made by applying a registered model.

use super::decode::{Check, Context, Fields, record};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

/// The column of the predictions, unless `as:` names it.
const DEFAULT_COLUMN: &str = "prediction";

record! {
    /// Rows scored by a registered model: only new and changed ones, and all of them again when the model changes.
    pub struct ScoredSpec as "`predict`" {
        /// The model's address, such as `models:/sentiment@production` or `models:/sentiment/3`.
        "model" model: Spanned<String>,
        /// The table whose rows are scored; its columns are the model's inputs, by name.
        "from" from: Spanned<String>,
        /// Columns that tell one row from another: part of `_row_hash`, and always carried.
        "keys" keys: Vec<Spanned<String>>,
        /// Columns of the source that the table has, besides its keys and `_split`; by default all.
        "columns" columns: Vec<Spanned<String>>,
        /// The column of what `predict` gives; by default `prediction`.
        "as" column: Option<Spanned<String>>,
        /// A column for the class, as `predict_label` gives it.
        "label_as" label_as: Option<Spanned<String>>,
        /// A column for the probability of each class, as `predict_scores` gives them.
        "scores_as" scores_as: Option<Spanned<String>>,
    }
}

impl ScoredSpec {
    /// The name of the column with the predictions.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column
            .as_ref()
            .map_or(DEFAULT_COLUMN, |column| column.value.as_str())
    }
}

impl Check for ScoredSpec {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        for list in [&self.keys, &self.columns] {
            for (index, column) in list.iter().enumerate() {
                let same = |other: &Spanned<String>| other.eq_ignore_ascii_case(column);
                if list[..index].iter().any(same) {
                    let message = format!("`{column}` is listed twice");
                    cx.report(Diagnostic::error("duplicate_name", message), column.span);
                }
            }
        }
        cx.diagnostics.len() == before
    }
}
