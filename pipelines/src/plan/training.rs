//! Whether a model was trained before: the same definition, data and seed never train twice,
//! in whatever project of the lakehouse and for whatever asset it was.

use std::path::PathBuf;

use sluice_lake::Lakehouse;
use sluice_lake::registry::{ModelVersion, Registry};
use sluice_lake::state::{RunId, State};

use super::ModelAsset;
use crate::run::error::StageError;

/// The tag of a training run that holds its training key.
pub(crate) const TRAINING_TAG: &str = "training.key";

/// The folder of a model that is not registered, among the artifacts of its run.
pub(crate) const MODEL_FOLDER: &str = "model";

/// A training that was done before.
#[derive(Debug, Clone)]
pub(crate) enum Trained {
    /// It is a version of the model that the asset registers.
    Here(ModelVersion),
    /// It is a version of another model, or the asset registers nothing.
    Elsewhere(ModelVersion),
    /// It was kept among the artifacts of its run, and not registered.
    Unregistered {
        /// The training's run.
        run_id: RunId,
        /// The model's folder.
        folder: PathBuf,
    },
}

impl Trained {
    /// Looks for a training of this key, the asset's own registered model first.
    pub(crate) async fn find(
        lakehouse: &Lakehouse,
        registry: &Registry,
        state: Option<&State>,
        model: &ModelAsset,
        key: &str,
    ) -> Result<Option<Self>, StageError> {
        let name = model
            .register
            .as_ref()
            .map(|register| register.name.as_str());
        let mut versions = registry.versions_for_key(key).await?;
        if let Some(own) = versions
            .iter()
            .position(|found| Some(found.name.as_str()) == name)
        {
            return Ok(Some(Self::Here(versions.swap_remove(own))));
        }
        if let Some(other) = versions.pop() {
            return Ok(Some(Self::Elsewhere(other)));
        }
        let run = match state {
            Some(state) => state.finished_run_with_tag(TRAINING_TAG, key).await?,
            None => None,
        };
        Ok(run.and_then(|run_id| {
            let folder = lakehouse.artifacts_path(run_id.as_str()).join(MODEL_FOLDER);
            folder
                .is_dir()
                .then_some(Self::Unregistered { run_id, folder })
        }))
    }

    /// Why it is not trained again, in words.
    pub(crate) fn why_not_again(&self) -> String {
        match self {
            Self::Here(version) => format!(
                "version {} was trained so, and is only judged again",
                version.version
            ),
            Self::Elsewhere(version) => {
                format!("{} was trained so, and is used again", version.uri())
            }
            Self::Unregistered { run_id, .. } => {
                format!("run {run_id} trained it so, and its model is used again")
            }
        }
    }

    /// The run that trained it.
    pub(crate) fn run_id(&self) -> &RunId {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => &version.run_id,
            Self::Unregistered { run_id, .. } => run_id,
        }
    }

    /// The folder of the model.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => version.path.clone(),
            Self::Unregistered { folder, .. } => folder.clone(),
        }
    }
}
