//! Delta tables: pinned reads, and writes that are visible whole or not at all.
//!
//! The operations are methods of [`Lakehouse`](crate::Lakehouse): `latest_version`,
//! `load`, `last_txn`, `commits` in `read`, `write` in `write`, and `changes`, what a
//! table has that it had not, in `changes`. Column types
//! that Delta lacks are converted in [`types`]. Of several writers of one table
//! one wins. Rows that are only added then go on top of what it did, where that was
//! adding rows, too, or writing files together; all others get
//! [`LakeError::Conflict`](crate::LakeError::Conflict), which says what was done
//! ([`ConflictClass`]): nothing is merged behind the user's back.

mod as_of;
mod change_log;
mod changes;
mod conflict;
mod data_files;
mod data_version;
mod describe;
mod draft;
mod failure;
mod fenced;
mod keys;
mod leftovers;
mod maintain;
mod partitions;
mod read;
mod replace;
mod scan;
mod schema_change;
mod side_by_side;
mod size;
pub mod types;
mod within;
mod write;

pub use change_log::ChangedCommit;
pub use changes::{
    CHANGE_TYPE_COLUMN, COMMIT_TIMESTAMP_COLUMN, COMMIT_VERSION_COLUMN, Changes, ChangesError, Net,
    Since, Untold,
};
pub use conflict::ConflictClass;
pub use keys::{HASHED_KEYS_BYTES, with_keys, without_keys};
pub use maintain::{
    LEAST_RETENTION, Layout, OptimizeOptions, Optimized, VacuumOptions, Vacuumed, is_small,
};
pub use size::TableSize;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU64},
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::TableProvider, error::DataFusionError, execution::SendableRecordBatchStream,
    logical_expr::Expr,
};
use futures::{FutureExt, future::BoxFuture};

pub use self::draft::Draft;
use crate::name::TableName;

/// A table at one version: what is read does not change when somebody commits.
#[derive(Debug, Clone)]
pub struct PinnedTable {
    /// The table, as it is spelled on disk.
    pub name: TableName,
    /// The version of the Delta log.
    pub version: u64,
    /// The version that changed rows or columns last: those before it that only wrote data files
    /// together have the same rows.
    pub data_version: u64,
    /// What tells the commit of [`Self::data_version`] from any other that once had its number,
    /// before the table was restored; `None` where the log does not reach back so far.
    pub data_commit: Option<String>,
    /// Delta's identity of the table: another one after the folder was made anew.
    pub table_id: String,
    /// The columns, with their metadata.
    pub schema: SchemaRef,
    /// The rows, for DataFusion.
    pub provider: Arc<dyn TableProvider>,
}

/// What a write does with the rows that are there already.
#[derive(Debug, Clone)]
pub enum WriteMode {
    /// The new rows replace all; the columns may change.
    Overwrite,
    /// The new rows, for which the condition must be TRUE, replace all; the columns may
    /// change.
    OverwriteWhere(Box<Expr>),
    /// The new rows are added; the columns must be the table's.
    Append,
    /// Rows whose `_file` is in the list go, and the new rows are added, in one
    /// commit; the columns must be the table's. The new rows may be of any file.
    /// With an empty list, or without a table, this is `Append`.
    ReplaceFiles(Vec<String>),
    /// Rows for which the condition is TRUE go, and the new rows, for which it must be TRUE,
    /// are added, in one commit; the columns must be the table's. Without a table this is
    /// `Append`.
    ReplaceWhere(Box<Expr>),
    /// All rows of some keys go, and the new rows are added, in one commit; the columns
    /// must be the table's. Without a table this is `Append`.
    ReplaceKeys(KeyRows),
}

impl WriteMode {
    /// Whether rows are added or replaced in the columns that the table has.
    fn keeps_columns(&self) -> bool {
        !self.replaces_all()
    }

    /// Whether all rows that are there go.
    pub fn replaces_all(&self) -> bool {
        matches!(self, Self::Overwrite | Self::OverwriteWhere(_))
    }
}

/// The keys whose rows go. NULL is a key like any other value.
#[derive(Clone)]
pub struct KeyRows {
    /// The columns that make a key.
    pub columns: Vec<String>,
    /// The keys, in columns of these names and of the table's types; a key may come twice.
    /// They are read several times.
    pub keys: Arc<dyn TableProvider>,
    /// How much memory the keys take, in bytes: few are looked up in a hash table, many are
    /// sorted and spilled.
    pub keys_bytes: u64,
    /// The version of the table that the new rows were made from: where it has moved on,
    /// nothing is written.
    pub read_at: u64,
}

impl std::fmt::Debug for KeyRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRows")
            .field("columns", &self.columns)
            .field("keys_bytes", &self.keys_bytes)
            .field("read_at", &self.read_at)
            .finish_non_exhaustive()
    }
}

/// Rows in several streams.
pub struct RowParts {
    /// Their columns. What their metadata calls `comment` becomes the columns' comments.
    pub schema: SchemaRef,
    /// The columns that a table which is made, or whose columns change, has as NOT NULL.
    pub required: BTreeSet<String>,
    /// The columns by whose values a table that is made, or whose rows are all replaced, lies in
    /// folders of their own, from now on; without them it stays as it is.
    pub partition_by: Option<Vec<String>>,
    /// The streams, at least one: each holds the rows that follow those of the one before.
    pub parts: Vec<SendableRecordBatchStream>,
    /// What has to be done when all rows are there, before they are committed; where it
    /// fails, they are not, and their data files are deleted.
    pub at_end: AtEnd,
}

/// What is done with a table as it would be, before it is: rules look at it, and what
/// belongs to it is written.
pub type AtEnd = Box<dyn FnOnce(Draft) -> BoxFuture<'static, Result<(), DataFusionError>> + Send>;

/// Nothing has to be done when all rows are there.
pub fn nothing_at_end() -> AtEnd {
    Box::new(|_| async { Ok(()) }.boxed())
}

impl From<SendableRecordBatchStream> for RowParts {
    fn from(stream: SendableRecordBatchStream) -> Self {
        Self {
            schema: stream.schema(),
            required: BTreeSet::new(),
            partition_by: None,
            parts: vec![stream],
            at_end: nothing_at_end(),
        }
    }
}

/// What a commit carries besides the rows.
#[derive(Debug, Clone)]
pub struct CommitInfo {
    /// Who counts the transactions: `<project uuid>/<table>`.
    pub app_id: String,
    /// The transaction's number: greater than the table's last one for `app_id`.
    pub txn_version: i64,
    /// Free facts (file hashes, run): [`Commit::metadata`] gives them back.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What the table is, for people: becomes the table's description where it differs.
    pub description: Option<String>,
    /// Counts the rows while they stream into the table, for a progress line.
    pub rows: Arc<AtomicU64>,
}

/// The outcome of a write that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that the write made.
    pub version: u64,
    /// How many rows came in.
    pub rows: u64,
    /// The size of the data files that were added, in bytes.
    pub bytes: u64,
    /// The number of data files that were added.
    pub files: u64,
}

/// One entry of a table's log, as far as Sluice wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The version that the commit made.
    pub version: u64,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub timestamp_ms: Option<i64>,
    /// Who counted the transaction, if anybody did, and its number.
    pub txn: Option<(String, i64)>,
    /// [`CommitInfo::metadata`]; empty for commits by other programs.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// The longest description of a table, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 4000;

/// The key of commitInfo that holds [`CommitInfo::metadata`].
const METADATA_KEY: &str = "sluice";

/// The key of commitInfo that holds a number of the write's own, unique.
const WRITE_ID_KEY: &str = "sluiceWrite";
