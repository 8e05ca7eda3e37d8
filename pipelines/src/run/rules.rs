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

/// Records and tells what row rules counted, and what straddles.
pub(crate) async fn report_rules(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    washer: &Washer,
) -> Result<(), StageError> {
    for (rule, counted) in rules.rules.iter().zip(washer.rules()) {
        let checked = Checked {
            name: &rule.name,
            kind: if rule.of_contract { "contract" } else { "row" },
            rule: rule.that.text().trim(),
            otherwise: rule.otherwise,
            rows: washer.rows(),
            failed: counted.failed(),
            found: None,
        };
        record(run, asset, checked).await?;
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

/// Records and tells what was found of rules on the whole table.
pub(crate) async fn report_findings(
    run: &RunContext,
    asset: &Asset,
    findings: &[Finding],
) -> Result<(), StageError> {
    for finding in findings {
        let TableExpectation {
            name,
            rule,
            otherwise,
        } = &finding.rule;
        let checked = Checked {
            name,
            kind: rule.kind(),
            rule: &rule.words(),
            otherwise: *otherwise,
            rows: finding.rows,
            failed: finding.failed,
            found: finding.what.as_deref(),
        };
        record(run, asset, checked).await?;
    }
    Ok(())
}

/// A rule, and what was found of it.
struct Checked<'a> {
    name: &'a str,
    kind: &'static str,
    rule: &'a str,
    otherwise: Otherwise,
    rows: u64,
    failed: u64,
    found: Option<&'a str>,
}

async fn record(run: &RunContext, asset: &Asset, checked: Checked<'_>) -> Result<(), StageError> {
    let otherwise = checked.otherwise.name();
    run.emit(EventKind::Expectation {
        asset: asset.name.clone(),
        name: checked.name.to_owned(),
        kind: checked.kind,
        otherwise,
        rows: checked.rows,
        failed: checked.failed,
        found: checked.found.map(str::to_owned),
    });
    let result = ExpectationResult {
        asset: asset.name.clone(),
        name: checked.name.to_owned(),
        kind: checked.kind.to_owned(),
        rule: checked.rule.to_owned(),
        otherwise: otherwise.to_owned(),
        rows: i64::try_from(checked.rows).unwrap_or(i64::MAX),
        failed: i64::try_from(checked.failed).unwrap_or(i64::MAX),
        found: checked.found.map(str::to_owned),
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
