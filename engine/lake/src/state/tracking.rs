//! Tracking: parameters, metrics, tags, datasets and artifacts of runs, as in
//! MLflow. Every call is one transaction, however many rows it writes.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{NewRun, RunId, RunStatus, State, StateError};

/// Rows of one INSERT. SQLite takes 32,766 values a statement.
const ROWS_A_STATEMENT: usize = 1000;

/// One value of a metric.
///
/// A value that is not a number can be logged: it is stored as NULL and shows as
/// NULL in `system.metrics`, so that no comparison with it is true and neither
/// `max` nor `ORDER BY ... DESC` takes it for the best. Infinities are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, such as `validation.auc`.
    pub key: String,
    /// The value; NaN where it is not defined.
    pub value: f64,
    /// The boosting round, epoch or trial; 0 for a metric with one value.
    pub step: i64,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
}

/// A table that a run read, at the version it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetUse {
    /// The table, `layer.table`.
    pub name: String,
    /// Its Delta version.
    pub version: i64,
    /// What it was read for, such as `training`.
    pub context: String,
    /// What identifies the rows that were read, where it is known: two data sets of one digest
    /// hold the same rows.
    pub digest: Option<String>,
}

/// A file that a run left in the lakehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The file, relative to the run's artifact folder, with forward slashes.
    pub path: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub hash: String,
    /// Its size.
    pub bytes: u64,
}

/// A run that has ended before it is recorded, with all it logged: a trial.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Identifies the run.
    pub run_id: RunId,
    /// What it was.
    pub run: NewRun,
    /// How it ended.
    pub status: RunStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub start_time_ms: i64,
    /// Milliseconds since 1970 UTC.
    pub end_time_ms: i64,
    /// Name and value of each parameter.
    pub params: Vec<(String, String)>,
    /// All values of all metrics.
    pub metrics: Vec<Metric>,
    /// Name and value of each tag.
    pub tags: Vec<(String, String)>,
}

impl State {
    /// Logs parameters of a run.
    ///
    /// # Errors
    /// [`StateError::ParamChanged`] when one was logged before with another
    /// value; the same value again is fine. Nothing is written then.
    pub async fn log_params(
        &self,
        run: &RunId,
        params: &[(String, String)],
    ) -> Result<(), StateError> {
        let action = "log parameters";
        let mut tx = self.begin(action).await?;
        for (key, value) in params {
            let old: Option<String> =
                sqlx::query_scalar("SELECT value FROM params WHERE run_id = $1 AND key = $2")
                    .bind(run.as_str())
                    .bind(key)
                    .fetch_optional(tx.connection())
                    .await
                    .map_err(self.failed(action))?;
            if let Some(old) = old.filter(|old| old != value) {
                return Err(StateError::ParamChanged {
                    run: run.clone(),
                    key: key.clone(),
                    old,
                    new: value.clone(),
                });
            }
        }
        self.insert_params(tx.connection(), run, params).await?;
        self.commit(tx, action).await
    }

    /// Logs values of metrics of a run. The same key, step and time again
    /// replaces the value.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn log_metrics(&self, run: &RunId, metrics: &[Metric]) -> Result<(), StateError> {
        let action = "log metrics";
        let mut tx = self.begin(action).await?;
        self.insert_metrics(tx.connection(), run, metrics).await?;
        self.commit(tx, action).await
    }

    /// The metrics of a run, by key, step and time.
    pub async fn metrics(&self, run: &RunId) -> Result<Vec<Metric>, StateError> {
        let rows: Vec<(String, Option<f64>, i64, i64)> = sqlx::query_as(
            "SELECT key, value, step, timestamp FROM metrics WHERE run_id = $1 \
             ORDER BY key, step, timestamp",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read metrics"))?;
        Ok(rows
            .into_iter()
            .map(|(key, value, step, timestamp_ms)| Metric {
                key,
                value: value.unwrap_or(f64::NAN),
                step,
                timestamp_ms,
            })
            .collect())
    }

    /// The parameters of a run, by name.
    pub async fn params(&self, run: &RunId) -> Result<Vec<(String, String)>, StateError> {
        sqlx::query_as("SELECT key, value FROM params WHERE run_id = $1 ORDER BY key")
            .bind(run.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("read parameters"))
    }

    /// Sets a tag of a run, replacing its value.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn set_tag(&self, run: &RunId, key: &str, value: &str) -> Result<(), StateError> {
        self.set_tags(run, &[(key.to_owned(), value.to_owned())])
            .await
    }

    /// Sets tags of a run, replacing their values.
    ///
    /// # Errors
    /// As [`State::set_tag`].
    pub async fn set_tags(&self, run: &RunId, tags: &[(String, String)]) -> Result<(), StateError> {
        let action = "set tags";
        let mut tx = self.begin(action).await?;
        self.insert_tags(tx.connection(), run, tags).await?;
        self.commit(tx, action).await
    }

    /// Records the tables that a run read.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn log_datasets(
        &self,
        run: &RunId,
        datasets: &[DatasetUse],
    ) -> Result<(), StateError> {
        let action = "log datasets";
        let mut tx = self.begin(action).await?;
        for dataset in datasets {
            sqlx::query(
                "INSERT INTO datasets (run_id, name, version, context, digest) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (run_id, name, version, context) \
                 DO UPDATE SET digest = excluded.digest",
            )
            .bind(run.as_str())
            .bind(&dataset.name)
            .bind(dataset.version)
            .bind(&dataset.context)
            .bind(&dataset.digest)
            .execute(tx.connection())
            .await
            .map_err(self.failed_of_run(action, run))?;
        }
        self.commit(tx, action).await
    }

    /// Records files that a run left; a path again replaces what was recorded.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn log_artifacts(
        &self,
        run: &RunId,
        artifacts: &[Artifact],
    ) -> Result<(), StateError> {
        let action = "log artifacts";
        let mut tx = self.begin(action).await?;
        for artifact in artifacts {
            sqlx::query(
                "INSERT INTO artifacts (run_id, path, hash, bytes) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (run_id, path) DO UPDATE \
                 SET hash = excluded.hash, bytes = excluded.bytes",
            )
            .bind(run.as_str())
            .bind(&artifact.path)
            .bind(&artifact.hash)
            .bind(i64::try_from(artifact.bytes).unwrap_or(i64::MAX))
            .execute(tx.connection())
            .await
            .map_err(self.failed_of_run(action, run))?;
        }
        self.commit(tx, action).await
    }

    /// Records runs that have ended, with all they logged, as one transaction:
    /// the trials of a round. Their parents must be in the store, or stand
    /// earlier in the list.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when a parent is missing. Nothing is written then.
    pub async fn record_runs(&self, runs: &[FinishedRun]) -> Result<(), StateError> {
        let action = "record runs";
        let mut tx = self.begin(action).await?;
        for finished in runs {
            let id = &finished.run_id;
            let connection = tx.connection();
            self.insert_run(connection, id, &finished.run, finished.start_time_ms)
                .await?;
            sqlx::query("UPDATE runs SET status = $1, end_time = $2, error = $3 WHERE run_id = $4")
                .bind(finished.status.as_str())
                .bind(finished.end_time_ms)
                .bind(&finished.error)
                .bind(id.as_str())
                .execute(&mut *connection)
                .await
                .map_err(self.failed(action))?;
            self.insert_params(connection, id, &finished.params).await?;
            self.insert_metrics(connection, id, &finished.metrics)
                .await?;
            self.insert_tags(connection, id, &finished.tags).await?;
        }
        self.commit(tx, action).await
    }

    async fn insert_params(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        params: &[(String, String)],
    ) -> Result<(), StateError> {
        let head = "INSERT INTO params (run_id, key, value) ";
        let tail = " ON CONFLICT DO NOTHING";
        self.insert_pairs(connection, run, params, head, tail).await
    }

    async fn insert_tags(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        tags: &[(String, String)],
    ) -> Result<(), StateError> {
        let head = "INSERT INTO tags (run_id, key, value) ";
        let tail = " ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value";
        self.insert_pairs(connection, run, tags, head, tail).await
    }

    async fn insert_pairs(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        pairs: &[(String, String)],
        head: &'static str,
        tail: &'static str,
    ) -> Result<(), StateError> {
        for chunk in pairs.chunks(ROWS_A_STATEMENT) {
            let mut insert = pairs_statement(run, chunk, head, tail);
            insert
                .build()
                .persistent(false)
                .execute(&mut *connection)
                .await
                .map_err(self.failed_of_run("log parameters and tags", run))?;
        }
        Ok(())
    }

    async fn insert_metrics(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        metrics: &[Metric],
    ) -> Result<(), StateError> {
        for chunk in metrics.chunks(ROWS_A_STATEMENT) {
            let mut insert = metrics_statement(run, chunk);
            insert
                .build()
                // Full chunks share one statement; the rest of a batch has its own size.
                .persistent(chunk.len() == ROWS_A_STATEMENT)
                .execute(&mut *connection)
                .await
                .map_err(self.failed_of_run("log metrics", run))?;
        }
        Ok(())
    }
}

// Statements are made outside of async functions: rustc cannot prove a future
// `Send` whose body has a closure over borrowed rows.

fn pairs_statement(
    run: &RunId,
    pairs: &[(String, String)],
    head: &'static str,
    tail: &'static str,
) -> QueryBuilder<Sqlite> {
    let mut insert = QueryBuilder::new(head);
    insert.push_values(pairs, |mut row, (key, value)| {
        row.push_bind(run.as_str()).push_bind(key).push_bind(value);
    });
    insert.push(tail);
    insert
}

fn metrics_statement(run: &RunId, metrics: &[Metric]) -> QueryBuilder<Sqlite> {
    let mut insert =
        QueryBuilder::new("INSERT INTO metrics (run_id, key, step, timestamp, value) ");
    insert.push_values(metrics, |mut row, metric| {
        let value = (!metric.value.is_nan()).then_some(metric.value);
        row.push_bind(run.as_str())
            .push_bind(&metric.key)
            .push_bind(metric.step)
            .push_bind(metric.timestamp_ms)
            .push_bind(value);
    });
    insert.push(" ON CONFLICT (run_id, key, step, timestamp) DO UPDATE SET value = excluded.value");
    insert
}
