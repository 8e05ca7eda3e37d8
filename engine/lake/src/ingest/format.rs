//! What a file is, and reading Parquet.

use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field},
};
use datafusion::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::{
    error::IngestError,
    input::{peek, unpack},
    options::{Format, ReadOptions},
    plan::Plan,
    record::{Column, Columns},
    survey::SourceFile,
};
use crate::delta::types::stored_type;

const PARQUET: &[u8] = b"PAR1";

/// What a file is: what the options say, else its first bytes for Parquet and its name
/// for JSON, else CSV.
pub(super) fn format_of(source: &SourceFile, options: &ReadOptions) -> Result<Format, IngestError> {
    if let Some(format) = options.format {
        return Ok(format);
    }
    let front = || -> io::Result<Vec<u8>> {
        let (file, _) = unpack(Box::new(File::open(&source.absolute)?))?;
        Ok(peek(file, PARQUET.len() as u64)?.0)
    };
    let front = front().map_err(|error| IngestError::unreadable(&source.absolute, error))?;
    if front == PARQUET {
        return Ok(Format::Parquet);
    }
    let name = source.path.to_ascii_lowercase();
    let name = [".gz", ".zst", ".zstd"]
        .iter()
        .find_map(|packed| name.strip_suffix(packed))
        .unwrap_or(&name);
    let is_json = [".json", ".ndjson", ".jsonl"]
        .iter()
        .any(|extension| name.ends_with(extension));
    Ok(if is_json { Format::Json } else { Format::Csv })
}

/// The columns of a Parquet file, and the types that a table gives them.
pub(super) fn parquet_schema(
    source: &SourceFile,
    options: &ReadOptions,
) -> Result<Vec<(Column, DataType)>, IngestError> {
    let (reader, columns) = open(source, options)?;
    let fields = reader.schema().fields().iter();
    let types = fields.map(|field| stored_type(field.data_type()));
    Ok(columns.list().iter().cloned().zip(types).collect())
}

fn open(
    source: &SourceFile,
    options: &ReadOptions,
) -> Result<(ParquetRecordBatchReaderBuilder<File>, Columns), IngestError> {
    let file =
        unpacked(source).map_err(|error| IngestError::unreadable(&source.absolute, error))?;
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(source, &error))?;
    let mut columns = Columns::default();
    for field in reader.schema().fields() {
        columns.add(&source.path, field.name(), options.names)?;
    }
    Ok((reader, columns))
}

/// The file, or, when it is packed, its content in a temporary one: Parquet is read
/// from its end.
fn unpacked(source: &SourceFile) -> io::Result<File> {
    let mut file = File::open(&source.absolute)?;
    let mut front = [0; PARQUET.len()];
    let is_plain = file.read_exact(&mut front).is_ok() && front == *PARQUET;
    file.rewind()?;
    if is_plain {
        return Ok(file);
    }
    let mut content = tempfile::tempfile()?;
    io::copy(&mut unpack(Box::new(file))?.0, &mut content)?;
    content.rewind()?;
    Ok(content)
}

fn damaged(source: &SourceFile, error: &dyn std::error::Error) -> IngestError {
    IngestError::Parquet {
        file: source.path.clone(),
        reason: error.to_string(),
    }
}

/// The rows of a Parquet file as the columns of a plan.
pub(super) struct ParquetFile<'a> {
    source: &'a SourceFile,
    reader: ParquetRecordBatchReader,
    /// For each column of the plan its type, and the place of its source, if there is one.
    columns: Vec<(Arc<Field>, Option<usize>)>,
}

impl<'a> ParquetFile<'a> {
    /// Opens a file whose content is still what its hash says.
    pub(super) fn open(source: &'a SourceFile, plan: &Plan) -> Result<Self, IngestError> {
        if source.hash()? != source.content_hash {
            return Err(IngestError::Changed {
                file: source.path.clone(),
            });
        }
        let (reader, own) = open(source, &plan.options)?;
        let targets = plan.targets(&source.path, own.list(), true)?;
        let columns = plan.data.fields().iter().enumerate().map(|(place, field)| {
            let origin = targets.iter().position(|target| *target == place);
            (Arc::clone(field), origin)
        });
        let reader = reader.with_batch_size(plan.options.batch_rows.max(1));
        Ok(Self {
            source,
            columns: columns.collect(),
            reader: reader.build().map_err(|error| damaged(source, &error))?,
        })
    }
}

impl Iterator for ParquetFile<'_> {
    type Item = Result<Vec<ArrayRef>, IngestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(damaged(self.source, &error))),
        };
        let exact = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let columns = self.columns.iter().map(|(field, origin)| match origin {
            Some(origin) => cast_with_options(batch.column(*origin), field.data_type(), &exact)
                .map_err(|error| IngestError::Parquet {
                    file: self.source.path.clone(),
                    reason: format!("column `{}`: {error}", field.name()),
                }),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        Some(columns.collect())
    }
}
