//! The rows of a table without a lakehouse: what its query, its rules and its split make of
//! the tables of a session. [`super::table`] does the same on the way to a Delta table.

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use sluice_lake::sql;

use super::error::StageError;
use super::rules::{count_duplicates, first_duplicate, forbidden, values_of};
use super::table::{washer, with_flags};
use crate::check::modes::bounded;
use crate::plan::mode::Mode;
use crate::plan::{Asset, RowPlan, SqlAsset};
use crate::spec::{Instant, Otherwise};

/// From the year 1 to the end of the year 9999: what a query of intervals is asked for when no
/// interval is meant.
const ALL_TIME: (Instant, Instant) = (Instant(-62_135_596_800_000), Instant(253_402_300_799_000));

/// The rows in the query's order; all of them in memory. What the table's `mode:` makes of them,
/// and of the rows that are there, is not looked at: of intervals those of all time are asked
/// for.
///
/// # Errors
/// As making the table: a query that fails, a rule with `otherwise: fail` that is broken.
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
    forbid_duplicates(rules, &flagged).await?;
    let washer = washer(rules, &flagged);
    let rows: SendableRecordBatchStream = flagged.execute_stream().await?;
    let rows = washer.wash(0, rows).try_collect().await?;
    match forbidden(asset, rules, &washer) {
        Some(error) => Err(error),
        None => Ok(rows),
    }
}

/// An error of the first `unique` rule with `otherwise: fail` that is broken.
async fn forbid_duplicates(rules: &RowPlan, flagged: &DataFrame) -> Result<(), StageError> {
    let failing = |otherwise| otherwise == Otherwise::Fail;
    for rule in rules.unique.iter().filter(|rule| failing(rule.otherwise)) {
        let values = values_of(rule, rules, flagged, None)?;
        let (rows, failed) = count_duplicates(rule, values.clone()).await?;
        if failed > 0 {
            return Err(StageError::Duplicates {
                name: rule.name.clone(),
                failed,
                rows,
                columns: rule.columns.join(", "),
                example: first_duplicate(rule, values).await?,
            });
        }
    }
    Ok(())
}
