//! Files and folders that are either there whole or not there at all, even
//! after a power cut: write aside, sync, rename, sync the folder.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::RegistryError;
use crate::fail_points::{self, Moment};
use crate::folder::entries;

/// Wraps what the operating system said.
pub(super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> RegistryError + use<> {
    let path = path.to_owned();
    move |source| RegistryError::Io {
        action,
        path,
        source,
    }
}

/// Writes a new file and syncs it. Its folder is synced by whoever publishes it.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

/// Writes a file under a name that it gets only when it is complete.
pub(super) fn publish_file(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let aside = folder.join(format!(".{}.tmp", Uuid::now_v7().simple()));
    write_file(&aside, bytes)?;
    let named = fail_points::try_pass(Moment::Before, "name a registry file")
        .and_then(|()| fs::rename(&aside, path));
    if named.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&aside);
    }
    named.map_err(failed("write", path))?;
    fail_points::pass(Moment::After, "name a registry file");
    sync_folder(folder)
}

/// Whether [`publish_file`] wrote this and did not get to naming it.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes what [`publish_file`] wrote into a folder and did not get to naming. Nobody may be
/// writing there.
pub(super) fn remove_unfinished(folder: &Path) -> Result<(), RegistryError> {
    for path in read_folder(folder)? {
        if is_unfinished(&path) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Gives a complete folder its name; `false` when the name is taken.
///
/// Everything in it is synced before it can be seen.
pub(super) fn publish_folder(aside: &Path, path: &Path) -> Result<bool, RegistryError> {
    // Where a rename could replace an empty folder, it shall not.
    if path.exists() {
        return Ok(false);
    }
    fail_points::pass(Moment::Before, "name a folder");
    match fs::rename(aside, path) {
        Ok(()) => fail_points::pass(Moment::After, "name a folder"),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(failed("write", path)(error)),
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(true)
}

/// Syncs all files and folders below `folder`, and itself.
pub(super) fn sync_tree(folder: &Path) -> Result<(), RegistryError> {
    for entry in read_folder(folder)? {
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            let sync = || File::open(&entry)?.sync_all();
            sync().map_err(failed("sync", &entry))?;
        }
    }
    sync_folder(folder)
}

/// The entries of a folder, sorted; none when it is not there.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    entries(folder).map_err(failed("read", folder))
}

/// Makes the names in a folder durable. Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> Result<(), RegistryError> {
    if cfg!(unix) {
        let sync = || File::open(folder)?.sync_all();
        sync().map_err(failed("sync", folder))?;
    }
    Ok(())
}
