//! `mode: interval`: the query is asked for one stretch of time after the other, and what it
//! gives replaces the rows of that stretch, in one commit each.
//!
//! The ledger of what is made travels with each commit, so that a run that was killed goes on
//! from its last one, and a store that was lost is told again.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, lit};
use serde_json::{Map, Value};
use sluice_lake::delta::{WriteMode, Written};
use sluice_lake::spool::{SPOOL_MEMORY_BYTES, Spool};
use sluice_lake::state::INTERVALS_KEY;
use sluice_udfs::session::LakeSession;
use tokio_util::task::AbortOnDropHandle;

use super::MEMORY_BYTES;
use crate::check::modes::bounded;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::intervals::{Batch, EventTime, pending};
use crate::plan::mode::{BoundType, IntervalMode};
use crate::plan::ranges::Ranges;
use crate::plan::{Asset, SqlAsset};
use crate::run::context::{RunContext, now_ms};
use crate::run::error::StageError;
use crate::run::rules::stopping;
use crate::run::table::{Output, write};
use crate::spec::Instant;

/// A table that is made interval by interval, and what is known of it.
pub(crate) struct Intervals<'a> {
    pub(crate) run: &'a RunContext,
    pub(crate) asset: &'a Asset,
    pub(crate) sql: &'a SqlAsset,
    pub(crate) mode: &'a IntervalMode,
    pub(crate) fingerprint: &'a Fingerprint,
    /// What was made.
    pub(crate) ledger: &'a Ranges,
    /// Whether none of it counts.
    pub(crate) anew: bool,
    /// Whether an input changed since.
    pub(crate) inputs_changed: bool,
}

impl Intervals<'_> {
    /// Makes all intervals that are to be made; what it came to, over all of them.
    pub(crate) async fn make(&self) -> Result<Written, StageError> {
        let ledger = match self.anew {
            true => Ranges::default(),
            false => self.ledger.clone(),
        };
        let asked = self.run.plan.event_time;
        let now = Instant(now_ms());
        let changed = self.inputs_changed;
        let mut batches = VecDeque::from(pending(self.mode, &ledger, asked, now, changed).batches);
        if batches.is_empty() {
            // The table shall be there, even if no interval is over yet.
            let start = self.mode.start.0;
            batches.push_back(Batch {
                start,
                end: start,
                count: 0,
            });
        }
        // What is made again counts as missing until it is, or a run that is cut off would
        // take what is left of it for made.
        let mut done = ledger.clone();
        for batch in &batches {
            done.remove(batch.start, batch.end);
        }
        if asked.window.is_some() && changed {
            // The inputs count as seen from now on: what they change outside of what is asked
            // for, the next run has to make.
            let asked = EventTime {
                window: None,
                ..asked
            };
            for later in pending(self.mode, &ledger, asked, now, true).batches {
                done.remove(later.start, later.end);
            }
        }
        let session = self.run.session_within(Some(MEMORY_BYTES))?;
        let mut ahead: VecDeque<(Batch, Computing)> = VecDeque::new();
        let side_by_side = usize::try_from(self.mode.concurrency).unwrap_or(usize::MAX);
        let mut all: Option<Written> = None;
        loop {
            while ahead.len() < side_by_side
                && let Some(batch) = batches.pop_front()
            {
                ahead.push_back((batch, self.compute(&session, batch)));
            }
            let Some((batch, computing)) = ahead.pop_front() else {
                break;
            };
            let rows = stopping(self.run, computing.rows(&session)).await?;
            done.add(batch.start, batch.end);
            let first = all.is_none();
            let written = self.commit(&session, batch, rows, &done, first).await?;
            all = Some(match all {
                None => written,
                Some(before) => Written {
                    version: written.version,
                    rows: before.rows + written.rows,
                    bytes: before.bytes + written.bytes,
                    files: before.files + written.files,
                },
            });
        }
        all.ok_or_else(|| StageError::TableGone(self.sql.table.to_string()))
    }

    /// Begins to compute the rows of a batch, aside where others are computed beside it.
    fn compute(&self, session: &LakeSession, batch: Batch) -> Computing {
        let bounds = (Instant(batch.start), Instant(batch.end));
        let statement = bounded(&self.sql.statement, self.mode.bounds, bounds);
        let versions = self.fingerprint.model_versions();
        let session = session.clone();
        let plan = async move {
            let plan = session.plan_with(statement, &versions).await?;
            Ok(DataFrame::new(session.context().state(), plan))
        };
        if self.mode.concurrency < 2 {
            return Computing::Later(Box::pin(plan));
        }
        let aside = async move {
            let rows: DataFrame = plan.await?;
            let env = rows.task_ctx().runtime_env();
            let rows = rows.execute_stream().await?;
            Ok(Spool::fill(rows, &env, SPOOL_MEMORY_BYTES).await?)
        };
        Computing::Aside(AbortOnDropHandle::new(tokio::spawn(aside)))
    }

    async fn commit(
        &self,
        session: &LakeSession,
        batch: Batch,
        rows: DataFrame,
        done: &Ranges,
        first: bool,
    ) -> Result<Written, StageError> {
        let there = self.run.catalog.lakehouse().has_table(&self.sql.table);
        let replaced = self.of(batch);
        let mode = match there && !(self.anew && first) {
            true => WriteMode::ReplaceWhere(Box::new(replaced)),
            false => WriteMode::OverwriteWhere(Box::new(replaced)),
        };
        let ledger = serde_json::to_value(done).unwrap_or_default();
        write(
            self.run,
            self.asset,
            &self.sql.rows,
            session.context(),
            rows,
            self.fingerprint,
            Output {
                table: &self.sql.table,
                mode,
                files: Vec::new(),
                in_parts: false,
                rejects: None,
                window: Some((batch.start, batch.end)),
                outcome: Map::from_iter([(INTERVALS_KEY.to_owned(), ledger)]),
            },
        )
        .await
    }

    /// The condition on the rows of a batch.
    fn of(&self, batch: Batch) -> Expr {
        let column = || Expr::Column(Column::from_name(&self.mode.column));
        let bound = |moment: i64| lit(scalar(self.mode.bounds, moment));
        column()
            .gt_eq(bound(batch.start))
            .and(column().lt(bound(batch.end)))
    }
}

/// The rows of a batch on their way.
enum Computing {
    Later(futures::future::BoxFuture<'static, Result<DataFrame, StageError>>),
    Aside(AbortOnDropHandle<Result<Spool, StageError>>),
}

impl Computing {
    async fn rows(self, session: &LakeSession) -> Result<DataFrame, StageError> {
        match self {
            Self::Later(plan) => plan.await,
            Self::Aside(task) => {
                let spool = task.await.map_err(|_| StageError::Panicked)??;
                Ok(session.context().read_table(spool.table()?)?)
            }
        }
    }
}

/// A moment as a value of the column.
fn scalar(bounds: BoundType, moment: i64) -> ScalarValue {
    match bounds {
        BoundType::Date => ScalarValue::Date32(i32::try_from(moment.div_euclid(86_400_000)).ok()),
        BoundType::Timestamp => ScalarValue::TimestampMicrosecond(moment.checked_mul(1000), None),
        BoundType::TimestampUtc => {
            let zone = Some(Arc::from("UTC"));
            ScalarValue::TimestampMicrosecond(moment.checked_mul(1000), zone)
        }
    }
}

/// The ledger in an asset's outcome.
pub(crate) fn ledger_of(outcome: &Value) -> Ranges {
    let ledger = outcome.get(INTERVALS_KEY).cloned();
    let ledger = ledger.and_then(|ledger| serde_json::from_value(ledger).ok());
    ledger.unwrap_or_default()
}
