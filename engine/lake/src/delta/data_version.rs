//! Which version of a table its rows are of: commits that write the same rows anew
//! (`OPTIMIZE`), or only say something about the table, leave them as they are.

use std::path::Path;

use super::read::{LogEntry, blocking, read_entry};
use crate::{error::LakeError, lakehouse::Lakehouse, name::TableName, state::DESCRIBES_KEY};

impl Lakehouse {
    /// The version, up to `version`, that changed rows or columns last: whoever has read that
    /// one has read this one. Where the log does not reach back so far, the earliest of which it
    /// says that it changed nothing.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub async fn data_version(&self, name: &TableName, version: u64) -> Result<u64, LakeError> {
        let (version, _) = self.data_commit(name, version).await?;
        Ok(version)
    }

    /// The same, and what tells its commit from any other that may once have had this number;
    /// `None` where the log does not reach back so far.
    pub(super) async fn data_commit(
        &self,
        name: &TableName,
        version: u64,
    ) -> Result<(u64, Option<String>), LakeError> {
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let mut at = version;
            let mut earliest = None;
            while let Some(entry) = read_entry(&log, at)? {
                earliest = entry.mark();
                if at == 0 || changes_data(&log, at, &entry)? {
                    return Ok((at, earliest));
                }
                at -= 1;
            }
            // The entry before that one is gone.
            Ok((version.min(at + 1), earliest))
        })
        .await
    }

    /// The last version, from `version` on, that has the same rows: up to it commits wrote
    /// nothing but files anew.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub async fn same_rows_until(&self, name: &TableName, version: u64) -> Result<u64, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let mut at = version;
            while let Some(entry) = read_entry(&log, at + 1)? {
                if changes_data(&log, at + 1, &entry)? {
                    break;
                }
                at += 1;
            }
            Ok(at)
        })
        .await
    }
}

/// Whether a commit changed rows or columns.
fn changes_data(log: &Path, version: u64, entry: &LogEntry) -> Result<bool, LakeError> {
    let changes = &entry.changes;
    if changes.added_rows || changes.removed_rows || changes.protocol {
        return Ok(true);
    }
    let Some(columns) = &entry.columns else {
        return Ok(false);
    };
    let outcome = entry.commit.metadata.get("outcome");
    if outcome.is_some_and(|outcome| outcome.get(DESCRIBES_KEY).is_some()) {
        return Ok(false);
    }
    // Somebody else's words: they change the columns unless the last ones were the same.
    let mut at = version;
    while at > 0 {
        at -= 1;
        let Some(earlier) = read_entry(log, at)? else {
            break;
        };
        if let Some(earlier) = &earlier.columns {
            return Ok(earlier != columns);
        }
    }
    Ok(true)
}
