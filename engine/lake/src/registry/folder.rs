//! The folders of models and versions.
//!
//! ```text
//! _models/<name>/<version>/   MLmodel, metrics.json, metadata.json, the files of its format
//!                             (such as model.json and features.json, or tokenizer.json) and, where there are any, retired.json, labels.json, decisions/
//! _models/<name>/labels.json  the model's description and tags
//! _models/<name>/aliases/     a file for each move or removal of an alias
//! _models/<name>/deleted/     a file for each version that was deleted
//! _models/.staging/           versions that are being written
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::fail_points::{self, Moment};
use crate::state::RunId;

use super::{ModelFormat, RegistryError, TableVersion, durable, uri::check_name};

pub(super) const METADATA_FILE: &str = "metadata.json";
pub(super) const METRICS_FILE: &str = "metrics.json";
pub(super) const MLMODEL_FILE: &str = "MLmodel";
/// Stands in a version's folder once the version is retired.
pub(super) const RETIRED_FILE: &str = "retired.json";
/// Stands in the folder of a model or a version that has a description or tags.
pub(super) const LABELS_FILE: &str = "labels.json";
/// What the registry writes beside the files of a model.
pub(super) const OWN_FILES: [&str; 5] = [
    MLMODEL_FILE,
    METADATA_FILE,
    METRICS_FILE,
    RETIRED_FILE,
    LABELS_FILE,
];
pub(super) const STAGING_FOLDER: &str = ".staging";

/// What a version's folder says about the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) run_id: RunId,
    pub(super) project: String,
    pub(super) asset: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) spec: String,
    pub(super) creation_time_ms: i64,
    #[serde(default)]
    pub(super) format: ModelFormat,
    pub(super) inputs: Vec<TableVersion>,
}

/// Metrics by name; null where a value is not a finite number.
pub(super) type Metrics = BTreeMap<String, Option<f64>>;

/// The names of all models, sorted.
pub(super) fn model_names(root: &Path) -> Result<Vec<String>, RegistryError> {
    let mut names = Vec::new();
    for path in durable::read_folder(root)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if check_name("model", &name).is_ok() && path.is_dir() {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// The numbers of a model's versions, lowest first.
pub(super) fn version_numbers(model: &Path) -> Result<Vec<i64>, RegistryError> {
    let mut numbers: Vec<i64> = durable::read_folder(model)?
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .filter(|&number| number > 0)
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the folder of a version says about it.
pub(super) fn read_version(folder: &Path) -> Result<(Metadata, Metrics), RegistryError> {
    Ok((
        read_json(&folder.join(METADATA_FILE))?,
        read_json(&folder.join(METRICS_FILE))?,
    ))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RegistryError> {
    let bytes = fs::read(path).map_err(durable::failed("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| RegistryError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Writes a value as JSON that people can read too.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RegistryError> {
    let mut text = serde_json::to_string_pretty(value)
        .expect("a struct of strings, numbers and maps has a JSON form");
    text.push('\n');
    durable::write_file(path, text.as_bytes())
}

/// A folder in which a version is being written; it goes when it is dropped
/// before it was published.
#[derive(Debug)]
pub struct Staging {
    pub(super) name: String,
    pub(super) run_id: RunId,
    path: PathBuf,
    published: bool,
}

impl Staging {
    pub(super) fn create(root: &Path, name: &str, run: &RunId) -> Result<Self, RegistryError> {
        let unique = uuid::Uuid::now_v7().simple();
        let path = root.join(STAGING_FOLDER).join(format!("{run}-{unique}"));
        fail_points::pass(Moment::Before, "stage a model");
        fs::create_dir_all(&path).map_err(durable::failed("create", &path))?;
        fail_points::pass(Moment::After, "stage a model");
        Ok(Self {
            name: name.to_owned(),
            run_id: run.clone(),
            path,
            published: false,
        })
    }

    /// The same folder, for a model that another run than the one that stages it trained.
    pub fn trained_by(mut self, run: &RunId) -> Self {
        self.run_id = run.clone();
        self
    }

    /// Where the trainer leaves its files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of all files in the folder.
    pub(super) fn size_bytes(&self) -> Result<u64, RegistryError> {
        folder_size(&self.path).map_err(durable::failed("read", &self.path))
    }

    /// Gives the folder the first free number from `first` on.
    pub(super) fn publish(mut self, model: &Path, first: i64) -> Result<i64, RegistryError> {
        fs::create_dir_all(model).map_err(durable::failed("create", model))?;
        let mut number = first;
        while !durable::publish_folder(&self.path, &model.join(number.to_string()))? {
            number += 1;
        }
        self.published = true;
        Ok(number)
    }

    /// Gives the folder a name outside of the registry; `false` when it is taken.
    pub(super) fn publish_as(mut self, folder: &Path) -> Result<bool, RegistryError> {
        let parent = folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(durable::failed("create", parent))?;
        self.published = durable::publish_folder(&self.path, folder)?;
        Ok(self.published)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.published && fs::remove_dir_all(&self.path).is_err() {
            tracing::debug!(path = %self.path.display(), "a staging folder stays behind");
        }
    }
}

/// Copies a model's files without those that the registry writes itself.
pub(super) fn copy_model(from: &Path, to: &Path) -> Result<(), RegistryError> {
    for path in durable::read_folder(from)? {
        let name = path.file_name().unwrap_or_default();
        if !path.is_file() || OWN_FILES.iter().any(|file| name == *file) {
            continue;
        }
        let target = to.join(name);
        fs::copy(&path, &target).map_err(durable::failed("write", &target))?;
    }
    Ok(())
}

fn folder_size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            folder_size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
