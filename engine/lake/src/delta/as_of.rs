//! A table as it was, in another lakehouse.

use std::{fs, path::Path};

use datafusion::object_store::path::Path as ObjectPath;

use super::failure::delta_error;
use super::read::blocking;
use crate::{
    error::LakeError,
    folder,
    lakehouse::{Lakehouse, log_version},
    linked::link_tree,
    name::TableName,
};

impl Lakehouse {
    /// Makes a table of `into` what this one's was at `version`: the same identity, the same
    /// history up to then. What `into` had in its place is gone. Data files are not copied but
    /// get a second name, unless they lie on another file system; they stay readable when they
    /// are vacuumed here.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`].
    pub async fn copy_table_as_of(
        &self,
        name: &TableName,
        version: u64,
        into: &Self,
    ) -> Result<(), LakeError> {
        let (from, to) = (self.table_path(name), into.table_path(name));
        into.remove_table(name).await?;
        blocking(move || {
            let log = from.join("_delta_log");
            let wanted = |entry: &Path| {
                let name = folder::name(entry).unwrap_or_default();
                match entry.parent() == Some(&log) && entry.is_file() {
                    // Later commits, and what points at the last checkpoint, stay behind.
                    true => log_version(&name).is_some_and(|found| found <= version),
                    false => !name.starts_with('.'),
                }
            };
            link_tree(&from, &to, &wanted)
                .map_err(|source| LakeError::Unwritable { path: to, source })
        })
        .await
    }

    /// Removes the folder of a table, if there is one.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`].
    pub async fn remove_table(&self, name: &TableName) -> Result<(), LakeError> {
        let path = self.table_path(name);
        blocking(move || match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| LakeError::Unwritable { path, source }),
        })
        .await
    }

    /// A data file of a version of a table that is not there any more, if one is: it was
    /// vacuumed.
    ///
    /// # Errors
    /// [`LakeError::UnknownVersion`] and what deltalake may say about a log that is damaged, or
    /// was cut.
    pub async fn missing_data_file(
        &self,
        name: &TableName,
        version: u64,
    ) -> Result<Option<String>, LakeError> {
        let Some(table) = self.open_delta(name, Some(version)).await? else {
            return Err(self.unknown_table(name));
        };
        let root = self.table_path(name);
        let failed = |error| delta_error(name, root.clone(), "read the table", error);
        let snapshot = table.snapshot().map_err(failed)?;
        let files: Vec<ObjectPath> = snapshot
            .log_data()
            .iter()
            .map(|file| file.object_store_path())
            .collect();
        let root = root.clone();
        blocking(move || {
            let gone = files.iter().map(ObjectPath::as_ref);
            let mut gone = gone.filter(|file| !root.join(file).is_file());
            Ok(gone.next().map(str::to_owned))
        })
        .await
    }
}
