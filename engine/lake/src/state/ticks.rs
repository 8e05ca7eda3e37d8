//! What schedules have begun runs for.

use super::{RunId, State, StateError, now_ms};

/// Something that begins one run of a project: a scheduled time, or something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The project's UUID.
    pub project: String,
    /// `time`, `new_files` or `table`.
    pub cause: &'static str,
    /// Names it among those of its cause.
    pub name: String,
    /// The scheduled moment, or that at which it was found: milliseconds since 1970 UTC.
    pub time_ms: i64,
}

impl State {
    /// Claims a tick, for one daemon only: true when nobody had it before.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn claim_tick(&self, tick: &Tick) -> Result<bool, StateError> {
        let action = "claim a scheduled time";
        let mut tx = self.begin(action).await?;
        let done = sqlx::query(
            "INSERT INTO ticks (project, cause, tick, tick_time, claim_time) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, cause, tick) DO NOTHING",
        )
        .bind(&tick.project)
        .bind(tick.cause)
        .bind(&tick.name)
        .bind(tick.time_ms)
        .bind(now_ms())
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives back a claim whose run never began: somebody else, or the same daemon when it
    /// starts again, can have it.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn release_tick(&self, tick: &Tick) -> Result<(), StateError> {
        let action = "give back a scheduled time";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "DELETE FROM ticks WHERE project = $1 AND cause = $2 AND tick = $3 \
             AND outcome IS NULL",
        )
        .bind(&tick.project)
        .bind(tick.cause)
        .bind(&tick.name)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// Records what came of a claimed tick: `FINISHED`, `FAILED`, `KILLED`, or why there was no
    /// run.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn finish_tick(
        &self,
        tick: &Tick,
        outcome: &str,
        run: Option<&RunId>,
    ) -> Result<(), StateError> {
        let action = "record what came of a scheduled time";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "UPDATE ticks SET outcome = $1, run_id = $2 \
             WHERE project = $3 AND cause = $4 AND tick = $5",
        )
        .bind(outcome)
        .bind(run.map(RunId::as_str))
        .bind(&tick.project)
        .bind(tick.cause)
        .bind(&tick.name)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// The latest time by the clock that was claimed for a project, in milliseconds since 1970
    /// UTC.
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
