//! What made each asset as it is now: equal keys need no work.

use serde_json::Value;
use sqlx::SqliteConnection;

use super::{RunId, State, StateError, now_ms};

/// The key of an asset as it is now, and what its making gave.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetKey {
    /// Hash of the definition and of all inputs.
    pub key: String,
    /// The semantics number of its stage kind when it was made.
    pub semantics: i64,
    /// What was made, such as `{"version": 3, "rows": 1599}`.
    pub outcome: Value,
    /// The run that made it.
    pub run_id: RunId,
}

impl State {
    /// The key of a project's asset; `None` when it was never made.
    pub async fn asset_key(
        &self,
        project: &str,
        asset: &str,
    ) -> Result<Option<AssetKey>, StateError> {
        let row: Option<(String, i64, String, String)> = sqlx::query_as(
            "SELECT key, semantics, outcome, run_id FROM asset_keys \
             WHERE project = $1 AND asset = $2",
        )
        .bind(project)
        .bind(asset)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("read an asset's key"))?;
        row.map(|(key, semantics, outcome, run_id)| {
            Ok(AssetKey {
                key,
                semantics,
                outcome: serde_json::from_str(&outcome)
                    .map_err(|_| self.damaged("an asset's outcome", &outcome))?,
                run_id: RunId::from(run_id),
            })
        })
        .transpose()
    }

    /// Replaces the key of a project's asset.
    ///
    /// A table's key is put by [`State::confirm_txn`] already.
    pub async fn put_asset_key(
        &self,
        project: &str,
        asset: &str,
        key: &AssetKey,
    ) -> Result<(), StateError> {
        let action = "record an asset's key";
        let mut tx = self.begin(action).await?;
        self.write_asset_key(tx.connection(), project, asset, key)
            .await?;
        self.commit(tx, action).await
    }

    /// Forgets the key of a project's asset, so that it is made again.
    pub async fn forget_asset_key(&self, project: &str, asset: &str) -> Result<(), StateError> {
        let action = "forget an asset's key";
        let mut tx = self.begin(action).await?;
        sqlx::query("DELETE FROM asset_keys WHERE project = $1 AND asset = $2")
            .bind(project)
            .bind(asset)
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    pub(super) async fn write_asset_key(
        &self,
        connection: &mut SqliteConnection,
        project: &str,
        asset: &str,
        key: &AssetKey,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO asset_keys (project, asset, key, semantics, outcome, run_id, time) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (project, asset) DO UPDATE SET key = excluded.key, \
             semantics = excluded.semantics, outcome = excluded.outcome, \
             run_id = excluded.run_id, time = excluded.time",
        )
        .bind(project)
        .bind(asset)
        .bind(&key.key)
        .bind(key.semantics)
        .bind(key.outcome.to_string())
        .bind(key.run_id.as_str())
        .bind(now_ms())
        .execute(connection)
        .await
        .map_err(self.failed("record an asset's key"))?;
        Ok(())
    }
}
