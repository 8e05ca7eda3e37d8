//! Tables that are brought up to date without being made anew: `mode:`.
//!
//! Entry point: [`bring_up_to_date`], for a table whose rows count. A mode that reads what
//! changed in one table asks its query of those rows, in a session in which the table holds
//! nothing else ([`NewRows`]).

mod append;
mod interval;

pub(crate) use interval::{Intervals, ledger_of};

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlan};
use sluice_lake::TableName;
use sluice_lake::delta::{Changes, ChangesError};
use sluice_udfs::session::LakeSession;

use super::context::RunContext;
use super::error::StageError;
use super::keyed;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::mode::Mode;
use crate::plan::upkeep::{Upkeeping, how_to_go_on};
use crate::plan::{Asset, SqlAsset};

/// What sorts, joins and differences of an incremental table hold in memory before they
/// spill, in bytes.
pub(crate) const MEMORY_BYTES: usize = 1 << 30;

/// What bringing a table up to date came to.
pub(crate) enum Outcome {
    /// Rows were written.
    Written(sluice_lake::delta::Written),
    /// There was no row to write, and no commit; why.
    Nothing(String),
}

/// Brings a table up to date whose rows count, and which was made from `earlier`.
pub(crate) async fn bring_up_to_date(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    fingerprint: &Fingerprint,
    earlier: &Fingerprint,
) -> Result<Outcome, StageError> {
    match &sql.upkeep.mode {
        Mode::Append(append) => {
            append::append(run, asset, sql, &append.from, fingerprint, earlier).await
        }
        Mode::Merge(merge) => {
            keyed::stage::follow(run, asset, sql, &merge.from, fingerprint, earlier).await
        }
        Mode::Scd2(scd2) => {
            keyed::stage::follow(run, asset, sql, &scd2.from, fingerprint, earlier).await
        }
        Mode::Full | Mode::Interval(_) => {
            let written = super::table::from_query(run, asset, sql, fingerprint).await?;
            Ok(Outcome::Written(written))
        }
    }
}

/// What changed in the table `from` between what `earlier` and `now` read of it.
pub(crate) async fn changes_between(
    run: &RunContext,
    sql: &SqlAsset,
    from: &TableName,
    now: &Fingerprint,
    earlier: &Fingerprint,
) -> Result<Changes, StageError> {
    let name = from.to_string();
    let Some((since, until)) = Upkeeping::moved(now, earlier, &name) else {
        return Err(StageError::TableGone(name));
    };
    let lakehouse = &run.world.lakehouse;
    let changes = lakehouse.changes(from, since.since(), until.version);
    changes.await.map_err(|error| untold(sql, error))
}

/// The columns of a table that a query reads: rows that differ in others alone are the same
/// to it.
pub(crate) async fn columns_read(
    run: &RunContext,
    sql: &SqlAsset,
    from: &TableName,
    fingerprint: &Fingerprint,
) -> Result<BTreeSet<String>, StageError> {
    let session = run.session()?;
    let versions = fingerprint.model_versions();
    let plan = session.plan_with(sql.statement.clone(), &versions).await?;
    let plan = session.context().state().optimize(&plan)?;
    let mut columns = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = &scan.table_name;
            let layer = name.schema().unwrap_or_default();
            let same = TableName::new(layer, name.table());
            if same.is_ok_and(|same| same.matches(from)) {
                let fields = scan.projected_schema.fields().iter();
                columns.extend(fields.map(|field| field.name().clone()));
                let filters = scan.filters.iter().flat_map(Expr::column_refs);
                columns.extend(filters.map(|column| column.name.clone()));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns)
}

/// A table whose changes cannot be told is refused.
pub(crate) fn untold(sql: &SqlAsset, error: ChangesError) -> StageError {
    match error {
        ChangesError::Lake(error) => error.into(),
        ChangesError::Untold(why) => StageError::Refused {
            reason: format!("what is new cannot be told: {why}"),
            help: how_to_go_on(sql, false),
        },
    }
}

/// The query of a table, asked of some rows of the table that it reads incrementally.
pub(crate) struct NewRows {
    pub(crate) session: LakeSession,
    pub(crate) rows: DataFrame,
}

impl NewRows {
    /// Asks the query of `rows` in place of the rows of `from`.
    pub(crate) async fn ask(
        run: &RunContext,
        sql: &SqlAsset,
        from: &TableName,
        rows: DataFrame,
        fingerprint: &Fingerprint,
    ) -> Result<Self, StageError> {
        let session = run.session_with(Some(MEMORY_BYTES), Some((from, rows.into_view())))?;
        let versions = fingerprint.model_versions();
        let plan: LogicalPlan = session.plan_with(sql.statement.clone(), &versions).await?;
        let rows = DataFrame::new(session.context().state(), plan);
        Ok(Self { session, rows })
    }

    /// Whether the query gives no row at all.
    pub(crate) async fn is_empty(&self) -> Result<bool, StageError> {
        let first = self.rows.clone().limit(0, Some(1))?;
        let batches = first.collect().await?;
        Ok(batches.iter().all(|batch| batch.num_rows() == 0))
    }
}
