//! What was decided about a version when it was made: whether an alias moves to it. Such a
//! decision is made once, and kept beside the version, so that a lost state store does not
//! make it again.

use serde::{Deserialize, Serialize};

use crate::state::RunId;

use super::{ModelVersion, Registry, RegistryError, check_name, durable, folder};

/// The folder of a version that holds a file for each alias that was decided about.
pub(super) const DECISIONS_FOLDER: &str = "decisions";

/// Whether an alias moved to a version, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasDecision {
    /// The alias.
    pub alias: String,
    /// Whether it moved to the version.
    pub moved: bool,
    /// Why, in words.
    pub reason: String,
    /// The condition as it was written; none: it moves always.
    pub when: Option<String>,
    /// The version that the alias named until then.
    pub champion: Option<i64>,
    /// The model asset that it was decided for.
    pub asset: String,
    /// The run that decided.
    pub run_id: RunId,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
}

impl Registry {
    /// Keeps a decision about a version, in place of an earlier one about the same alias.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when the version's folder cannot be written.
    pub async fn keep_decision(
        &self,
        version: &ModelVersion,
        decision: AliasDecision,
    ) -> Result<(), RegistryError> {
        let action = "keep a decision";
        check_name("alias", &decision.alias)?;
        let state = self.writable(action)?;
        // Nothing goes into the store, but whoever holds it may remove unfinished files.
        let tx = state.begin(action).await?;
        let folder = version.path.join(DECISIONS_FOLDER);
        self.blocking(move |_| {
            let mut text = serde_json::to_string_pretty(&decision)
                .expect("a struct of strings, numbers and booleans has a JSON form");
            text.push('\n');
            let path = folder.join(format!("{}.json", decision.alias));
            durable::publish_file(&path, text.as_bytes())
        })
        .await?;
        Ok(state.commit(tx, action).await?)
    }

    /// What was decided last about a version and each alias, by alias.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] when a file is not what this program writes.
    pub async fn decisions(
        &self,
        version: &ModelVersion,
    ) -> Result<Vec<AliasDecision>, RegistryError> {
        let folder = version.path.join(DECISIONS_FOLDER);
        self.blocking(move |_| {
            let files = durable::read_folder(&folder)?;
            let files = files.iter().filter(|path| !durable::is_unfinished(path));
            files.map(|path| folder::read_json(path)).collect()
        })
        .await
    }
}
