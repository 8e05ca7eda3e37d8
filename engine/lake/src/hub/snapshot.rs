//! Contents become a model: a folder of links that is there whole or not at all, and the name
//! of the revision that leads to it; and copies of it elsewhere.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::cache::{HubCache, Snapshot};
use super::checksum::Checker;
use super::listing::RemoteFile;
use super::reference::is_commit;
use super::{HubError, HubReference};

/// What is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

impl HubCache {
    /// Makes the folder of a commit, of contents that are all there, then lets the revision
    /// name it.
    pub(super) fn publish(
        &self,
        reference: &HubReference,
        commit: &str,
        files: &[RemoteFile],
    ) -> Result<Snapshot, HubError> {
        let folder = self.snapshot_path(reference, commit);
        let blobs = self.blobs_path(reference);
        if !folder.exists() {
            let draft = folder.with_file_name(format!(".{}", Uuid::now_v7().simple()));
            let made = link_all(&blobs, &draft, files).and_then(|()| {
                match fs::rename(&draft, &folder) {
                    // Somebody else was faster.
                    Err(_) if folder.is_dir() => link_all(&blobs, &folder, files),
                    renamed => renamed.map_err(HubError::io("write", &folder)),
                }
            });
            // Best effort: it is gone already unless something failed.
            let _ = fs::remove_dir_all(&draft);
            made?;
        } else {
            // Parts of the model were pulled before.
            link_all(&blobs, &folder, files)?;
        }
        if !is_commit(reference.revision()) {
            let path = self.ref_path(reference);
            let draft = self
                .model_path(reference)
                .join(format!(".{}", Uuid::now_v7().simple()));
            write_whole(&draft, &path, commit).map_err(HubError::io("write", &path))?;
        }
        Ok(Snapshot {
            reference: reference.clone(),
            commit: commit.to_owned(),
            folder,
        })
    }

    pub(super) fn blobs_path(&self, reference: &HubReference) -> PathBuf {
        self.model_path(reference).join("blobs")
    }
}

fn write_whole(draft: &Path, path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create_new(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// Gives each file its name in `folder`; what is there already is replaced.
fn link_all(blobs: &Path, folder: &Path, files: &[RemoteFile]) -> Result<(), HubError> {
    for file in files {
        let path = folder.join(&file.name);
        let link = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let depth = file.name.split('/').count();
            let draft = path.with_file_name(format!(".{}", Uuid::now_v7().simple()));
            link(blobs, &file.etag, depth, &draft)?;
            fs::rename(&draft, &path)
        };
        link().map_err(HubError::io("write", &path))?;
    }
    Ok(())
}

/// A relative link, as Python's, so that the cache can be moved; a copy where there are no
/// links. `depth` is the number of folders between the link and the model's `snapshots`.
fn link(blobs: &Path, etag: &str, depth: usize, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let up = "../".repeat(depth + 1);
        let linked = std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), path);
        if linked.is_ok() {
            return Ok(());
        }
    }
    #[cfg(not(unix))]
    let _depth = depth;
    fs::copy(blobs.join(etag), path).map(|_bytes| ())
}

/// Checks that nothing in `folder` is in the way of the files, so that this is told before
/// anything is downloaded.
pub(super) fn check_copy(files: &[RemoteFile], folder: &Path) -> Result<(), HubError> {
    if !folder.exists() {
        return Ok(());
    }
    let in_the_way = |path: &Path| HubError::InTheWay {
        path: path.to_owned(),
    };
    if !folder.is_dir() {
        return Err(in_the_way(folder));
    }
    for file in files {
        let path = folder.join(&file.name);
        if path.exists() && !is_same(&path, file).map_err(HubError::io("read", &path))? {
            return Err(in_the_way(&path));
        }
    }
    Ok(())
}

/// Whether a file has the content that the hub's has.
fn is_same(path: &Path, file: &RemoteFile) -> io::Result<bool> {
    let there = fs::metadata(path)?;
    if !there.is_file() || there.len() != file.bytes || file.checksum.is_none() {
        return Ok(false);
    }
    let mut checker = Checker::new(file.checksum.clone(), file.bytes);
    let mut content = File::open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(checker.finish().is_ok()),
            read => checker.update(&buffer[..read]),
        }
    }
}

/// Copies files of a snapshot into a plain folder. One that is new is there whole or not at
/// all; into one that is there, each file comes whole.
pub(super) fn copy(snapshot: &Snapshot, files: &[RemoteFile], to: &Path) -> Result<(), HubError> {
    // What came in between, too.
    check_copy(files, to)?;
    let name = to
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if to.exists() || name.is_empty() {
        return copy_into(snapshot, files, to);
    }
    let draft = to.with_file_name(format!(".{name}.{}", Uuid::now_v7().simple()));
    let copied = copy_into(snapshot, files, &draft)
        .and_then(|()| fs::rename(&draft, to).map_err(HubError::io("write", to)));
    if copied.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_dir_all(&draft);
    }
    copied
}

fn copy_into(snapshot: &Snapshot, files: &[RemoteFile], to: &Path) -> Result<(), HubError> {
    for file in files {
        let path = to.join(&file.name);
        if path.exists() {
            continue;
        }
        let copy = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let draft = path.with_file_name(format!(".{}", Uuid::now_v7().simple()));
            let copied = fs::copy(snapshot.folder.join(&file.name), &draft)
                .and_then(|_bytes| fs::rename(&draft, &path));
            if copied.is_err() {
                // Best effort: the error that matters is the first one.
                let _ = fs::remove_file(&draft);
            }
            copied
        };
        copy().map_err(HubError::io("write", &path))?;
    }
    Ok(())
}
