//! A model asset whose training was done before: nothing is fitted, the model is registered
//! where the asset says.

use sluice_learn::AppliedModel;

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::model::{Registered, new_version, signature};
use super::rows::Identity;
use crate::plan::training::Trained;
use crate::plan::{Asset, ModelAsset};

/// Takes a training over: the version that there is, or a new one of the asset's registered
/// model from the same files, which names the run that trained it.
pub(crate) async fn take(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    trained: &Trained,
    identity: &Identity,
) -> Result<Registered, StageError> {
    let (run_id, metrics) = (trained.run_id().clone(), trained.metrics().clone());
    if let Trained::Here(version) = trained {
        return Ok((run_id, Some(version.clone()), metrics, None));
    }
    let version = match &model.register {
        None => None,
        Some(register) => {
            let registry = &run.world.registry;
            let staging = registry.stage(register.name.as_str(), &run.run_id).await?;
            let folder = trained.folder();
            registry.copy_model(&folder, &staging).await?;
            let signature =
                blocking(move || Ok(signature(AppliedModel::load(&folder)?.plan()))).await?;
            let new = new_version(run, asset, model, identity, signature, &metrics);
            let staging = staging.trained_by(&run_id);
            Some(registry.create_version(staging, new).await?)
        }
    };
    Ok((run_id, version, metrics, None))
}

/// The digest of the rows that a training saw of the model's table.
pub(crate) fn digest(model: &ModelAsset, trained: &Trained) -> Option<String> {
    let table = model.from.to_string();
    let mut inputs = trained.inputs().iter();
    let input = inputs.find(|input| input.name == table)?;
    input.digest.clone()
}
