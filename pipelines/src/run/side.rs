//! Tables that a stage makes beside its own: rejected records, rows in quarantine.
//!
//! Their rows come while the stage's own stream into its table. They are committed when the
//! own rows are all there and before those are: a run that ends in between makes the same
//! again, and replaces what it left here. Nothing is committed here when the own rows fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, lit, try_cast};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::{StreamExt, stream};
use sluice_lake::delta::types::delta_schema;
use sluice_lake::delta::{CommitInfo, KeyRows, PinnedTable, WriteMode, Written};
use sluice_lake::ingest::FILE_COLUMN;
use sluice_lake::state::SideRecord;
use sluice_lake::{LakeError, Lakehouse, TableName};
use tokio::sync::mpsc::Receiver;
use tokio_util::task::AbortOnDropHandle;

use super::context::RunContext;
use super::error::StageError;
use crate::plan::Asset;

/// The column that says which run put a row into quarantine.
pub(crate) const RUN_COLUMN: &str = "_run_id";

/// The column that says which interval a row in quarantine was asked for with: where it begins.
/// The row's own time may be NULL, or of another interval.
pub(crate) const INTERVAL_COLUMN: &str = "_interval_start";

/// The stretch of time that rows are asked for, from a moment up to before another, in
/// milliseconds since 1970 UTC.
pub(crate) type Window = (i64, i64);

/// What of a side table goes when new rows come.
#[derive(Debug, Clone)]
pub(crate) enum Replaces {
    /// All of it: the stage's own table is made anew.
    Everything,
    /// What these files gave before, and what a run left that ended before its own rows were
    /// committed: rows of other files may be put there once more, too.
    Files(Vec<String>),
    /// Nothing but what a run left that ended before its own rows were committed: the stage
    /// adds to its table.
    Unfinished,
    /// Rows for which a condition is TRUE; `bare`: the condition for a side table that does not
    /// have all columns yet.
    Where { goes: Box<Expr>, bare: Box<Expr> },
    /// The rows of some keys.
    Keys(KeyRows),
}

impl Replaces {
    /// What goes beside a table that is written so: rows like those that go from it.
    /// `window`: what the new rows are asked for, if they are of intervals.
    pub(crate) fn like(mode: &WriteMode, window: Option<Window>) -> Self {
        match mode {
            WriteMode::Overwrite | WriteMode::OverwriteWhere(_) => Self::Everything,
            WriteMode::Append => Self::Unfinished,
            WriteMode::ReplaceFiles(files) => Self::Files(files.clone()),
            WriteMode::ReplaceWhere(own) => Self::Where {
                goes: Box::new(match window {
                    Some(window) => asked_in(window, own),
                    None => own.as_ref().clone(),
                }),
                bare: own.clone(),
            },
            WriteMode::ReplaceKeys(keys) => Self::Keys(keys.clone()),
        }
    }
}

/// A side table to be written.
pub(crate) struct Side {
    pub(crate) table: TableName,
    pub(crate) schema: SchemaRef,
    /// What it is, for people.
    pub(crate) description: String,
    pub(crate) replaces: Replaces,
    /// Whether there is to be a table though no row comes.
    pub(crate) always: bool,
}

/// A side table while it is written.
pub(crate) struct Writing {
    table: TableName,
    /// Set when all rows are there.
    complete: Arc<AtomicBool>,
    writer: AbortOnDropHandle<Result<Option<Written>, LakeError>>,
    written: Committed,
}

/// What was committed, if anything was.
type Committed = Arc<Mutex<Option<Written>>>;

impl Writing {
    /// Begins to write the rows that come, until the channel is closed.
    pub(crate) async fn begin(
        run: &RunContext,
        asset: &Asset,
        key: &str,
        side: Side,
        rows: Receiver<RecordBatch>,
    ) -> Result<Self, StageError> {
        let app_id = format!("{}/{}", run.project, side.table);
        let lakehouse = run.world.lakehouse.clone();
        let last = lakehouse.last_txn(&side.table, &app_id).await?;
        let commit = CommitInfo {
            app_id,
            // Writing the same again replaces the same: no intent has to be kept.
            txn_version: last.unwrap_or(0) + 1,
            metadata: SideRecord {
                project: run.project.clone(),
                run_id: run.run_id.clone(),
                side_of: asset.name.clone(),
                key: key.to_owned(),
            }
            .to_metadata(),
            description: Some(side.description.clone()),
            rows: Arc::new(AtomicU64::new(0)),
        };
        let unfinished = unfinished(run, asset, &side).await?;
        let (table, complete) = (side.table.clone(), Arc::new(AtomicBool::new(false)));
        let writer = Writer {
            lakehouse,
            side,
            unfinished,
            complete: Arc::clone(&complete),
        };
        Ok(Self {
            table,
            complete,
            writer: AbortOnDropHandle::new(tokio::spawn(writer.write(rows, commit))),
            written: Committed::default(),
        })
    }

    /// Says that all rows are there, before the channel is closed.
    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Waits for the commit; the channel is closed.
    pub(crate) async fn finish(self) -> Result<(), DataFusionError> {
        let written = match self.writer.await {
            Ok(written) => written,
            Err(cut_off) => return Err(DataFusionError::External(Box::new(cut_off))),
        };
        let written = written.map_err(|error| DataFusionError::External(Box::new(error)))?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = written;
        Ok(())
    }

    /// What is committed, to be asked when the stage's own rows are.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            table: self.table.clone(),
            written: Arc::clone(&self.written),
        }
    }
}

/// What came of a side table.
pub(crate) struct Outcome {
    pub(crate) table: TableName,
    written: Committed,
}

impl Outcome {
    /// Records what was written, and lets the rest of the run see it.
    pub(crate) async fn record(&self, run: &RunContext) -> Result<(), StageError> {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = written else {
            return Ok(());
        };
        run.catalog.pins().set(&self.table, written.version);
        let state = &run.state;
        state
            .reconcile_side_table(&run.world.lakehouse, &self.table)
            .await?;
        state
            .count_side_table(&self.table, written.version, written.rows)
            .await?;
        Ok(())
    }
}

/// The runs whose rows in a side table count for nothing: this one, which makes them again, and
/// the last one that wrote there, if the stage's own table has nothing of it.
async fn unfinished(
    run: &RunContext,
    asset: &Asset,
    side: &Side,
) -> Result<Vec<String>, StageError> {
    let lakehouse = &run.world.lakehouse;
    let is_concerned = matches!(side.replaces, Replaces::Unfinished | Replaces::Files(_));
    // Rejected records do not say by which run; they are of files that are read again.
    if !is_concerned || side.schema.field_with_name(RUN_COLUMN).is_err() {
        return Ok(Vec::new());
    }
    let mut runs = vec![run.run_id.to_string()];
    if let Some(latest) = lakehouse.latest_version(&side.table).await? {
        let last = lakehouse.commit_metadata(&side.table, latest).await?;
        if let Some(last) = SideRecord::from_metadata(&last)
            && !run.state.made_version(&asset.name, &last.run_id).await?
        {
            runs.push(last.run_id.to_string());
        }
    }
    Ok(runs)
}

/// Writes a side table.
struct Writer {
    lakehouse: Lakehouse,
    side: Side,
    /// For [`Replaces::Unfinished`] and [`Replaces::Files`], the runs whose rows go.
    unfinished: Vec<String>,
    complete: Arc<AtomicBool>,
}

impl Writer {
    /// Writes the rows that come; gives what this made, if anything was needed.
    async fn write(
        self,
        mut rows: Receiver<RecordBatch>,
        commit: CommitInfo,
    ) -> Result<Option<Written>, LakeError> {
        let first = rows.recv().await;
        if first.is_none() && !(self.complete.load(Ordering::Acquire) && self.needed().await?) {
            return Ok(None);
        }
        let complete = Arc::clone(&self.complete);
        let rest = stream::unfold((rows, complete), |(mut rows, complete)| async move {
            match rows.recv().await {
                Some(batch) => Some((Ok(batch), (rows, complete))),
                None if complete.load(Ordering::Acquire) => None,
                // Whoever made the rows gave up: these are not all.
                None => {
                    let given_up = DataFusionError::Execution("the stage was given up".to_owned());
                    Some((Err(given_up), (rows, complete)))
                }
            }
        });
        let new = stream::iter(first.map(Ok)).chain(rest).boxed();
        let schema = Arc::clone(&self.side.schema);
        let stored = self.stored().await?;
        let (mode, kept) = match (&self.side.replaces, &stored) {
            (Replaces::Everything, _) | (_, None) => (WriteMode::Overwrite, None),
            (Replaces::Files(files), Some(stored)) => match self.has_columns_of(stored)? {
                true if self.unfinished.is_empty() => {
                    (WriteMode::ReplaceFiles(files.clone()), None)
                }
                true => (WriteMode::ReplaceWhere(Box::new(self.of(files))), None),
                false => {
                    let kept = self.kept(stored, self.of(files)).await?;
                    (WriteMode::Overwrite, Some(kept))
                }
            },
            (Replaces::Unfinished, Some(stored)) => {
                let runs = self.runs().map_err(|error| self.failed(error))?;
                let keys = KeyRows {
                    columns: vec![RUN_COLUMN.to_owned()],
                    keys: runs,
                    keys_bytes: 0,
                    read_at: stored.version,
                };
                (WriteMode::ReplaceKeys(keys), None)
            }
            (Replaces::Where { goes, bare }, Some(stored)) => match self.has_columns_of(stored)? {
                true => (WriteMode::ReplaceWhere(goes.clone()), None),
                false => {
                    let kept = self.kept(stored, bare.as_ref().clone()).await?;
                    (WriteMode::Overwrite, Some(kept))
                }
            },
            (Replaces::Keys(keys), Some(stored)) => {
                let keys = KeyRows {
                    read_at: stored.version,
                    ..keys.clone()
                };
                (WriteMode::ReplaceKeys(keys), None)
            }
        };
        let rows = match kept {
            Some(kept) => kept.chain(new).boxed(),
            None => new,
        };
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let table = &self.side.table;
        self.lakehouse
            .write(table, mode, rows, commit)
            .await
            .map(Some)
    }

    async fn stored(&self) -> Result<Option<PinnedTable>, LakeError> {
        let table = &self.side.table;
        match self.lakehouse.latest_version(table).await? {
            Some(_) => self.lakehouse.load(table, None).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether something has to be written though no row came.
    async fn needed(&self) -> Result<bool, LakeError> {
        let Some(stored) = self.stored().await? else {
            return Ok(self.side.always);
        };
        if self.side.always
            && matches!(self.side.replaces, Replaces::Everything)
            && !self.has_columns_of(&stored)?
        {
            return Ok(true);
        }
        let complete = self.has_columns_of(&stored)?;
        let found = async {
            let mut rows = SessionContext::new().read_table(stored.provider)?;
            let goes = match &self.side.replaces {
                // Which of the keys it has, the write finds out.
                Replaces::Everything | Replaces::Keys(_) => None,
                Replaces::Where { goes, .. } if complete => Some(goes.as_ref().clone()),
                Replaces::Where { bare, .. } => Some(bare.as_ref().clone()),
                Replaces::Files(files) => Some(self.of(files)),
                Replaces::Unfinished => Some(among(RUN_COLUMN, &self.unfinished)),
            };
            if let Some(goes) = goes {
                rows = rows.filter(goes)?;
            }
            rows.limit(0, Some(1))?.count().await
        };
        Ok(found.await.map_err(|error| self.failed(error))? > 0)
    }

    /// That a row is of some files, or of a run whose rows go.
    fn of(&self, files: &[String]) -> Expr {
        let of_files = among(FILE_COLUMN, files);
        match self.unfinished.is_empty() {
            true => of_files,
            false => of_files.or(among(RUN_COLUMN, &self.unfinished)),
        }
    }

    /// Whether a stored table has the columns of the new rows.
    fn has_columns_of(&self, stored: &PinnedTable) -> Result<bool, LakeError> {
        let wanted = delta_schema(&self.side.table, &self.side.schema)?;
        let (wanted, there) = (wanted.fields(), stored.schema.fields());
        let same = |(a, b): (&Arc<Field>, &Arc<Field>)| {
            a.name() == b.name() && a.data_type() == b.data_type()
        };
        Ok(wanted.len() == there.len() && wanted.iter().zip(there).all(same))
    }

    /// The stored rows but those that go, in the new columns: what a column cannot hold any
    /// more is NULL.
    async fn kept(
        &self,
        stored: &PinnedTable,
        goes: Expr,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let kept = async {
            let rows = SessionContext::new().read_table(Arc::clone(&stored.provider))?;
            let rows = rows.filter(goes.is_not_true())?;
            let columns = self.side.schema.fields().iter().map(|field| {
                let value = match stored.schema.field_with_name(field.name()) {
                    Ok(_) => column(field.name()),
                    Err(_) => lit(ScalarValue::Null),
                };
                try_cast(value, field.data_type().clone()).alias(field.name())
            });
            let rows: DataFrame = rows.select(columns.collect::<Vec<_>>())?;
            rows.execute_stream().await
        };
        kept.await.map_err(|error| self.failed(error))
    }

    /// The runs whose rows go, as keys.
    fn runs(&self) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = Schema::new(vec![Field::new(RUN_COLUMN, DataType::Utf8, true)]);
        let schema = Arc::new(schema);
        let runs = StringArray::from_iter_values(&self.unfinished);
        let runs = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(runs)])?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![runs]])?))
    }

    fn failed(&self, source: DataFusionError) -> LakeError {
        LakeError::Rows {
            table: self.side.table.clone(),
            source: Box::new(source),
        }
    }
}

/// That a row was asked for in a stretch of time. Of rows that do not say so, which were put
/// there before there was such a column, their `own` time tells.
fn asked_in((start, end): Window, own: &Expr) -> Expr {
    let zone = Some(Arc::from("UTC"));
    let moment = |ms: i64| {
        lit(ScalarValue::TimestampMicrosecond(
            Some(ms.saturating_mul(1000)),
            zone.clone(),
        ))
    };
    let asked = || column(INTERVAL_COLUMN);
    let within = asked().gt_eq(moment(start)).and(asked().lt(moment(end)));
    within.or(asked().is_null().and(own.clone()))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// That a column has one of these values.
fn among(name: &str, values: &[String]) -> Expr {
    let values = values.iter().map(|value| lit(value.as_str())).collect();
    column(name).in_list(values, false)
}
