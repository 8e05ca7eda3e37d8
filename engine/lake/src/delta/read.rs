//! Reading: versions, pinned tables, and what the commits carry.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, LazyLock},
};

use datafusion::{
    catalog::TableProvider,
    execution::SessionState,
    prelude::{SessionConfig, SessionContext},
};
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::{Map, Value};
use url::Url;

use super::{
    Commit, METADATA_KEY, PinnedTable, WRITE_ID_KEY, failure::delta_error, fenced::FencedStore,
    scan::scan,
};
use crate::{
    error::LakeError,
    folder,
    lakehouse::{Lakehouse, log_version},
    name::TableName,
};

/// How tables are read, whatever session the query runs in: with filters inside Parquet.
pub(super) static READER: LazyLock<SessionState> = LazyLock::new(|| {
    let pushdown = "datafusion.execution.parquet.pushdown_filters";
    let config = SessionConfig::new().set_bool(pushdown, true);
    SessionContext::new_with_config(config).state()
});

impl Lakehouse {
    /// The latest version of a table; none when there is no such table.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub async fn latest_version(&self, name: &TableName) -> Result<Option<u64>, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let mut latest = None;
            for file in log_files(&log)? {
                latest = latest.max(log_version(&file));
            }
            Ok(latest)
        })
        .await
    }

    /// Loads a table at a version, or at its latest one.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`], [`LakeError::UnknownVersion`] and what
    /// deltalake may say about a damaged log.
    pub async fn load(
        &self,
        name: &TableName,
        version: Option<u64>,
    ) -> Result<PinnedTable, LakeError> {
        let Some(table) = self.open_delta(name, version).await? else {
            return Err(self.unknown_table(name));
        };
        let failed = |error| delta_error(name, self.table_path(name), "read the table", error);
        let state = table.snapshot().map_err(failed)?;
        let provider =
            scan(&table, &*READER).map_err(|source| super::failure::rows_error(name, source))?;
        let (data_version, data_commit) = self.data_commit(name, state.version()).await?;
        Ok(PinnedTable {
            name: name.clone(),
            version: state.version(),
            data_version,
            data_commit,
            table_id: state.metadata().id().to_owned(),
            schema: provider.schema(),
            provider: Arc::new(provider),
        })
    }

    /// The number of the last transaction that `app_id` committed to a table.
    ///
    /// # Errors
    /// What deltalake may say about a damaged log.
    pub async fn last_txn(&self, name: &TableName, app_id: &str) -> Result<Option<i64>, LakeError> {
        match self.open_delta(name, None).await? {
            Some(table) => self.last_txn_of(name, &table, app_id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn last_txn_of(
        &self,
        name: &TableName,
        table: &DeltaTable,
        app_id: &str,
    ) -> Result<Option<i64>, LakeError> {
        let failed = |error| delta_error(name, self.table_path(name), "read the table", error);
        let log_store = table.log_store();
        table
            .snapshot()
            .map_err(failed)?
            .transaction_version(log_store.as_ref(), app_id)
            .await
            .map_err(failed)
    }

    /// Every commit that the table's log still holds, oldest first. Sluice's own
    /// commits never remove old entries; other programs may.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`] and [`LakeError::Damaged`].
    pub async fn commits(&self, name: &TableName) -> Result<Vec<Commit>, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        blocking(move || {
            let entries = log_entries(&log)?;
            entries.map(|entry| Ok(entry?.commit)).collect()
        })
        .await
    }

    /// The version that a write of ours made, if it did.
    pub(super) async fn version_of_write(
        &self,
        name: &TableName,
        write_id: &str,
    ) -> Result<Option<u64>, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        let write_id = write_id.to_owned();
        blocking(move || {
            for entry in log_entries(&log)?.rev() {
                let entry = entry?;
                if entry.write_id.as_ref() == Some(&write_id) {
                    return Ok(Some(entry.commit.version));
                }
            }
            Ok(None)
        })
        .await
    }

    /// The facts that the commit of this version carries; empty when it was not
    /// written by Sluice.
    ///
    /// # Errors
    /// [`LakeError::UnknownVersion`], [`LakeError::Unreadable`] and
    /// [`LakeError::Damaged`].
    pub async fn commit_metadata(
        &self,
        name: &TableName,
        version: u64,
    ) -> Result<Map<String, Value>, LakeError> {
        let entry = self.log_entry(name, version).await?;
        Ok(entry.commit.metadata)
    }

    /// One entry of the log, read whole.
    pub(super) async fn log_entry(
        &self,
        name: &TableName,
        version: u64,
    ) -> Result<LogEntry, LakeError> {
        let log = self.table_path(name).join("_delta_log");
        let file = log.join(format!("{version:020}.json"));
        let exists = file.clone();
        if !blocking(move || Ok(exists.exists())).await? {
            return Err(LakeError::UnknownVersion {
                table: name.clone(),
                version,
                latest: self.latest_version(name).await?,
            });
        }
        blocking(move || read_commit(&file, version)).await
    }

    /// Opens the table for deltalake; none when there is no such table.
    pub(super) async fn open_delta(
        &self,
        name: &TableName,
        version: Option<u64>,
    ) -> Result<Option<DeltaTable>, LakeError> {
        let Some(latest) = self.latest_version(name).await? else {
            return Ok(None);
        };
        if let Some(version) = version
            && version > latest
        {
            return Err(LakeError::UnknownVersion {
                table: name.clone(),
                version,
                latest: Some(latest),
            });
        }
        let mut builder = self.table_builder(name)?;
        if let Some(version) = version {
            builder = builder.with_version(version);
        }
        let table = builder.load().await;
        table
            .map(Some)
            .map_err(|error| delta_error(name, self.table_path(name), "read the table", error))
    }

    /// A builder for the table's folder, whether it exists or not.
    pub(super) fn table_builder(&self, name: &TableName) -> Result<DeltaTableBuilder, LakeError> {
        let path = self.table_path(name);
        let url = Url::from_directory_path(&path).map_err(|()| LakeError::Unreadable {
            path: path.clone(),
            source: io::ErrorKind::InvalidFilename.into(),
        })?;
        let builder = DeltaTableBuilder::from_url(url.clone())
            .map_err(|error| delta_error(name, path, "find the table", error))?;
        Ok(match self.fence() {
            Some(state) => {
                builder.with_storage_backend(Arc::new(FencedStore::local(state.clone())), url)
            }
            None => builder,
        })
    }
}

/// Runs file access where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody will look at the outcome.
            Err(error) => Err(LakeError::Unreadable {
                path: "_delta_log".into(),
                source: io::Error::other(error),
            }),
        },
    }
}

/// A commit with the sizes of the data files that it added.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) commit: Commit,
    write_id: Option<String>,
    /// The columns, as JSON, where the commit says them.
    pub(super) columns: Option<String>,
    pub(super) changes: Changes,
    pub(super) added_files: u64,
    pub(super) added_bytes: u64,
}

impl LogEntry {
    /// What tells the commit from one that has the same number in another past of the table:
    /// the number of its write, or its time where another program made it.
    pub(super) fn mark(&self) -> Option<String> {
        let time = self.commit.timestamp_ms.map(|time| time.to_string());
        self.write_id.clone().or(time)
    }
}

/// What a commit did to the table.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// It asks for other abilities of readers and writers.
    pub(super) protocol: bool,
    pub(super) added_rows: bool,
    pub(super) removed_rows: bool,
}

/// The entries of a log, oldest first.
pub(super) fn log_entries(
    log: &Path,
) -> Result<impl DoubleEndedIterator<Item = Result<LogEntry, LakeError>>, LakeError> {
    let mut files = log_files(log)?;
    files.sort_unstable();
    Ok(files.into_iter().filter_map(move |file| {
        let version = log_version(&file)?;
        // Not a checkpoint, some of which are JSON too.
        let is_commit = file.strip_suffix(".json")?.len() == 20;
        is_commit.then(|| read_commit(&log.join(file), version))
    }))
}

/// The names of the log's files; none when there is no log.
fn log_files(log: &Path) -> Result<Vec<String>, LakeError> {
    let entries = folder::entries(log).map_err(|source| LakeError::Unreadable {
        path: log.to_owned(),
        source,
    })?;
    Ok(entries
        .iter()
        .filter_map(|entry| folder::name(entry))
        .collect())
}

/// One entry of a log; none where it is gone.
pub(super) fn read_entry(log: &Path, version: u64) -> Result<Option<LogEntry>, LakeError> {
    match read_commit(&log.join(format!("{version:020}.json")), version) {
        Err(LakeError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn read_commit(path: &Path, version: u64) -> Result<LogEntry, LakeError> {
    let text = fs::read_to_string(path).map_err(|source| LakeError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut entry = LogEntry {
        commit: Commit {
            version,
            timestamp_ms: None,
            txn: None,
            metadata: Map::new(),
        },
        write_id: None,
        columns: None,
        changes: Changes::default(),
        added_files: 0,
        added_bytes: 0,
    };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let action: Value = serde_json::from_str(line).map_err(|error| LakeError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        note_action(&mut entry, action);
    }
    Ok(entry)
}

fn note_action(entry: &mut LogEntry, mut action: Value) {
    if let Some(info) = action.get_mut("commitInfo") {
        entry.commit.timestamp_ms = info.get("timestamp").and_then(Value::as_i64);
        let write_id = info.get(WRITE_ID_KEY).and_then(Value::as_str);
        entry.write_id = write_id.map(str::to_owned);
        if let Some(Value::Object(metadata)) = info.get_mut(METADATA_KEY).map(Value::take) {
            entry.commit.metadata = metadata;
        }
    } else if let Some(txn) = action.get("txn") {
        let app_id = txn.get("appId").and_then(Value::as_str);
        let version = txn.get("version").and_then(Value::as_i64);
        if let (Some(app_id), Some(version)) = (app_id, version) {
            entry.commit.txn = Some((app_id.to_owned(), version));
        }
    } else if let Some(metadata) = action.get("metaData") {
        let columns = metadata.get("schemaString").and_then(Value::as_str);
        entry.columns = Some(columns.unwrap_or_default().to_owned());
    } else if action.get("protocol").is_some() {
        entry.changes.protocol = true;
    } else if let Some(remove) = action.get("remove") {
        entry.changes.removed_rows |= changes_data(remove);
    } else if let Some(add) = action.get("add") {
        entry.changes.added_rows |= changes_data(add);
        entry.added_files += 1;
        entry.added_bytes += add.get("size").and_then(Value::as_u64).unwrap_or(0);
    }
}

/// Whether a data file came or went with its rows; otherwise it was only written anew.
fn changes_data(file: &Value) -> bool {
    file.get("dataChange").and_then(Value::as_bool) != Some(false)
}
