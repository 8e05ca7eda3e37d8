//! The text of single values.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// What stands for NULL where a reader has to see it.
pub(super) const NULL: &str = "NULL";

/// The texts of a batch, row by row, with line breaks made visible.
pub(super) struct Texts<'a> {
    columns: Vec<ArrayFormatter<'a>>,
    rows: usize,
}

impl<'a> Texts<'a> {
    /// # Errors
    /// When a column's type has no text.
    pub(super) fn new(
        batch: &'a RecordBatch,
        options: &'a FormatOptions<'a>,
    ) -> Result<Self, ArrowError> {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), options))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            rows: batch.num_rows(),
        })
    }

    /// The rows' texts, one a column.
    pub(super) fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        (0..self.rows).map(|row| {
            self.columns
                .iter()
                .map(|column| one_line(column.value(row).to_string()))
                .collect()
        })
    }
}

/// How tables show values.
pub(super) fn options() -> FormatOptions<'static> {
    FormatOptions::default()
        .with_null(NULL)
        .with_display_error(true)
}

/// `text` on one line: control characters as escapes, so that no value can move the
/// cursor or break a row.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars()
        .map(|character| {
            if character.is_control() {
                character.escape_default().to_string()
            } else {
                character.to_string()
            }
        })
        .collect()
}
