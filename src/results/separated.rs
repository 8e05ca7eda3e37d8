//! CSV.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::{Writer, WriterBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{ResultWriter, WriteError};

/// Writes CSV with a header. Lists, maps and structs, for which CSV has no form, are
/// written as their text.
pub(super) struct Csv<W: Write> {
    writer: Writer<W>,
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
        let mut writer = WriterBuilder::new().with_header(true).build(out);
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

/// `column`, or the texts of a nested one.
fn flat(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(column.clone());
    }
    let options = FormatOptions::default();
    let texts = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let array: StringArray = (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                Ok(None)
            } else {
                texts.value(row).try_to_string().map(Some)
            }
        })
        .collect::<Result<_, ArrowError>>()?;
    Ok(Arc::new(array))
}
