//! Listing folders that need not be there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The entries of a folder, sorted; none when it is not there or is no folder.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The name of an entry, where it is UTF-8.
pub(crate) fn name(entry: &Path) -> Option<String> {
    entry.file_name()?.to_str().map(str::to_owned)
}
