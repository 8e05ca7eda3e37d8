//! What one file says about its columns: their names, and what its values are.
//!
//! An outline follows from a file's content and from how it is read, and from nothing
//! else. As text it is remembered beside the file's hash, so that a file that did not
//! change is not read again for its columns.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

use super::{
    ORIGINAL_NAME_KEY,
    column::is_among,
    csv::{self, Cut},
    error::IngestError,
    format::{format_of, parquet_schema},
    guess::{Guess, Guesses},
    json::JsonRecords,
    options::{BadRecords, Format, ReadOptions},
    record::{Column, Columns},
    survey::SourceFile,
};

/// What one file says about its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    pub(super) columns: Vec<Profile>,
    /// Whether the file says all of its columns, as CSV does and JSON does not.
    pub(super) strict: bool,
}

/// What is known of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    pub(super) column: Column,
    pub(super) types: Types,
}

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Types {
    /// Texts, as they read: each set that is the one of some file.
    Seen(Vec<Guesses>),
    /// The type that the file says.
    Said(DataType),
}

impl Profile {
    pub(super) fn data_type(&self, options: &ReadOptions) -> DataType {
        match (options.declared(&self.column.name), &self.types) {
            (Some(declared), _) => declared.clone(),
            (None, Types::Seen(files)) => together(files).joined().data_type(),
            (None, Types::Said(data_type)) => data_type.clone(),
        }
    }

    /// Whether a column of type `known` holds some values of every file, and the others
    /// have no type in common with them.
    pub(super) fn is_sporadic(&self, known: &DataType, options: &ReadOptions) -> bool {
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

    pub(super) fn field(&self, data_type: DataType) -> Field {
        let field = Field::new(&self.column.name, data_type, true);
        match &self.column.original {
            Some(original) => field.with_metadata(HashMap::from([(
                ORIGINAL_NAME_KEY.to_owned(),
                original.clone(),
            )])),
            None => field,
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
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

/// What reading a file for its columns gives.
pub(super) struct Looked {
    pub(super) outline: Outline,
    /// The hash of its content, where that comes with reading it.
    pub(super) content_hash: Option<String>,
    /// Places from which it can be read; none where it has to be read from its front.
    pub(super) cuts: Vec<Cut>,
}

/// Reads a whole file for its columns.
pub(super) fn outline(file: &SourceFile, options: &ReadOptions) -> Result<Looked, IngestError> {
    match format_of(file, options)? {
        Format::Csv => csv::outline(file, options),
        Format::Json => of_json(file, options),
        Format::Parquet => {
            let schema = parquet_schema(file, options)?;
            let columns = schema.into_iter().map(|(column, data_type)| Profile {
                column,
                types: Types::Said(data_type),
            });
            let outline = Outline {
                columns: columns.collect(),
                strict: true,
            };
            Ok(Looked {
                outline,
                content_hash: None,
                cuts: Vec::new(),
            })
        }
    }
}

fn of_json(file: &SourceFile, options: &ReadOptions) -> Result<Looked, IngestError> {
    let mut records = JsonRecords::open(file, options)?;
    let mut guesses: Vec<Guesses> = Vec::new();
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
            if !guesses.is_settled() && !is_among(&options.null_values, text) {
                guesses.add(Guess::of_value(kind, text, options.decimal_comma));
            }
        }
    }
    guesses.resize(records.columns().list().len(), Guesses::default());
    Ok(Looked {
        outline: Outline::of_texts(records.columns(), guesses, false),
        content_hash: Some(records.hash()?),
        cuts: Vec::new(),
    })
}

impl Outline {
    /// The outline of a file of texts.
    pub(super) fn of_texts(columns: &Columns, guesses: Vec<Guesses>, strict: bool) -> Self {
        let columns = columns.list().iter().zip(guesses);
        let columns = columns.map(|(column, guesses)| Profile {
            column: column.clone(),
            types: Types::Seen(vec![guesses]),
        });
        Self {
            columns: columns.collect(),
            strict,
        }
    }
}

/// An outline as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    strict: bool,
    columns: Vec<WrittenColumn>,
}

#[derive(Serialize, Deserialize)]
struct WrittenColumn {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<u8>,
    /// Arrow's name of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

impl Outline {
    /// The outline as text; `None` where a type has no text that stands for it.
    pub fn to_text(&self) -> Option<String> {
        let columns = self.columns.iter().map(|profile| {
            let (seen, said) = match &profile.types {
                Types::Seen(files) => (files.iter().map(|file| file.bits()).collect(), None),
                Types::Said(data_type) => (Vec::new(), Some(data_type.to_string())),
            };
            WrittenColumn {
                name: profile.column.name.clone(),
                original: profile.column.original.clone(),
                seen,
                said,
            }
        });
        let written = Written {
            strict: self.strict,
            columns: columns.collect(),
        };
        let text = serde_json::to_string(&written).ok()?;
        (Self::from_text(&text).as_ref() == Some(self)).then_some(text)
    }

    /// What [`Self::to_text`] wrote; `None` when the text is something else.
    pub fn from_text(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let columns = written.columns.into_iter().map(|column| {
            let types = match column.said {
                Some(said) => Types::Said(said.parse().ok()?),
                None => Types::Seen(column.seen.into_iter().map(Guesses::from_bits).collect()),
            };
            Some(Profile {
                column: Column {
                    name: column.name,
                    original: column.original,
                },
                types,
            })
        });
        Some(Self {
            strict: written.strict,
            columns: columns.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn outline_of(types: Types) -> Outline {
        let column = Column {
            name: "full_name".to_owned(),
            original: Some("Full \"Name\"".to_owned()),
        };
        Outline {
            columns: vec![Profile { column, types }],
            strict: true,
        }
    }

    #[test]
    fn outlines_come_back_from_their_text() {
        let mut guesses = Guesses::default();
        guesses.add(Guess::Integer);
        guesses.add(Guess::Text);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for types in [
            Types::Seen(vec![guesses]),
            Types::Seen(vec![Guesses::default()]),
            Types::Said(DataType::Int64),
            Types::Said(DataType::Decimal128(10, 2)),
            Types::Said(utc),
            Types::Said(DataType::Date32),
        ] {
            let outline = outline_of(types);
            let text = outline.to_text().unwrap();
            assert_eq!(Outline::from_text(&text), Some(outline), "{text}");
        }
        for other in [
            "",
            "{}",
            "{\"strict\":true,\"columns\":[{\"name\":\"a\",\"said\":\"Int65\"}]}",
        ] {
            assert_eq!(Outline::from_text(other), None);
        }
    }
}
