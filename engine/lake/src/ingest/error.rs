//! What can be wrong with files that are to be ingested.

use std::{io, path::PathBuf, sync::Arc};

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
    /// A file is not UTF-8.
    #[error("{file}, line {line}: byte {offset} is not UTF-8: {hint}")]
    NotUtf8 {
        /// The file, as in `_file`.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The first byte that is wrong, counted from 0.
        offset: u64,
        /// What it may be, and what to do.
        hint: &'static str,
    },
    /// A line has more or fewer fields than the header.
    #[error(
        "{file}, line {line}: {found} {}, but the header has {expected}: fix the line, or quote a field that holds the delimiter or a line break",
        if *found == 1 { "field" } else { "fields" }
    )]
    Ragged {
        /// The file, as in `_file`.
        file: String,
        /// The line that the record starts on, counted from 1.
        line: u64,
        /// How many fields the header has.
        expected: usize,
        /// How many fields the record has.
        found: usize,
    },
    /// A quote is never closed.
    #[error("{file}, line {line}: a quote that is opened here is never closed")]
    UnclosedQuote {
        /// The file, as in `_file`.
        file: String,
        /// The line that the record starts on, counted from 1.
        line: u64,
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
    /// A column is in some files only.
    #[error(
        "{lacking} lacks the column `{column}`, which {having} has: make the headers alike, or ingest the files into tables of their own"
    )]
    MissingColumn {
        /// The file without the column.
        lacking: String,
        /// The column.
        column: String,
        /// A file with it, or `the table`.
        having: String,
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
    /// A value is not of its column's type.
    #[error(
        "{file}, line {line}: {value:?} in the column `{column}` is not {expected}: fix the value, or declare the column as VARCHAR"
    )]
    Value {
        /// The file, as in `_file`.
        file: String,
        /// The line that the record starts on, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// The value, shortened when long.
        value: String,
        /// The type, in words: `a whole number`.
        expected: String,
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

impl IngestError {
    pub(super) fn unreadable(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.into(),
            source: Arc::new(source),
        }
    }
}
