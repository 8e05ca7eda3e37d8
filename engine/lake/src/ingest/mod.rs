//! Files on their way into the lakehouse: found, understood, streamed.
//!
//! [`find_files`] finds the files, [`survey`] reads those that are not remembered for
//! the hash of their content and for their columns, [`call_as_known`] finds those that were
//! moved, [`infer_schema`] joins these to one
//! schema, [`read`] streams the rows with `_file`, `_row` and `_ingested_at` added. CSV and JSON are cut into records first
//! and understood after: a record that cannot be taken goes to [`Rejects`] as it was,
//! or ends the stream with an error that names its place, so that nothing is
//! committed.

mod column;
mod csv;
mod discover;
mod encoding;
mod error;
mod format;
mod guess;
mod infer;
mod input;
mod json;
mod json_rows;
mod names;
mod options;
mod outline;
mod parse;
mod pieces;
mod plan;
mod read;
mod record;
mod rejects;
mod stamp;
mod survey;

pub use discover::{FoundFile, Unmatched, find_files};
pub use encoding::Encoding;
pub use error::{Difference, Fault, IngestError};
pub use infer::infer_schema;
pub use names::call_as_known;
pub use options::{BadRecords, Format, NameStyle, ReadOptions, parse_type, type_name, type_names};
pub use outline::Outline;
pub use plan::{output_schema, own_columns};
pub use read::{FileParts, read};
pub use rejects::{Rejects, RejectsSeen, rejects_schema};
pub use stamp::{Seen, Stamp};
pub use survey::{FileMemory, RememberedFile, SourceFile, identify, survey};

/// The column that holds a row's file: relative to the pipeline, with `/`.
pub const FILE_COLUMN: &str = "_file";
/// The column that holds a row's place in its file, counted from 1.
pub const ROW_COLUMN: &str = "_row";
/// The column that holds the time of the ingest (microseconds, UTC).
pub const INGESTED_AT_COLUMN: &str = "_ingested_at";
/// The key of a column's metadata that holds its header as it is in the file.
pub const ORIGINAL_NAME_KEY: &str = "sluice.original_name";
