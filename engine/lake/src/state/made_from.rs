//! What runs ran and what their stages were made from: what it takes to make them again.

use std::collections::{BTreeMap, BTreeSet};

use super::{RunId, State, StateError};

impl State {
    /// The hash of the definitions that a run ran; `None` where it kept none.
    pub async fn definitions_of(&self, run: &RunId) -> Result<Option<String>, StateError> {
        let found: Option<Option<String>> =
            sqlx::query_scalar("SELECT definitions FROM runs WHERE run_id = $1")
                .bind(run.as_str())
                .fetch_optional(self.pool())
                .await
                .map_err(self.failed("read the definitions of a run"))?;
        Ok(found.flatten())
    }

    /// The hashes of all definitions that runs name, of whatever project.
    pub async fn named_definitions(&self) -> Result<BTreeSet<String>, StateError> {
        let named: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT definitions FROM runs WHERE definitions IS NOT NULL",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the definitions of runs"))?;
        Ok(named.into_iter().collect())
    }

    /// What the stages of a run were made from, by asset, as they said when they started; not
    /// those that never did.
    pub async fn made_from(&self, run: &RunId) -> Result<BTreeMap<String, String>, StateError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT asset, made_from FROM stages WHERE run_id = $1 AND made_from IS NOT NULL",
        )
        .bind(run.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read what the stages of a run were made from"))?;
        Ok(rows.into_iter().collect())
    }
}
