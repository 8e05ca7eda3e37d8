//! Bad records of an ingest into a table of their own.
//!
//! The records come while the good rows stream into the ingest's table. Theirs is
//! committed when the good rows are all there and before those are: a run that ends in
//! between reads the same files again, and replaces what they gave here. Nothing is
//! committed here when the good rows fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::record_batch::RecordBatch;
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use sluice_lake::delta::{CommitInfo, WriteMode, Written};
use sluice_lake::ingest::{FILE_COLUMN, Rejects, RejectsSeen, rejects_schema};
use sluice_lake::state::SideRecord;
use sluice_lake::{LakeError, Lakehouse, TableName};
use tokio::sync::mpsc::Receiver;
use tokio_util::task::AbortOnDropHandle;

use super::context::RunContext;
use super::error::StageError;
use crate::plan::Asset;

/// What follows a table's name in the name of its rejected records.
pub(crate) const SUFFIX: &str = "__rejected";

/// The table that holds the bad records of an ingest.
pub(crate) fn table_of(ingest: &TableName) -> Result<TableName, StageError> {
    let name = format!("{}{SUFFIX}", ingest.table());
    Ok(TableName::new(ingest.layer(), &name).map_err(LakeError::from)?)
}

/// The bad records of one ingest, on their way.
pub(crate) struct Collecting {
    pub(crate) table: TableName,
    /// Where the readers find the way for them.
    offered: Arc<Offer>,
    rejects: Rejects,
    /// Set when all rows are there.
    complete: Arc<AtomicBool>,
    writer: AbortOnDropHandle<Result<Option<Written>, LakeError>>,
    written: Committed,
}

/// What was committed, if anything was.
type Committed = Arc<Mutex<Option<Written>>>;

/// The way for bad records, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Offer(Mutex<Option<Rejects>>);

impl Offer {
    /// For a reader, which holds it open as long as it reads.
    pub(crate) fn way(&self) -> Option<Rejects> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn put(&self, rejects: Rejects) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rejects);
    }
}

/// What of the table goes when new records come.
pub(crate) enum Replaces {
    /// All of it.
    Everything,
    /// What these files gave before.
    Files(Vec<String>),
}

impl Collecting {
    /// Begins to collect: readers that ask `offered` send their bad records.
    pub(crate) async fn begin(
        run: &RunContext,
        asset: &Asset,
        (ingest, key): (&TableName, &str),
        replaces: Replaces,
        offered: Arc<Offer>,
    ) -> Result<Self, StageError> {
        let table = table_of(ingest)?;
        let app_id = format!("{}/{table}", run.project);
        let lakehouse = run.world.lakehouse.clone();
        let last = lakehouse.last_txn(&table, &app_id).await?;
        let commit = CommitInfo {
            app_id,
            // Writing the same again replaces the same: no intent has to be kept.
            txn_version: last.unwrap_or(0) + 1,
            metadata: SideRecord {
                project: run.project.clone(),
                run_id: run.run_id.clone(),
                rejected_of: asset.name.clone(),
                key: key.to_owned(),
            }
            .to_metadata(),
            description: Some(format!(
                "Records of the files of {} that could not be taken, with the reason.",
                asset.name
            )),
            rows: Arc::new(AtomicU64::new(0)),
        };
        let (rejects, receiver) = Rejects::channel();
        offered.put(rejects.clone());
        let complete = Arc::new(AtomicBool::new(false));
        let write = write(
            lakehouse,
            table.clone(),
            replaces,
            receiver,
            Arc::clone(&complete),
            commit,
        );
        Ok(Self {
            table,
            offered,
            rejects,
            complete,
            writer: AbortOnDropHandle::new(tokio::spawn(write)),
            written: Arc::default(),
        })
    }

    /// The records that came, to be asked when the rows are committed.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            table: self.table.clone(),
            rejects: self.rejects.seen(),
            written: Arc::clone(&self.written),
        }
    }

    /// Commits the bad records; the good rows are all there.
    pub(crate) async fn finish(self) -> Result<(), DataFusionError> {
        self.complete.store(true, Ordering::Release);
        self.offered.close();
        drop(self.rejects);
        let written = match self.writer.await {
            Ok(written) => written,
            Err(cut_off) => return Err(DataFusionError::External(Box::new(cut_off))),
        };
        let written = written.map_err(|error| DataFusionError::External(Box::new(error)))?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = written;
        Ok(())
    }
}

/// What came of an ingest's bad records.
pub(crate) struct Outcome {
    table: TableName,
    rejects: Arc<RejectsSeen>,
    written: Committed,
}

impl Outcome {
    /// Tells it, and lets the rest of the run see it.
    pub(crate) async fn tell(&self, run: &RunContext, asset: &Asset) -> Result<(), StageError> {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = written {
            run.catalog.pins().set(&self.table, written.version);
            let state = &run.state;
            state
                .reconcile_side_table(&run.world.lakehouse, &self.table)
                .await?;
            state
                .count_side_table(&self.table, written.version, written.rows)
                .await?;
        }
        let rows = self.rejects.rows();
        if rows == 0 {
            return Ok(());
        }
        let counted = match rows {
            1 => "1 record was".to_owned(),
            rows => format!("{rows} records were"),
        };
        let first = self.rejects.first().unwrap_or_default();
        run.warn(
            &asset.name,
            format!(
                "{counted} rejected: see {}; the first is {first}",
                self.table
            ),
        );
        Ok(())
    }
}

/// Writes the records that come; gives what this made, if anything was needed.
async fn write(
    lakehouse: Lakehouse,
    table: TableName,
    replaces: Replaces,
    mut records: Receiver<RecordBatch>,
    complete: Arc<AtomicBool>,
    commit: CommitInfo,
) -> Result<Option<Written>, LakeError> {
    let first = records.recv().await;
    if first.is_none()
        && (!complete.load(Ordering::Acquire) || !holds_any(&lakehouse, &table, &replaces).await?)
    {
        return Ok(None);
    }
    let rest = stream::unfold((records, complete), |(mut records, complete)| async move {
        match records.recv().await {
            Some(batch) => Some((Ok(batch), (records, complete))),
            None if complete.load(Ordering::Acquire) => None,
            // Whoever read the files gave up: these records are not all.
            None => {
                let given_up = DataFusionError::Execution("the ingest was given up".to_owned());
                Some((Err(given_up), (records, complete)))
            }
        }
    });
    let rows = stream::iter(first.map(Ok)).chain(rest);
    let rows = Box::pin(RecordBatchStreamAdapter::new(rejects_schema(), rows));
    let mode = match replaces {
        Replaces::Everything => WriteMode::Overwrite,
        Replaces::Files(files) => WriteMode::ReplaceFiles(files),
    };
    lakehouse.write(&table, mode, rows, commit).await.map(Some)
}

/// Whether the table holds a record that has to go.
async fn holds_any(
    lakehouse: &Lakehouse,
    table: &TableName,
    replaces: &Replaces,
) -> Result<bool, LakeError> {
    if lakehouse.latest_version(table).await?.is_none() {
        return Ok(false);
    }
    let rows_error = |source| LakeError::Rows {
        table: table.clone(),
        source: Box::new(source),
    };
    let stored = lakehouse.load(table, None).await?;
    let found = async {
        let mut rows = SessionContext::new().read_table(stored.provider)?;
        if let Replaces::Files(files) = replaces {
            let files = files.iter().map(|file| lit(file.as_str())).collect();
            let of_files = Expr::Column(Column::from_name(FILE_COLUMN)).in_list(files, false);
            rows = rows.filter(of_files)?;
        }
        rows.limit(0, Some(1))?.count().await
    };
    Ok(found.await.map_err(rows_error)? > 0)
}
