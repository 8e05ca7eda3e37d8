//! Writing: a stream of batches becomes one commit, or nothing.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{Transaction, transaction::CommitProperties},
};
use futures::{FutureExt, StreamExt};
use serde_json::Value;

use super::{
    AtEnd, CommitInfo, ConflictClass, METADATA_KEY, RowParts, WRITE_ID_KEY, WriteMode, Written,
    failure::{delta_error, rows_error},
    partitions::PartitionValues,
    replace::Going,
    types::{Conversion, delta_schema, with_required},
    within::Within,
};
use crate::{
    error::LakeError,
    fail_points::{self, Moment},
    ingest::FILE_COLUMN,
    lakehouse::Lakehouse,
    name::TableName,
};

impl Lakehouse {
    /// Writes a stream of rows to a table in one commit, making the table when
    /// there is none. Until the commit nothing is visible: an error, a dropped
    /// future or a killed process leaves at most data files that no log names.
    /// The rows stream through; memory is bounded by a few batches and the
    /// Parquet writer's row group.
    ///
    /// # Errors
    /// [`LakeError::Column`], [`LakeError::ColumnType`] and
    /// [`LakeError::SchemaChanged`] before a row is read; [`LakeError::Ingest`] or
    /// [`LakeError::Rows`] with the first error of the stream;
    /// [`LakeError::Conflict`] when somebody else committed meanwhile;
    /// [`LakeError::StaleTransaction`] when `commit` has been committed already;
    /// [`LakeError::Unwritable`] and [`LakeError::Delta`].
    pub async fn write(
        &self,
        name: &TableName,
        mode: WriteMode,
        stream: SendableRecordBatchStream,
        commit: CommitInfo,
    ) -> Result<Written, LakeError> {
        let rows = RowParts::from(stream);
        self.write_parts(name, mode, rows, commit).await
    }

    /// As [`Self::write`], with rows that come in several streams: each is written into
    /// data files of its own, side by side with the others.
    ///
    /// # Errors
    /// As [`Self::write`]; of several streams that fail, the first one's.
    pub async fn write_parts(
        &self,
        name: &TableName,
        mode: WriteMode,
        rows: RowParts,
        commit: CommitInfo,
    ) -> Result<Written, LakeError> {
        let schema = with_required(delta_schema(name, &rows.schema)?, &rows.required);
        let existing = self.open_delta(name, None).await?;
        if let Some(table) = &existing {
            self.check_txn(name, table, &commit).await?;
            check_unmoved(name, table, &mode)?;
        }
        let existing = match existing {
            Some(table) => {
                let description = commit.description.as_deref();
                Some(self.describe(name, table, description).await?)
            }
            None => None,
        };
        let read = existing.as_ref().and_then(DeltaTable::version);
        let conversion = match (&existing, &mode) {
            (Some(table), mode) if mode.keeps_columns() => {
                let by_file = matches!(mode, WriteMode::ReplaceFiles(files) if !files.is_empty());
                self.conversion_onto(name, table, &schema, by_file)?
            }
            _ => Conversion::in_place(schema),
        };
        let within = match &mode {
            WriteMode::ReplaceWhere(replaced) | WriteMode::OverwriteWhere(replaced) => {
                let within = Within::new(replaced, conversion.target());
                Some(within.map_err(|error| rows_error(name, error))?)
            }
            _ => None,
        };
        let partitions = match &existing {
            Some(table) => partitions_of(table, &mode, rows.partition_by.as_deref()),
            None => rows.partition_by.clone().unwrap_or_default(),
        };
        let partitions = PartitionValues::new(conversion.target(), &partitions);
        fail_points::pass(Moment::Before, "write rows");
        let marked = MarkedCommit::new(commit);
        let seen = Arc::new(Seen::of(rows.parts.len()));
        let partition_by = rows.partition_by.clone();
        let (parts, at_end) = rows.noted(&seen);
        let parts = parts.into_iter().enumerate();
        let incoming: Vec<Incoming> = parts
            .map(|(part, stream)| {
                let fit = Fit {
                    conversion: conversion.clone(),
                    within: within.clone(),
                    partitions: partitions.clone(),
                };
                Incoming::new(stream, part, fit, &seen, &marked)
            })
            .collect();
        let outcome = match (existing, mode) {
            (Some(table), WriteMode::ReplaceFiles(files)) if !files.is_empty() => {
                let going = Going::files(files);
                self.replace(name, table, going, incoming, at_end, &marked)
                    .await
            }
            (Some(table), WriteMode::ReplaceWhere(replaced)) => {
                let going = Going::Where(*replaced);
                self.replace(name, table, going, incoming, at_end, &marked)
                    .await
            }
            (Some(table), WriteMode::ReplaceKeys(keys)) => {
                let going = Going::Keys(keys);
                self.replace(name, table, going, incoming, at_end, &marked)
                    .await
            }
            (existing, mode) => {
                let how = (mode, partition_by);
                self.write_side_by_side(name, existing, how, incoming, at_end, &marked)
                    .await
            }
        };
        let failed = match outcome {
            Ok(version) => {
                fail_points::pass(Moment::After, "commit rows");
                return self.written(name, version, &seen).await;
            }
            Err(error) => error,
        };
        if let Some(fault) = seen.fault() {
            return Err(rows_error(name, DataFusionError::Shared(fault)));
        }
        // What failed may have been the tidying up after the commit.
        match self.version_of_write(name, &marked.write_id).await {
            Ok(Some(version)) => self.written(name, version, &seen).await,
            _ => Err(self.write_failed(name, read, failed).await),
        }
    }

    /// Names why a write failed onto the version `read`.
    async fn write_failed(
        &self,
        name: &TableName,
        read: Option<u64>,
        error: DeltaTableError,
    ) -> LakeError {
        match delta_error(name, self.table_path(name), "write the table", error) {
            LakeError::Conflict { table, source, .. } => {
                let class = self.conflict_class(name, read).await;
                LakeError::Conflict {
                    table,
                    class: class.unwrap_or(ConflictClass::Unknown),
                    source,
                }
            }
            other => other,
        }
    }

    /// How the incoming rows fit the table that is there; `by_file`: rows are to be
    /// told apart by their file.
    fn conversion_onto(
        &self,
        name: &TableName,
        table: &DeltaTable,
        incoming: &SchemaRef,
        by_file: bool,
    ) -> Result<Conversion, LakeError> {
        let path = self.table_path(name);
        let snapshot = table
            .snapshot()
            .map_err(|error| delta_error(name, path.clone(), "read the table", error))?
            .snapshot();
        // Delta's own strings are `Utf8`: the schema is the log's, not a reader's.
        let existing = snapshot.arrow_schema();
        let conversion = if by_file && existing.index_of(FILE_COLUMN).is_err() {
            Err(format!("the table has no column `{FILE_COLUMN}`"))
        } else {
            Conversion::onto(incoming, existing)
        };
        conversion.map_err(|difference| LakeError::SchemaChanged {
            table: name.clone(),
            difference,
            path,
        })
    }

    pub(super) async fn check_txn(
        &self,
        name: &TableName,
        table: &DeltaTable,
        commit: &CommitInfo,
    ) -> Result<(), LakeError> {
        match self.last_txn_of(name, table, &commit.app_id).await? {
            Some(last) if last >= commit.txn_version => Err(LakeError::StaleTransaction {
                table: name.clone(),
                app_id: commit.app_id.clone(),
                txn_version: commit.txn_version,
                last,
            }),
            _ => Ok(()),
        }
    }

    async fn written(
        &self,
        name: &TableName,
        version: u64,
        seen: &Seen,
    ) -> Result<Written, LakeError> {
        let entry = self.log_entry(name, version).await?;
        fail_points::pass(Moment::After, "write rows");
        Ok(Written {
            version,
            rows: seen.rows.load(Ordering::Relaxed),
            bytes: entry.added_bytes,
            files: entry.added_files,
        })
    }
}

/// The columns that a table is partitioned by once it is written so.
fn partitions_of(table: &DeltaTable, mode: &WriteMode, chosen: Option<&[String]>) -> Vec<String> {
    match chosen.filter(|_| mode.replaces_all()) {
        Some(chosen) => chosen.to_vec(),
        None => table.snapshot().map_or_else(
            |_| Vec::new(),
            |snapshot| snapshot.metadata().partition_columns().to_vec(),
        ),
    }
}

/// Rows that were made from what a table held can replace its rows only while it holds that.
fn check_unmoved(name: &TableName, table: &DeltaTable, mode: &WriteMode) -> Result<(), LakeError> {
    match (mode, table.version()) {
        (WriteMode::ReplaceKeys(keys), Some(version)) if version != keys.read_at => {
            Err(LakeError::Conflict {
                table: name.clone(),
                class: ConflictClass::Unknown,
                source: Box::new(DeltaTableError::VersionAlreadyExists(version)),
            })
        }
        _ => Ok(()),
    }
}

/// A commit that can be recognised in the log: the number of its transaction
/// cannot tell it from that of a process that counts the same.
pub(super) struct MarkedCommit {
    pub(super) info: CommitInfo,
    pub(super) write_id: String,
}

impl MarkedCommit {
    pub(super) fn new(info: CommitInfo) -> Self {
        Self {
            info,
            write_id: uuid::Uuid::now_v7().simple().to_string(),
        }
    }

    /// What every commit of ours says. No retries: deltalake would merge our commit
    /// with one that we have not seen (on creation even without looking at it). No
    /// clean-up of old entries: they hold the file hashes of ingest.
    pub(super) fn properties(&self) -> CommitProperties {
        let metadata = Value::Object(self.info.metadata.clone());
        let txn = Transaction::new(&self.info.app_id, self.info.txn_version);
        CommitProperties::default()
            .with_metadata([
                (METADATA_KEY.to_owned(), metadata),
                (WRITE_ID_KEY.to_owned(), Value::from(self.write_id.clone())),
            ])
            .with_application_transaction(txn)
            .with_max_retries(0)
            .with_cleanup_expired_logs(Some(false))
    }
}

/// What came through so far, and what went wrong in each part.
#[derive(Debug)]
pub(super) struct Seen {
    rows: AtomicU64,
    faults: Vec<OnceLock<Arc<DataFusionError>>>,
}

impl Seen {
    /// For so many parts, and what comes at the end.
    fn of(parts: usize) -> Self {
        Self {
            rows: AtomicU64::new(0),
            faults: (0..=parts).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Keeps the first error of a part; what goes on shares it.
    fn note(&self, part: usize, error: DataFusionError) -> DataFusionError {
        let error = Arc::new(error);
        let _ = self.faults[part].set(Arc::clone(&error));
        DataFusionError::Shared(error)
    }

    /// The error of the first part that has one.
    fn fault(&self) -> Option<Arc<DataFusionError>> {
        self.faults.iter().find_map(OnceLock::get).cloned()
    }
}

impl RowParts {
    /// The streams, and the end, whose failure is kept.
    fn noted(self, seen: &Arc<Seen>) -> (Vec<SendableRecordBatchStream>, AtEnd) {
        let (seen, part, end) = (Arc::clone(seen), self.parts.len(), self.at_end);
        let at_end = move |draft| {
            let end = end(draft);
            async move {
                end.await.map_err(|error| seen.note(part, error))?;
                fail_points::pass(Moment::Before, "commit rows");
                Ok(())
            }
            .boxed()
        };
        (self.parts, Box::new(at_end))
    }
}

/// How rows are made to fit the table, and which of them may come.
struct Fit {
    conversion: Conversion,
    within: Option<Within>,
    partitions: PartitionValues,
}

impl Fit {
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let batch = self.conversion.apply(batch)?;
        if let Some(within) = &self.within {
            within.check(&batch)?;
        }
        self.partitions.check(&batch)?;
        Ok(batch)
    }
}

/// The rows on their way: converted to the table's types, and counted.
pub(super) struct Incoming {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
}

impl Incoming {
    fn new(
        stream: SendableRecordBatchStream,
        part: usize,
        fit: Fit,
        seen: &Arc<Seen>,
        commit: &MarkedCommit,
    ) -> Self {
        let schema = Arc::clone(fit.conversion.target());
        let (noted, progress) = (Arc::clone(seen), Arc::clone(&commit.info.rows));
        let converted = stream.map(move |batch| {
            let batch = batch
                .and_then(|batch| fit.apply(&batch))
                .map_err(|error| noted.note(part, error))?;
            let rows = batch.num_rows() as u64;
            noted.rows.fetch_add(rows, Ordering::Relaxed);
            progress.fetch_add(rows, Ordering::Relaxed);
            Ok(batch)
        });
        Self {
            stream: Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&schema),
                converted,
            )),
            schema,
        }
    }

    /// The table's schema.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows, in the table's schema.
    pub(super) fn into_stream(self) -> SendableRecordBatchStream {
        self.stream
    }
}
