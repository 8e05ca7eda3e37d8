//! What can go wrong in the lakehouse, as one structured enum.

use std::{io, path::PathBuf};

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

use crate::{
    delta::ConflictClass,
    ingest::IngestError,
    name::{InvalidName, TableName},
    registry::moment_text,
};

/// A failure of the lakehouse. The text says what, where, why and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The name of a table or of a column is not one that can be stored.
    #[error(transparent)]
    Name(#[from] InvalidName),

    /// A column's name cannot be stored in this table.
    #[error("{table}: {source}")]
    Column {
        /// The table that was to be written.
        table: TableName,
        /// What is wrong with the name.
        source: InvalidName,
    },

    /// Delta has no type for this column.
    #[error(
        "{table}: the column `{column}` has the type {data_type}, which a Delta table cannot hold: {help}"
    )]
    ColumnType {
        /// The table that was to be written.
        table: TableName,
        /// The column, with its path inside structs.
        column: String,
        /// Arrow's name of the type.
        data_type: String,
        /// What to do about it.
        help: &'static str,
    },

    /// Rows that are to be appended do not have the table's columns.
    #[error(
        "{table}: the rows do not fit the table: {difference}; ingest into a new table, or remove the folder {} to start over",
        path.display()
    )]
    SchemaChanged {
        /// The table that was to be written.
        table: TableName,
        /// The first difference, in words.
        difference: String,
        /// The table's folder.
        path: PathBuf,
    },

    /// A folder of the lakehouse cannot be written.
    #[error(
        "cannot write to the lakehouse folder {}: {source}; make it writable or choose another with --lakehouse DIR",
        path.display()
    )]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Delta would look for the lakehouse in another folder.
    #[error(
        "the lakehouse cannot be {}: Delta reads `{escape}` in a path as an escaped character; choose another folder with --lakehouse DIR",
        path.display()
    )]
    EscapedPath {
        /// The folder.
        path: PathBuf,
        /// What looks like an escaped character: `%20`.
        escape: String,
    },

    /// A file or folder of the lakehouse cannot be read.
    #[error("cannot read {}: {source}{}", path.display(), unreadable_advice(source))]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A file of the lakehouse has content that Sluice did not write.
    #[error("{} is damaged: {reason}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Another process runs this pipeline on this lakehouse.
    #[error(
        "another run of the pipeline `{pipeline}` is under way{}: wait for it with --wait, or stop it",
        held(*pid, host.as_deref(), *since_ms)
    )]
    Locked {
        /// The pipeline's name.
        pipeline: String,
        /// The process that holds the lock, where the lock file names one.
        pid: Option<u32>,
        /// The machine that it runs on, where its lease tells.
        host: Option<String>,
        /// Since when it holds its lease, in milliseconds since 1970 UTC.
        since_ms: Option<i64>,
        /// The lock file.
        path: PathBuf,
    },

    /// There is no such table.
    #[error(
        "no table `{table}` in the lakehouse{}",
        nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default()
    )]
    UnknownTable {
        /// The table that was asked for.
        table: TableName,
        /// The table whose name is nearest.
        nearest: Option<TableName>,
    },

    /// There is a table, but not at this version.
    #[error("{table} has no version {version}: {}", latest.map_or_else(
        || "the table is empty".to_owned(),
        |latest| format!("its latest is {latest}")
    ))]
    UnknownVersion {
        /// The table that was asked for.
        table: TableName,
        /// The version that was asked for.
        version: u64,
        /// The latest version that there is.
        latest: Option<u64>,
    },

    /// Somebody else committed to the table meanwhile: nothing was written, and
    /// making the stage again can help.
    #[error("{table} was changed while it was being written ({class}): run again")]
    Conflict {
        /// The table that was to be written.
        table: TableName,
        /// What the others did.
        class: ConflictClass,
        /// What deltalake said.
        source: Box<DeltaTableError>,
    },

    /// Delta's own machinery failed.
    #[error("{table}: cannot {action}: {source}")]
    Delta {
        /// The table that was read or written.
        table: TableName,
        /// What was being done: `read the table`, `commit`.
        action: &'static str,
        /// What deltalake said.
        source: Box<DeltaTableError>,
    },

    /// The data files of a table cannot be written together.
    #[error("{table} cannot be optimized: {reason}")]
    NotOptimizable {
        /// The table.
        table: TableName,
        /// Why not.
        reason: String,
    },

    /// The same transaction, or a later one, has been committed already.
    #[error(
        "{table}: the transaction {txn_version} of {app_id} is not after {last}, which is committed: run again"
    )]
    StaleTransaction {
        /// The table that was to be written.
        table: TableName,
        /// Who counts the transactions.
        app_id: String,
        /// The number that was to be committed.
        txn_version: i64,
        /// The last number that was.
        last: i64,
    },

    /// A source file cannot be ingested.
    #[error(transparent)]
    Ingest(#[from] IngestError),

    /// The rows that were to be written could not be made.
    #[error("{source}")]
    Rows {
        /// The table that was to be written.
        table: TableName,
        /// What the query or reader said.
        source: Box<DataFusionError>,
    },
}

fn unreadable_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotADirectory => {
            "; a part of this path is a file: choose another lakehouse folder with --lakehouse DIR"
        }
        io::ErrorKind::PermissionDenied => {
            "; make it readable, or choose another lakehouse folder with --lakehouse DIR"
        }
        _ => "",
    }
}

impl LakeError {
    /// Whether doing the same again can succeed without a change by the user.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. } | Self::Locked { .. } | Self::StaleTransaction { .. }
        )
    }
}

/// Who holds the lock of a pipeline, in words.
fn held(pid: Option<u32>, host: Option<&str>, since_ms: Option<i64>) -> String {
    let mut words = pid.map_or_else(String::new, |pid| format!("process {pid}"));
    if let Some(host) = host {
        words.push_str(&format!(" on {host}"));
    }
    if let Some(since) = since_ms {
        words.push_str(&format!(", since {}", moment_text(since)));
    }
    match words.trim_start() {
        "" => words,
        words => format!(" ({words})"),
    }
}
