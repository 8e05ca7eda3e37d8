//! Stages of a run and what their expectations found.

use sqlx::{Row, sqlite::SqliteRow};

use super::{RunId, State, StateError, now_ms, runs::stored_word};

stored_word! {
    /// How a stage stands.
    StageStatus {
        /// Under way.
        Running = "RUNNING",
        /// Made.
        Success = "SUCCESS",
        /// Nothing changed: what is there is right.
        Skipped = "SKIPPED",
        /// Ended with an error.
        Failed = "FAILED",
        /// Stopped by the user, or its process ended early.
        Cancelled = "CANCELLED",
        /// A stage that it needs did not succeed.
        Blocked = "BLOCKED",
    }
}

stored_word! {
    /// Whose fault it is that a stage failed.
    Fault {
        /// Whoever wrote the project: its SQL, its settings.
        User = "user",
        /// Whoever sent the data: its rows, its files.
        Data = "data",
        /// The machine, the disk, the network, somebody who got in the way, or this program.
        System = "system",
    }
}

impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A stage that is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStage {
    /// The asset, `layer.table` or a model's name.
    pub asset: String,
    /// The stage kind, such as `ingest`, `sql` or `train`.
    pub kind: String,
    /// The asset's key, when it is known before the stage starts.
    pub key: Option<String>,
    /// What it is made from and what the asset is before, as JSON: what it takes to make it
    /// again.
    pub made_from: Option<String>,
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageEnd {
    /// Anything but [`StageStatus::Running`].
    pub status: StageStatus,
    /// Why it ran or did not, in words: `the SQL changed`, `unchanged`.
    pub reason: Option<String>,
    /// The asset's key, when it became known only now.
    pub key: Option<String>,
    /// Rows written.
    pub rows: Option<i64>,
    /// The Delta or model version that it made, or that was there.
    pub version: Option<i64>,
    /// The error that ended it.
    pub error: Option<String>,
    /// How often it was tried; 0 when it never started.
    pub attempts: i64,
    /// Whose fault the error is.
    pub fault: Option<Fault>,
    /// Whether the error is one that passes, so that trying again can help.
    pub transient: Option<bool>,
}

impl StageEnd {
    /// An end with nothing to tell but the status.
    pub fn new(status: StageStatus) -> Self {
        Self {
            status,
            reason: None,
            key: None,
            rows: None,
            version: None,
            error: None,
            attempts: 0,
            fault: None,
            transient: None,
        }
    }
}

/// A stage as it is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The asset, `layer.table` or a model's name.
    pub asset: String,
    /// The stage kind.
    pub kind: String,
    /// How it stands.
    pub status: StageStatus,
    /// Why it ran or did not.
    pub reason: Option<String>,
    /// The asset's key.
    pub key: Option<String>,
    /// Rows written.
    pub rows: Option<i64>,
    /// The Delta or model version.
    pub version: Option<i64>,
    /// Milliseconds since 1970 UTC.
    pub start_time_ms: i64,
    /// Milliseconds since 1970 UTC; `None` while it is under way.
    pub end_time_ms: Option<i64>,
    /// The error that ended it.
    pub error: Option<String>,
    /// How often it was tried; none while it is under way.
    pub attempts: Option<i64>,
    /// Whose fault the error is.
    pub fault: Option<Fault>,
    /// Whether the error is one that passes.
    pub transient: Option<bool>,
}

/// What an expectation found in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectationResult {
    /// The table, `layer.table`.
    pub asset: String,
    /// The expectation's name.
    pub name: String,
    /// `row` for a condition on single rows, else the kind of the rule on the whole table, such
    /// as `unique`.
    pub kind: String,
    /// Its rule, as written.
    pub rule: String,
    /// What happens when it is broken: `fail`, `drop`, `quarantine` or `warn`.
    pub otherwise: String,
    /// Rows looked at.
    pub rows: i64,
    /// Rows that break the rule.
    pub failed: i64,
    /// What was found of a rule on the whole table that is broken, in words.
    pub found: Option<String>,
    /// Whether `rows` and `failed` come on top of those that the stage counted before: it makes
    /// its table in several commits.
    pub on_top: bool,
}

impl State {
    /// Starts a stage, now; a stage of this run that was started before starts again.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn start_stage(&self, run: &RunId, stage: &NewStage) -> Result<(), StateError> {
        let action = "start a stage";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "INSERT INTO stages (run_id, asset, kind, status, key, start_time, made_from) \
             VALUES ($1, $2, $3, 'RUNNING', $4, $5, $6) \
             ON CONFLICT (run_id, asset) DO UPDATE SET kind = excluded.kind, \
             status = excluded.status, key = excluded.key, start_time = excluded.start_time, \
             end_time = NULL, reason = NULL, rows = NULL, version = NULL, error = NULL, \
             attempts = NULL, fault = NULL, transient = NULL, made_from = excluded.made_from",
        )
        .bind(run.as_str())
        .bind(&stage.asset)
        .bind(&stage.kind)
        .bind(&stage.key)
        .bind(now_ms())
        .bind(&stage.made_from)
        .execute(tx.connection())
        .await
        .map_err(self.failed_of_run(action, run))?;
        // What an attempt before this one counted is not on top of.
        sqlx::query("DELETE FROM expectations WHERE run_id = $1 AND asset = $2")
            .bind(run.as_str())
            .bind(&stage.asset)
            .execute(tx.connection())
            .await
            .map_err(self.failed_of_run(action, run))?;
        self.commit(tx, action).await
    }

    /// Ends a stage, now.
    ///
    /// # Errors
    /// [`StateError::UnknownStage`] when the run did not start it.
    pub async fn finish_stage(
        &self,
        run: &RunId,
        asset: &str,
        end: &StageEnd,
    ) -> Result<(), StateError> {
        let action = "finish a stage";
        let mut tx = self.begin(action).await?;
        let done = sqlx::query(
            "UPDATE stages SET status = $1, reason = $2, key = COALESCE($3, key), rows = $4, \
             version = $5, end_time = $6, error = $7, attempts = $10, fault = $11, \
             transient = $12 WHERE run_id = $8 AND asset = $9",
        )
        .bind(end.status.as_str())
        .bind(&end.reason)
        .bind(&end.key)
        .bind(end.rows)
        .bind(end.version)
        .bind(now_ms())
        .bind(&end.error)
        .bind(run.as_str())
        .bind(asset)
        .bind(end.attempts)
        .bind(end.fault.map(Fault::as_str))
        .bind(end.transient.map(i64::from))
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        if done.rows_affected() == 0 {
            return Err(StateError::UnknownStage {
                run: run.clone(),
                asset: asset.to_owned(),
            });
        }
        self.commit(tx, action).await
    }

    /// Records stages that never started: skipped or blocked. One transaction.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn record_stages(
        &self,
        run: &RunId,
        stages: &[(NewStage, StageEnd)],
    ) -> Result<(), StateError> {
        let action = "record stages";
        let now = now_ms();
        let mut tx = self.begin(action).await?;
        for (stage, end) in stages {
            sqlx::query(
                "INSERT INTO stages (run_id, asset, kind, status, reason, key, rows, version, \
                 start_time, end_time, error, attempts, fault, transient) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13) \
                 ON CONFLICT (run_id, asset) DO UPDATE SET kind = excluded.kind, \
                 status = excluded.status, reason = excluded.reason, key = excluded.key, \
                 rows = excluded.rows, version = excluded.version, end_time = excluded.end_time, \
                 error = excluded.error, attempts = excluded.attempts, fault = excluded.fault, \
                 transient = excluded.transient",
            )
            .bind(run.as_str())
            .bind(&stage.asset)
            .bind(&stage.kind)
            .bind(end.status.as_str())
            .bind(&end.reason)
            .bind(end.key.as_ref().or(stage.key.as_ref()))
            .bind(end.rows)
            .bind(end.version)
            .bind(now)
            .bind(&end.error)
            .bind(end.attempts)
            .bind(end.fault.map(Fault::as_str))
            .bind(end.transient.map(i64::from))
            .execute(tx.connection())
            .await
            .map_err(self.failed_of_run(action, run))?;
        }
        self.commit(tx, action).await
    }

    /// The stages of a run, by the time they started, then by asset.
    pub async fn stages(&self, run: &RunId) -> Result<Vec<Stage>, StateError> {
        let rows = sqlx::query(
            "SELECT asset, kind, status, reason, key, rows, version, start_time, end_time, error, \
             attempts, fault, transient FROM stages WHERE run_id = $1 ORDER BY start_time, asset",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the stages of a run"))?;
        rows.iter().map(|row| self.read_stage(row)).collect()
    }

    fn read_stage(&self, row: &SqliteRow) -> Result<Stage, StateError> {
        let read = || self.failed("read the stages of a run");
        let status: String = row.try_get("status").map_err(read())?;
        let fault: Option<String> = row.try_get("fault").map_err(read())?;
        let fault = fault.map(|word| self.word("a stage's fault", &word));
        let transient: Option<i64> = row.try_get("transient").map_err(read())?;
        Ok(Stage {
            asset: row.try_get("asset").map_err(read())?,
            kind: row.try_get("kind").map_err(read())?,
            status: self.word("a stage's status", &status)?,
            reason: row.try_get("reason").map_err(read())?,
            key: row.try_get("key").map_err(read())?,
            rows: row.try_get("rows").map_err(read())?,
            version: row.try_get("version").map_err(read())?,
            start_time_ms: row.try_get("start_time").map_err(read())?,
            end_time_ms: row.try_get("end_time").map_err(read())?,
            error: row.try_get("error").map_err(read())?,
            attempts: row.try_get("attempts").map_err(read())?,
            fault: fault.transpose()?,
            transient: transient.map(|flag| flag != 0),
        })
    }

    /// Records what expectations found in a run. One transaction.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn record_expectations(
        &self,
        run: &RunId,
        results: &[ExpectationResult],
    ) -> Result<(), StateError> {
        let action = "record expectations";
        let mut tx = self.begin(action).await?;
        for result in results {
            sqlx::query(
                "INSERT INTO expectations \
                 (run_id, asset, name, kind, rule, otherwise, rows, failed, found) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 ON CONFLICT (run_id, asset, name) DO UPDATE SET kind = excluded.kind, \
                 rule = excluded.rule, otherwise = excluded.otherwise, \
                 rows = excluded.rows + CASE WHEN $10 THEN expectations.rows ELSE 0 END, \
                 failed = excluded.failed + CASE WHEN $10 THEN expectations.failed ELSE 0 END, \
                 found = excluded.found",
            )
            .bind(run.as_str())
            .bind(&result.asset)
            .bind(&result.name)
            .bind(&result.kind)
            .bind(&result.rule)
            .bind(&result.otherwise)
            .bind(result.rows)
            .bind(result.failed)
            .bind(&result.found)
            .bind(result.on_top)
            .execute(tx.connection())
            .await
            .map_err(self.failed_of_run(action, run))?;
        }
        self.commit(tx, action).await
    }
}
