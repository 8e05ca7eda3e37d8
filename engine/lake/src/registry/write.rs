//! New versions and moves of aliases: the folder or file first, then the store.

use std::{collections::BTreeMap, path::Path};

use uuid::Uuid;

use crate::state::{RunId, now_ms};

use super::{
    ModelVersion, Registry, RegistryError, Staging, TableVersion, alias_log,
    alias_log::AliasMove,
    check_name, durable, folder,
    folder::{METADATA_FILE, METRICS_FILE, MLMODEL_FILE, Metadata},
    mlmodel::{ModelFormat, mlmodel_text},
    named_by, reconcile, retire,
    signature::Signature,
    version_at,
};

/// A version that is to be registered; its files are in a [`Staging`] folder.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion {
    /// The project's UUID.
    pub project: String,
    /// The model asset that was trained.
    pub asset: String,
    /// The training's key: hash of what is trained, on which data, from which seed.
    pub key: String,
    /// What is trained, without its data.
    pub spec: String,
    /// How the model is stored.
    pub format: ModelFormat,
    /// What goes in and what comes out.
    pub signature: Signature,
    /// Metrics by name, such as `test.auc`; NaN is stored as null.
    pub metrics: BTreeMap<String, f64>,
    /// The tables that it saw.
    pub inputs: Vec<TableVersion>,
}

/// A move of an alias that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveAlias {
    /// The registered model.
    pub name: String,
    /// The alias.
    pub alias: String,
    /// The version that it shall name.
    pub version: i64,
    /// The version that it must name now for the move to be right, which is the
    /// champion that was compared with; `None`: none. Left out: no matter.
    pub expected: Option<Option<i64>>,
    /// The run that moves it.
    pub run_id: RunId,
    /// Why, in words.
    pub reason: String,
}

/// What became of a [`MoveAlias`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasChange {
    /// The alias names the version from now on.
    Moved(AliasMove),
    /// The alias named that version already: nothing was written.
    Unchanged,
}

impl Registry {
    /// A folder for the files of a new version of the model `name`, which need
    /// not exist. It goes away unless [`Registry::create_version`] takes it.
    ///
    /// # Errors
    /// [`RegistryError::InvalidName`], [`RegistryError::NameClash`], or
    /// [`RegistryError::Io`] when the lakehouse cannot be written.
    pub async fn stage(&self, name: &str, run: &RunId) -> Result<Staging, RegistryError> {
        check_name("model", name)?;
        self.writable("stage a model")?;
        let (name, run) = (name.to_owned(), run.clone());
        self.blocking(move |root| {
            let clash = folder::model_names(root)?
                .into_iter()
                .find(|existing| *existing != name && existing.eq_ignore_ascii_case(&name));
            match clash {
                Some(existing) => Err(RegistryError::NameClash { name, existing }),
                None => Staging::create(root, &name, &run),
            }
        })
        .await
    }

    /// Makes a staged folder the model's next version: adds `MLmodel`,
    /// `metadata.json` and `metrics.json`, syncs it, gives it its number, and
    /// records it. Numbers start at 1, leave no gap and are never used twice.
    ///
    /// # Errors
    /// [`RegistryError::MissingFile`] when the trainer left out a file that the
    /// format needs. Nothing stays behind then.
    pub async fn create_version(
        &self,
        staging: Staging,
        new: NewVersion,
    ) -> Result<ModelVersion, RegistryError> {
        let action = "register a model version";
        let state = self.writable(action)?;
        let staging = self
            .blocking(move |_| complete(&staging, &new).map(|()| staging))
            .await?;
        let name = staging.name.clone();
        // The store's write lock also keeps other processes from taking the number.
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, &name).await?;
        let known = state.last_version(tx.connection(), &name).await?;
        let version = self
            .blocking(move |root| {
                let model = root.join(&staging.name);
                let first = known.max(highest_known(&model)?) + 1;
                let name = staging.name.clone();
                let number = staging.publish(&model, first)?;
                version_at(root, &name, number)
            })
            .await?;
        state
            .put_version(tx.connection(), &reconcile::version_row(&version))
            .await?;
        state.commit(tx, action).await?;
        Ok(version)
    }

    /// Moves an alias; an alias that names the version already stays.
    ///
    /// # Errors
    /// [`RegistryError::UnknownVersion`] when there is no such version,
    /// [`RegistryError::AliasMoved`] when the alias does not name the expected one.
    pub async fn set_alias(&self, request: MoveAlias) -> Result<AliasChange, RegistryError> {
        let action = "move an alias";
        check_name("model", &request.name)?;
        check_name("alias", &request.alias)?;
        let state = self.writable(action)?;
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, &request.name).await?;
        let known = state.last_move(tx.connection(), &request.name).await?;
        let change = self
            .blocking(move |root| append_move(root, request, known))
            .await?;
        if let AliasChange::Moved(alias_move) = &change {
            state
                .put_move(tx.connection(), &reconcile::move_row(alias_move))
                .await?;
        }
        state.commit(tx, action).await?;
        Ok(change)
    }
}

/// Adds what the registry writes to what the trainer left, and syncs all of it.
pub(super) fn complete(staging: &Staging, new: &NewVersion) -> Result<(), RegistryError> {
    let folder = staging.path();
    for file in new.format.required_files() {
        let path = folder.join(file);
        if !path.is_file() {
            return Err(RegistryError::MissingFile {
                name: staging.name.clone(),
                path,
            });
        }
    }
    let creation_time_ms = now_ms();
    let mlmodel = mlmodel_text(
        new.format,
        &staging.run_id,
        Uuid::now_v7(),
        creation_time_ms,
        staging.size_bytes()?,
        &new.signature,
    );
    let metrics: folder::Metrics = new
        .metrics
        .iter()
        .map(|(key, value)| (key.clone(), value.is_finite().then_some(*value)))
        .collect();
    let metadata = Metadata {
        name: staging.name.clone(),
        run_id: staging.run_id.clone(),
        project: new.project.clone(),
        asset: new.asset.clone(),
        key: new.key.clone(),
        spec: new.spec.clone(),
        creation_time_ms,
        format: new.format,
        inputs: new.inputs.clone(),
    };
    durable::write_file(&folder.join(MLMODEL_FILE), mlmodel.as_bytes())?;
    folder::write_json(&folder.join(METRICS_FILE), &metrics)?;
    folder::write_json(&folder.join(METADATA_FILE), &metadata)?;
    durable::sync_tree(folder)
}

/// The highest version number that a model's files tell of: an alias may have
/// named a version whose folder somebody removed.
fn highest_known(model: &Path) -> Result<i64, RegistryError> {
    let folders = folder::version_numbers(model)?;
    let moves = alias_log::read_moves(model)?;
    let named = moves.iter().filter_map(|alias_move| alias_move.version);
    let deleted = retire::deleted_numbers(model)?;
    let numbers = folders.into_iter().chain(named).chain(deleted);
    Ok(numbers.max().unwrap_or(0))
}

fn append_move(
    root: &Path,
    request: MoveAlias,
    known_moves: i64,
) -> Result<AliasChange, RegistryError> {
    let model = root.join(&request.name);
    let version = version_at(root, &request.name, request.version)?;
    let previous = match named_by(&model, &request.name, request.alias.clone()) {
        Ok(version) => Some(version),
        Err(RegistryError::UnknownAlias { .. }) => None,
        Err(error) => return Err(error),
    };
    if previous == Some(request.version) {
        return Ok(AliasChange::Unchanged);
    }
    if version.retired.is_some() {
        return Err(RegistryError::Retired {
            name: request.name,
            version: request.version,
        });
    }
    if let Some(expected) = request.expected.filter(|&expected| expected != previous) {
        return Err(RegistryError::AliasMoved {
            name: request.name,
            alias: request.alias,
            expected,
            found: previous,
        });
    }
    let moves = alias_log::read_moves(&model)?;
    let last = moves.last().map_or(0, |alias_move| alias_move.number);
    let alias_move = AliasMove {
        number: known_moves.max(last) + 1,
        name: request.name,
        alias: request.alias,
        version: Some(request.version),
        previous,
        timestamp_ms: now_ms(),
        run_id: request.run_id,
        reason: request.reason,
    };
    alias_log::write_move(&model, &alias_move)?;
    Ok(AliasChange::Moved(alias_move))
}
