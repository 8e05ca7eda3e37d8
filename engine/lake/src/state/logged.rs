//! Runs with all they logged, as they are read again: the trials of a search.

use std::collections::HashMap;

use super::{Metric, Run, RunId, RunKind, State, StateError};

/// A run with what it logged.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRun {
    /// The run.
    pub run: Run,
    /// Name and value of each parameter.
    pub params: HashMap<String, String>,
    /// All values of all metrics, by key, step and time.
    pub metrics: Vec<Metric>,
    /// Name and value of each tag.
    pub tags: HashMap<String, String>,
}

impl State {
    /// The project's runs of a kind that have a tag with this value, oldest first.
    pub async fn tagged_runs(
        &self,
        project: &str,
        kind: RunKind,
        tag: &str,
        value: &str,
    ) -> Result<Vec<Run>, StateError> {
        let columns = super::runs::RUN_COLUMNS;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM runs WHERE project = $1 AND kind = $2 AND run_id IN \
             (SELECT run_id FROM tags WHERE key = $3 AND value = $4) ORDER BY run_id"
        ));
        let rows = sqlx::query(sql)
            .bind(project)
            .bind(kind.as_str())
            .bind(tag)
            .bind(value)
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("look for runs by a tag"))?;
        rows.iter().map(|row| self.read_run(row)).collect()
    }

    /// The project's runs of a kind that have this name, oldest first.
    pub async fn named_runs(
        &self,
        project: &str,
        kind: RunKind,
        name: &str,
    ) -> Result<Vec<Run>, StateError> {
        let columns = super::runs::RUN_COLUMNS;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM runs WHERE project = $1 AND kind = $2 AND run_name = $3 \
             ORDER BY run_id"
        ));
        let rows = sqlx::query(sql)
            .bind(project)
            .bind(kind.as_str())
            .bind(name)
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("look for runs by their name"))?;
        rows.iter().map(|row| self.read_run(row)).collect()
    }

    /// The tags of a run, by name.
    pub async fn tags(&self, run: &RunId) -> Result<HashMap<String, String>, StateError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT key, value FROM tags WHERE run_id = $1")
                .bind(run.as_str())
                .fetch_all(self.pool())
                .await
                .map_err(self.failed("read the tags of a run"))?;
        Ok(rows.into_iter().collect())
    }

    /// The runs that are part of a run, oldest first, with all they logged.
    pub async fn logged_children(&self, parent: &RunId) -> Result<Vec<LoggedRun>, StateError> {
        let children = self.children(parent).await?;
        let mut params = self.pairs_of_children("params", parent).await?;
        let mut tags = self.pairs_of_children("tags", parent).await?;
        let mut metrics = self.metrics_of_children(parent).await?;
        let logged = children.into_iter().map(|run| {
            let id = run.run_id.as_str();
            LoggedRun {
                params: params.remove(id).unwrap_or_default(),
                tags: tags.remove(id).unwrap_or_default(),
                metrics: metrics.remove(id).unwrap_or_default(),
                run,
            }
        });
        Ok(logged.collect())
    }

    async fn pairs_of_children(
        &self,
        table: &'static str,
        parent: &RunId,
    ) -> Result<HashMap<String, HashMap<String, String>>, StateError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT p.run_id, p.key, p.value FROM {table} p \
             JOIN runs r ON r.run_id = p.run_id WHERE r.parent_run_id = $1"
        ));
        let rows: Vec<(String, String, String)> = sqlx::query_as(sql)
            .bind(parent.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("read what the runs of a run logged"))?;
        let mut pairs: HashMap<String, HashMap<String, String>> = HashMap::new();
        for (run, key, value) in rows {
            pairs.entry(run).or_default().insert(key, value);
        }
        Ok(pairs)
    }

    async fn metrics_of_children(
        &self,
        parent: &RunId,
    ) -> Result<HashMap<String, Vec<Metric>>, StateError> {
        let rows: Vec<(String, String, Option<f64>, i64, i64)> = sqlx::query_as(
            "SELECT m.run_id, m.key, m.value, m.step, m.timestamp FROM metrics m \
             JOIN runs r ON r.run_id = m.run_id WHERE r.parent_run_id = $1 \
             ORDER BY m.run_id, m.key, m.step, m.timestamp",
        )
        .bind(parent.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the metrics of the runs of a run"))?;
        let mut metrics: HashMap<String, Vec<Metric>> = HashMap::new();
        for (run, key, value, step, timestamp_ms) in rows {
            metrics.entry(run).or_default().push(Metric {
                key,
                value: value.unwrap_or(f64::NAN),
                step,
                timestamp_ms,
            });
        }
        Ok(metrics)
    }
}
