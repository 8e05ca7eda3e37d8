//! Removing data files that no version which somebody may still read needs.
//!
//! Which files those are is told by the log: those that a commit removed, and those that none
//! ever named. A file stays while it is younger than what is to be retained, while a run that
//! began before it was removed is open, and while a table that is kept up to date from the
//! changes of this one has not read the commit that removed it.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use serde_json::Value;

use super::super::read::blocking;
use crate::{
    error::LakeError,
    fail_points::{self, Moment},
    folder,
    lakehouse::{Lakehouse, log_version},
    name::TableName,
    state::now_ms,
};

/// What Delta retains at least, unless somebody insists: readers and writers that take longer
/// would lose their files. Files that no commit names are always retained so long.
pub const LEAST_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Files that are removed while the lease is held: the store's lock is held as long.
const AT_A_TIME: usize = 256;

/// What a vacuum leaves alone.
#[derive(Debug, Clone, Copy)]
pub struct VacuumOptions {
    /// How long a file is retained after a commit removed it.
    pub retain: Duration,
    /// Files that were removed since then are retained, too: when the oldest run that is open
    /// began, in milliseconds since 1970 UTC.
    pub open_since_ms: Option<i64>,
    /// Files that commits after this version named are retained, too: somebody has read it, and
    /// is going to ask what changed since.
    pub read_version: Option<u64>,
    /// Only tells what would be removed.
    pub dry_run: bool,
}

/// What a vacuum removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// Files removed.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Files that are old enough, and were left for a run that is open or for a table that has
    /// not read them yet.
    pub held: u64,
    /// All data files that were there, and their size in bytes.
    pub before: (u64, u64),
}

impl Lakehouse {
    /// Removes data files of a table that are not needed any more. Earlier versions can be read
    /// only as far as their files are still there. Call it while holding the lock of the
    /// pipeline whose table it is.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`], [`LakeError::Damaged`] and [`LakeError::Unwritable`].
    pub async fn vacuum(
        &self,
        name: &TableName,
        options: VacuumOptions,
    ) -> Result<Vacuumed, LakeError> {
        let Some(table) = self.open_delta(name, None).await? else {
            return Ok(Vacuumed::default());
        };
        let mut active = HashSet::new();
        if let Ok(snapshot) = table.snapshot() {
            let paths = snapshot.log_data();
            active.extend(paths.iter().map(|view| last_part(&view.path()).to_owned()));
        }
        let folder = self.table_path(name);
        let (vacuumed, going) = blocking(move || {
            let log = Log::read(&folder.join("_delta_log"), options.read_version)?;
            let mut found = Found::default();
            find(&folder, &mut found.files).map_err(|source| LakeError::Unreadable {
                path: folder.clone(),
                source,
            })?;
            Ok(found.judge(&active, &log, options))
        })
        .await?;
        if !options.dry_run && !going.is_empty() {
            fail_points::pass(Moment::Before, "remove old data files");
            for some in going.chunks(AT_A_TIME) {
                self.remove_fenced(some.to_vec()).await?;
            }
            fail_points::pass(Moment::After, "remove old data files");
        }
        Ok(vacuumed)
    }

    /// Removes files while the lease is the newest, if it is needed.
    async fn remove_fenced(&self, files: Vec<PathBuf>) -> Result<(), LakeError> {
        let lost = |path: PathBuf| {
            move |error| LakeError::Unwritable {
                path,
                source: io::Error::other(error),
            }
        };
        let turn = match self.fence() {
            Some(state) => {
                let begun = state.begin("remove old data files").await;
                Some(begun.map_err(lost(self.root().to_owned()))?)
            }
            None => None,
        };
        let removed = blocking(move || {
            for path in files {
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(LakeError::Unwritable { path, source });
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await;
        drop(turn);
        removed
    }
}

/// What the log of a table says about files, by their names: each holds a UUID.
#[derive(Default)]
struct Log {
    /// When a commit removed it, in milliseconds since 1970 UTC.
    removed_ms: HashMap<String, i64>,
    /// Those that commits after the version named which somebody has read.
    unread: HashSet<String>,
}

impl Log {
    fn read(folder: &Path, read_version: Option<u64>) -> Result<Self, LakeError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| LakeError::Unreadable { path, source }
        };
        let mut log = Self::default();
        for path in folder::entries(folder).map_err(unreadable(folder))? {
            let name = folder::name(&path).unwrap_or_default();
            let (Some(version), true) = (log_version(&name), name.ends_with(".json")) else {
                continue;
            };
            let unread = read_version.is_some_and(|read| version > read);
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                let action = serde_json::from_str(line).map_err(|error| LakeError::Damaged {
                    path: path.clone(),
                    reason: error.to_string(),
                })?;
                log.note(&action, unread);
            }
        }
        Ok(log)
    }

    fn note(&mut self, action: &Value, unread: bool) {
        let file = |kind: &str| {
            let file = action.get(kind)?;
            let path = file.get("path")?.as_str()?;
            Some((file, last_part(path).to_owned()))
        };
        // Who asks what changed is not told of files that were only written anew.
        let changes = |file: &Value| file.get("dataChange").and_then(Value::as_bool) != Some(false);
        if let Some((remove, name)) = file("remove") {
            let removed = remove.get("deletionTimestamp").and_then(Value::as_i64);
            self.removed_ms.insert(name.clone(), removed.unwrap_or(0));
            if unread && changes(remove) {
                self.unread.insert(name);
            }
        } else if let Some((add, name)) = file("add")
            && unread
            && changes(add)
        {
            self.unread.insert(name);
        }
    }
}

/// The data files in a table's folder: path, size in bytes, and when they were written, in
/// milliseconds since 1970 UTC.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, u64, i64)>,
}

impl Found {
    /// Which of them go.
    fn judge(
        self,
        active: &HashSet<String>,
        log: &Log,
        options: VacuumOptions,
    ) -> (Vacuumed, Vec<PathBuf>) {
        let before = |retain: Duration| {
            now_ms().saturating_sub(i64::try_from(retain.as_millis()).unwrap_or(i64::MAX))
        };
        let removed_before = before(options.retain);
        let unnamed_before = before(options.retain.max(LEAST_RETENTION));
        let (mut vacuumed, mut going) = (Vacuumed::default(), Vec::new());
        for (path, bytes, written_ms) in self.files {
            vacuumed.before = (vacuumed.before.0 + 1, vacuumed.before.1 + bytes);
            let name = folder::name(&path).unwrap_or_default();
            if active.contains(&name) {
                continue;
            }
            let old = match log.removed_ms.get(&name) {
                Some(removed_ms) => *removed_ms <= removed_before,
                None => written_ms <= unnamed_before,
            };
            if !old {
                continue;
            }
            let gone_ms = log.removed_ms.get(&name).copied().unwrap_or(written_ms);
            let open = options.open_since_ms.is_some_and(|since| gone_ms >= since);
            if open || log.unread.contains(&name) {
                vacuumed.held += 1;
                continue;
            }
            vacuumed.files += 1;
            vacuumed.bytes += bytes;
            going.push(path);
        }
        (vacuumed, going)
    }
}

/// The Parquet files in a table's folder and those of its partitions.
fn find(folder: &Path, found: &mut Vec<(PathBuf, u64, i64)>) -> io::Result<()> {
    for path in folder::entries(folder)? {
        let name = folder::name(&path).unwrap_or_default();
        if path.is_dir() {
            // The log, and what else is not of data; a partition's folder has a `=`.
            if name.contains('=') || !name.starts_with(['_', '.']) {
                find(&path, found)?;
            }
        } else if name.ends_with(".parquet") {
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            let written = metadata.modified().ok();
            let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let written_ms = written.map_or(i64::MAX, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            });
            found.push((path, metadata.len(), written_ms));
        }
    }
    Ok(())
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
