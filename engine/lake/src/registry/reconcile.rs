//! Telling the state store what the folders say: versions and moves that it
//! does not know, after a crash or a lost store.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::state::{
    RunId, RunStatus, State, WriteTx,
    registered::{LabelsRow, MoveRow, VersionRow},
};

use super::{
    AliasMove, ModelVersion, Registry, RegistryError, alias_log,
    decision::DECISIONS_FOLDER,
    durable, folder,
    folder::STAGING_FOLDER,
    labels,
    retire::{DELETED_FOLDER, DELETED_PREFIX, deleted_numbers},
    version_at,
};

/// A staging folder of a run that the store does not know is left alone for so
/// long: another process may still be writing it.
const STAGING_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the store was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Versions whose folders were there already.
    pub versions: usize,
    /// Moves of aliases whose files were there already.
    pub moves: usize,
    /// Folders of versions that were never completed, and are gone now.
    pub removed: usize,
    /// Folders that have a version's number and cannot be read as one. They are
    /// left alone, and their numbers stay taken.
    pub damaged: Vec<PathBuf>,
}

impl Registry {
    /// Tells the store all versions and moves of aliases that it does not know,
    /// and removes what ended runs left unfinished.
    ///
    /// Call it once in a process that writes, after
    /// [`State::recover_runs`](crate::state::State::recover_runs).
    pub async fn reconcile(&self) -> Result<Reconciled, RegistryError> {
        let action = "reconcile the registry";
        let state = self.writable(action)?;
        let mut all = Reconciled {
            removed: self.remove_unfinished(state).await?,
            ..Reconciled::default()
        };
        for name in self.blocking(folder::model_names).await? {
            let mut tx = state.begin(action).await?;
            let one = self.reconcile_model(state, &mut tx, &name).await?;
            state.commit(tx, action).await?;
            all.versions += one.versions;
            all.moves += one.moves;
            all.damaged.extend(one.damaged);
        }
        Ok(all)
    }

    pub(super) async fn reconcile_model(
        &self,
        state: &State,
        tx: &mut WriteTx,
        name: &str,
    ) -> Result<Reconciled, RegistryError> {
        let versions = state.known_versions(tx.connection(), name).await?;
        let moves = state.known_moves(tx.connection(), name).await?;
        let owned = name.to_owned();
        let news = self
            .blocking(move |root| news(root, &owned, &versions, &moves))
            .await?;
        for version in &news.versions {
            state
                .put_version(tx.connection(), &version_row(version))
                .await?;
        }
        for number in &news.deleted {
            state
                .put_version_status(tx.connection(), name, *number, "DELETED")
                .await?;
        }
        for alias_move in &news.moves {
            state
                .put_move(tx.connection(), &move_row(alias_move))
                .await?;
        }
        for labels in &news.labels {
            state.put_labels(tx.connection(), labels).await?;
        }
        Ok(Reconciled {
            versions: news.versions.len(),
            moves: news.moves.len(),
            removed: 0,
            damaged: news.damaged,
        })
    }

    /// Removes staging folders of runs that have ended.
    async fn remove_unfinished(&self, state: &State) -> Result<usize, RegistryError> {
        let folders = self
            .blocking(|root| durable::read_folder(&root.join(STAGING_FOLDER)))
            .await?;
        let mut removed = 0;
        for path in folders {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let run = RunId::from(name.split('-').next().unwrap_or_default());
            let ended = match state.run(&run).await? {
                Some(run) => run.status != RunStatus::Running,
                None => name.starts_with(DELETED_PREFIX) || is_old(&path),
            };
            if ended && self.blocking(move |_| remove(path)).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// What a model's folder has and the store does not know.
struct News {
    versions: Vec<ModelVersion>,
    moves: Vec<AliasMove>,
    /// All that there are: they are few, and a change leaves no number to tell it by.
    labels: Vec<LabelsRow>,
    /// Versions that the store knows and that were deleted: a process may have ended before it
    /// could tell.
    deleted: Vec<i64>,
    damaged: Vec<PathBuf>,
}

/// Finds it, given the numbers that the store knows. The caller holds the
/// store's write lock, so nobody is in the middle of writing here.
fn news(root: &Path, name: &str, versions: &[i64], moves: &[i64]) -> Result<News, RegistryError> {
    let model = root.join(name);
    durable::remove_unfinished(&model)?;
    durable::remove_unfinished(&model.join("aliases"))?;
    durable::remove_unfinished(&model.join(DELETED_FOLDER))?;
    let versions: BTreeSet<&i64> = versions.iter().collect();
    let moves: BTreeSet<&i64> = moves.iter().collect();
    let mut news = News {
        versions: Vec::new(),
        moves: alias_log::read_moves(&model)?,
        labels: Vec::new(),
        deleted: deleted_numbers(&model)?,
        damaged: Vec::new(),
    };
    news.deleted
        .retain(|number| versions.contains(number) && !model.join(number.to_string()).exists());
    news.labels.extend(labels::row(&model, name, None)?);
    news.moves
        .retain(|alias_move| !moves.contains(&alias_move.number));
    for number in folder::version_numbers(&model)? {
        let version = model.join(number.to_string());
        durable::remove_unfinished(&version)?;
        durable::remove_unfinished(&version.join(DECISIONS_FOLDER))?;
        news.labels.extend(labels::row(&model, name, Some(number))?);
        if versions.contains(&number) {
            continue;
        }
        match version_at(root, name, number) {
            Ok(version) => news.versions.push(version),
            Err(error) if error.is_damage() => news.damaged.push(model.join(number.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(news)
}

fn is_old(path: &Path) -> bool {
    let age = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map(|modified| modified.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > STAGING_GRACE)
}

fn remove(path: PathBuf) -> Result<bool, RegistryError> {
    match fs::remove_dir_all(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(durable::failed("remove", &path)(error)),
    }
}

pub(super) fn version_row(version: &ModelVersion) -> VersionRow {
    VersionRow {
        name: version.name.clone(),
        version: version.version,
        run_id: version.run_id.to_string(),
        creation_time_ms: version.creation_time_ms,
        status: version.status(),
        source: format!("_models/{}/{}", version.name, version.version),
        project: version.project.clone(),
        asset: version.asset.clone(),
        key: version.key.clone(),
        metrics: version
            .metrics
            .iter()
            .map(|(key, value)| (key.clone(), value.is_finite().then_some(*value)))
            .collect(),
    }
}

pub(super) fn move_row(alias_move: &AliasMove) -> MoveRow {
    MoveRow {
        name: alias_move.name.clone(),
        number: alias_move.number,
        alias: alias_move.alias.clone(),
        version: alias_move.version,
        previous: alias_move.previous,
        timestamp_ms: alias_move.timestamp_ms,
        run_id: alias_move.run_id.to_string(),
        reason: alias_move.reason.clone(),
    }
}
