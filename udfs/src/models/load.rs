//! Models from the registry into a session's set.

use std::sync::Arc;

use sluice_lake::registry::{ModelUri, Registry};

use super::{BoundModel, LoadedModel, ModelError, ModelSet, Predictor};

/// The version that an address names now, loaded once a set.
///
/// # Errors
/// A model, version or alias that does not exist; a version's folder that cannot be read.
pub async fn load(
    models: &ModelSet,
    registry: &Registry,
    uri: &ModelUri,
) -> Result<BoundModel, ModelError> {
    let version = registry.resolve(uri).await?;
    let address = version.uri().to_string();
    let model = match models.get(&address) {
        Some(model) => model,
        None => {
            let folder = version.path.clone();
            let loaded = tokio::task::spawn_blocking(move || LoadedModel::open(&folder)).await??;
            models.insert(&address, Arc::new(loaded) as Arc<dyn Predictor>)
        }
    };
    Ok(BoundModel {
        address,
        features: model.features().to_vec(),
    })
}
