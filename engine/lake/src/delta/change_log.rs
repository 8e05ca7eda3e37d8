//! What the log of a table says about the rows that commits changed.

use std::{collections::HashSet, fs, path::Path};

use serde_json::Value;

use super::changes::Untold;
use crate::{error::LakeError, name::TableName};

/// A commit that changed rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedCommit {
    /// The version that it made.
    pub version: u64,
    /// When, in milliseconds since 1970 (UTC); 0 where the log does not say.
    pub timestamp_ms: i64,
    /// Rows in the data files that it added, where the log says.
    pub added_rows: Option<u64>,
    /// Whether it removed data files, so that rows may have gone.
    pub rewrites: bool,
    pub(super) adds: Vec<String>,
    pub(super) removes: Vec<String>,
}

/// One entry of the log.
pub(super) struct Entry {
    pub(super) commit: ChangedCommit,
    /// Whether it says something about the columns.
    pub(super) columns: bool,
}

/// The entries after `since` up to `until`, in order.
pub(super) fn entries(
    log: &Path,
    table: &TableName,
    since: u64,
    until: u64,
) -> Result<Result<Vec<Entry>, Untold>, LakeError> {
    let mut entries = Vec::new();
    for version in since + 1..=until {
        let path = log.join(format!("{version:020}.json"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let table = table.clone();
                return Ok(Err(Untold::LogCut { table, version }));
            }
            Err(source) => return Err(LakeError::Unreadable { path, source }),
        };
        entries.push(entry(version, &text).map_err(|reason| LakeError::Damaged { path, reason })?);
    }
    Ok(Ok(entries))
}

fn entry(version: u64, text: &str) -> Result<Entry, String> {
    let mut entry = Entry {
        commit: ChangedCommit {
            version,
            timestamp_ms: 0,
            added_rows: Some(0),
            rewrites: false,
            adds: Vec::new(),
            removes: Vec::new(),
        },
        columns: false,
    };
    let commit = &mut entry.commit;
    let (mut added, mut removed) = (HashSet::new(), HashSet::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let action: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let changes = |file: &Value| file.get("dataChange").and_then(Value::as_bool) != Some(false);
        let path = |file: &Value| file.get("path").and_then(Value::as_str).map(str::to_owned);
        if let Some(info) = action.get("commitInfo") {
            let moment = info.get("timestamp").and_then(Value::as_i64);
            commit.timestamp_ms = moment.unwrap_or_default();
        } else if let Some(file) = action.get("add").filter(|file| changes(file)) {
            let rows = num_records(file);
            commit.added_rows = commit.added_rows.zip(rows).map(|(all, rows)| all + rows);
            commit
                .adds
                .extend(path(file).filter(|path| added.insert(path.clone())));
        } else if let Some(file) = action.get("remove").filter(|file| changes(file)) {
            commit
                .removes
                .extend(path(file).filter(|path| removed.insert(path.clone())));
        }
        entry.columns |= action.get("metaData").is_some();
    }
    commit.rewrites = !commit.removes.is_empty();
    Ok(entry)
}

/// How many rows the log says a data file has.
fn num_records(file: &Value) -> Option<u64> {
    if file
        .get("deletionVector")
        .is_some_and(|vector| !vector.is_null())
    {
        return None;
    }
    let stats: Value = serde_json::from_str(file.get("stats")?.as_str()?).ok()?;
    stats.get("numRecords")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_log_is_told_by_its_data_files() {
        let text = r#"{"commitInfo":{"timestamp":7}}
{"metaData":{"id":"x"}}
{"add":{"path":"a","dataChange":true,"stats":"{\"numRecords\":3}"}}
{"add":{"path":"b","dataChange":true,"stats":"{\"numRecords\":4}"}}
{"add":{"path":"compacted","dataChange":false}}
{"remove":{"path":"small","dataChange":false}}
"#;
        let told = entry(5, text).unwrap();
        assert!(told.columns);
        let commit = told.commit;
        assert_eq!((commit.timestamp_ms, commit.added_rows), (7, Some(7)));
        assert_eq!(
            (commit.adds, commit.rewrites),
            (vec!["a".to_owned(), "b".to_owned()], false)
        );
        let rewritten = entry(6, r#"{"remove":{"path":"a"}}"#).unwrap();
        assert!(rewritten.commit.rewrites);
        assert!(entry(7, "{").is_err());
    }

    #[test]
    fn a_log_that_was_cut_is_told() {
        let log = tempfile::tempdir().unwrap();
        let table: TableName = "bronze.t".parse().unwrap();
        let path = log.path().join(format!("{:020}.json", 3));
        fs::write(path, r#"{"add":{"path":"a","dataChange":true}}"#).unwrap();
        let read = |since, until| entries(log.path(), &table, since, until).unwrap();
        assert_eq!(read(2, 3).unwrap().len(), 1);
        let cut = Untold::LogCut {
            table: table.clone(),
            version: 2,
        };
        assert_eq!(read(1, 3).err(), Some(cut));
    }
}
