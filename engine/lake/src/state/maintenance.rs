//! What was done to look after tables and the memory of runs.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{AssetKey, RunId, State, StateError, now_ms, runs::stored_word};

stored_word! {
    /// A kind of maintenance.
    Operation {
        /// Small data files were written together.
        Optimize = "optimize",
        /// All rows were sorted along a curve through some columns.
        Zorder = "zorder",
        /// Data files that nobody needs were removed.
        Vacuum = "vacuum",
        /// A checkpoint was written.
        Checkpoint = "checkpoint",
        /// Old runs were forgotten.
        Runs = "runs",
        /// Artifacts of old runs were removed.
        Artifacts = "artifacts",
    }
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintained {
    /// The table; empty for what is of no table.
    pub table: String,
    /// What.
    pub operation: Operation,
    /// When, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The version that it made, or that it is a checkpoint of.
    pub version: Option<i64>,
    /// Data files before and after.
    pub files: Option<(i64, i64)>,
    /// Their size before and after, in bytes.
    pub bytes: Option<(i64, i64)>,
    /// What else there is to tell, as a JSON object.
    pub details: serde_json::Value,
}

impl State {
    /// Records what was done for a project.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn record_maintenance(
        &self,
        project: &str,
        done: &Maintained,
    ) -> Result<(), StateError> {
        let action = "record maintenance";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "INSERT INTO maintenance (project, table_name, operation, timestamp, version, \
             files_before, files_after, bytes_before, bytes_after, details) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        )
        .bind(project)
        .bind(&done.table)
        .bind(done.operation.as_str())
        .bind(done.time_ms)
        .bind(done.version)
        .bind(done.files.map(|(before, _)| before))
        .bind(done.files.map(|(_, after)| after))
        .bind(done.bytes.map(|(before, _)| before))
        .bind(done.bytes.map(|(_, after)| after))
        .bind(done.details.to_string())
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// When something was done to a table last, in milliseconds since 1970 UTC, and the version
    /// that it made.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn last_maintained(
        &self,
        project: &str,
        table: &str,
        operation: Operation,
    ) -> Result<Option<(i64, Option<i64>)>, StateError> {
        sqlx::query_as(
            "SELECT timestamp, version FROM maintenance WHERE project = $1 AND table_name = $2 \
             AND operation = $3 ORDER BY timestamp DESC LIMIT 1",
        )
        .bind(project)
        .bind(table)
        .bind(operation.as_str())
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("read what was maintained"))
    }

    /// The keys of all assets of all projects: what each was made from. Each with its project's
    /// identifier and its name.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn all_asset_keys(&self) -> Result<Vec<(String, String, AssetKey)>, StateError> {
        let action = "read what assets were made from";
        let rows = sqlx::query(
            "SELECT project, asset, key, semantics, outcome, run_id FROM asset_keys \
             ORDER BY project, asset",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(action))?;
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            let outcome: String = row.try_get("outcome")?;
            let run: String = row.try_get("run_id")?;
            let key = (row.try_get("key")?, row.try_get("semantics")?);
            let asset = (row.try_get("project")?, row.try_get("asset")?);
            Ok((asset, key, outcome, run))
        };
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let ((project, asset), (key, semantics), outcome, run) =
                read(row).map_err(self.failed(action))?;
            let outcome = serde_json::from_str(&outcome)
                .map_err(|_| self.damaged("an asset's outcome", &outcome))?;
            let key = AssetKey {
                key,
                semantics,
                outcome,
                run_id: RunId::from(run),
            };
            keys.push((project, asset, key));
        }
        Ok(keys)
    }

    /// When the oldest run of another project that is at work began, in milliseconds since 1970
    /// UTC. One whose lease has expired is not at work.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn open_since(&self, but: &str) -> Result<Option<i64>, StateError> {
        sqlx::query_scalar(
            "SELECT MIN(r.start_time) FROM runs AS r JOIN leases AS l ON l.project = r.project \
             WHERE r.status = 'RUNNING' AND r.project <> $1 AND l.owner IS NOT NULL \
             AND l.expiry_time > $2",
        )
        .bind(but)
        .bind(now_ms())
        .fetch_one(self.pool())
        .await
        .map_err(self.failed("look for runs that are open"))
    }
}
