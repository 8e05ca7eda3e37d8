//! Models that runs trained and nobody registered: folders among the artifacts of their runs,
//! with the files that a version has, so that they are found without the state store.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{lakehouse::Lakehouse, state::RunId};

use super::{
    NewVersion, Registry, RegistryError, Staging, TableVersion, durable, folder,
    trained::TrainedAs, write::complete,
};

/// The folder of such a model among the artifacts of its run.
pub const MODEL_FOLDER: &str = "model";

/// A model that its run trained and that is no version of a registered one.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptModel {
    /// The run that trained it.
    pub run_id: RunId,
    /// The tables that it saw.
    pub inputs: Vec<TableVersion>,
    /// Metrics by name; NaN where a value is not defined.
    pub metrics: BTreeMap<String, f64>,
    /// Its folder.
    pub path: PathBuf,
}

impl Registry {
    /// A folder for the files of a model that will be no version. It goes away unless
    /// [`Registry::keep_model`] takes it.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when the lakehouse cannot be written.
    pub async fn stage_unregistered(
        &self,
        asset: &str,
        run: &RunId,
    ) -> Result<Staging, RegistryError> {
        let (asset, run) = (asset.to_owned(), run.clone());
        self.blocking(move |root| Staging::create(root, &asset, &run))
            .await
    }

    /// Keeps a staged model among the artifacts of its run, whole or not at all.
    ///
    /// # Errors
    /// [`RegistryError::MissingFile`] when the trainer left out a file that the format needs;
    /// [`RegistryError::Io`].
    pub async fn keep_model(
        &self,
        lakehouse: &Lakehouse,
        staging: Staging,
        new: NewVersion,
    ) -> Result<(), RegistryError> {
        let folder = lakehouse.artifacts_path(staging.run_id.as_str());
        self.blocking(move |_| {
            complete(&staging, &new)?;
            // Its run has a name that no other has: nobody took the place.
            staging.publish_as(&folder.join(MODEL_FOLDER)).map(|_| ())
        })
        .await
    }

    /// The kept models that were trained so, the earliest first.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a folder cannot be read.
    pub async fn kept_models(
        &self,
        lakehouse: &Lakehouse,
        wanted: TrainedAs,
    ) -> Result<Vec<KeptModel>, RegistryError> {
        let artifacts = lakehouse.artifacts_path("");
        self.blocking(move |_| {
            let mut found = Vec::new();
            // By name, which is by the time at which the runs began.
            for run in durable::read_folder(&artifacts)? {
                found.extend(kept_at(run.join(MODEL_FOLDER), &wanted)?);
            }
            Ok(found)
        })
        .await
    }
}

fn kept_at(path: PathBuf, wanted: &TrainedAs) -> Result<Option<KeptModel>, RegistryError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let (metadata, metrics) = match folder::read_version(&path) {
        Ok(read) => read,
        // Somebody else put it there, or took files away.
        Err(error) if error.is_damage() => return Ok(None),
        Err(error) => return Err(error),
    };
    let fits = wanted.fits(&metadata.key, &metadata.spec, &metadata.inputs);
    Ok(fits.then(|| KeptModel {
        run_id: metadata.run_id,
        inputs: metadata.inputs,
        metrics: metrics
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or(f64::NAN)))
            .collect(),
        path,
    }))
}
