//! A lakehouse in a temporary folder, and short ways to fill and to read it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    util::display::array_value_to_string,
};
use datafusion::{
    catalog::TableProvider,
    error::DataFusionError,
    execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
    prelude::{SessionConfig, SessionContext},
};
use serde_json::{Map, Value, json};
use sluice_lake::{
    LakeError, Lakehouse, TableName,
    delta::{CommitInfo, WriteMode, Written},
    ingest::{
        FileMemory, IngestError, ReadOptions, SourceFile, Unmatched, find_files, identify,
        infer_schema, read,
    },
};
use tempfile::TempDir;

/// A lakehouse and a folder for source files; both go away with it.
pub(crate) struct TestLake {
    pub(crate) dir: TempDir,
    pub(crate) lake: Lakehouse,
}

impl TestLake {
    pub(crate) fn new() -> Self {
        // A name that URLs and object stores must quote.
        let dir = tempfile::Builder::new()
            .prefix("sluice lake é#?&+~%_")
            .tempdir()
            .unwrap();
        let lake = Lakehouse::create(dir.path().join("lakehouse")).unwrap();
        Self { dir, lake }
    }

    pub(crate) fn source_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a source file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.source_dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) async fn find(&self, patterns: &[&str]) -> Result<Vec<SourceFile>, IngestError> {
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        let found = find_files(&self.source_dir(), &patterns, Unmatched::Refuse).await?;
        identify(found, &FileMemory::new()).await
    }

    /// Every file of the folder, through inference, as one batch for each read.
    pub(crate) async fn read_csv(
        &self,
        pattern: &str,
        options: &ReadOptions,
    ) -> Result<Vec<RecordBatch>, String> {
        let files = self.find(&[pattern]).await.map_err(|e| e.to_string())?;
        let schema = infer_schema(&files, options, None)
            .await
            .map_err(|e| e.to_string())?;
        collect(read(&files, &schema, options, None)).await
    }

    pub(crate) async fn write(
        &self,
        table: &str,
        mode: WriteMode,
        batches: Vec<RecordBatch>,
        txn_version: i64,
    ) -> Result<Written, LakeError> {
        self.lake
            .write(&name(table), mode, stream(batches), commit(txn_version))
            .await
    }

    /// The latest rows as text, sorted.
    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        let table = self.lake.load(&name(table), None).await.unwrap();
        rows_of(table.provider).await
    }

    /// As [`Self::rows`]; no rows where there is no table.
    pub(crate) async fn rows_or_none(&self, table: &str) -> Vec<String> {
        if self.lake.has_table(&name(table)) {
            self.rows(table).await
        } else {
            Vec::new()
        }
    }
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

pub(crate) const APP: &str = "0000-project/silver.t";

pub(crate) fn commit(txn_version: i64) -> CommitInfo {
    let Value::Object(metadata) = json!({"run_id": format!("run-{txn_version}"), "operation": 7})
    else {
        return commit_with(txn_version, Map::new());
    };
    commit_with(txn_version, metadata)
}

pub(crate) fn commit_with(txn_version: i64, metadata: Map<String, Value>) -> CommitInfo {
    CommitInfo {
        description: None,
        app_id: APP.to_owned(),
        txn_version,
        metadata,
        rows: Arc::new(AtomicU64::new(0)),
    }
}

/// `id` and `word`.
pub(crate) fn words(rows: &[(i64, &str)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)));
    RecordBatch::try_from_iter([("id", ids), ("word", words)]).unwrap()
}

/// `_file` and `id`.
pub(crate) fn filed(rows: &[(&str, i64)]) -> RecordBatch {
    let files: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
    RecordBatch::try_from_iter([("_file", files), ("id", ids)]).unwrap()
}

pub(crate) fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    stream_of(batches.into_iter().map(Ok).collect())
}

/// A stream whose first item is a batch, which gives the schema.
pub(crate) fn stream_of(
    items: Vec<Result<RecordBatch, DataFusionError>>,
) -> SendableRecordBatchStream {
    let schema = items
        .iter()
        .find_map(|item| item.as_ref().ok())
        .unwrap()
        .schema();
    Box::pin(RecordBatchStreamAdapter::new(
        schema,
        futures::stream::iter(items),
    ))
}

pub(crate) async fn collect(stream: SendableRecordBatchStream) -> Result<Vec<RecordBatch>, String> {
    datafusion::physical_plan::common::collect(stream)
        .await
        .map_err(|error| error.to_string())
}

/// Each row as `a|b|c`, sorted.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch
                .columns()
                .iter()
                .map(|column| array_value_to_string(column, row).unwrap())
                .collect();
            lines.push(cells.join("|"));
        }
    }
    lines.sort();
    lines
}

pub(crate) async fn rows_of(provider: Arc<dyn TableProvider>) -> Vec<String> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let batches = context
        .read_table(provider)
        .unwrap()
        .collect()
        .await
        .unwrap();
    lines(&batches)
}

/// How many Parquet files lie in a table's folder, committed or not.
pub(crate) fn parquet_files(path: &Path) -> usize {
    fs::read_dir(path)
        .map(|entries| {
            entries
                .flatten()
                .filter(|entry| entry.path().extension().is_some_and(|e| e == "parquet"))
                .count()
        })
        .unwrap_or(0)
}
