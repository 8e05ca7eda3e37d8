//! The columns of a set of files: names from the headers, types from every value.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};

use super::{
    ORIGINAL_NAME_KEY,
    csv::{Column, Records},
    discover::SourceFile,
    error::IngestError,
    options::CsvOptions,
    read::{in_background, parallel_files},
    value::Guess,
};
use crate::nearest::nearest;

/// The schema that holds every row of every file: the columns in the order of the
/// first file; whole numbers as BIGINT, numbers as DOUBLE, BOOLEAN, DATE, TIMESTAMP
/// (with a zone where the texts have one), all else VARCHAR. Declared columns keep
/// their types. All files must have the same columns, in any order. A column whose
/// header was changed keeps it under [`ORIGINAL_NAME_KEY`]. No `_file`, `_row` and
/// `_ingested_at` here: [`read`](super::read) adds them.
///
/// # Errors
/// Every fault of a header or a line, with its place, and
/// [`IngestError::MissingColumn`] when the headers differ.
pub async fn infer_schema(
    files: &[SourceFile],
    options: &CsvOptions,
) -> Result<SchemaRef, IngestError> {
    options.check()?;
    let options = Arc::new(options.clone());
    let mut outlines = futures::stream::iter(files.to_vec())
        .map(|file| {
            let options = Arc::clone(&options);
            in_background(file.path.clone(), move || outline(&file, &options))
        })
        .buffered(parallel_files());
    let Some(first) = outlines.try_next().await? else {
        return Ok(Arc::new(Schema::empty()));
    };
    check_declared(&first, &options)?;
    let mut guesses = first.guesses.clone();
    while let Some(outline) = outlines.try_next().await? {
        merge(&mut guesses, &first, &outline)?;
    }
    let fields = first.columns.iter().zip(guesses).map(|(column, guess)| {
        let data_type = options
            .declared(&column.name)
            .cloned()
            .unwrap_or_else(|| guess.data_type());
        field(column, data_type)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn field(column: &Column, data_type: arrow::datatypes::DataType) -> Field {
    let field = Field::new(&column.name, data_type, true);
    match &column.original {
        Some(original) => field.with_metadata(HashMap::from([(
            ORIGINAL_NAME_KEY.to_owned(),
            original.clone(),
        )])),
        None => field,
    }
}

/// What one file says about its columns.
struct Outline {
    file: String,
    columns: Vec<Column>,
    guesses: Vec<Guess>,
}

fn outline(file: &SourceFile, options: &CsvOptions) -> Result<Outline, IngestError> {
    let (mut records, columns, mut first_is_data) = Records::open_with_columns(file, options)?;
    let mut guesses = vec![Guess::Empty; columns.len()];
    let declared: Vec<bool> = columns
        .iter()
        .map(|column| options.declared(&column.name).is_some())
        .collect();
    // Every record is read even so: a ragged line must be found before a commit.
    while first_is_data || records.advance()? {
        first_is_data = false;
        let fields = records.fields().zip(guesses.iter_mut()).zip(&declared);
        for ((text, guess), declared) in fields {
            let settled = *declared || *guess == Guess::Text;
            if !settled && !options.null_values.iter().any(|null| null == text) {
                *guess = guess.and(Guess::of(text));
            }
        }
    }
    Ok(Outline {
        file: file.path.clone(),
        columns,
        guesses,
    })
}

/// Joins the guesses of another file, column by column, by name.
fn merge(guesses: &mut [Guess], first: &Outline, other: &Outline) -> Result<(), IngestError> {
    for (column, guess) in first.columns.iter().zip(guesses) {
        let found = other.columns.iter().position(|c| c.name == column.name);
        let Some(index) = found else {
            return Err(missing(other, column, first));
        };
        *guess = guess.and(other.guesses[index]);
    }
    let extra = other
        .columns
        .iter()
        .find(|column| !first.columns.iter().any(|c| c.name == column.name));
    match extra {
        Some(column) => Err(missing(first, column, other)),
        None => Ok(()),
    }
}

fn missing(lacking: &Outline, column: &Column, having: &Outline) -> IngestError {
    IngestError::MissingColumn {
        lacking: lacking.file.clone(),
        column: column.original.as_ref().unwrap_or(&column.name).clone(),
        having: having.file.clone(),
    }
}

fn check_declared(first: &Outline, options: &CsvOptions) -> Result<(), IngestError> {
    let names = || first.columns.iter().map(|column| column.name.as_str());
    let unknown = options
        .columns
        .iter()
        .find(|(declared, _)| !names().any(|name| name == declared));
    match unknown {
        Some((column, _)) => Err(IngestError::UnknownColumn {
            column: column.clone(),
            file: first.file.clone(),
            nearest: nearest(column, names()).map(str::to_owned),
        }),
        None => Ok(()),
    }
}
