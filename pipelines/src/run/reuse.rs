//! A model asset whose training was done before: nothing is fitted, the model is registered
//! where the asset says.

use std::collections::BTreeMap;

use sluice_lake::state::RunId;
use sluice_learn::Model;

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::figures::FOLDS_PREFIX;
use super::model::{Registered, new_version, signature};
use super::track::ROUNDS_PREFIX;
use crate::plan::training::Trained;
use crate::plan::{Asset, ModelAsset};

/// Takes a training over: the version that there is, or a new one of the asset's registered
/// model from the same files, which names the run that trained it.
pub(crate) async fn take(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    trained: Trained,
    key: &str,
) -> Result<Registered, StageError> {
    let (run_id, folder) = (trained.run_id().clone(), trained.folder());
    let metrics = match &trained {
        Trained::Here(version) => {
            let metrics = version.metrics.clone();
            return Ok((run_id, Some(version.clone()), metrics, None));
        }
        Trained::Elsewhere(version) => version.metrics.clone(),
        Trained::Unregistered { run_id, .. } => figures(run, run_id).await?,
    };
    let version = match &model.register {
        None => None,
        Some(register) => {
            let registry = &run.world.registry;
            let staging = registry.stage(register.name.as_str(), &run.run_id).await?;
            registry.copy_model(&folder, &staging).await?;
            let signature = blocking(move || Ok(signature(&Model::load(&folder)?))).await?;
            let new = new_version(run, asset, model, key, signature, &metrics);
            let staging = staging.trained_by(&run_id);
            Some(registry.create_version(staging, new).await?)
        }
    };
    Ok((run_id, version, metrics, None))
}

/// The metrics of a training, as they were logged.
async fn figures(run: &RunContext, training: &RunId) -> Result<BTreeMap<String, f64>, StageError> {
    let metrics = run.state.metrics(training).await?;
    Ok(metrics
        .into_iter()
        .filter(|metric| {
            let steps = [ROUNDS_PREFIX, FOLDS_PREFIX];
            !steps.iter().any(|prefix| metric.key.starts_with(prefix))
        })
        .map(|metric| (metric.key, metric.value))
        .collect())
}
