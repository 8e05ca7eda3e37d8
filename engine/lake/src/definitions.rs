//! The definitions that runs ran: each content is stored once, by its hash.
//!
//! ```text
//! _sluice/definitions/<pipeline>/<BLAKE3>.json
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{fs, io};

use crate::{
    error::LakeError,
    fail_points::{self, Moment},
    folder,
    lakehouse::Lakehouse,
    name::check_pipeline,
    project::{remove_temporary, write_atomically},
};

impl Lakehouse {
    /// Keeps what a run of `pipeline` is going to run, and returns its BLAKE3 in hexadecimal.
    /// What is kept already costs one look. The caller holds the pipeline's lock.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when the file cannot be written.
    pub fn put_definitions(&self, pipeline: &str, content: &[u8]) -> Result<String, LakeError> {
        let hash = blake3::hash(content).to_hex().to_string();
        let path = self.definitions_path(pipeline, &hash)?;
        if path.is_file() {
            return Ok(hash);
        }
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
                // Nobody else is here: what a process left that ended early.
                remove_temporary(folder)?;
            }
            write_atomically(&path, content)
        };
        write().map_err(|source| LakeError::Unwritable {
            path: path.clone(),
            source,
        })?;
        Ok(hash)
    }

    /// What [`Lakehouse::put_definitions`] kept; `None` where it is gone.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`]; [`LakeError::Damaged`] when it is not what was kept.
    pub fn definitions(&self, pipeline: &str, hash: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let path = self.definitions_path(pipeline, hash)?;
        match fs::read(&path) {
            Ok(content) if blake3::hash(&content).to_hex().as_str() == hash => Ok(Some(content)),
            Ok(_) => Err(LakeError::Damaged {
                path,
                reason: "its content has another hash than its name says".to_owned(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LakeError::Unreadable { path, source }),
        }
    }

    /// Removes what [`Lakehouse::put_definitions`] kept of a pipeline, but for what is `named` by
    /// its hash. Returns how many files that were, and their bytes. The caller holds the
    /// pipeline's lock.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be removed.
    pub fn remove_definitions(
        &self,
        pipeline: &str,
        named: &BTreeSet<String>,
    ) -> Result<(u64, u64), LakeError> {
        check_pipeline(pipeline)?;
        let folder = self.sluice_path().join("definitions").join(pipeline);
        let mut removed = (0, 0);
        let mut all = || -> io::Result<()> {
            for path in folder::entries(&folder)? {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                let kept = path.extension().is_some_and(|found| found == "json");
                if !kept || stem.is_some_and(|hash| named.contains(hash)) {
                    continue;
                }
                fail_points::pass(Moment::Before, "remove old artifacts");
                removed = (removed.0 + 1, removed.1 + fs::metadata(&path)?.len());
                fs::remove_file(&path)?;
                fail_points::pass(Moment::After, "remove old artifacts");
            }
            Ok(())
        };
        let outcome = all();
        outcome.map_err(|source| LakeError::Unwritable {
            path: folder.clone(),
            source,
        })?;
        Ok(removed)
    }

    fn definitions_path(&self, pipeline: &str, hash: &str) -> Result<PathBuf, LakeError> {
        check_pipeline(pipeline)?;
        let folder = self.sluice_path().join("definitions").join(pipeline);
        Ok(folder.join(format!("{hash}.json")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_definitions_are_kept_once_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let one = lakehouse.put_definitions("wine", b"one").unwrap();
        assert_eq!(lakehouse.put_definitions("wine", b"one").unwrap(), one);
        let two = lakehouse.put_definitions("wine", b"two").unwrap();
        let kept = |hash: &str| lakehouse.definitions("wine", hash);
        assert_eq!(kept(&one).unwrap().unwrap(), b"one");
        assert_eq!(kept(&two).unwrap().unwrap(), b"two");
        assert_eq!(kept(&"0".repeat(64)).unwrap(), None);
        let files = fs::read_dir(folder.path().join("_sluice/definitions/wine")).unwrap();
        assert_eq!(files.count(), 2);
        let named = BTreeSet::from([one.clone()]);
        let remove = |pipeline: &str| lakehouse.remove_definitions(pipeline, &named).unwrap();
        assert_eq!((remove("wine"), remove("beer")), ((1, 3), (0, 0)));
        assert_eq!(kept(&two).unwrap(), None);
        assert_eq!(kept(&one).unwrap().unwrap(), b"one");
        let path = lakehouse.definitions_path("wine", &one).unwrap();
        fs::write(path, "another").unwrap();
        let error = kept(&one).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
}
