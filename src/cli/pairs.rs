//! Rows of a field and its value, and the words of a command that sets some.

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::error::CliError;
use crate::render::screen::Screen;
use crate::results::{self, Format, WriteError};

/// Tags that are set and taken away.
#[derive(Debug, clap::Args)]
pub(super) struct TagChange {
    /// Tags to set, replacing their values; without any they are shown
    #[arg(value_name = "KEY=VALUE", value_parser = tag)]
    pub(super) tags: Vec<(String, String)>,
    /// A tag to take away; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(super) remove: Vec<String>,
}

impl TagChange {
    /// Whether nothing is to change.
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.remove.is_empty()
    }
}

/// A text for people, set or taken away.
#[derive(Debug, clap::Args)]
pub(super) struct NoteChange {
    /// The text; without one it is shown
    #[arg(conflicts_with = "remove")]
    pub(super) text: Option<String>,
    /// Takes it away
    #[arg(long)]
    pub(super) remove: bool,
}

/// Parses `key=value`.
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
        None => Err(format!(
            "`{text}` is not of the form KEY=VALUE, as in team=fruit; `--remove {text}` takes a tag away"
        )),
    }
}

/// Writes a row for each field.
pub(super) fn write_fields(rows: &[(String, String)], format: Format) -> Result<(), CliError> {
    let column = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let fields = column(rows.iter().map(|(field, _)| field.as_str()).collect());
    let values = column(rows.iter().map(|(_, value)| value.as_str()).collect());
    write_columns(vec![("field", fields), ("value", values)], format)
}

/// Writes columns of one length.
pub(super) fn write_columns(
    columns: Vec<(&str, ArrayRef)>,
    format: Format,
) -> Result<(), CliError> {
    let columns = columns
        .into_iter()
        .map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).map_err(WriteError::Value)?;
    let out = io::BufWriter::new(io::stdout().lock());
    let mut writer = results::writer(format, &rows.schema(), Screen::stdout(), out)?;
    writer.batch(&rows)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn tags_split_at_the_first_equals_sign() {
        assert_eq!(tag("a = b=c").unwrap(), ("a".into(), " b=c".into()));
        assert_eq!(tag("a=").unwrap(), ("a".into(), String::new()));
        let error = tag("team").unwrap_err();
        assert!(error.contains("--remove team"), "{error}");
    }
}
