//! CSV.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::{ResultWriter, WriteError};

/// Writes CSV with a header. Lists, maps and structs, for which CSV has no form, are
/// written as JSON.
pub(super) struct Csv<W: Write> {
    writer: csv::Writer<W>,
    schema: SchemaRef,
}

impl<W: Write> Csv<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When the output refuses.
    pub(super) fn new(schema: &SchemaRef, out: W) -> Result<Self, WriteError> {
        let fields: Vec<Field> = schema
            .fields()
            .iter()
            .map(|field| {
                if field.data_type().is_nested() {
                    Field::new(field.name(), DataType::Utf8, true)
                } else {
                    field.as_ref().clone()
                }
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
        // The header of a result without rows, too.
        writer.write(&RecordBatch::new_empty(schema.clone()))?;
        Ok(Self { writer, schema })
    }
}

impl<W: Write> ResultWriter for Csv<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let columns = batch
            .columns()
            .iter()
            .map(flat)
            .collect::<Result<Vec<_>, _>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        Ok(self.writer.write(&batch)?)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        // The writer flushes after each batch.
        Ok(())
    }
}

/// `column`, or the JSON of each value of a nested one.
fn flat(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(column.clone());
    }
    // The JSON writer writes rows: give it rows of this one column, and take off the rest.
    let name = "v";
    let rows = RecordBatch::try_from_iter_with_nullable([(name, column.clone(), true)])?;
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(Vec::new());
    writer.write(&rows)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())
        .map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let prefix = format!("{{\"{name}\":");
    let array: StringArray = text
        .lines()
        .map(|line| line.strip_prefix(&prefix)?.strip_suffix('}'))
        .map(|value| value.filter(|json| *json != "null"))
        .collect();
    Ok(Arc::new(array))
}
