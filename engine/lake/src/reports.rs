//! Pages that reports write, at a place that stays the same:
//! `_reports/<pipeline>/<report>.html`.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::LakeError;
use crate::lakehouse::Lakehouse;
use crate::project::{remove_temporary, write_atomically};

impl Lakehouse {
    /// Where the page of a pipeline's report is, whether it exists or not.
    pub fn report_path(&self, pipeline: &str, report: &str) -> PathBuf {
        let folder = self.root().join("_reports").join(pipeline);
        folder.join(format!("{report}.html"))
    }

    /// The BLAKE3 of a report's page in hexadecimal; `None` when there is no page.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] when the page is there but cannot be read.
    pub fn report_hash(&self, pipeline: &str, report: &str) -> Result<Option<String>, LakeError> {
        let path = self.report_path(pipeline, report);
        match fs::read(&path) {
            Ok(page) => Ok(Some(blake3::hash(&page).to_hex().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LakeError::Unreadable { path, source }),
        }
    }

    /// Writes a report's page: who reads it sees the old one or the new one, whole.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when it cannot be written.
    pub fn write_report(
        &self,
        pipeline: &str,
        report: &str,
        page: &str,
    ) -> Result<PathBuf, LakeError> {
        let path = self.report_path(pipeline, report);
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            write_atomically(&path, page.as_bytes())
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(LakeError::Unwritable { path, source }),
        }
    }

    /// Removes pages of a pipeline that a process did not get to naming. Call it while holding
    /// the pipeline's lock.
    ///
    /// Blocks: call it where that is fine.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`] when a file cannot be removed.
    pub fn remove_unfinished_reports(&self, pipeline: &str) -> Result<(), LakeError> {
        let path = self.root().join("_reports").join(pipeline);
        remove_temporary(&path).map_err(|source| LakeError::Unwritable { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_replaced_and_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let lakehouse = Lakehouse::create(folder.path()).unwrap();
        let hash = || lakehouse.report_hash("wine", "profile").unwrap();
        assert_eq!(hash(), None);
        let path = lakehouse.write_report("wine", "profile", "one").unwrap();
        assert_eq!(path, folder.path().join("_reports/wine/profile.html"));
        let first = hash().unwrap();
        lakehouse.write_report("wine", "profile", "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_ne!(hash().unwrap(), first);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // Not taken for a layer of tables.
        assert_eq!(lakehouse.list_layers().unwrap(), Vec::<String>::new());
    }
}
