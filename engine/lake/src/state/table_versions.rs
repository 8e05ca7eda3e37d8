//! What each commit of a stage made, and the model versions that it applied.

use sqlx::SqliteConnection;

use super::{CommitRecord, State, StateError};

impl State {
    /// The tables whose present rows were made with a version of a model, by name.
    pub async fn tables_made_with(
        &self,
        model: &str,
        version: i64,
    ) -> Result<Vec<String>, StateError> {
        sqlx::query_scalar(
            "SELECT DISTINCT used.table_name FROM table_models AS used \
             WHERE model_name = $1 AND model_version = $2 AND version = \
             (SELECT MAX(version) FROM table_versions AS made \
              WHERE made.table_name = used.table_name) ORDER BY used.table_name",
        )
        .bind(model)
        .bind(version)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("look for the tables that a model made"))
    }

    /// The tables whose present rows were made by an address such as
    /// `models:/wine_quality@production`, by name.
    pub async fn tables_applying(&self, address: &str) -> Result<Vec<String>, StateError> {
        sqlx::query_scalar(
            "SELECT DISTINCT used.table_name FROM table_models AS used \
             WHERE address = $1 AND version = (SELECT MAX(version) FROM table_versions AS made \
              WHERE made.table_name = used.table_name) ORDER BY used.table_name",
        )
        .bind(address)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("look for the tables that apply a model"))
    }

    /// Records what a commit made.
    pub(super) async fn write_table_version(
        &self,
        connection: &mut SqliteConnection,
        record: &CommitRecord,
        version: i64,
        time_ms: i64,
    ) -> Result<(), StateError> {
        let action = "record the version of a table";
        let rows = record.outcome.get("rows").and_then(|rows| rows.as_i64());
        sqlx::query(
            "INSERT INTO table_versions (table_name, version, project, run_id, key, timestamp, \
             rows) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (table_name, version) DO UPDATE SET project = excluded.project, \
             run_id = excluded.run_id, key = excluded.key, timestamp = excluded.timestamp, \
             rows = excluded.rows",
        )
        .bind(&record.asset)
        .bind(version)
        .bind(&record.project)
        .bind(record.run_id.as_str())
        .bind(&record.key)
        .bind(time_ms)
        .bind(rows)
        .execute(&mut *connection)
        .await
        .map_err(self.failed(action))?;
        sqlx::query("DELETE FROM table_models WHERE table_name = $1 AND version = $2")
            .bind(&record.asset)
            .bind(version)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(action))?;
        for applied in &record.models {
            sqlx::query(
                "INSERT INTO table_models (table_name, version, address, model_name, \
                 model_version) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(&record.asset)
            .bind(version)
            .bind(&applied.address)
            .bind(&applied.name)
            .bind(applied.version)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(action))?;
        }
        Ok(())
    }

    /// Forgets the versions of a table that was removed or went back.
    pub(super) async fn forget_table_versions(
        &self,
        connection: &mut SqliteConnection,
        table: &str,
    ) -> Result<(), StateError> {
        for sql in [
            "DELETE FROM table_versions WHERE table_name = $1",
            "DELETE FROM table_models WHERE table_name = $1",
        ] {
            sqlx::query(sql)
                .bind(table)
                .execute(&mut *connection)
                .await
                .map_err(self.failed("forget a table"))?;
        }
        Ok(())
    }
}
