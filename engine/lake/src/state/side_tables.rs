//! The versions of tables that a stage makes beside its own: rejected records, rows in
//! quarantine. Their commits are told from their logs, since no transaction of the store guards
//! them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{lakehouse::Lakehouse, name::TableName};

use super::{RunId, State, StateError};

/// What the commit of such a table says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRecord {
    /// The project's UUID.
    pub project: String,
    /// The run that commits.
    pub run_id: RunId,
    /// The table that it is made beside, `layer.table`.
    #[serde(alias = "rejected_of")]
    pub side_of: String,
    /// The key of that table as it is made in this run.
    pub key: String,
}

impl SideRecord {
    /// The record as the metadata of a [`CommitInfo`](crate::delta::CommitInfo).
    pub fn to_metadata(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(metadata)) => metadata,
            other => unreachable!("a struct with named fields is a JSON object, not {other:?}"),
        }
    }

    /// The record in the metadata of a [`Commit`](crate::delta::Commit); `None` when it is not
    /// of such a table.
    pub fn from_metadata(metadata: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(metadata).ok()
    }
}

impl State {
    /// Tells the store the versions of a side table that it does not know, and
    /// forgets those of a table that was removed or went back. A table that is as the store
    /// remembers it costs one look at a folder.
    ///
    /// # Errors
    /// [`StateError::Lake`] when the log of the table cannot be read.
    pub async fn reconcile_side_table(
        &self,
        lakehouse: &Lakehouse,
        table: &TableName,
    ) -> Result<(), StateError> {
        let action = "record the versions of a table";
        let name = table.to_string();
        let latest = lakehouse.latest_version(table).await?;
        let latest = latest.and_then(|version| i64::try_from(version).ok());
        let known: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM table_versions WHERE table_name = $1")
                .bind(&name)
                .fetch_one(self.pool())
                .await
                .map_err(self.failed(action))?;
        if latest == known {
            return Ok(());
        }
        let commits = match latest {
            Some(_) => lakehouse.commits(table).await?,
            None => Vec::new(),
        };
        let mut tx = self.begin(action).await?;
        if latest < known {
            self.forget_table_versions(tx.connection(), &name).await?;
        }
        for commit in &commits {
            let Some(record) = SideRecord::from_metadata(&commit.metadata) else {
                continue;
            };
            sqlx::query(
                "INSERT INTO table_versions (table_name, version, project, run_id, key, timestamp) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(&name)
            .bind(i64::try_from(commit.version).unwrap_or(i64::MAX))
            .bind(&record.project)
            .bind(record.run_id.as_str())
            .bind(&record.key)
            .bind(commit.timestamp_ms.unwrap_or_default())
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        }
        self.commit(tx, action).await
    }

    /// Whether a run has made a version of a table.
    pub async fn made_version(&self, table: &str, run: &RunId) -> Result<bool, StateError> {
        let made: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM table_versions WHERE table_name = $1 AND run_id = $2 LIMIT 1",
        )
        .bind(table)
        .bind(run.as_str())
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("look for a version of a table"))?;
        Ok(made.is_some())
    }

    /// Records how many rows a version of such a table was given.
    pub async fn count_side_table(
        &self,
        table: &TableName,
        version: u64,
        rows: u64,
    ) -> Result<(), StateError> {
        let action = "record the rows of a table";
        let mut tx = self.begin(action).await?;
        sqlx::query("UPDATE table_versions SET rows = $1 WHERE table_name = $2 AND version = $3")
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .bind(table.to_string())
            .bind(i64::try_from(version).unwrap_or(i64::MAX))
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }
}
