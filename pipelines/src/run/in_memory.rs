//! The rows of a table without a lakehouse: what its query, its rules and its split make of
//! the tables of a session. [`super::table`] does the same on the way to a Delta table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use sluice_lake::sql;

use super::audit::{Finding, find};
use super::context::now_ms;
use super::error::StageError;
use super::rules::forbidden;
use super::table::{refused_by_table, washer, with_flags};
use crate::check::modes::bounded;
use crate::plan::mode::Mode;
use crate::plan::{Asset, RowPlan, SqlAsset, TableExpectation};
use crate::spec::Instant;

/// The years 1678 to 2261, which timestamps of every unit can tell: what a query of intervals is
/// asked for when no interval is meant.
const ALL_TIME: (Instant, Instant) = (Instant(-9_214_560_000_000), Instant(9_214_646_400_000));

/// The rows in the query's order; all of them in memory. What the table's `mode:` makes of them,
/// and of the rows that are there, is not looked at: of intervals those of all time are asked
/// for.
///
/// # Errors
/// As making the table: a query that fails, a rule with `otherwise: fail` that is broken, if the rows
/// alone can tell.
pub(crate) async fn rows(
    ctx: &SessionContext,
    asset: &Asset,
    sql: &SqlAsset,
) -> Result<Vec<RecordBatch>, StageError> {
    let statement = match &sql.upkeep.mode {
        Mode::Interval(interval) => bounded(&sql.statement, interval.bounds, ALL_TIME),
        _ => sql.statement.clone(),
    };
    let plan = sql::plan(ctx, statement).await?;
    let rows = DataFrame::new(ctx.state(), plan);
    let rules = &sql.rows;
    let flagged = with_flags(ctx, &asset.name, rules, rows)?;
    let washer = Arc::new(washer(rules, flagged.schema().as_arrow()));
    let rows: SendableRecordBatchStream = flagged.execute_stream().await?;
    let rows: Vec<RecordBatch> = washer.wash(0, rows).try_collect().await?;
    let findings = judged(ctx, rules, washer.schema(), &rows).await?;
    let refused = forbidden(asset, rules, &washer).or_else(|| refused_by_table(&findings));
    match refused {
        Some(error) => Err(error),
        None => Ok(rows),
    }
}

/// What rules on the whole table find in these rows: those that judge any rows. How many rows
/// there are, how old they are, and what other tables have, is not what a test gives.
async fn judged(
    ctx: &SessionContext,
    rules: &RowPlan,
    schema: SchemaRef,
    rows: &[RecordBatch],
) -> Result<Vec<Finding>, StageError> {
    let judging = rules.table_rules.iter();
    let judging = judging.filter(|expectation| expectation.rule.judges_any_rows());
    let judging: Vec<TableExpectation> = judging.cloned().collect();
    if judging.is_empty() {
        return Ok(Vec::new());
    }
    let table = MemTable::try_new(schema, vec![rows.to_vec()])?;
    let rows = ctx.read_table(Arc::new(table))?;
    find(ctx, rows, &judging, now_ms()).await
}
