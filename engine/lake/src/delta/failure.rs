//! From deltalake's errors to ours: what happened, in the user's words.

use std::{error::Error, io, path::PathBuf};

use datafusion::error::DataFusionError;
use deltalake::{DeltaTableError, kernel::transaction::TransactionError};

use super::ConflictClass;
use crate::{error::LakeError, ingest::IngestError, name::TableName};

/// Names the failure: a conflict, a folder that cannot be written, or what
/// deltalake said while doing `action`.
pub(super) fn delta_error(
    table: &TableName,
    path: PathBuf,
    action: &'static str,
    error: DeltaTableError,
) -> LakeError {
    if is_conflict(&error) {
        return LakeError::Conflict {
            table: table.clone(),
            class: ConflictClass::Unknown,
            source: Box::new(error),
        };
    }
    if let Some(kind) = write_failure(&error) {
        return LakeError::Unwritable {
            path,
            source: io::Error::new(kind, error),
        };
    }
    LakeError::Delta {
        table: table.clone(),
        action,
        source: Box::new(error),
    }
}

/// Names a failure of the rows themselves; a fault of a source file comes out as
/// what it is, however deep it lies.
pub(super) fn rows_error(table: &TableName, error: DataFusionError) -> LakeError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(fault) = current.downcast_ref::<IngestError>() {
            return LakeError::Ingest(fault.clone());
        }
        cause = current.source();
    }
    LakeError::Rows {
        table: table.clone(),
        source: Box::new(error),
    }
}

pub(super) fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::VersionMismatch(..)
            | DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_)
                    | TransactionError::MaxCommitAttempts(_)
                    | TransactionError::VersionAlreadyExists(_),
            }
    )
}

/// The kind of the I/O error at the bottom, if it is one that the user can cure
/// by choosing another place.
fn write_failure(error: &DeltaTableError) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io_error) = current.downcast_ref::<io::Error>()
            && matches!(
                io_error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::NotADirectory
            )
        {
            return Some(io_error.kind());
        }
        cause = current.source();
    }
    None
}
