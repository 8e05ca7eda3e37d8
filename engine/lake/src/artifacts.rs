//! Files that runs leave behind: each content is stored once, by its hash, and a run's folder
//! links to it.
//!
//! ```text
//! _artifacts/<run_id>/leaderboard.csv     a hard link, or a copy where there are none
//! _artifacts/_objects/ab/ab12...          the content, by its BLAKE3
//! ```

use std::fs;
use std::io;
use std::path::Path;

use crate::error::LakeError;
use crate::lakehouse::Lakehouse;
use crate::project::write_atomically;

/// The folder of contents among those of runs, whose names are hexadecimal.
const OBJECTS_FOLDER: &str = "_objects";

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
        let objects = self.artifacts_path(OBJECTS_FOLDER).join(&hash[..2]);
        let object = objects.join(&hash);
        let named = self.artifacts_path(run_id).join(path);
        let keep = || {
            if !object.is_file() {
                fs::create_dir_all(&objects)?;
                write_atomically(&object, content)?;
            }
            if let Some(folder) = named.parent() {
                fs::create_dir_all(folder)?;
            }
            link(&object, &named)
        };
        keep().map_err(|source| LakeError::Unwritable {
            path: named.clone(),
            source,
        })?;
        Ok(hash)
    }
}

/// Gives a file a second name; where the file system knows no such thing, a copy.
fn link(object: &Path, named: &Path) -> io::Result<()> {
    match fs::remove_file(named) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(object, named) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(object, named).map(|_bytes| ()),
    }
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
        // An artifact that is replaced leaves the content of the others alone.
        assert_eq!(put("r1", "a.csv", "3,4").unwrap(), other);
        assert_eq!(read("r1/a.csv").unwrap(), "3,4");
        assert_eq!(read("r2/deep/b.csv").unwrap(), "1,2");
        let objects = |prefix: &str| folder.path().join("_artifacts/_objects").join(prefix);
        for hash in [&first, &other] {
            assert!(objects(&hash[..2]).join(hash).is_file());
        }
    }
}
