//! What the reading of all files of an ingest has in common: the columns that their rows
//! become.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    column::{ColumnBuilder, in_words},
    error::{Difference, Fault, IngestError},
    options::ReadOptions,
    record::Column,
    survey::SourceFile,
};

/// The columns that [`read`](super::read) adds, in order.
pub(super) const ADDED: [&str; 3] = [FILE_COLUMN, ROW_COLUMN, INGESTED_AT_COLUMN];

/// The columns that [`read`](super::read) gives for `schema`: its own, then `_file`, `_row` and
/// `_ingested_at`.
pub fn output_schema(schema: &Schema) -> SchemaRef {
    let mut output = own_columns(schema).fields().to_vec();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let types = [DataType::Utf8, DataType::Int64, time];
    for (name, data_type) in ADDED.into_iter().zip(types) {
        output.push(Arc::new(Field::new(name, data_type, true)));
    }
    Arc::new(Schema::new(output))
}

/// The columns of a table that come from its files: all but those that [`read`](super::read) adds.
pub fn own_columns(table: &Schema) -> Schema {
    let fields = table.fields().iter();
    let own = fields.filter(|field| !ADDED.contains(&field.name().as_str()));
    Schema::new(own.cloned().collect::<Vec<_>>())
}

/// What all files have in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) data: SchemaRef,
    pub(super) output: SchemaRef,
    pub(super) options: ReadOptions,
    pub(super) ingested_at_us: i64,
}

impl Plan {
    pub(super) fn new(schema: &Schema, options: &ReadOptions) -> Self {
        let output = output_schema(schema);
        let data = output.fields()[..output.fields().len() - ADDED.len()].to_vec();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since_epoch.unwrap_or_default().as_micros();
        Self {
            data: Arc::new(Schema::new(data)),
            output,
            options: options.clone(),
            ingested_at_us: i64::try_from(micros).unwrap_or(i64::MAX),
        }
    }
}

impl Plan {
    /// The columns of rows of a file, with those that are added.
    pub(super) fn batch(
        &self,
        source: &SourceFile,
        mut columns: Vec<ArrayRef>,
        places: Int64Array,
    ) -> Result<RecordBatch, IngestError> {
        let rows = places.len();
        let files = std::iter::repeat_n(source.path.as_str(), rows);
        let times = std::iter::repeat_n(self.ingested_at_us, rows);
        let added: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter_values(files)),
            Arc::new(places),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ];
        columns.extend(added);
        RecordBatch::try_new(Arc::clone(&self.output), columns).map_err(|_| cut_off(source))
    }

    /// Checks that text can be read as each column's type.
    pub(super) fn check_types(&self) -> Result<(), IngestError> {
        let mut fields = self.data.fields().iter();
        let unfit = fields.find(|field| ColumnBuilder::new(field.data_type(), 0).is_none());
        unfit.map_or(Ok(()), |field| {
            Err(IngestError::ColumnType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            })
        })
    }

    /// For each column of a file the place that takes it.
    pub(super) fn targets(
        &self,
        file: &str,
        columns: &[Column],
        strict: bool,
    ) -> Result<Vec<usize>, IngestError> {
        let mut targets = Vec::with_capacity(columns.len());
        let mut differences = Vec::new();
        for column in columns {
            match self.data.index_of(&column.name) {
                Ok(target) => targets.push(target),
                Err(_) => differences.push(Difference::New {
                    column: column.shown().to_owned(),
                    data_type: DataType::Utf8,
                }),
            }
        }
        for field in self
            .data
            .fields()
            .iter()
            .filter(|_| strict && !self.options.evolve)
        {
            if !columns.iter().any(|column| &column.name == field.name()) {
                let column = field.name().clone();
                differences.push(Difference::Missing { column });
            }
        }
        if differences.is_empty() {
            return Ok(targets);
        }
        Err(IngestError::Drift {
            file: file.to_owned(),
            against: "the table".to_owned(),
            differences,
        })
    }
}

/// A fault of our own while a file was read.
pub(super) fn cut_off(source: &SourceFile) -> IngestError {
    IngestError::CutOff {
        file: source.path.clone(),
    }
}

/// That a value is not of its column's type.
pub(super) fn misfit(field: &Field, text: &str) -> Fault {
    Fault::Value {
        column: field.name().clone(),
        value: shorten(text),
        expected: in_words(field.data_type()),
    }
}

/// Enough of a value to recognise it.
fn shorten(text: &str) -> String {
    const CHARACTERS: usize = 60;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
