//! Second names for files: a copy of a folder that takes no room.

use std::{fs, io, path::Path};

use crate::folder;

/// Gives a file a second name; where the file system cannot, copies it. What has two names must
/// never be written in place: data files, log entries and models are not.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => fs::copy(from, to).map(drop),
    }
}

/// Links the files of a folder, at any depth, for which `wanted` says so. Files that are gone
/// before their turn are passed over.
pub(crate) fn link_tree(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in folder::entries(from)? {
        let Some(name) = entry.file_name() else {
            continue;
        };
        if !wanted(&entry) {
            continue;
        }
        let target = to.join(name);
        if entry.is_dir() {
            link_tree(&entry, &target, wanted)?;
            continue;
        }
        match link(&entry, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            linked => linked?,
        }
    }
    Ok(())
}
