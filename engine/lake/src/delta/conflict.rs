//! What those did who committed to a table while somebody else was writing to it: it decides
//! whether the write can go on.

use std::fmt;

use super::read::{LogEntry, blocking, log_entries};
use crate::error::LakeError;
use crate::lakehouse::Lakehouse;
use crate::name::TableName;

/// What was done to a table meanwhile; of several things the last in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictClass {
    /// Data files were written together: the rows are the same.
    Compaction,
    /// Rows were added.
    Append,
    /// The table was described anew, or its settings changed: the columns are the same.
    Metadata,
    /// Rows were changed, removed or replaced.
    Rewrite,
    /// The columns changed.
    Schema,
    /// Nobody can tell: the entries of the log are gone.
    Unknown,
}

impl ConflictClass {
    /// Whether rows that are only added can go on top of it.
    pub fn lets_append(self) -> bool {
        self <= Self::Append
    }
}

impl fmt::Display for ConflictClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compaction => "somebody wrote its data files together",
            Self::Append => "somebody added rows to it",
            Self::Metadata => "somebody changed its description or settings",
            Self::Rewrite => "somebody changed its rows",
            Self::Schema => "somebody changed its columns",
            Self::Unknown => "somebody changed it",
        })
    }
}

impl Lakehouse {
    /// What was done to a table after `version`; without one, since it did not exist.
    pub(super) async fn conflict_class(
        &self,
        name: &TableName,
        version: Option<u64>,
    ) -> Result<ConflictClass, LakeError> {
        let Some(version) = version else {
            // Whoever made the table chose its columns.
            return Ok(ConflictClass::Schema);
        };
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let (mut class, mut columns, mut next) = (None, None, version + 1);
            for entry in log_entries(&log)? {
                let entry = entry?;
                if entry.commit.version <= version {
                    columns = entry.columns.or(columns);
                    continue;
                }
                if entry.commit.version != next {
                    return Ok(ConflictClass::Unknown);
                }
                next += 1;
                class = class.max(Some(class_of(&entry, columns.as_deref())));
                columns = entry.columns.or(columns);
            }
            Ok(class.unwrap_or(ConflictClass::Unknown))
        })
        .await
    }
}

/// What one commit did; `columns` are those that the table had.
fn class_of(entry: &LogEntry, columns: Option<&str>) -> ConflictClass {
    let changes = &entry.changes;
    match &entry.columns {
        Some(now) if columns != Some(now.as_str()) => ConflictClass::Schema,
        _ if changes.protocol => ConflictClass::Schema,
        _ if changes.removed_rows => ConflictClass::Rewrite,
        Some(_) => ConflictClass::Metadata,
        None if changes.added_rows => ConflictClass::Append,
        None => ConflictClass::Compaction,
    }
}
