//! The times at which schedules began runs.

use super::{RunId, State, StateError, now_ms};

impl State {
    /// Claims a scheduled time of a project, for one daemon only: true when nobody had it
    /// before. `cause` is `time`, `new_files` or `table`.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn claim_tick(
        &self,
        project: &str,
        tick_time_ms: i64,
        cause: &str,
    ) -> Result<bool, StateError> {
        let action = "claim a scheduled time";
        let mut tx = self.begin(action).await?;
        let done = sqlx::query(
            "INSERT INTO ticks (project, tick_time, cause, claim_time) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (project, tick_time) DO NOTHING",
        )
        .bind(project)
        .bind(tick_time_ms)
        .bind(cause)
        .bind(now_ms())
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Records what came of a claimed time: `FINISHED`, `FAILED`, `KILLED`, or why there was no
    /// run.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn finish_tick(
        &self,
        project: &str,
        tick_time_ms: i64,
        outcome: &str,
        run: Option<&RunId>,
    ) -> Result<(), StateError> {
        let action = "record what came of a scheduled time";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "UPDATE ticks SET outcome = $1, run_id = $2 WHERE project = $3 AND tick_time = $4",
        )
        .bind(outcome)
        .bind(run.map(RunId::as_str))
        .bind(project)
        .bind(tick_time_ms)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// The latest time by the clock that was claimed for a project, in milliseconds.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn last_tick(&self, project: &str) -> Result<Option<i64>, StateError> {
        sqlx::query_scalar("SELECT max(tick_time) FROM ticks WHERE project = $1 AND cause = 'time'")
            .bind(project)
            .fetch_one(self.pool())
            .await
            .map_err(self.failed("read the last scheduled time"))
    }
}
