//! Files that runs leave behind: each content is stored once, by its hash, and a run's folder
//! links to it.
//!
//! ```text
//! _artifacts/<run_id>/leaderboard.csv     a hard link, or a copy where there are none
//! _artifacts/_objects/ab/ab12...          the content, by its BLAKE3
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::LakeError;
use crate::fail_points::{self, Moment};
use crate::folder;
use crate::lakehouse::Lakehouse;
use crate::project::write_atomically;
use crate::state::Artifact;

/// The folder of contents among those of runs, whose names are hexadecimal.
const OBJECTS_FOLDER: &str = "_objects";
/// Folders of a run that a later one takes over: a model, checkpoints.
const TAKEN_OVER: [&str; 2] = ["model", "checkpoints"];

impl Lakehouse {
    /// Keeps `content` as the artifact `path` (relative, with forward slashes) of a run, and
    /// returns its BLAKE3 in hexadecimal. An artifact of the same path is replaced.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be written.
    pub fn put_artifact(
        &self,
        run_id: &str,
        path: &str,
        content: &[u8],
    ) -> Result<String, LakeError> {
        let hash = blake3::hash(content).to_hex().to_string();
        let object = self.object_path(&hash);
        let named = self.artifacts_path(run_id).join(path);
        let keep = || {
            for file in [&object, &named] {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder)?;
                }
            }
            let replaced = match fs::read(&named) {
                Ok(content) => Some(blake3::hash(&content).to_hex().to_string()),
                Err(_) => None,
            };
            // What has a name is complete, so that no content is ever without a name.
            if !(object.is_file() && link(&object, &named)?) {
                write_atomically(&named, content)?;
                fail_points::pass(Moment::Before, "link an artifact");
                match fs::hard_link(&named, &object) {
                    // Somebody has kept the same meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(_) => write_atomically(&object, content)?,
                    Ok(()) => {}
                }
                fail_points::pass(Moment::After, "link an artifact");
            }
            match replaced.filter(|replaced| *replaced != hash) {
                Some(replaced) => remove_unnamed(&self.object_path(&replaced)),
                None => Ok(()),
            }
        };
        keep().map_err(|source| LakeError::Unwritable {
            path: named.clone(),
            source,
        })?;
        Ok(hash)
    }

    fn object_path(&self, hash: &str) -> PathBuf {
        let objects = self.artifacts_path(OBJECTS_FOLDER);
        objects.join(&hash[..2]).join(hash)
    }

    /// Removes what a run that ended early left among its artifacts and never recorded:
    /// `recorded` are the paths of the others. Models and checkpoints stay, which the next
    /// training takes over. Returns how many files are gone.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be removed.
    pub fn remove_unrecorded(
        &self,
        run_id: &str,
        recorded: &BTreeSet<String>,
    ) -> Result<usize, LakeError> {
        let folder = self.artifacts_path(run_id);
        let removed = self.remove_unrecorded_in(&folder, "", recorded);
        removed.map_err(|source| LakeError::Unwritable {
            path: folder,
            source,
        })
    }

    /// Those of a run's recorded artifacts whose content is another now: a process ended after it
    /// had replaced one and before it could record that. What is in the run's folder is whole;
    /// record it. Models and checkpoints are left alone.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be read or removed.
    pub fn replaced_artifacts(
        &self,
        run_id: &str,
        recorded: &[Artifact],
    ) -> Result<Vec<Artifact>, LakeError> {
        let folder = self.artifacts_path(run_id);
        let taken_over = |artifact: &&Artifact| {
            let first = artifact.path.split('/').next();
            first.is_some_and(|first| TAKEN_OVER.contains(&first))
        };
        let mut replaced = Vec::new();
        for artifact in recorded.iter().filter(|artifact| !taken_over(artifact)) {
            let named = folder.join(&artifact.path);
            let unwritable = |source| LakeError::Unwritable {
                path: named.clone(),
                source,
            };
            let content = match fs::read(&named) {
                Ok(content) => content,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unwritable(error)),
            };
            if blake3::hash(&content).to_hex().as_str() == artifact.hash {
                continue;
            }
            // Once more, since its content may have no name of its own yet.
            let hash = self.put_artifact(run_id, &artifact.path, &content)?;
            remove_unnamed(&self.object_path(&artifact.hash)).map_err(unwritable)?;
            replaced.push(Artifact {
                hash,
                bytes: content.len() as u64,
                ..artifact.clone()
            });
        }
        Ok(replaced)
    }

    /// Removes artifacts of a run: those of `paths`, or without them all that it left, models and
    /// checkpoints included. Those that are gone already are no error. Returns how many files are
    /// gone, and their size in bytes.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be removed.
    pub fn remove_artifacts(
        &self,
        run_id: &str,
        paths: Option<&[String]>,
    ) -> Result<(u64, u64), LakeError> {
        let folder = self.artifacts_path(run_id);
        let mut removed = (0, 0);
        let mut all = || -> io::Result<()> {
            fail_points::pass(Moment::Before, "remove old artifacts");
            match paths {
                None => self.remove_all_in(&folder, &mut removed)?,
                Some(paths) => {
                    for path in paths {
                        self.remove_one(&folder.join(path), &mut removed)?;
                    }
                    remove_empty(&folder)?;
                }
            }
            fail_points::pass(Moment::After, "remove old artifacts");
            Ok(())
        };
        match all() {
            Ok(()) => Ok(removed),
            Err(source) => Err(LakeError::Unwritable {
                path: folder,
                source,
            }),
        }
    }

    fn remove_all_in(&self, folder: &Path, removed: &mut (u64, u64)) -> io::Result<()> {
        for entry in folder::entries(folder)? {
            match entry.is_dir() {
                true => self.remove_all_in(&entry, removed)?,
                false => self.remove_one(&entry, removed)?,
            }
        }
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a file, and its content if nothing else has it.
    fn remove_one(&self, file: &Path, removed: &mut (u64, u64)) -> io::Result<()> {
        let metadata = match fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        // Only what has a second name has one among the contents.
        let object = match is_linked(&metadata) {
            true => {
                let hash = blake3::hash(&fs::read(file)?).to_hex().to_string();
                Some(self.object_path(&hash))
            }
            false => None,
        };
        fs::remove_file(file)?;
        *removed = (removed.0 + 1, removed.1 + metadata.len());
        match object {
            Some(object) => remove_unnamed(&object),
            None => Ok(()),
        }
    }

    fn remove_unrecorded_in(
        &self,
        folder: &Path,
        prefix: &str,
        recorded: &BTreeSet<String>,
    ) -> io::Result<usize> {
        let (mut removed, mut stay) = (0, 0);
        for entry in folder::entries(folder)? {
            let Some(name) = folder::name(&entry) else {
                stay += 1;
                continue;
            };
            let path = format!("{prefix}{name}");
            if entry.is_dir() {
                match prefix.is_empty() && TAKEN_OVER.contains(&name.as_str()) {
                    true => stay += 1,
                    false => {
                        removed +=
                            self.remove_unrecorded_in(&entry, &format!("{path}/"), recorded)?;
                        stay += usize::from(entry.exists());
                    }
                }
            } else if recorded.contains(&path) {
                stay += 1;
            } else {
                let hash = blake3::hash(&fs::read(&entry)?).to_hex().to_string();
                fs::remove_file(&entry)?;
                remove_unnamed(&self.object_path(&hash))?;
                removed += 1;
            }
        }
        if stay == 0 && folder.is_dir() {
            fs::remove_dir(folder)?;
        }
        Ok(removed)
    }
}

/// Gives a file a second name, in place of what goes by it; `false` where the file system knows
/// no such thing, or the file is not there any more.
fn link(object: &Path, named: &Path) -> io::Result<bool> {
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let beside = named.with_extension(format!("{unique}.tmp"));
    if fs::hard_link(object, &beside).is_err() {
        return Ok(false);
    }
    fs::rename(&beside, named)?;
    // Two names of one file: nothing was renamed.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Removes a folder, and those in it, as far as there is nothing in them.
fn remove_empty(folder: &Path) -> io::Result<()> {
    let mut stay = false;
    for entry in folder::entries(folder)? {
        if entry.is_dir() {
            remove_empty(&entry)?;
        }
        stay |= entry.exists();
    }
    match stay || !folder.is_dir() {
        true => Ok(()),
        false => fs::remove_dir(folder),
    }
}

/// Whether a file has another name.
#[cfg(unix)]
fn is_linked(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    metadata.nlink() > 1
}

/// Nobody tells.
#[cfg(not(unix))]
fn is_linked(_metadata: &fs::Metadata) -> bool {
    true
}

/// Removes a content that no run's folder names.
#[cfg(unix)]
fn remove_unnamed(object: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    match fs::metadata(object) {
        Ok(metadata) if metadata.nlink() == 1 => fs::remove_file(object),
        _ => Ok(()),
    }
}

/// Elsewhere nobody can tell.
#[cfg(not(unix))]
fn remove_unnamed(_object: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let put = |run, path, text: &str| lakehouse.put_artifact(run, path, text.as_bytes());
        let first = put("r1", "a.csv", "1,2").unwrap();
        assert_eq!(put("r2", "deep/b.csv", "1,2").unwrap(), first);
        let other = put("r2", "a.csv", "3,4").unwrap();
        assert_ne!(other, first);
        let read = |path: &str| fs::read_to_string(folder.path().join("_artifacts").join(path));
        assert_eq!(read("r1/a.csv").unwrap(), "1,2");
        assert_eq!(read("r2/deep/b.csv").unwrap(), "1,2");
        // An artifact that is replaced leaves the content of the others alone, and none behind.
        assert_eq!(put("r1", "a.csv", "3,4").unwrap(), other);
        assert_eq!(read("r1/a.csv").unwrap(), "3,4");
        assert_eq!(read("r2/deep/b.csv").unwrap(), "1,2");
        let objects = |prefix: &str| folder.path().join("_artifacts/_objects").join(prefix);
        for hash in [&first, &other] {
            assert!(objects(&hash[..2]).join(hash).is_file());
        }
    }

    #[test]
    fn what_was_never_recorded_goes_and_its_content_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let put = |run, path, text: &str| {
            let hash = lakehouse.put_artifact(run, path, text.as_bytes());
            lakehouse.object_path(&hash.unwrap())
        };
        let kept = put("r1", "a.csv", "kept");
        let shared = put("r1", "deep/b.csv", "shared");
        put("r2", "b.csv", "shared");
        let lost = put("r1", "deep/c.csv", "lost");
        put("r1", "checkpoints/state", "weights");
        let recorded = BTreeSet::from(["a.csv".to_owned()]);
        assert_eq!(lakehouse.remove_unrecorded("r1", &recorded).unwrap(), 2);
        let exists = |path: &str| lakehouse.artifacts_path("r1").join(path).exists();
        assert!(exists("a.csv") && exists("checkpoints/state") && !exists("deep"));
        assert!(kept.exists() && shared.exists());
        assert_eq!(lost.exists(), cfg!(not(unix)));
        assert_eq!(lakehouse.remove_unrecorded("none", &recorded).unwrap(), 0);
    }

    #[test]
    fn what_was_replaced_and_not_recorded_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let put = |path, text: &str| {
            let hash = lakehouse.put_artifact("r1", path, text.as_bytes()).unwrap();
            Artifact {
                path: path.to_owned(),
                hash,
                bytes: text.len() as u64,
            }
        };
        let recorded = [put("report.html", "before"), put("a.csv", "1,2")];
        let told = || lakehouse.replaced_artifacts("r1", &recorded).unwrap();
        assert_eq!(told(), []);
        // The process ended when the new page had its name, and its content had none.
        let named = lakehouse.artifacts_path("r1").join("report.html");
        write_atomically(&named, b"afterwards").unwrap();
        let after = told();
        assert_eq!(after, [put("report.html", "afterwards")]);
        assert!(lakehouse.object_path(&after[0].hash).exists());
        let old = lakehouse.object_path(&recorded[0].hash);
        assert_eq!(old.exists(), cfg!(not(unix)));
    }
}
