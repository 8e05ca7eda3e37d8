//! What can be wrong with files that are to be ingested.

use std::{fmt, io, path::PathBuf, sync::Arc};

use arrow::datatypes::DataType;

use super::options::type_name;

/// A fault in a source file or in how it is described. Cheap to clone: it travels
/// through streams and out of them again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// A pattern matches no file.
    #[error(
        "no file matches `{pattern}` in {}{}",
        folder.display(),
        nearest.as_ref().map(|n| format!(": did you mean `{n}`?"))
            .unwrap_or_else(|| ": check the path, which is relative to the pipeline's folder".to_owned())
    )]
    NoMatch {
        /// The pattern as it was written.
        pattern: String,
        /// The folder that was searched.
        folder: PathBuf,
        /// The file or folder there whose name is nearest.
        nearest: Option<String>,
    },
    /// A pattern is not one.
    #[error("`{pattern}` is not a file pattern: {reason}")]
    Pattern {
        /// The pattern as it was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name of a file is not text.
    #[error(
        "the name of {} is not UTF-8 and cannot be stored in `_file`: rename the file",
        path.display()
    )]
    FileName {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A file has not even a header.
    #[error("{file} is empty: it needs a header line, or leave it out of `files:`")]
    Empty {
        /// The file, as in `_file`.
        file: String,
    },
    /// The front of a file is no text.
    #[error("{file}, line {line}: this is not text in UTF-8: {hint}")]
    NotText {
        /// The file, as in `_file`.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// What it may be, and what to do.
        hint: &'static str,
    },
    /// A record cannot be taken, and the ingest wants all of them.
    #[error("{file}, line {line}{}: {fault}", if *row == 0 { " (the header)".to_owned() } else { format!(", row {row}") })]
    BadRecord {
        /// The file, as in `_file`.
        file: String,
        /// The place of the record in the file, counted from 1; 0 for the header.
        row: i64,
        /// The line that it starts on, counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
    /// A file of Parquet cannot be read.
    #[error("{file} is not a Parquet file that can be read: {reason}")]
    Parquet {
        /// The file, as in `_file`.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// One record is larger than anything reasonable.
    #[error(
        "{file}, line {line}: the record is longer than {limit_bytes} bytes: is a quote never closed?"
    )]
    TooLong {
        /// The file, as in `_file`.
        file: String,
        /// The line that the record starts on, counted from 1.
        line: u64,
        /// How long a record may be.
        limit_bytes: usize,
    },
    /// The header is one column, and looks as if another delimiter divided it.
    #[error(
        "{file}: with the delimiter {delimiter:?} the whole header is one column: did you mean `csv: {{delimiter: {guess:?}}}`?"
    )]
    Delimiter {
        /// The file, as in `_file`.
        file: String,
        /// The delimiter that was used.
        delimiter: char,
        /// The delimiter that it seems to be.
        guess: char,
    },
    /// The delimiter is not a single byte, or one that cannot divide fields.
    #[error(
        "{delimiter:?} cannot be a delimiter: take one ASCII character other than a quote or a line break"
    )]
    BadDelimiter {
        /// The delimiter as it was given.
        delimiter: char,
    },
    /// Two headers become the same column.
    #[error(
        "{file}: the headers {first:?} and {second:?} both become the column `{name}`: rename one in the file"
    )]
    HeaderClash {
        /// The file, as in `_file`.
        file: String,
        /// The header that comes first.
        first: String,
        /// The header that comes later.
        second: String,
        /// The column that both would become.
        name: String,
    },
    /// A header is the name of a column that ingest itself adds.
    #[error(
        "{file}: the header `{name}` is the name of a column that ingest adds: rename it in the file"
    )]
    ReservedHeader {
        /// The file, as in `_file`.
        file: String,
        /// The header.
        name: String,
    },
    /// The columns of a file are not those of the files before it.
    #[error(
        "{file} does not have the columns of {against}: {}; make them alike, or say `evolve: true`",
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Drift {
        /// The file that differs.
        file: String,
        /// The file that it differs from, or `the table`.
        against: String,
        /// Every difference.
        differences: Vec<Difference>,
    },
    /// A file without a header whose columns are not as many as are declared.
    #[error(
        "{file} has {found} {} in its first record, but {declared} {} declared: name all of them, in the order of the file",
        if *found == 1 { "column" } else { "columns" },
        if *declared == 1 { "is" } else { "are" }
    )]
    DeclaredCount {
        /// The file, as in `_file`.
        file: String,
        /// How many columns are declared.
        declared: usize,
        /// How many fields its first record has.
        found: usize,
    },
    /// A column is declared that no file has.
    #[error(
        "the column `{column}` is declared, but {file} has none of that name{}",
        nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default()
    )]
    UnknownColumn {
        /// The column as it was declared.
        column: String,
        /// A file that was looked at.
        file: String,
        /// The column whose name is nearest.
        nearest: Option<String>,
    },
    /// A column's type is not one that text can be read as.
    #[error("the column `{column}` has the type {data_type}, which cannot be read from text")]
    ColumnType {
        /// The column.
        column: String,
        /// Arrow's name of the type.
        data_type: String,
    },
    /// A file was written to while it was read.
    #[error("{file} was changed while it was being read: run again when it is complete")]
    Changed {
        /// The file, as in `_file`.
        file: String,
    },
    /// A reading thread ended without a word.
    #[error("reading {file} was cut off")]
    CutOff {
        /// The file, as in `_file`.
        file: String,
    },
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// More or fewer fields than the header has.
    #[error(
        "{found} {}, but the header has {expected}: fix the line, or quote a field that holds the delimiter or a line break",
        if *found == 1 { "field" } else { "fields" }
    )]
    Ragged {
        /// How many fields the header has.
        expected: usize,
        /// How many fields the record has.
        found: usize,
    },
    /// A quote is never closed.
    #[error("a quote that is opened here is never closed")]
    UnclosedQuote,
    /// A field goes on behind the quote that closes it.
    #[error("field {field} goes on behind its closing quote: write a quote inside quotes twice")]
    AfterQuote {
        /// The field, counted from 1.
        field: usize,
    },
    /// The record is not UTF-8.
    #[error("its byte {offset} is not UTF-8: save the file as UTF-8, or declare its `encoding:`")]
    NotUtf8 {
        /// The first byte of the record that is wrong, counted from 0.
        offset: usize,
    },
    /// The record is not JSON.
    #[error("this is not JSON: {reason}")]
    NotJson {
        /// What the parser said.
        reason: String,
    },
    /// The record is JSON, but not an object.
    #[error("this is not a JSON object")]
    NotObject,
    /// A key stands twice in an object.
    #[error("the key `{key}` stands twice")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// The file goes on behind its list of records.
    #[error("this stands behind the list of records")]
    BehindList,
    /// The list of records ends too early.
    #[error("the list of records is not closed: is the file cut off?")]
    CutOff,
    /// A value is not of its column's type.
    #[error(
        "{value:?} in the column `{column}` is not {expected}: fix the value, or declare the column as VARCHAR"
    )]
    Value {
        /// The column.
        column: String,
        /// The value, shortened when long.
        value: String,
        /// The type, in words: `a whole number`.
        expected: String,
    },
}

/// How the columns of a file differ from those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It has a column that was not there.
    New {
        /// The column, as the file calls it.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// It lacks a column.
    Missing {
        /// The column.
        column: String,
    },
    /// A column has another type.
    Retyped {
        /// The column.
        column: String,
        /// Its type before.
        before: DataType,
        /// Its type in the file.
        now: DataType,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { column, data_type } => {
                write!(f, "`{column}` ({}) is new", type_name(data_type))
            }
            Self::Missing { column } => write!(f, "`{column}` is missing"),
            Self::Retyped {
                column,
                before,
                now,
            } => {
                let (before, now) = (type_name(before), type_name(now));
                write!(f, "`{column}` was {before} and is {now}")
            }
        }
    }
}

impl IngestError {
    pub(super) fn unreadable(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.into(),
            source: Arc::new(source),
        }
    }
}
