//! What becomes of a table's rules: unique columns are looked at before the rows are
//! written, row rules are counted while they are; both are recorded and told.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, col, lit};
use sluice_lake::state::ExpectationResult;

use super::context::RunContext;
use super::error::StageError;
use super::wash::Washer;
use crate::events::EventKind;
use crate::plan::{Asset, AssetBody, RowPlan, UniqueExpectation};
use crate::spec::Otherwise;

/// Longest query that a message repeats, in characters.
const MAX_QUERY_CHARS: usize = 240;

/// The column that flags whether a row keeps a rule.
pub(crate) fn flag_column(rule: usize) -> String {
    format!("__rule_{rule}")
}

/// Counts the rows that stand in the way of `unique` rules, among those that would be in the
/// table: `flagged` without what row rules drop, and `staying`. Runs the query once more, in
/// memory bounded by the number of distinct values. NULL equals nothing.
pub(crate) async fn check_unique(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    flagged: &DataFrame,
    staying: Option<&DataFrame>,
) -> Result<(), StageError> {
    for rule in &rules.unique {
        let values = values_of(rule, rules, flagged, staying)?;
        let (rows, failed) = stopping(run, count_duplicates(rule, values.clone())).await?;
        let words = format!("unique: [{}]", rule.columns.join(", "));
        record(run, asset, &rule.name, &words, rule.otherwise, rows, failed).await?;
        if failed > 0 && rule.otherwise == Otherwise::Fail {
            let example = stopping(run, first_duplicate(rule, values)).await?;
            return Err(StageError::Duplicates {
                name: rule.name.clone(),
                failed,
                rows,
                columns: rule.columns.join(", "),
                example,
            });
        }
    }
    Ok(())
}

/// Does something, unless the run is stopped before.
pub(crate) async fn stopping<T>(
    run: &RunContext,
    work: impl Future<Output = Result<T, StageError>>,
) -> Result<T, StageError> {
    tokio::select! {
        done = work => done,
        () = run.cancel.cancelled() => Err(StageError::Cancelled),
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn columns_of(rule: &UniqueExpectation) -> Vec<Expr> {
    rule.columns.iter().map(|name| column(name)).collect()
}

/// The columns of a rule in all rows that would be in the table.
pub(crate) fn values_of(
    rule: &UniqueExpectation,
    rules: &RowPlan,
    flagged: &DataFrame,
    staying: Option<&DataFrame>,
) -> Result<DataFrame, StageError> {
    let mut rows = flagged.clone();
    for (index, row_rule) in rules.rules.iter().enumerate() {
        if row_rule.otherwise == Otherwise::Drop {
            rows = rows.filter(column(&flag_column(index)))?;
        }
    }
    let plain = |name: &String| column(name).alias(name);
    let rows = rows.select(rule.columns.iter().map(plain).collect::<Vec<_>>())?;
    match staying {
        Some(staying) => {
            let staying = staying.clone().select(columns_of(rule))?;
            Ok(rows.union(staying)?)
        }
        None => Ok(rows),
    }
}

/// How often each combination without a NULL occurs, as `__n`.
fn occurrences(rule: &UniqueExpectation, values: DataFrame) -> Result<DataFrame, StageError> {
    let mut values = values;
    for name in &rule.columns {
        values = values.filter(column(name).is_not_null())?;
    }
    let counted = vec![count(lit(1_i64)).alias("__n")];
    Ok(values.aggregate(columns_of(rule), counted)?)
}

/// All rows, and those that repeat an earlier one.
pub(crate) async fn count_duplicates(
    rule: &UniqueExpectation,
    values: DataFrame,
) -> Result<(u64, u64), StageError> {
    let rows = values.clone().count().await?;
    let extra = sum(col("__n") - lit(1_i64)).alias("__extra");
    let extra = occurrences(rule, values)?.aggregate(vec![], vec![extra])?;
    let collected = extra.collect().await?;
    let batch = collected.iter().find(|batch| batch.num_rows() > 0);
    let failed = batch.map(|batch| batch.column(0).as_primitive::<Int64Type>());
    let failed = failed.filter(|extra| extra.is_valid(0));
    let failed = failed.map_or(0, |extra| extra.value(0));
    Ok((rows as u64, u64::try_from(failed).unwrap_or(0)))
}

/// One combination that occurs more than once, in words.
pub(crate) async fn first_duplicate(
    rule: &UniqueExpectation,
    values: DataFrame,
) -> Result<String, StageError> {
    let order = rule
        .columns
        .iter()
        .map(|name| column(name).sort(true, true));
    let found = occurrences(rule, values)?
        .filter(col("__n").gt(lit(1_i64)))?
        .sort(order.collect())?
        .limit(0, Some(1))?
        .collect()
        .await?;
    let Some(batch) = found.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(String::new());
    };
    let options = FormatOptions::default();
    let mut words = Vec::with_capacity(rule.columns.len());
    for (name, values) in rule.columns.iter().zip(batch.columns()) {
        let value = ArrayFormatter::try_new(values, &options)
            .map_err(datafusion::error::DataFusionError::from)?;
        words.push(format!("{name} = {}", value.value(0)));
    }
    Ok(words.join(", "))
}

/// Records and tells what row rules counted, and what straddles.
pub(crate) async fn report_rules(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    washer: &Washer,
) -> Result<(), StageError> {
    for (rule, counted) in rules.rules.iter().zip(washer.rules()) {
        let words = rule.that.text().trim();
        let (rows, failed) = (washer.rows(), counted.failed());
        record(run, asset, &rule.name, words, rule.otherwise, rows, failed).await?;
    }
    let straddling = washer.straddling_rows();
    if straddling > 0 {
        run.warn(
            &asset.name,
            format!("{straddling} rows have an equal in another part of the split: `by:` lets them straddle"),
        );
    }
    Ok(())
}

async fn record(
    run: &RunContext,
    asset: &Asset,
    name: &str,
    rule: &str,
    otherwise: Otherwise,
    rows: u64,
    failed: u64,
) -> Result<(), StageError> {
    run.emit(EventKind::Expectation {
        asset: asset.name.clone(),
        name: name.to_owned(),
        otherwise: otherwise.name(),
        rows,
        failed,
    });
    let result = ExpectationResult {
        asset: asset.name.clone(),
        name: name.to_owned(),
        rule: rule.to_owned(),
        otherwise: otherwise.name().to_owned(),
        rows: i64::try_from(rows).unwrap_or(i64::MAX),
        failed: i64::try_from(failed).unwrap_or(i64::MAX),
    };
    Ok(run
        .state
        .record_expectations(&run.run_id, &[result])
        .await?)
}

/// The error of the first broken rule that forbids the table, if there is one.
pub(crate) fn forbidden(asset: &Asset, rules: &RowPlan, washer: &Washer) -> Option<StageError> {
    let pairs = rules.rules.iter().zip(washer.rules());
    let (rule, counted) = pairs
        .into_iter()
        .find(|(rule, counted)| rule.otherwise == Otherwise::Fail && counted.failed() > 0)?;
    let hint = match counted.first() {
        Some(place) => format!("the first is {place}"),
        None => format!(
            "see the rows with: SELECT * FROM ({}) WHERE ({}) IS NOT TRUE",
            source_text(asset),
            rule.that.text().trim()
        ),
    };
    Some(StageError::Expectation {
        name: rule.name.clone(),
        failed: counted.failed(),
        rows: washer.rows(),
        hint,
    })
}

/// What a table is made from, for a query that a user can try.
fn source_text(asset: &Asset) -> String {
    let query = match &asset.body {
        AssetBody::Sql(sql) => sql.statement.ast().to_string(),
        AssetBody::Scored(scored) => scored.as_query(),
        _ => String::new(),
    };
    match query.chars().count() {
        1..=MAX_QUERY_CHARS => query,
        _ => format!("the query of {}", asset.name),
    }
}
