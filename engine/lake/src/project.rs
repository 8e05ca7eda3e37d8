//! What a lakehouse keeps for each pipeline: an identity, and one lock.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::LakeError,
    fail_points::{self, Moment},
    folder,
    lakehouse::Lakehouse,
    name::check_pipeline,
};

/// Held while a pipeline runs; dropping it (or the end of the process) frees it.
#[derive(Debug)]
pub struct RunLock {
    /// Never read: closing it is what frees the lock.
    _file: File,
    path: PathBuf,
}

impl RunLock {
    /// The lock file; it stays behind, with the last holder's process id.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[derive(Serialize, Deserialize)]
struct Project {
    pipeline: String,
    uuid: Uuid,
}

impl Lakehouse {
    /// The identity of the pipeline of this name in this lakehouse. It is made
    /// once, and survives the loss of the state store: a table's transactions are
    /// counted for `<uuid>/<table>`. Safe when processes race.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Unwritable`], and [`LakeError::Damaged`]
    /// when the file is there but not what was written.
    pub fn project_uuid(&self, pipeline: &str) -> Result<Uuid, LakeError> {
        check_pipeline(pipeline)?;
        let folder = self.sluice_path().join("projects");
        let path = folder.join(format!("{pipeline}.json"));
        if let Some(uuid) = read_project(&path)? {
            return Ok(uuid);
        }
        let unwritable = |source| LakeError::Unwritable {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(unwritable)?;
        // A lock rather than a hard link: it works on file systems without links.
        let guard = File::create(folder.join(".lock")).map_err(unwritable)?;
        guard.lock().map_err(unwritable)?;
        if let Some(uuid) = read_project(&path)? {
            return Ok(uuid);
        }
        // Nobody else is here: what a process left that ended before it named its file.
        remove_temporary(&folder).map_err(unwritable)?;
        let project = Project {
            pipeline: pipeline.to_owned(),
            uuid: Uuid::now_v7(),
        };
        let text = serde_json::to_vec_pretty(&project).map_err(io::Error::from);
        text.and_then(|text| write_atomically(&path, &text))
            .map_err(unwritable)?;
        Ok(project.uuid)
    }

    /// The identity of a pipeline, if it has ever run here; nothing is written.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub fn existing_project_uuid(&self, pipeline: &str) -> Result<Option<Uuid>, LakeError> {
        check_pipeline(pipeline)?;
        let folder = self.sluice_path().join("projects");
        read_project(&folder.join(format!("{pipeline}.json")))
    }

    /// The name of the pipeline that has this identity here, if one has.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub fn pipeline_of(&self, project: &str) -> Result<Option<String>, LakeError> {
        let folder = self.sluice_path().join("projects");
        let unreadable = |source| LakeError::Unreadable {
            path: folder.clone(),
            source,
        };
        for file in folder::entries(&folder).map_err(unreadable)? {
            let Some(name) = folder::name(&file) else {
                continue;
            };
            let Some(pipeline) = name.strip_suffix(".json") else {
                continue;
            };
            let uuid = read_project(&file)?;
            if uuid.is_some_and(|uuid| uuid.to_string() == project) {
                return Ok(Some(pipeline.to_owned()));
            }
        }
        Ok(None)
    }

    /// Gives a pipeline the identity in the lakehouse `into` that it has here.
    ///
    /// # Errors
    /// [`LakeError::Unwritable`], [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub fn copy_project(&self, pipeline: &str, into: &Self) -> Result<(), LakeError> {
        let Some(uuid) = self.existing_project_uuid(pipeline)? else {
            return Ok(());
        };
        let folder = into.sluice_path().join("projects");
        let project = Project {
            pipeline: pipeline.to_owned(),
            uuid,
        };
        let text = serde_json::to_vec_pretty(&project).map_err(io::Error::from);
        text.and_then(|text| {
            fs::create_dir_all(&folder)?;
            write_atomically(&folder.join(format!("{pipeline}.json")), &text)
        })
        .map_err(|source| LakeError::Unwritable {
            path: folder,
            source,
        })
    }

    /// The file whose lock a run of a pipeline holds.
    pub fn lock_path(&self, pipeline: &str) -> PathBuf {
        self.sluice_path()
            .join("locks")
            .join(format!("{pipeline}.lock"))
    }

    /// Takes the lock of a pipeline for this process, without waiting.
    ///
    /// # Errors
    /// [`LakeError::Locked`] when another run holds it, with the process that does.
    pub fn lock(&self, pipeline: &str) -> Result<RunLock, LakeError> {
        check_pipeline(pipeline)?;
        let folder = self.sluice_path().join("locks");
        let path = self.lock_path(pipeline);
        let unwritable = |source| LakeError::Unwritable {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(unwritable)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be writing just now: no number is no harm.
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(LakeError::Locked {
                    pipeline: pipeline.to_owned(),
                    pid,
                    host: None,
                    since_ms: None,
                    path,
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(unwritable)?;
        Ok(RunLock { _file: file, path })
    }
}

fn read_project(path: &Path) -> Result<Option<Uuid>, LakeError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(source) => {
            return Err(LakeError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    let project: Project = serde_json::from_slice(&text).map_err(|error| LakeError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(project.uuid))
}

/// Writes a file so that a reader sees all of it or nothing, even after a crash:
/// a temporary neighbour, synced, then renamed over `path`, then the folder synced.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", Uuid::now_v7().simple()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fail_points::try_pass(Moment::Before, "name a page or artifact")?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    fail_points::pass(Moment::After, "name a page or artifact");
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes what [`write_atomically`] wrote into a folder and did not get to naming. Nobody may
/// be writing there.
pub(crate) fn remove_temporary(folder: &Path) -> io::Result<()> {
    for path in folder::entries(folder)? {
        if is_temporary(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether a file has the name that [`write_atomically`] gives it first:
/// `<name>.<32 hexadecimal digits>.tmp`.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = name
        .strip_suffix(".tmp")
        .and_then(|name| name.rsplit('.').next());
    unique.is_some_and(|unique| unique.len() == 32 && unique.bytes().all(|b| b.is_ascii_hexdigit()))
}
