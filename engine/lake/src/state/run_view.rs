//! What else a run left, for people who look at it: artifacts, data sets, children, models.

use super::{Artifact, DatasetUse, Run, RunId, State, StateError};

impl State {
    /// The files that a run left, by path.
    pub async fn artifacts(&self, run: &RunId) -> Result<Vec<Artifact>, StateError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT path, hash, bytes FROM artifacts WHERE run_id = $1 ORDER BY path",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the artifacts of a run"))?;
        let artifact = |(path, hash, bytes): (String, String, i64)| Artifact {
            path,
            hash,
            bytes: u64::try_from(bytes).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(artifact).collect())
    }

    /// The tables that a run read, by name.
    pub async fn datasets(&self, run: &RunId) -> Result<Vec<DatasetUse>, StateError> {
        let rows: Vec<(String, i64, String, Option<String>)> = sqlx::query_as(
            "SELECT name, version, context, digest FROM datasets WHERE run_id = $1 \
             ORDER BY name, version, context",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the data sets of a run"))?;
        let dataset = |(name, version, context, digest)| DatasetUse {
            name,
            version,
            context,
            digest,
        };
        Ok(rows.into_iter().map(dataset).collect())
    }

    /// The runs that are part of a run, oldest first, without what they logged.
    pub async fn children(&self, parent: &RunId) -> Result<Vec<Run>, StateError> {
        let columns = super::runs::RUN_COLUMNS;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM runs WHERE parent_run_id = $1 ORDER BY run_id"
        ));
        let rows = sqlx::query(sql)
            .bind(parent.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("read the runs of a run"))?;
        rows.iter().map(|row| self.read_run(row)).collect()
    }

    /// The model versions that a run trained: name and number, those that were deleted left
    /// out.
    pub async fn versions_trained_in(&self, run: &RunId) -> Result<Vec<(String, i64)>, StateError> {
        sqlx::query_as(
            "SELECT name, version FROM model_versions \
             WHERE run_id = $1 AND status <> 'DELETED' ORDER BY name, version",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the models of a run"))
    }
}
