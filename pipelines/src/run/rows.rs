//! The rows that a model learns from, and what identifies them.

use std::sync::Arc;

use serde_json::Value;
use sluice_lake::registry::TableVersion;
use sluice_lake::state::DatasetUse;
use sluice_learn::Splits;

use super::context::RunContext;
use super::data;
use super::error::{StageError, blocking};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::{Asset, Fit, ModelAsset};

/// The rows as the learner sees them.
pub(crate) struct Rows {
    pub(crate) splits: Arc<Splits>,
    /// What identifies them.
    pub(crate) digest: String,
}

/// Reads the rows of the table that a model learns from.
pub(crate) async fn read(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
) -> Result<Rows, StageError> {
    let splits = Arc::new(data::splits(run, asset, model, seed(model)).await?);
    let seen = Arc::clone(&splits);
    let digest = blocking(move || Ok(seen.digest())).await?;
    Ok(Rows { splits, digest })
}

/// The seed of the estimator, which also orders the rows.
pub(crate) fn seed(model: &ModelAsset) -> u64 {
    let params = match &model.fit {
        Fit::Train(spec) => spec.params(),
        Fit::Sweep(spec) => &spec.space().fixed,
        Fit::Text(text) => text.spec.params(),
    };
    params.get("seed").and_then(Value::as_u64).unwrap_or(0)
}

/// What identifies a training.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What is trained, on which versions of tables.
    pub(crate) key: String,
    /// What is trained.
    pub(crate) spec: String,
    /// The rows, where they are known.
    pub(crate) digest: Option<String>,
}

impl Identity {
    /// The training that a fingerprint describes, on these rows.
    pub(crate) fn new(fingerprint: &Fingerprint, digest: Option<String>) -> Self {
        Self {
            key: fingerprint.training_key(),
            spec: fingerprint.spec_key(),
            digest,
        }
    }
}

/// The version of its table that a model sees in this run.
pub(crate) fn table_version(run: &RunContext, model: &ModelAsset) -> i64 {
    let version = run.catalog.pins().get(&model.from).unwrap_or(0);
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// The table that a model learns from, as the tracking store is told of it.
pub(crate) fn dataset(run: &RunContext, model: &ModelAsset, digest: &str) -> DatasetUse {
    DatasetUse {
        name: model.from.to_string(),
        version: table_version(run, model),
        context: "training".to_owned(),
        digest: Some(digest.to_owned()),
    }
}

/// The same, as the registry is told of it.
pub(crate) fn input(run: &RunContext, model: &ModelAsset, digest: Option<String>) -> TableVersion {
    TableVersion {
        name: model.from.to_string(),
        version: table_version(run, model),
        digest,
    }
}
