//! Files on their way into the lakehouse: found, understood, streamed.
//!
//! [`expand_globs`] finds the files and hashes their content, [`infer_schema`]
//! reads all of them for their columns' types, [`read`] streams their rows with
//! `_file`, `_row` and `_ingested_at` added. Every fault names the file and the
//! line, and ends the stream with an error, so that nothing is committed.

mod csv;
mod discover;
mod error;
mod infer;
mod options;
mod read;
mod text;
mod value;

pub use discover::{SourceFile, expand_globs};
pub use error::IngestError;
pub use infer::infer_schema;
pub use options::{CsvOptions, NameStyle, parse_type, type_names};
pub use read::{output_schema, read};

/// The column that holds a row's file: relative to the pipeline, with `/`.
pub const FILE_COLUMN: &str = "_file";
/// The column that holds a row's place in its file, counted from 1.
pub const ROW_COLUMN: &str = "_row";
/// The column that holds the time of the ingest (microseconds, UTC).
pub const INGESTED_AT_COLUMN: &str = "_ingested_at";
/// The key of a column's metadata that holds its header as it is in the file.
pub const ORIGINAL_NAME_KEY: &str = "sluice.original_name";
