//! Runs and the experiments they belong to: one experiment a pipeline.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{State, StateError, now_ms};

/// Identifies a run: a UUID of version 7 in 32 hexadecimal digits, so that
/// runs sort in the order in which they started, whatever the clock did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// An identifier that no other run has.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// The same, and later than `latest` even where the clock was ahead when that was made.
    fn generate_after(latest: Option<&str>) -> Self {
        let new = Uuid::now_v7();
        let latest = latest.and_then(|latest| Uuid::parse_str(latest).ok());
        let Some(latest) = latest.filter(|latest| *latest >= new) else {
            return Self(new.simple().to_string());
        };
        let mut bytes = new.into_bytes();
        // The first 48 bits are milliseconds.
        let millis = (latest.as_u128() >> 80).saturating_add(1) as u64;
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        Self(Uuid::from_bytes(bytes).simple().to_string())
    }

    /// The 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RunId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<String> for RunId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for RunId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Declares an enum that is stored as one word.
macro_rules! stored_word {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// The word in the store and in the `system` tables.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use stored_word;

stored_word! {
    /// What a run does.
    RunKind {
        /// A project, or a part of it.
        Run = "run",
        /// One training, child of a `run`.
        Train = "train",
        /// One search, child of a `run`.
        Sweep = "sweep",
        /// One set of hyper-parameters, child of a `sweep`.
        Trial = "trial",
        /// One look at how well a model does, child of a `run`.
        Evaluate = "evaluate",
    }
}

stored_word! {
    /// MLflow's states of a run.
    RunStatus {
        /// Under way.
        Running = "RUNNING",
        /// Ended well.
        Finished = "FINISHED",
        /// Ended with an error.
        Failed = "FAILED",
        /// Stopped by the user, or its process ended early.
        Killed = "KILLED",
    }
}

/// A run that is to start.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The project's UUID.
    pub project: String,
    /// The pipeline's name, which names the experiment too.
    pub pipeline: String,
    /// What the run does.
    pub kind: RunKind,
    /// Shown to people; the asset's name for a training, `trial 7` for a trial.
    pub name: String,
    /// The run that this one is part of.
    pub parent: Option<RunId>,
    /// The hash of the definitions that it runs, where it keeps them: see
    /// [`Lakehouse::put_definitions`](crate::Lakehouse::put_definitions).
    pub definitions: Option<String>,
}

/// A run as it is in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Identifies the run.
    pub run_id: RunId,
    /// Shown to people.
    pub name: String,
    /// What the run does.
    pub kind: RunKind,
    /// The run that this one is part of.
    pub parent: Option<RunId>,
    /// How it stands.
    pub status: RunStatus,
    /// Milliseconds since 1970 UTC.
    pub start_time_ms: i64,
    /// Milliseconds since 1970 UTC; `None` while it is under way.
    pub end_time_ms: Option<i64>,
    /// Why it failed or was killed.
    pub error: Option<String>,
    /// The project's UUID.
    pub project: String,
    /// The pipeline's name.
    pub pipeline: String,
}

pub(super) const RUN_COLUMNS: &str = "run_id, run_name, kind, parent_run_id, status, start_time, end_time, \
     error, project, pipeline";

impl State {
    /// Starts a run, now.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the parent is not in the store.
    pub async fn start_run(&self, run: NewRun) -> Result<RunId, StateError> {
        let action = "start a run";
        let mut tx = self.begin(action).await?;
        let latest: Option<String> = sqlx::query_scalar("SELECT max(run_id) FROM runs")
            .fetch_one(tx.connection())
            .await
            .map_err(self.failed(action))?;
        let id = RunId::generate_after(latest.as_deref());
        self.insert_run(tx.connection(), &id, &run, now_ms())
            .await?;
        self.commit(tx, action).await?;
        Ok(id)
    }

    /// Ends a run, now.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`] when the run is not in the store.
    pub async fn finish_run(
        &self,
        run: &RunId,
        status: RunStatus,
        error: Option<&str>,
    ) -> Result<(), StateError> {
        let action = "finish a run";
        let mut tx = self.begin(action).await?;
        let done =
            sqlx::query("UPDATE runs SET status = $1, end_time = $2, error = $3 WHERE run_id = $4")
                .bind(status.as_str())
                .bind(now_ms())
                .bind(error)
                .bind(run.as_str())
                .execute(tx.connection())
                .await
                .map_err(self.failed(action))?;
        if done.rows_affected() == 0 {
            return Err(self.unknown_run(run));
        }
        self.commit(tx, action).await
    }

    /// The run, if it is in the store.
    pub async fn run(&self, run: &RunId) -> Result<Option<Run>, StateError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {RUN_COLUMNS} FROM runs WHERE run_id = $1"));
        let row = sqlx::query(sql)
            .bind(run.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("read a run"))?;
        row.map(|row| self.read_run(&row)).transpose()
    }

    /// The project's runs that were begun by the user, latest first.
    pub async fn latest_runs(&self, project: &str, limit: u32) -> Result<Vec<Run>, StateError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE project = $1 AND kind = 'run' \
             ORDER BY run_id DESC LIMIT $2"
        ));
        let rows = sqlx::query(sql)
            .bind(project)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("read the latest runs"))?;
        rows.iter().map(|row| self.read_run(row)).collect()
    }

    /// The project's runs that are under way, children included, oldest first. While the
    /// pipeline's lock is held and its own run has not started, these are of processes that
    /// ended early.
    pub async fn running_runs(&self, project: &str) -> Result<Vec<RunId>, StateError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT run_id FROM runs WHERE project = $1 AND status = 'RUNNING' ORDER BY run_id",
        )
        .bind(project)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the runs that are under way"))?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    /// The runs that are under way, and all that those began, ended or not.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn running_families(&self, project: &str) -> Result<Vec<RunId>, StateError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE family (run_id) AS ( \
             SELECT run_id FROM runs WHERE project = $1 AND status = 'RUNNING' \
             UNION SELECT runs.run_id FROM runs JOIN family ON runs.parent_run_id = family.run_id \
             ) SELECT run_id FROM family ORDER BY run_id",
        )
        .bind(project)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the runs that are under way"))?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    /// Ends what an earlier process left under way: runs become KILLED, their
    /// stages CANCELLED. Call it while holding the pipeline's lock, before the
    /// new run starts; returns the runs, oldest first.
    pub async fn recover_runs(&self, project: &str) -> Result<Vec<RunId>, StateError> {
        let action = "recover runs";
        let reason = "its process ended before it did";
        let mut tx = self.begin(action).await?;
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT run_id FROM runs WHERE project = $1 AND status = 'RUNNING' ORDER BY run_id",
        )
        .bind(project)
        .fetch_all(tx.connection())
        .await
        .map_err(self.failed(action))?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query(
            "UPDATE stages SET status = 'CANCELLED', end_time = $1, error = $2 \
             WHERE status = 'RUNNING' AND run_id IN \
             (SELECT run_id FROM runs WHERE project = $3 AND status = 'RUNNING')",
        )
        .bind(now_ms())
        .bind(reason)
        .bind(project)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        sqlx::query(
            "UPDATE runs SET status = 'KILLED', end_time = $1, error = $2 \
             WHERE project = $3 AND status = 'RUNNING'",
        )
        .bind(now_ms())
        .bind(reason)
        .bind(project)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    pub(super) async fn insert_run(
        &self,
        connection: &mut SqliteConnection,
        id: &RunId,
        run: &NewRun,
        start_time_ms: i64,
    ) -> Result<(), StateError> {
        let action = "start a run";
        let experiment = self.experiment(connection, &run.pipeline).await?;
        let orphan = run.parent.clone().unwrap_or_else(|| id.clone());
        sqlx::query(
            "INSERT INTO runs (run_id, experiment_id, run_name, kind, parent_run_id, status, \
             start_time, project, pipeline, definitions) \
             VALUES ($1, $2, $3, $4, $5, 'RUNNING', $6, $7, $8, $9)",
        )
        .bind(id.as_str())
        .bind(experiment)
        .bind(&run.name)
        .bind(run.kind.as_str())
        .bind(run.parent.as_ref().map(RunId::as_str))
        .bind(start_time_ms)
        .bind(&run.project)
        .bind(&run.pipeline)
        .bind(&run.definitions)
        .execute(connection)
        .await
        .map_err(self.failed_of_run(action, &orphan))?;
        Ok(())
    }

    /// The experiment of this name, made when there is none.
    async fn experiment(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<i64, StateError> {
        let action = "find the experiment";
        let found = sqlx::query_scalar("SELECT experiment_id FROM experiments WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *connection)
            .await
            .map_err(self.failed(action))?;
        if let Some(id) = found {
            return Ok(id);
        }
        sqlx::query_scalar(
            "INSERT INTO experiments (experiment_id, name, creation_time) \
             SELECT COALESCE(MAX(experiment_id), 0) + 1, $1, $2 FROM experiments \
             RETURNING experiment_id",
        )
        .bind(name)
        .bind(now_ms())
        .fetch_one(connection)
        .await
        .map_err(self.failed(action))
    }

    pub(super) fn unknown_run(&self, run: &RunId) -> StateError {
        StateError::UnknownRun {
            path: self.path().to_owned(),
            run: run.clone(),
        }
    }

    /// Reads a word that [`stored_word`] declared.
    pub(super) fn word<T: FromStr>(&self, what: &'static str, text: &str) -> Result<T, StateError> {
        text.parse().map_err(|_| self.damaged(what, text))
    }

    pub(super) fn read_run(&self, row: &SqliteRow) -> Result<Run, StateError> {
        let read = || self.failed("read a run");
        let kind: String = row.try_get("kind").map_err(read())?;
        let status: String = row.try_get("status").map_err(read())?;
        let parent: Option<String> = row.try_get("parent_run_id").map_err(read())?;
        Ok(Run {
            run_id: RunId(row.try_get("run_id").map_err(read())?),
            name: row.try_get("run_name").map_err(read())?,
            kind: self.word("a run's kind", &kind)?,
            parent: parent.map(RunId),
            status: self.word("a run's status", &status)?,
            start_time_ms: row.try_get("start_time").map_err(read())?,
            end_time_ms: row.try_get("end_time").map_err(read())?,
            error: row.try_get("error").map_err(read())?,
            project: row.try_get("project").map_err(read())?,
            pipeline: row.try_get("pipeline").map_err(read())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_later_than_the_last_one_whatever_the_clock_says() {
        let before = RunId::generate();
        let next = RunId::generate_after(Some(before.as_str()));
        assert!(next > before);
        // A clock that was a year ahead.
        let mut ahead = Uuid::now_v7().into_bytes();
        ahead[1] += 8;
        let ahead = RunId(Uuid::from_bytes(ahead).simple().to_string());
        let mut last = ahead.clone();
        for _ in 0..3 {
            let next = RunId::generate_after(Some(last.as_str()));
            assert!(next > last, "{next} after {last}");
            assert_eq!(next.as_str()[..8], ahead.as_str()[..8]);
            assert_eq!(Uuid::parse_str(next.as_str()).unwrap().get_version_num(), 7);
            last = next;
        }
        assert!(RunId::generate_after(None) < ahead);
        assert!(RunId::generate_after(Some("no identifier")) < ahead);
    }
}
