//! Data files that a process wrote and did not get to committing.
//!
//! A file is a leftover when its table's log does not name it, it says that this project wrote
//! it ([`WRITER_KEY`](super::data_files::WRITER_KEY)), and nobody of this project can be writing
//! just now, which the pipeline's lock sees to. Of a file that is not complete nobody can tell
//! who wrote it; where it is somebody else's who writes at this moment, their write fails and
//! nothing is lost.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datafusion::parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;

use super::data_files::WRITER_KEY;
use super::read::blocking;
use crate::error::LakeError;
use crate::fail_points::{self, Moment};
use crate::folder;
use crate::lakehouse::Lakehouse;
use crate::name::TableName;

/// Clocks of file systems lag behind by so much at most.
const CLOCK_SLACK: Duration = Duration::from_secs(2);
/// The actions of a log that name files.
const NAMING: [&str; 3] = ["add", "remove", "cdc"];

impl Lakehouse {
    /// Removes data files of a table that `app_id` wrote since `since_ms` (milliseconds since
    /// 1970 UTC) and never committed. Call it while holding the lock of the pipeline whose table
    /// it is. Returns how many there were.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`], [`LakeError::Damaged`] and [`LakeError::Unwritable`].
    pub async fn remove_leftovers(
        &self,
        name: &TableName,
        app_id: &str,
        since_ms: i64,
    ) -> Result<usize, LakeError> {
        // What a checkpoint names, and no entry that is still there.
        let mut named: HashSet<String> = HashSet::new();
        if let Some(table) = self.open_delta(name, None).await?
            && let Ok(snapshot) = table.snapshot()
        {
            let paths = snapshot.log_data();
            named.extend(paths.iter().map(|view| last_part(&view.path()).to_owned()));
        }
        let (folder, app_id) = (self.table_path(name), app_id.to_owned());
        let since = UNIX_EPOCH + Duration::from_millis(since_ms.max(0).unsigned_abs());
        blocking(move || {
            let log = folder.join("_delta_log");
            named_in(&log, &mut named)?;
            let mut found = Vec::new();
            let leftovers = Leftovers {
                named,
                app_id,
                since: since - CLOCK_SLACK,
            };
            leftovers
                .find(&folder, &mut found)
                .map_err(|source| LakeError::Unreadable {
                    path: folder.clone(),
                    source,
                })?;
            fail_points::pass(Moment::Before, "remove leftovers");
            for path in &found {
                match fs::remove_file(path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(LakeError::Unwritable {
                            path: path.clone(),
                            source,
                        });
                    }
                    _ => {}
                }
            }
            fail_points::pass(Moment::After, "remove leftovers");
            Ok(found.len())
        })
        .await
    }
}

struct Leftovers {
    /// Names of files that the log names: each holds a UUID.
    named: HashSet<String>,
    app_id: String,
    since: SystemTime,
}

impl Leftovers {
    fn find(&self, folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        for path in folder::entries(folder)? {
            if path.is_dir() {
                self.find(&path, found)?;
            } else if self.is_one(&path) {
                found.push(path);
            }
        }
        Ok(())
    }

    fn is_one(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        if !modified.is_ok_and(|modified| modified >= self.since) {
            return false;
        }
        if is_unfinished(&name) {
            return true;
        }
        name.ends_with(".parquet") && !self.named.contains(name.as_ref()) && self.wrote(path)
    }

    /// Whether a file says that it is ours.
    fn wrote(&self, path: &Path) -> bool {
        let Ok(file) = File::open(path) else {
            return false;
        };
        let Ok(reader) = SerializedFileReader::new(file) else {
            return false;
        };
        let metadata = reader.metadata().file_metadata().key_value_metadata();
        let ours = Some(self.app_id.as_str());
        metadata.is_some_and(|pairs| {
            let mut pairs = pairs.iter();
            pairs.any(|pair| pair.key == WRITER_KEY && pair.value.as_deref() == ours)
        })
    }
}

/// Whether the local object store was still writing a file: `<name>#<number>`.
fn is_unfinished(name: &str) -> bool {
    let Some((name, number)) = name.rsplit_once('#') else {
        return false;
    };
    let ours = name.ends_with(".parquet") || name.ends_with(".json");
    ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of all files that the entries of a log name.
fn named_in(log: &Path, named: &mut HashSet<String>) -> Result<(), LakeError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| LakeError::Unreadable { path, source }
    };
    for path in folder::entries(log).map_err(unreadable(log))? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let action: Value = serde_json::from_str(line).map_err(|error| LakeError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            let paths = NAMING
                .iter()
                .filter_map(|kind| action.get(kind)?.get("path")?.as_str());
            named.extend(paths.map(|path| last_part(path).to_owned()));
        }
    }
    Ok(())
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
