//! Files on their way into the lakehouse: found, understood, streamed.
//!
//! [`expand_globs`] finds the files and hashes their content, [`infer_schema`]
//! reads all of them for their columns' types, [`read`] streams their rows with
//! `_file`, `_row` and `_ingested_at` added. CSV and JSON are cut into records first
//! and understood after: a record that cannot be taken goes to [`Rejects`] as it was,
//! or ends the stream with an error that names its place, so that nothing is
//! committed.

mod csv;
mod discover;
mod encoding;
mod error;
mod format;
mod infer;
mod input;
mod json;
mod options;
mod read;
mod record;
mod rejects;
mod value;

pub use discover::{SourceFile, Unmatched, expand_globs};
pub use encoding::Encoding;
pub use error::{Difference, Fault, IngestError};
pub use infer::infer_schema;
pub use options::{BadRecords, Format, NameStyle, ReadOptions, parse_type, type_name, type_names};
pub use read::{output_schema, own_columns, read};
pub use rejects::{Rejects, RejectsSeen, rejects_schema};

/// The column that holds a row's file: relative to the pipeline, with `/`.
pub const FILE_COLUMN: &str = "_file";
/// The column that holds a row's place in its file, counted from 1.
pub const ROW_COLUMN: &str = "_row";
/// The column that holds the time of the ingest (microseconds, UTC).
pub const INGESTED_AT_COLUMN: &str = "_ingested_at";
/// The key of a column's metadata that holds its header as it is in the file.
pub const ORIGINAL_NAME_KEY: &str = "sluice.original_name";
