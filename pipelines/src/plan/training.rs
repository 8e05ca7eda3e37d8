//! Whether a model was trained before: the same definition, rows and seed never train twice,
//! in whatever project of the lakehouse and for whatever asset it was.
//!
//! A training is known by its key (the definition, and the versions of the tables) without a
//! look at the rows; where the version moved, by the digest of what the learner sees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sluice_lake::Lakehouse;
use sluice_lake::registry::{KeptModel, ModelVersion, Registry, TableVersion, TrainedAs};
use sluice_lake::state::RunId;

use super::ModelAsset;
use crate::run::error::StageError;

/// A training that was done before.
#[derive(Debug, Clone)]
pub(crate) enum Trained {
    /// It is a version of the model that the asset registers.
    Here(ModelVersion),
    /// It is a version of another model, or the asset registers nothing.
    Elsewhere(ModelVersion),
    /// It was kept among the artifacts of its run, and not registered.
    Unregistered(KeptModel),
}

impl Trained {
    /// Looks for such a training, the asset's own registered model first.
    pub(crate) async fn find(
        lakehouse: &Lakehouse,
        registry: &Registry,
        model: &ModelAsset,
        wanted: TrainedAs,
    ) -> Result<Option<Self>, StageError> {
        let name = model
            .register
            .as_ref()
            .map(|register| register.name.as_str());
        let mut versions = registry.versions_trained(wanted.clone()).await?;
        if let Some(own) = versions
            .iter()
            .position(|found| Some(found.name.as_str()) == name)
        {
            return Ok(Some(Self::Here(versions.swap_remove(own))));
        }
        if let Some(other) = versions.pop() {
            return Ok(Some(Self::Elsewhere(other)));
        }
        let kept = registry.kept_models(lakehouse, wanted).await?;
        Ok(kept.into_iter().next_back().map(Self::Unregistered))
    }

    /// Why it is not trained again, in words: it has the same key.
    pub(crate) fn why_not_again(&self) -> String {
        format!("{} so, and {} again", self.who(), self.what())
    }

    /// Why it is not trained again, in words: it saw the same rows of `table`, at another
    /// version than `version`, unless the table was created anew.
    pub(crate) fn same_rows(&self, table: &str, version: i64) -> String {
        let before = self.inputs().iter().find(|input| input.name == table);
        let rows = match before {
            Some(before) if before.version != version => format!(
                "the rows of {table} are the same as in version {}",
                before.version
            ),
            _ => format!("the rows of {table} are the same as before"),
        };
        format!("{rows}: {} on them, and {} again", self.who(), self.what())
    }

    fn who(&self) -> String {
        match self {
            Self::Here(version) => format!("version {} was trained", version.version),
            Self::Elsewhere(version) => format!("{} was trained", version.uri()),
            Self::Unregistered(kept) => format!("run {} trained it", kept.run_id),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Here(_) => "is only judged",
            Self::Elsewhere(_) => "is used",
            Self::Unregistered(_) => "its model is used",
        }
    }

    /// The run that trained it.
    pub(crate) fn run_id(&self) -> &RunId {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => &version.run_id,
            Self::Unregistered(kept) => &kept.run_id,
        }
    }

    /// The folder of the model.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => version.path.clone(),
            Self::Unregistered(kept) => kept.path.clone(),
        }
    }

    /// The metrics of the model.
    pub(crate) fn metrics(&self) -> &BTreeMap<String, f64> {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => &version.metrics,
            Self::Unregistered(kept) => &kept.metrics,
        }
    }

    /// The tables that it saw.
    pub(crate) fn inputs(&self) -> &[TableVersion] {
        match self {
            Self::Here(version) | Self::Elsewhere(version) => &version.inputs,
            Self::Unregistered(kept) => &kept.inputs,
        }
    }
}

/// What the rows decide, in words, where the same was trained on other versions of its table.
pub(crate) async fn rows_decide(
    lakehouse: &Lakehouse,
    registry: &Registry,
    model: &ModelAsset,
    spec: String,
) -> Result<Option<String>, StageError> {
    let wanted = TrainedAs::Spec(spec);
    let versions = registry.versions_trained(wanted.clone()).await?;
    let kept = registry.kept_models(lakehouse, wanted).await?;
    let table = model.from.to_string();
    let inputs = versions
        .iter()
        .flat_map(|version| &version.inputs)
        .chain(kept.iter().flat_map(|kept| &kept.inputs));
    let seen: BTreeSet<i64> = inputs
        .filter(|input| input.name == table)
        .map(|input| input.version)
        .collect();
    let seen: Vec<String> = seen.iter().map(i64::to_string).collect();
    let words = match &seen[..] {
        [] => return Ok(None),
        [only] => format!("version {only}"),
        [first @ .., last] => format!("versions {} and {last}", first.join(", ")),
    };
    Ok(Some(format!(
        "its rows are read, and it trains only if they differ from those of {words}"
    )))
}
