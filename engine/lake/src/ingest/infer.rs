//! The columns of a set of files: names from the headers, types from every value.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};

use super::{
    ORIGINAL_NAME_KEY,
    discover::SourceFile,
    error::{Difference, IngestError},
    format::{format_of, parquet_schema},
    options::{BadRecords, Format, ReadOptions},
    read::{in_background, own_columns, parallel_files},
    record::{Column, Records},
    value::{Guess, Guesses},
};
use crate::nearest::nearest;

/// The schema that holds every row of every file: the columns in the order of the
/// first file; whole numbers as BIGINT, numbers as DOUBLE, BOOLEAN, DATE, TIMESTAMP
/// (with a zone where the texts have one), all else VARCHAR. Declared columns keep
/// their types. All files must have the same columns, in any order, unless the
/// options say [`ReadOptions::evolve`]; objects of JSON need not have all keys. A
/// column whose header was changed keeps it under [`ORIGINAL_NAME_KEY`]. No `_file`,
/// `_row` and `_ingested_at` here: [`read`](super::read) adds them.
///
/// `table` is what an earlier ingest made, if there is one: where single values of a
/// column do not fit its type there, it keeps that type, and the records are bad.
///
/// # Errors
/// Every fault of a header, bad records when the options want none, and
/// [`IngestError::Drift`] when the columns differ.
pub async fn infer_schema(
    files: &[SourceFile],
    options: &ReadOptions,
    table: Option<&Schema>,
) -> Result<SchemaRef, IngestError> {
    let Some(joined) = outline_all(files, options).await? else {
        return Ok(Arc::new(Schema::empty()));
    };
    let fields = joined.columns.iter().map(|column| {
        let known = table.and_then(|table| table.field_with_name(&column.column.name).ok());
        let known = known.map(Field::data_type);
        let found = column.data_type(options);
        let data_type = match known {
            Some(known) if column.is_sporadic(known, options) => known.clone(),
            _ => found,
        };
        Arc::new(column.field(data_type))
    });
    let mut fields: Vec<FieldRef> = fields.collect();
    for (name, data_type) in &options.columns {
        // Objects of JSON that lack a declared key have it all the same.
        if !fields.iter().any(|known| known.name() == name) {
            fields.push(Arc::new(Field::new(name, data_type.clone(), true)));
        }
    }
    // Rows that are in the table already keep their columns.
    let kept = table.filter(|_| options.evolve || !joined.strict);
    let kept = kept.map(own_columns);
    for field in kept.iter().flat_map(|table| table.fields()) {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type that holds the values of both.
fn wider(one: &DataType, other: &DataType) -> DataType {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (one, other) if one.is_integer() && other.is_integer() => DataType::Int64,
        (DataType::Decimal128(_, scale), other) | (other, DataType::Decimal128(_, scale))
            if other.is_integer() =>
        {
            DataType::Decimal128(38, *scale)
        }
        (DataType::Decimal128(_, one), DataType::Decimal128(_, other)) => {
            DataType::Decimal128(38, *one.max(other))
        }
        (one, other) if one.is_numeric() && other.is_numeric() => DataType::Float64,
        (DataType::Date32, timestamp @ DataType::Timestamp(_, None))
        | (timestamp @ DataType::Timestamp(_, None), DataType::Date32) => timestamp.clone(),
        _ => DataType::Utf8,
    }
}

/// The columns of all files together.
struct Joined {
    columns: Vec<Profile>,
    /// Whether every file says all of its columns, as CSV does and JSON does not.
    strict: bool,
}

/// What is known of a column.
#[derive(Debug, Clone)]
struct Profile {
    column: Column,
    types: Types,
}

/// What the values of a column are.
#[derive(Debug, Clone)]
enum Types {
    /// Texts, as they read: each set that is the one of some file.
    Seen(Vec<Guesses>),
    /// The type that the file says.
    Said(DataType),
}

impl Profile {
    fn data_type(&self, options: &ReadOptions) -> DataType {
        match (options.declared(&self.column.name), &self.types) {
            (Some(declared), _) => declared.clone(),
            (None, Types::Seen(files)) => together(files).joined().data_type(),
            (None, Types::Said(data_type)) => data_type.clone(),
        }
    }

    /// Whether a column of type `known` holds some values of every file, and the others
    /// have no type in common with them.
    fn is_sporadic(&self, known: &DataType, options: &ReadOptions) -> bool {
        match &self.types {
            Types::Seen(files) => {
                options.bad_records == BadRecords::Reject
                    && options.declared(&self.column.name).is_none()
                    && *known != DataType::Utf8
                    && together(files).joined() == Guess::Text
                    && files.iter().all(|file| file.some_fit(known))
            }
            Types::Said(_) => false,
        }
    }

    fn field(&self, data_type: DataType) -> Field {
        let field = Field::new(&self.column.name, data_type, true);
        match &self.column.original {
            Some(original) => field.with_metadata(HashMap::from([(
                ORIGINAL_NAME_KEY.to_owned(),
                original.clone(),
            )])),
            None => field,
        }
    }

    fn join(&mut self, other: &Self) {
        self.types = match (&self.types, &other.types) {
            (Types::Seen(one), Types::Seen(other)) => {
                let mut files = one.clone();
                files.extend(other.iter().filter(|file| !one.contains(file)));
                Types::Seen(files)
            }
            (Types::Said(one), Types::Said(other)) => Types::Said(wider(one, other)),
            (Types::Said(said), Types::Seen(seen)) | (Types::Seen(seen), Types::Said(said)) => {
                Types::Said(wider(said, &together(seen).joined().data_type()))
            }
        };
    }
}

/// What the values of all files are.
fn together(files: &[Guesses]) -> Guesses {
    let files = files.iter().copied();
    files.fold(Guesses::default(), Guesses::and)
}

/// What one file says about its columns.
struct Outline {
    file: String,
    columns: Vec<Profile>,
    strict: bool,
}

async fn outline_all(
    files: &[SourceFile],
    options: &ReadOptions,
) -> Result<Option<Joined>, IngestError> {
    options.check()?;
    let shared = Arc::new(options.clone());
    let mut outlines = futures::stream::iter(files.to_vec())
        .map(|file| {
            let options = Arc::clone(&shared);
            in_background(file.path.clone(), move || outline(&file, &options))
        })
        .buffered(parallel_files());
    let Some(first) = outlines.try_next().await? else {
        return Ok(None);
    };
    let mut joined = Joined {
        columns: first.columns.clone(),
        strict: first.strict,
    };
    let mut last = first.file.clone();
    while let Some(outline) = outlines.try_next().await? {
        merge(&mut joined, &first.file, &outline, options)?;
        last = outline.file;
    }
    check_declared(&joined, &last, options)?;
    Ok(Some(joined))
}

fn outline(file: &SourceFile, options: &ReadOptions) -> Result<Outline, IngestError> {
    let format = format_of(file, options)?;
    if format == Format::Parquet {
        let schema = parquet_schema(file, options)?;
        let columns = schema.into_iter().map(|(column, data_type)| Profile {
            column,
            types: Types::Said(data_type),
        });
        return Ok(Outline {
            file: file.path.clone(),
            columns: columns.collect(),
            strict: true,
        });
    }
    let mut records = Records::open(file, format, options)?;
    let mut guesses = vec![Guesses::default(); records.columns().list().len()];
    let mut row = 0;
    while let Some(found) = records.advance()? {
        row += 1;
        if let Some(fault) = found.fault {
            if options.bad_records == BadRecords::Reject {
                continue;
            }
            return Err(IngestError::BadRecord {
                file: file.path.clone(),
                row,
                line: found.line,
                fault: Box::new(fault),
            });
        }
        guesses.resize(records.columns().list().len(), Guesses::default());
        for (column, kind, text) in records.values().iter() {
            let guesses = &mut guesses[column];
            if !guesses.is_settled() && !options.null_values.iter().any(|null| null == text) {
                guesses.add(Guess::of_value(kind, text, options.decimal_comma));
            }
        }
    }
    guesses.resize(records.columns().list().len(), Guesses::default());
    let columns = records.columns().list().iter().zip(guesses);
    Ok(Outline {
        file: file.path.clone(),
        columns: columns
            .map(|(column, guesses)| Profile {
                column: column.clone(),
                types: Types::Seen(vec![guesses]),
            })
            .collect(),
        strict: format == Format::Csv,
    })
}

/// Joins the columns of another file, by name.
fn merge(
    joined: &mut Joined,
    first: &str,
    other: &Outline,
    options: &ReadOptions,
) -> Result<(), IngestError> {
    let strict = joined.strict && other.strict && !options.evolve;
    let named = |columns: &[Profile], name: &str| {
        columns
            .iter()
            .position(|profile| profile.column.name == name)
    };
    let mut differences = Vec::new();
    for profile in joined.columns.iter().filter(|_| strict) {
        if named(&other.columns, &profile.column.name).is_none() {
            differences.push(Difference::Missing {
                column: profile.column.shown().to_owned(),
            });
        }
    }
    for profile in &other.columns {
        match named(&joined.columns, &profile.column.name) {
            Some(place) => joined.columns[place].join(profile),
            None if strict => differences.push(Difference::New {
                column: profile.column.shown().to_owned(),
                data_type: profile.data_type(options),
            }),
            None => joined.columns.push(profile.clone()),
        }
    }
    joined.strict = joined.strict && other.strict;
    if differences.is_empty() {
        return Ok(());
    }
    Err(IngestError::Drift {
        file: other.file.clone(),
        against: first.to_owned(),
        differences,
    })
}

fn check_declared(joined: &Joined, file: &str, options: &ReadOptions) -> Result<(), IngestError> {
    let names = || {
        joined
            .columns
            .iter()
            .map(|profile| profile.column.name.as_str())
    };
    let unknown = options
        .columns
        .iter()
        .find(|(declared, _)| !names().any(|name| name == declared));
    match unknown {
        Some((column, _)) if joined.strict => Err(IngestError::UnknownColumn {
            column: column.clone(),
            file: file.to_owned(),
            nearest: nearest(column, names()).map(str::to_owned),
        }),
        _ => Ok(()),
    }
}
