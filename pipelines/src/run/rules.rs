//! What becomes of a table's rules: those on rows are counted while the rows are written,
//! those on the whole table are looked at (see [`super::audit`]) when they are; both are
//! recorded and told.

use sluice_lake::state::ExpectationResult;

use super::audit::Finding;
use super::context::RunContext;
use super::error::StageError;
use super::wash::Washer;
use crate::events::EventKind;
use crate::plan::{Asset, AssetBody, RowPlan, TableExpectation};
use crate::spec::Otherwise;

/// Longest query that a message repeats, in characters.
const MAX_QUERY_CHARS: usize = 240;

/// The column that flags whether a row keeps a rule.
pub(crate) fn flag_column(rule: usize) -> String {
    format!("__rule_{rule}")
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

/// Records and tells what the rules of a table came to; and tells what straddles.
pub(crate) async fn report(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    washer: &Washer,
    findings: &[Finding],
) -> Result<(), StageError> {
    let counted = rules.rules.iter().zip(washer.rules());
    let counted = counted.map(|(rule, counted)| ExpectationResult {
        asset: asset.name.clone(),
        name: rule.name.clone(),
        kind: if rule.of_contract { "contract" } else { "row" }.to_owned(),
        rule: rule.that.text().trim().to_owned(),
        otherwise: rule.otherwise.name().to_owned(),
        rows: whole(washer.rows()),
        failed: whole(counted.failed()),
        found: None,
        // A stage may make its table in several commits.
        on_top: true,
    });
    let found = findings.iter().map(|finding| result_of(asset, finding));
    record(run, counted.chain(found).collect()).await?;
    let straddling = washer.straddling_rows();
    if straddling > 0 {
        run.warn(
            &asset.name,
            format!("{straddling} rows have an equal in another part of the split: `by:` lets them straddle"),
        );
    }
    Ok(())
}

/// Records and tells what was found of rules on the whole table.
pub(crate) async fn report_findings(
    run: &RunContext,
    asset: &Asset,
    findings: &[Finding],
) -> Result<(), StageError> {
    let found = findings.iter().map(|finding| result_of(asset, finding));
    record(run, found.collect()).await
}

fn result_of(asset: &Asset, finding: &Finding) -> ExpectationResult {
    let TableExpectation {
        name,
        rule,
        otherwise,
    } = &finding.rule;
    ExpectationResult {
        asset: asset.name.clone(),
        name: name.clone(),
        kind: rule.kind().to_owned(),
        rule: rule.words(),
        otherwise: otherwise.name().to_owned(),
        rows: whole(finding.rows),
        failed: whole(finding.failed),
        found: finding.what.clone(),
        on_top: false,
    }
}

/// A count as the store holds it.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn record(run: &RunContext, results: Vec<ExpectationResult>) -> Result<(), StageError> {
    for result in &results {
        run.emit(EventKind::Expectation {
            asset: result.asset.clone(),
            name: result.name.clone(),
            kind: result.kind.clone(),
            otherwise: result.otherwise.clone(),
            rows: result.rows.unsigned_abs(),
            failed: result.failed.unsigned_abs(),
            found: result.found.clone(),
        });
    }
    match results.is_empty() {
        true => Ok(()),
        false => Ok(run.state.record_expectations(&run.run_id, &results).await?),
    }
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
