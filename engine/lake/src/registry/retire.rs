//! Taking versions out of use: retiring keeps them and what was made with them, deleting
//! keeps only that they were there.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fail_points::{self, Moment};
use crate::state::now_ms;

use super::{
    ModelVersion, Registry, RegistryError, alias_log, durable, folder,
    folder::{RETIRED_FILE, STAGING_FOLDER},
    uri::check_name,
    version_at,
};

/// The folder of a model that holds a file for each version that was deleted: its number is
/// not used again.
pub(super) const DELETED_FOLDER: &str = "deleted";
/// What the names of deleted folders begin with that are not gone yet.
pub(super) const DELETED_PREFIX: &str = "deleted-";

/// That a version was retired or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Why, in words; may be empty.
    pub reason: String,
}

impl Registry {
    /// Retires a version: its files stay and its number can be applied, but no alias moves
    /// to it. Retiring it again changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::InUse`] when an alias names it, [`RegistryError::UnknownModel`] or
    /// [`RegistryError::UnknownVersion`] when there is no such version.
    pub async fn retire(
        &self,
        name: &str,
        version: i64,
        reason: &str,
    ) -> Result<ModelVersion, RegistryError> {
        let action = "retire a model version";
        let state = self.writable(action)?;
        self.known(name).await?;
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, name).await?;
        let (owned, reason) = (name.to_owned(), reason.to_owned());
        let retired = self
            .blocking(move |root| {
                let found = version_at(root, &owned, version)?;
                if found.retired.is_some() {
                    return Ok(found);
                }
                unnamed(&root.join(&owned), &owned, version, "retired")?;
                write_mark(&found.path.join(RETIRED_FILE), &reason)?;
                version_at(root, &owned, version)
            })
            .await?;
        state
            .put_version_status(tx.connection(), name, version, retired.status())
            .await?;
        state.commit(tx, action).await?;
        Ok(retired)
    }

    /// Deletes a version's files. Its number is not used again, and its row in the store stays
    /// with the status `DELETED`.
    ///
    /// # Errors
    /// [`RegistryError::InUse`] when an alias names it, or when the present rows of a table
    /// were made with it; [`RegistryError::UnknownModel`] or
    /// [`RegistryError::UnknownVersion`] when there is no such version.
    pub async fn delete(
        &self,
        name: &str,
        version: i64,
        reason: &str,
    ) -> Result<(), RegistryError> {
        let action = "delete a model version";
        let state = self.writable(action)?;
        self.known(name).await?;
        let mut tx = state.begin(action).await?;
        self.reconcile_model(state, &mut tx, name).await?;
        let tables = state.tables_made_with(name, version).await?;
        let (owned, reason) = (name.to_owned(), reason.to_owned());
        self.blocking(move |root| {
            let model = root.join(&owned);
            let found = version_at(root, &owned, version)?;
            unnamed(&model, &owned, version, "deleted")?;
            if !tables.is_empty() {
                return Err(RegistryError::InUse {
                    name: owned,
                    version,
                    wanted: "deleted",
                    by: format!("the rows of {} were made with it", tables.join(", ")),
                    advice: "make the table with another version first, or retire this one",
                });
            }
            let mark = model.join(DELETED_FOLDER).join(format!("{version}.json"));
            write_mark(&mark, &reason)?;
            // Out of sight at once, then gone: no process sees half a version.
            let aside = root.join(STAGING_FOLDER);
            fs::create_dir_all(&aside).map_err(durable::failed("create", &aside))?;
            let unique = Uuid::now_v7().simple();
            let aside = aside.join(format!("{DELETED_PREFIX}{unique}"));
            fs::rename(&found.path, &aside).map_err(durable::failed("remove", &found.path))?;
            fail_points::pass(Moment::Before, "remove a deleted version");
            match fs::remove_dir_all(&aside) {
                // A run that began just now tidies up, too.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(durable::failed("remove", &aside)(error));
                }
                _ => {}
            }
            fail_points::pass(Moment::After, "remove a deleted version");
            Ok(())
        })
        .await?;
        state
            .put_version_status(tx.connection(), name, version, "DELETED")
            .await?;
        state.commit(tx, action).await.map_err(RegistryError::from)
    }

    /// Checks that there is a model of this name.
    pub(super) async fn known(&self, name: &str) -> Result<(), RegistryError> {
        check_name("model", name)?;
        let name = name.to_owned();
        self.blocking(move |root| {
            let names = folder::model_names(root)?;
            if names.contains(&name) {
                return Ok(());
            }
            Err(RegistryError::UnknownModel {
                nearest: super::nearest_of(&name, &names),
                name,
                known: names,
            })
        })
        .await
    }
}

/// The numbers of versions that were deleted.
pub(super) fn deleted_numbers(model: &Path) -> Result<Vec<i64>, RegistryError> {
    let files = durable::read_folder(&model.join(DELETED_FOLDER))?;
    let numbers = files.iter().filter_map(|path| {
        path.file_name()?
            .to_str()?
            .strip_suffix(".json")?
            .parse()
            .ok()
    });
    Ok(numbers.collect())
}

/// The mark in a version's folder, if it is retired.
pub(super) fn retirement(version: &Path) -> Result<Option<Retirement>, RegistryError> {
    let path = version.join(RETIRED_FILE);
    match path.is_file() {
        true => folder::read_json(&path).map(Some),
        false => Ok(None),
    }
}

/// Checks that no alias names a version.
fn unnamed(
    model: &Path,
    name: &str,
    version: i64,
    wanted: &'static str,
) -> Result<(), RegistryError> {
    let aliases = alias_log::current(&alias_log::read_moves(model)?);
    let naming: Vec<String> = aliases
        .into_iter()
        .filter(|(_, named)| *named == version)
        .map(|(alias, _)| format!("@{alias}"))
        .collect();
    if naming.is_empty() {
        return Ok(());
    }
    Err(RegistryError::InUse {
        name: name.to_owned(),
        version,
        wanted,
        by: format!("{} names it", naming.join(", ")),
        advice: "move the alias to another version first",
    })
}

fn write_mark(path: &Path, reason: &str) -> Result<(), RegistryError> {
    let mark = Retirement {
        timestamp_ms: now_ms(),
        reason: reason.to_owned(),
    };
    let mut text = serde_json::to_string_pretty(&mark)
        .expect("a struct of a number and a string has a JSON form");
    text.push('\n');
    durable::publish_file(path, text.as_bytes())
}
