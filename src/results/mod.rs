//! Query results on standard output, in five formats.
//!
//! Rows are written as they come. Only the table waits: it buffers up to
//! [`table::SAMPLE_ROWS`] rows to learn how wide its columns are.
//! Entry point: [`writer`].

mod cells;
mod explain;
mod json;
mod markdown;
mod separated;
mod table;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::render::screen::Screen;

/// The formats of `sluice sql --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people.
    Table,
    /// Comma-separated, with a header; NULL is an empty field.
    Csv,
    /// One array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A Markdown table.
    Markdown,
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The output refused.
    #[error("the result cannot be written: {0}")]
    Output(#[from] io::Error),
    /// A value has no text in this format.
    #[error("a value cannot be shown in this format: {0}")]
    Value(#[source] ArrowError),
}

impl From<ArrowError> for WriteError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, source) => Self::Output(source),
            other => Self::Value(other),
        }
    }
}

impl WriteError {
    /// Whether the reader has gone away, as `head` does: nobody is left to be told.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Writes the batches of one result.
pub(crate) trait ResultWriter {
    /// Writes a batch of the schema that the writer was made for.
    ///
    /// # Errors
    /// When the output refuses, or a value has no text.
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError>;

    /// Writes what is left and flushes.
    ///
    /// # Errors
    /// When the output refuses.
    fn finish(&mut self) -> Result<(), WriteError>;
}

/// A writer of `format` for results of `schema` on `out`, as wide as `screen`.
///
/// # Errors
/// When the output refuses what stands before the rows.
pub(crate) fn writer<'out, W: Write + 'out>(
    format: Format,
    schema: &SchemaRef,
    screen: Screen,
    out: W,
) -> Result<Box<dyn ResultWriter + 'out>, WriteError> {
    Ok(match format {
        Format::Table if explain::is_plan(schema) => Box::new(explain::Explain::new(screen, out)),
        Format::Table => Box::new(table::Table::new(schema, screen, out)),
        Format::Csv => Box::new(separated::Csv::new(schema, out)?),
        Format::Json => Box::new(json::Array::new(out)),
        Format::Ndjson => Box::new(json::Lines::new(out)),
        Format::Markdown => Box::new(markdown::Markdown::new(schema, out)?),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    };
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        let item = Field::new("item", DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("p", DataType::Float64, true),
            Field::new("good", DataType::Boolean, true),
            Field::new("tags", DataType::List(Arc::new(item)), true),
        ]))
    }

    fn batch() -> RecordBatch {
        let mut tags = ListBuilder::new(StringBuilder::new());
        tags.append_value([Some("a"), Some("b, c")]);
        tags.append_null();
        tags.append_value([None::<&str>]);
        RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(Int64Array::from(vec![1, 20, 300])),
                Arc::new(StringArray::from(vec![
                    Some("plain"),
                    Some("a \"quote\", a | bar\nand a line"),
                    None,
                ])),
                Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN)])),
                Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
                Arc::new(tags.finish()),
            ],
        )
        .unwrap()
    }

    fn written(format: Format, batches: &[RecordBatch], screen: Screen) -> String {
        let mut out = Vec::new();
        let mut writer = writer(format, &schema(), screen, &mut out).unwrap();
        for batch in batches {
            writer.batch(batch).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format() {
        use clap::ValueEnum as _;
        let mut shown = String::new();
        for format in Format::value_variants() {
            for batches in [vec![batch(), batch().slice(0, 1)], vec![]] {
                let text = written(*format, &batches, Screen::plain());
                shown.push_str(&format!("== {format:?}, {} batches\n{text}", batches.len()));
            }
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn json_is_json() {
        let text = written(Format::Json, &[batch(), batch()], Screen::plain());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_array().unwrap().len(), 6);
        assert_eq!(value[1]["p"], serde_json::Value::Null);
        let text = written(Format::Json, &[], Screen::plain());
        assert_eq!(text.trim(), "[]");
        for line in written(Format::Ndjson, &[batch()], Screen::plain()).lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 5, "NULLs are written");
        }
    }

    #[test]
    fn a_table_fits_the_terminal() {
        for width in [20, 30, 40, 60] {
            let screen = Screen {
                width,
                color: false,
                redraws: true,
            };
            let text = written(Format::Table, &[batch()], screen);
            for line in text.lines().take_while(|line| !line.starts_with('(')) {
                assert!(
                    console::measure_text_width(line) <= width,
                    "{width}: {line}"
                );
            }
        }
    }
}
