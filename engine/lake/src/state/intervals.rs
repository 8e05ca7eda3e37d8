//! The stretches of time whose rows a table holds, as its last commit says.

use serde_json::Value;
use sqlx::SqliteConnection;

use super::{CommitRecord, State, StateError};

/// The key of [`CommitRecord::outcome`] with the ledger of a table that is made interval by
/// interval: a list of `[start, end]` in milliseconds since 1970-01-01 UTC.
pub const INTERVALS_KEY: &str = "intervals";

impl State {
    /// Brings the ledger of a table to what a commit says.
    pub(super) async fn apply_intervals(
        &self,
        connection: &mut SqliteConnection,
        record: &CommitRecord,
    ) -> Result<(), StateError> {
        self.forget_intervals(connection, &record.project, &record.asset)
            .await?;
        let ranges = record.outcome.get(INTERVALS_KEY).and_then(Value::as_array);
        for range in ranges.into_iter().flatten() {
            let bound = |at: usize| range.get(at).and_then(Value::as_i64);
            let (Some(start), Some(end)) = (bound(0), bound(1)) else {
                continue;
            };
            sqlx::query(
                "INSERT INTO intervals (project, table_name, start_time, end_time) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(&record.project)
            .bind(&record.asset)
            .bind(start)
            .bind(end)
            .execute(&mut *connection)
            .await
            .map_err(self.failed("record the intervals of a table"))?;
        }
        Ok(())
    }

    /// Forgets the ledger of a table.
    pub(super) async fn forget_intervals(
        &self,
        connection: &mut SqliteConnection,
        project: &str,
        asset: &str,
    ) -> Result<(), StateError> {
        sqlx::query("DELETE FROM intervals WHERE project = $1 AND table_name = $2")
            .bind(project)
            .bind(asset)
            .execute(connection)
            .await
            .map_err(self.failed("forget the intervals of a table"))?;
        Ok(())
    }
}
