//! The model registry: models, their versions and the aliases that name them.
//!
//! Start at [`Registry`]. The folders under `_models/` are the registry: a
//! version exists when its folder does, an alias names what its latest file
//! says. The state store mirrors them for the `system` tables, and
//! [`Registry::reconcile`] tells it again what it does not know, after a crash
//! between the two or after a lost store.

mod alias_log;
mod as_of;
mod decision;
mod durable;
mod error;
mod folder;
mod labels;
mod mlmodel;
mod reconcile;
mod retire;
mod signature;
mod tokenizer;
mod trained;
mod unalias;
mod unregistered;
mod uri;
mod write;

pub use alias_log::AliasMove;
pub use as_of::model_files;
pub use decision::AliasDecision;
pub use error::RegistryError;
pub use folder::Staging;
pub use labels::{LabelChange, Labels};
pub use mlmodel::ModelFormat;
pub use reconcile::Reconciled;
pub use retire::Retirement;
pub use signature::{ColumnType, Signature, SignatureColumn};
pub use tokenizer::TOKENIZER_FILE;
pub use trained::TrainedAs;
pub use unalias::RemoveAlias;
pub use unregistered::{KeptModel, MODEL_FOLDER};
pub use uri::{ModelUri, VersionSpec, check_name, moment_text};
pub use write::{AliasChange, MoveAlias, NewVersion};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    nearest::nearest,
    state::{RunId, State, now_ms},
};

/// A table at the version that a model saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableVersion {
    /// The table, `layer.table`.
    pub name: String,
    /// Its Delta version.
    pub version: i64,
    /// What identifies the rows that the learner saw of it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersion {
    /// The registered model.
    pub name: String,
    /// Its number, from 1.
    pub version: i64,
    /// The run that trained it.
    pub run_id: RunId,
    /// The project that registered it.
    pub project: String,
    /// The model asset that it was trained for.
    pub asset: String,
    /// The training's key: the same key was trained the same way on the same data.
    pub key: String,
    /// What was trained, without its data: the same spec and the same rows give the same model.
    pub spec: String,
    /// Milliseconds since 1970 UTC.
    pub creation_time_ms: i64,
    /// How it is stored, which also says what it is.
    pub format: ModelFormat,
    /// The tables that it saw.
    pub inputs: Vec<TableVersion>,
    /// Metrics by name; NaN where a value is not defined.
    pub metrics: BTreeMap<String, f64>,
    /// That it was retired, if it was: no alias moves to it.
    pub retired: Option<Retirement>,
    /// Its folder.
    pub path: PathBuf,
}

impl ModelVersion {
    /// `models:/name/3`
    pub fn uri(&self) -> ModelUri {
        ModelUri::number(&self.name, self.version)
    }

    /// `READY` or `RETIRED`.
    pub fn status(&self) -> &'static str {
        match self.retired {
            None => "READY",
            Some(_) => "RETIRED",
        }
    }
}

/// A model with the numbers of its versions and its aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// Lowest first.
    pub versions: Vec<i64>,
    /// The version that each alias names.
    pub aliases: BTreeMap<String, i64>,
}

/// The registry of one lakehouse, shared by cloning.
#[derive(Debug, Clone)]
pub struct Registry {
    root: Arc<Path>,
    state: Option<State>,
}

impl Registry {
    /// The registry in the folder `models`, which need not be there.
    ///
    /// Without a store that can be written, only reading works. A process that
    /// writes calls [`Registry::reconcile`] first.
    pub fn new(models: impl Into<PathBuf>, state: Option<State>) -> Self {
        Self {
            root: models.into().into(),
            state,
        }
    }

    /// The folder that holds the models.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The version that an address names, now.
    ///
    /// # Errors
    /// [`RegistryError::UnknownModel`], [`RegistryError::UnknownAlias`] or
    /// [`RegistryError::UnknownVersion`], with what there is instead.
    pub async fn resolve(&self, uri: &ModelUri) -> Result<ModelVersion, RegistryError> {
        let uri = uri.clone();
        self.blocking(move |root| {
            let names = folder::model_names(root)?;
            if !names.contains(&uri.name) {
                return Err(RegistryError::UnknownModel {
                    nearest: nearest_of(&uri.name, &names),
                    name: uri.name,
                    known: names,
                });
            }
            let version = match uri.version {
                VersionSpec::Number(version) => version,
                VersionSpec::Latest => last_of(root, &uri.name, &names)?,
                VersionSpec::Alias(alias) => named_by(&root.join(&uri.name), &uri.name, alias)?,
                VersionSpec::AliasAsOf { alias, time_ms } => {
                    named_then(&root.join(&uri.name), &uri.name, alias, time_ms)?
                }
            };
            version_at(root, &uri.name, version)
        })
        .await
    }

    /// The version that an alias names; `None` when there is no such model or alias.
    pub async fn champion(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<Option<ModelVersion>, RegistryError> {
        match self.resolve(&ModelUri::alias(name, alias)).await {
            Ok(version) => Ok(Some(version)),
            Err(RegistryError::UnknownModel { .. } | RegistryError::UnknownAlias { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All models, by name.
    pub async fn list(&self) -> Result<Vec<RegisteredModel>, RegistryError> {
        self.blocking(|root| {
            folder::model_names(root)?
                .into_iter()
                .map(|name| {
                    let model = root.join(&name);
                    Ok(RegisteredModel {
                        versions: folder::version_numbers(&model)?,
                        aliases: alias_log::current(&alias_log::read_moves(&model)?),
                        name,
                    })
                })
                .collect()
        })
        .await
    }

    /// The versions of a model, lowest first; none when there is no such model.
    pub async fn versions(&self, name: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        check_name("model", name)?;
        let name = name.to_owned();
        self.blocking(move |root| {
            folder::version_numbers(&root.join(&name))?
                .into_iter()
                .map(|version| version_at(root, &name, version))
                .collect()
        })
        .await
    }

    /// The moves of a model's aliases, first to last.
    pub async fn alias_history(&self, name: &str) -> Result<Vec<AliasMove>, RegistryError> {
        check_name("model", name)?;
        let name = name.to_owned();
        self.blocking(move |root| alias_log::read_moves(&root.join(name)))
            .await
    }

    /// Copies the files that the trainer left of a model into a staged folder: all but those
    /// that the registry adds itself.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a file cannot be read or written.
    pub async fn copy_model(&self, from: &Path, to: &Staging) -> Result<(), RegistryError> {
        let (from, to) = (from.to_owned(), to.path().to_owned());
        self.blocking(move |_| folder::copy_model(&from, &to)).await
    }

    /// Runs file work where it does not hold up the runtime.
    async fn blocking<T, F>(&self, work: F) -> Result<T, RegistryError>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> Result<T, RegistryError> + Send + 'static,
    {
        let root = Arc::clone(&self.root);
        match tokio::task::spawn_blocking(move || work(&root)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(RegistryError::Io {
                    action: "read or write",
                    path: self.root.to_path_buf(),
                    source: std::io::Error::other(error),
                }),
            },
        }
    }

    /// The store, when it can be written.
    fn writable(&self, action: &'static str) -> Result<&State, RegistryError> {
        self.state
            .as_ref()
            .filter(|state| state.is_writable())
            .ok_or(RegistryError::ReadOnly { action })
    }
}

/// The highest number of a model's versions.
fn last_of(root: &Path, name: &str, names: &[String]) -> Result<i64, RegistryError> {
    let numbers = folder::version_numbers(&root.join(name))?;
    // All versions of a model may have been deleted.
    numbers
        .last()
        .copied()
        .ok_or_else(|| RegistryError::UnknownModel {
            name: name.to_owned(),
            nearest: None,
            known: names
                .iter()
                .filter(|other| *other != name)
                .cloned()
                .collect(),
        })
}

fn named_by(model: &Path, name: &str, alias: String) -> Result<i64, RegistryError> {
    let aliases = alias_log::current(&alias_log::read_moves(model)?);
    aliases.get(&alias).copied().ok_or_else(|| {
        let known: Vec<String> = aliases.into_keys().collect();
        RegistryError::UnknownAlias {
            name: name.to_owned(),
            nearest: nearest_of(&alias, &known),
            alias,
            known,
        }
    })
}

/// The version that an alias named at a moment.
fn named_then(model: &Path, name: &str, alias: String, time_ms: i64) -> Result<i64, RegistryError> {
    let name = name.to_owned();
    if time_ms > now_ms() {
        return Err(RegistryError::Future {
            name,
            alias,
            time_ms,
        });
    }
    let moves = alias_log::read_moves(model)?;
    let mut moves = moves.iter().filter(|found| found.alias == alias).peekable();
    let Some(first_ms) = moves.peek().map(|first| first.timestamp_ms) else {
        // It tells what aliases there are.
        return named_by(model, &name, alias);
    };
    let then = moves.rfind(|found| found.timestamp_ms <= time_ms);
    let removed_ms = then.map(|found| found.timestamp_ms);
    then.and_then(|found| found.version)
        .ok_or(RegistryError::NoVersionThen {
            name,
            alias,
            time_ms,
            first_ms,
            removed_ms,
        })
}

fn version_at(root: &Path, name: &str, version: i64) -> Result<ModelVersion, RegistryError> {
    let model = root.join(name);
    let path = model.join(version.to_string());
    if version < 1 || !path.is_dir() {
        return Err(RegistryError::UnknownVersion {
            name: name.to_owned(),
            version,
            known: folder::version_numbers(&model)?,
        });
    }
    let (metadata, metrics) = folder::read_version(&path)?;
    Ok(ModelVersion {
        name: name.to_owned(),
        version,
        run_id: metadata.run_id,
        project: metadata.project,
        asset: metadata.asset,
        key: metadata.key,
        spec: metadata.spec,
        creation_time_ms: metadata.creation_time_ms,
        format: metadata.format,
        inputs: metadata.inputs,
        metrics: metrics
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or(f64::NAN)))
            .collect(),
        retired: retire::retirement(&path)?,
        path,
    })
}

fn nearest_of(name: &str, known: &[String]) -> Option<String> {
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}
