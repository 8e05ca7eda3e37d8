//! The registry as it was, in another folder: to make again what was made with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::linked::{link, link_tree};
use crate::state::RunId;

use super::{
    AliasDecision, AliasMove, Registry, RegistryError, alias_log,
    decision::DECISIONS_FOLDER,
    durable, folder,
    folder::{OWN_FILES, RETIRED_FILE},
    retire::{DELETED_FOLDER, Retirement},
};

impl Registry {
    /// Gives the registry `into`, which has nothing yet, the versions that were made before
    /// `time_ms` (milliseconds since 1970 UTC) and are still there. Files get a second name and
    /// take no room, unless `into` lies on another file system. Aliases stay behind.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a folder cannot be read or written.
    pub async fn copy_versions_before(
        &self,
        time_ms: i64,
        into: &Self,
    ) -> Result<(), RegistryError> {
        let to = into.root.clone();
        self.blocking(move |root| {
            for name in folder::model_names(root)? {
                let (from, to) = (root.join(&name), to.join(&name));
                for number in folder::version_numbers(&from)? {
                    let version = from.join(number.to_string());
                    match folder::read_version(&version) {
                        Ok((metadata, _)) if metadata.creation_time_ms < time_ms => {
                            copy_version(&version, &to.join(number.to_string()), time_ms)?;
                        }
                        Ok(_) => {}
                        Err(error) if error.is_damage() => {}
                        Err(error) => return Err(error),
                    }
                }
                // Numbers that are taken stay taken.
                let deleted = (from.join(DELETED_FOLDER), to.join(DELETED_FOLDER));
                if deleted.0.is_dir() {
                    link_tree(&deleted.0, &deleted.1, &|_| true)
                        .map_err(durable::failed("write", &deleted.1))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Gives the registry `into` one version, in place of what has its number there.
    ///
    /// # Errors
    /// [`RegistryError::UnknownVersion`], [`RegistryError::Io`].
    pub async fn copy_version(
        &self,
        name: &str,
        version: i64,
        into: &Self,
    ) -> Result<(), RegistryError> {
        let (to, name) = (into.root.clone(), name.to_owned());
        self.blocking(move |root| {
            let found = super::version_at(root, &name, version)?;
            let to = to.join(&name).join(version.to_string());
            if to.is_dir() {
                fs::remove_dir_all(&to).map_err(durable::failed("remove", &to))?;
            }
            copy_version(&found.path, &to, i64::MAX)
        })
        .await
    }

    /// Gives the registry `into` the moves of aliases that were made until `time_ms`
    /// (milliseconds since 1970 UTC), in place of those that it has.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a file cannot be read or written.
    pub async fn copy_moves_until(&self, time_ms: i64, into: &Self) -> Result<(), RegistryError> {
        let to = into.root.clone();
        self.blocking(move |root| {
            for name in folder::model_names(root)? {
                let model = to.join(&name);
                let aliases = model.join("aliases");
                if aliases.is_dir() {
                    fs::remove_dir_all(&aliases).map_err(durable::failed("remove", &aliases))?;
                }
                let moves = alias_log::read_moves(&root.join(&name))?.into_iter();
                for found in moves.filter(|found| found.timestamp_ms <= time_ms) {
                    alias_log::write_move(&model, &found)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes an alias name `version`, or none, whatever it names: the registry is a copy, and
    /// somebody else moved it in the original. The store is told of it with the next version.
    ///
    /// # Errors
    /// [`RegistryError::Io`] when a file cannot be read or written.
    pub async fn name_version(
        &self,
        name: &str,
        alias: &str,
        version: Option<i64>,
        run: &RunId,
    ) -> Result<(), RegistryError> {
        let (name, alias, run_id) = (name.to_owned(), alias.to_owned(), run.clone());
        self.blocking(move |root| {
            let model = root.join(&name);
            let moves = alias_log::read_moves(&model)?;
            let previous = alias_log::current(&moves).get(&alias).copied();
            if previous == version {
                return Ok(());
            }
            let last = moves.last();
            let forced = AliasMove {
                number: last.map_or(0, |last| last.number) + 1,
                name,
                alias,
                version,
                previous,
                timestamp_ms: last.map_or(0, |last| last.timestamp_ms),
                run_id,
                reason: "as it was".to_owned(),
            };
            alias_log::write_move(&model, &forced)
        })
        .await
    }
}

/// Copies a version, without what was decided about it from `time_ms` on.
fn copy_version(from: &Path, to: &Path, time_ms: i64) -> Result<(), RegistryError> {
    let decisions = from.join(DECISIONS_FOLDER);
    let later = |path: &Path| -> Result<bool, RegistryError> {
        if path.file_name().is_some_and(|name| name == RETIRED_FILE) {
            let retired: Retirement = folder::read_json(path)?;
            return Ok(retired.timestamp_ms >= time_ms);
        }
        Ok(path == decisions || durable::is_unfinished(path))
    };
    let wanted = |path: &Path| !later(path).unwrap_or(true);
    link_tree(from, to, &wanted).map_err(durable::failed("write", to))?;
    for path in durable::read_folder(&decisions)? {
        let decision: AliasDecision = match durable::is_unfinished(&path) {
            true => continue,
            false => folder::read_json(&path)?,
        };
        if decision.timestamp_ms < time_ms {
            let to = to.join(DECISIONS_FOLDER);
            fs::create_dir_all(&to).map_err(durable::failed("create", &to))?;
            let to = to.join(path.file_name().unwrap_or_default());
            link(&path, &to).map_err(durable::failed("write", &to))?;
        }
    }
    Ok(())
}

/// The files of a model as the trainer left them, by their names: BLAKE3 in hexadecimal. Without
/// those that the registry writes beside them, which tell of the run and the time.
///
/// Blocks: call it where that is fine.
///
/// # Errors
/// [`RegistryError::Io`] when a file cannot be read.
pub fn model_files(folder: &Path) -> Result<BTreeMap<String, String>, RegistryError> {
    let mut files = BTreeMap::new();
    for path in durable::read_folder(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !path.is_file() || OWN_FILES.contains(&name.as_ref()) || durable::is_unfinished(&path) {
            continue;
        }
        let mut hasher = blake3::Hasher::new();
        fs::File::open(&path)
            .and_then(|file| hasher.update_reader(file).map(drop))
            .map_err(durable::failed("read", &path))?;
        files.insert(name.into_owned(), hasher.finalize().to_hex().to_string());
    }
    Ok(files)
}
