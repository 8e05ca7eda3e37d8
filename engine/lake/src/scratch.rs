//! Folders in which a run is made again, and that are gone when that is done.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{error::LakeError, folder, lakehouse::Lakehouse};

/// A folder that is removed when this is dropped. One whose process ended early is removed by
/// the next that makes one.
#[derive(Debug)]
pub struct ScratchFolder {
    path: PathBuf,
    /// Its lock says that somebody is at work in the folder; the end of the process frees it.
    lock: Option<File>,
    lock_path: PathBuf,
    stays: bool,
}

impl ScratchFolder {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is.
    pub fn keep(mut self) {
        self.stays = true;
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Best effort: what stays is removed by the next.
        if self.stays {
            // A folder without one belongs to whoever keeps it.
            let _ = fs::remove_file(&self.lock_path);
            return;
        }
        let removed = remove(&self.path);
        drop(self.lock.take());
        if removed.is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

impl Lakehouse {
    /// Makes an empty folder in the lakehouse, on its file system, and removes those that
    /// processes left which ended early.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`].
    pub fn scratch_folder(&self) -> Result<ScratchFolder, LakeError> {
        let all = self.sluice_path().join("replay");
        let unwritable = |source| LakeError::Unwritable {
            path: all.clone(),
            source,
        };
        fs::create_dir_all(&all).map_err(unwritable)?;
        remove_left(&all).map_err(unwritable)?;
        let name = uuid::Uuid::now_v7().simple().to_string();
        let (path, lock_path) = (all.join(&name), all.join(format!("{name}.lock")));
        let lock = File::create_new(&lock_path).map_err(unwritable)?;
        lock.lock().map_err(unwritable)?;
        fs::create_dir(&path).map_err(unwritable)?;
        Ok(ScratchFolder {
            path,
            lock: Some(lock),
            lock_path,
            stays: false,
        })
    }
}

/// Removes the folders in which nobody is at work.
fn remove_left(all: &Path) -> io::Result<()> {
    for lock_path in folder::entries(all)? {
        if lock_path.extension().is_none_or(|kind| kind != "lock") {
            continue;
        }
        let lock = match File::open(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if lock.try_lock().is_err() {
            continue;
        }
        let path = lock_path.with_extension("");
        // Whoever made the lock makes the folder next.
        if path.is_dir() {
            remove(&path)?;
            fs::remove_file(&lock_path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lives_as_long_as_somebody_is_at_work_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let one = lakehouse.scratch_folder().unwrap();
        fs::write(one.path().join("a"), "a").unwrap();
        let all = lakehouse.sluice_path().join("replay");
        // What a process left that ended early: nobody holds its lock.
        fs::create_dir(all.join("left")).unwrap();
        fs::write(all.join("left.lock"), "").unwrap();
        let two = lakehouse.scratch_folder().unwrap();
        assert!(one.path().join("a").is_file() && two.path().is_dir());
        assert!(!all.join("left").exists() && !all.join("left.lock").exists());
        drop((one, two));
        assert_eq!(fs::read_dir(&all).unwrap().count(), 0);
    }
}
