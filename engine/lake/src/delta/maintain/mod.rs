//! Looking after a table: data files written together ([`Lakehouse::optimize`]), files that no
//! version needs removed ([`Lakehouse::vacuum`]), checkpoints ([`Lakehouse::checkpoint`]). None
//! of it changes a row.
//!
//! deltalake's own OPTIMIZE drops the transaction of its commit, tries again on top of commits
//! that nobody has looked at, and removes old entries of the log; its VACUUM knows nothing of
//! who still reads what. So both are done here, in its data structures.

mod checkpoint;
mod optimize;
mod rank;
mod vacuum;

use deltalake::DeltaTable;

pub use optimize::{OptimizeOptions, Optimized};
pub use vacuum::{LEAST_RETENTION, VacuumOptions, Vacuumed};

use super::failure::delta_error;
use super::read::blocking;
use crate::{error::LakeError, folder, lakehouse::Lakehouse, name::TableName};

/// How the rows of a table lie in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The version that was looked at.
    pub version: u64,
    /// Its data files: when each was written (milliseconds since 1970 UTC), and its size in
    /// bytes.
    pub files: Vec<(i64, u64)>,
    /// How many data files an optimization would write together.
    pub mergeable: u64,
    /// The columns that it is partitioned by.
    pub partition_columns: Vec<String>,
    /// The version of the last checkpoint.
    pub checkpoint: Option<u64>,
}

impl Layout {
    /// The size of all data files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Whether a data file is worth to be written together with others into files of `target_bytes`:
/// less than half of that. So a row is written again some times only, however often it is done.
pub fn is_small(bytes: u64, target_bytes: u64) -> bool {
    bytes < target_bytes / 2
}

impl Lakehouse {
    /// How the rows of a table lie in files, of which those of `target_bytes` are large enough;
    /// `None` when there is no such table. Reads the log only.
    ///
    /// # Errors
    /// What deltalake may say about a damaged log.
    pub async fn layout(
        &self,
        name: &TableName,
        target_bytes: u64,
    ) -> Result<Option<Layout>, LakeError> {
        let Some(table) = self.open_delta(name, None).await? else {
            return Ok(None);
        };
        let failed = |error| delta_error(name, self.table_path(name), "read the table", error);
        let snapshot = table.snapshot().map_err(failed)?;
        let log = snapshot.log_data();
        let files = log.iter().map(|file| {
            let bytes = u64::try_from(file.size()).unwrap_or(0);
            (file.modification_time(), bytes)
        });
        let files: Vec<(i64, u64)> = files.collect();
        let bins = optimize::bins(&table, target_bytes).map_err(failed)?;
        Ok(Some(Layout {
            version: snapshot.version(),
            files,
            mergeable: bins.iter().map(|bin| bin.len() as u64).sum(),
            partition_columns: snapshot.metadata().partition_columns().to_vec(),
            checkpoint: self.last_checkpoint(name).await?,
        }))
    }

    async fn last_checkpoint(&self, name: &TableName) -> Result<Option<u64>, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let entries = folder::entries(&log).map_err(|source| LakeError::Unreadable {
                path: log.clone(),
                source,
            })?;
            let names = entries.iter().filter_map(|entry| folder::name(entry));
            let version = |name: String| {
                let (version, rest) = name.split_once('.')?;
                rest.starts_with("checkpoint")
                    .then(|| version.parse().ok())?
            };
            Ok(names.filter_map(version).max())
        })
        .await
    }
}

/// A property of a table that somebody set.
fn property<'a>(table: &'a DeltaTable, key: &str) -> Option<&'a str> {
    let metadata = table.snapshot().ok()?.metadata();
    metadata.configuration().get(key).map(String::as_str)
}
