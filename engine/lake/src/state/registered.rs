//! The registry's rows. What they say is decided in [`crate::registry`], which
//! writes the folders first.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{State, StateError, now_ms};

/// A version's row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VersionRow {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) run_id: String,
    pub(crate) creation_time_ms: i64,
    pub(crate) source: String,
    pub(crate) status: &'static str,
    pub(crate) project: String,
    pub(crate) asset: String,
    pub(crate) key: String,
    pub(crate) metrics: BTreeMap<String, Option<f64>>,
}

/// A move of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveRow {
    pub(crate) name: String,
    pub(crate) number: i64,
    pub(crate) alias: String,
    pub(crate) version: Option<i64>,
    pub(crate) previous: Option<i64>,
    pub(crate) timestamp_ms: i64,
    pub(crate) run_id: String,
    pub(crate) reason: String,
}

/// What people say about a model, or about one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelsRow {
    pub(crate) name: String,
    pub(crate) version: Option<i64>,
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl State {
    /// The numbers of the alias moves of a model that are in the store.
    pub(crate) async fn known_moves(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<Vec<i64>, StateError> {
        sqlx::query_scalar("SELECT move FROM alias_history WHERE name = $1 ORDER BY move")
            .bind(name)
            .fetch_all(connection)
            .await
            .map_err(self.failed("read the history of aliases"))
    }

    /// The numbers of the versions of a model that are in the store.
    pub(crate) async fn known_versions(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<Vec<i64>, StateError> {
        sqlx::query_scalar("SELECT version FROM model_versions WHERE name = $1 ORDER BY version")
            .bind(name)
            .fetch_all(connection)
            .await
            .map_err(self.failed("read the versions of a model"))
    }

    /// The highest version number that the model ever had here, 0 for none.
    pub(crate) async fn last_version(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<i64, StateError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT last_version FROM registered_models WHERE name = $1")
                .bind(name)
                .fetch_optional(connection)
                .await
                .map_err(self.failed("read the last version of a model"))?;
        Ok(last.unwrap_or(0))
    }

    /// The highest number of an alias move that the store has, 0 for none.
    pub(crate) async fn last_move(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
    ) -> Result<i64, StateError> {
        let moves = self.known_moves(connection, name).await?;
        Ok(moves.last().copied().unwrap_or(0))
    }

    /// Makes sure of the model's row; `last_version` and the time of update
    /// only ever grow, the time of creation only shrinks.
    pub(crate) async fn put_model(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
        last_version: i64,
        time_ms: i64,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO registered_models (name, creation_time, last_updated_time, last_version) \
             VALUES ($1, $2, $2, $3) ON CONFLICT (name) DO UPDATE SET \
             creation_time = CASE WHEN excluded.creation_time < registered_models.creation_time \
             THEN excluded.creation_time ELSE registered_models.creation_time END, \
             last_updated_time = CASE WHEN excluded.last_updated_time > registered_models.last_updated_time \
             THEN excluded.last_updated_time ELSE registered_models.last_updated_time END, \
             last_version = CASE WHEN excluded.last_version > registered_models.last_version \
             THEN excluded.last_version ELSE registered_models.last_version END",
        )
        .bind(name)
        .bind(time_ms)
        .bind(last_version)
        .execute(connection)
        .await
        .map_err(self.failed("record a model"))?;
        Ok(())
    }

    /// Records a version whose folder is complete.
    pub(crate) async fn put_version(
        &self,
        connection: &mut SqliteConnection,
        row: &VersionRow,
    ) -> Result<(), StateError> {
        self.put_model(connection, &row.name, row.version, row.creation_time_ms)
            .await?;
        let metrics = serde_json::to_string(&row.metrics)
            .expect("a map from strings to numbers has a JSON form");
        sqlx::query(
            "INSERT INTO model_versions (name, version, run_id, creation_time, source, status, \
             project, asset, key, metrics) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (name, version) DO NOTHING",
        )
        .bind(&row.name)
        .bind(row.version)
        .bind(&row.run_id)
        .bind(row.creation_time_ms)
        .bind(&row.source)
        .bind(row.status)
        .bind(&row.project)
        .bind(&row.asset)
        .bind(&row.key)
        .bind(metrics)
        .execute(connection)
        .await
        .map_err(self.failed("record a model version"))?;
        Ok(())
    }

    /// Records that a version was retired or deleted.
    pub(crate) async fn put_version_status(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
        version: i64,
        status: &str,
    ) -> Result<(), StateError> {
        sqlx::query("UPDATE model_versions SET status = $1 WHERE name = $2 AND version = $3")
            .bind(status)
            .bind(name)
            .bind(version)
            .execute(connection)
            .await
            .map_err(self.failed("record the status of a model version"))?;
        Ok(())
    }

    /// Records a move of an alias whose file is written. The alias follows its
    /// latest move, whatever the order they become known in.
    pub(crate) async fn put_move(
        &self,
        connection: &mut SqliteConnection,
        row: &MoveRow,
    ) -> Result<(), StateError> {
        let action = "record the move of an alias";
        let version = row.version.unwrap_or(0);
        self.put_model(connection, &row.name, version, row.timestamp_ms)
            .await?;
        sqlx::query(
            "INSERT INTO alias_history (name, move, alias, version, previous, timestamp, run_id, \
             reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(&row.name)
        .bind(row.number)
        .bind(&row.alias)
        .bind(row.version)
        .bind(row.previous)
        .bind(row.timestamp_ms)
        .bind(&row.run_id)
        .bind(&row.reason)
        .execute(&mut *connection)
        .await
        .map_err(self.failed(action))?;
        for sql in [
            "DELETE FROM aliases WHERE name = $1 AND alias = $2",
            "INSERT INTO aliases (name, alias, version) SELECT name, alias, version FROM \
             (SELECT name, alias, version FROM alias_history \
             WHERE name = $1 AND alias = $2 ORDER BY move DESC LIMIT 1) AS latest \
             WHERE version IS NOT NULL",
        ] {
            sqlx::query(sql)
                .bind(&row.name)
                .bind(&row.alias)
                .execute(&mut *connection)
                .await
                .map_err(self.failed(action))?;
        }
        Ok(())
    }

    /// Records what people say about a model or one of its versions, in place of what was
    /// said before.
    pub(crate) async fn put_labels(
        &self,
        connection: &mut SqliteConnection,
        row: &LabelsRow,
    ) -> Result<(), StateError> {
        let action = "record the tags of a model";
        let (describe, forget, tag) = match row.version {
            None => (
                "UPDATE registered_models SET description = $1 WHERE name = $2",
                "DELETE FROM model_tags WHERE name = $1",
                "INSERT INTO model_tags (name, key, value) VALUES ($1, $2, $3)",
            ),
            Some(_) => (
                "UPDATE model_versions SET description = $1 WHERE name = $2 AND version = $3",
                "DELETE FROM model_version_tags WHERE name = $1 AND version = $2",
                "INSERT INTO model_version_tags (name, key, value, version) \
                 VALUES ($1, $2, $3, $4)",
            ),
        };
        // All versions of a model may be deleted, and its row lost with the store.
        sqlx::query(
            "INSERT INTO registered_models (name, creation_time, last_updated_time, last_version) \
             VALUES ($1, $2, $2, 0) ON CONFLICT DO NOTHING",
        )
        .bind(&row.name)
        .bind(now_ms())
        .execute(&mut *connection)
        .await
        .map_err(self.failed(action))?;
        let mut all = vec![
            sqlx::query(describe).bind(&row.description).bind(&row.name),
            sqlx::query(forget).bind(&row.name),
        ];
        for (key, value) in &row.tags {
            all.push(sqlx::query(tag).bind(&row.name).bind(key).bind(value));
        }
        for query in all {
            let query = match row.version {
                None => query,
                Some(version) => query.bind(version),
            };
            query
                .execute(&mut *connection)
                .await
                .map_err(self.failed(action))?;
        }
        Ok(())
    }
}
