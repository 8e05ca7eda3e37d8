//! Rules on whole tables, looked at between the write and the commit: [`Audit::look`] gets the
//! table as it would be, and refuses it where a rule with `otherwise: fail` is broken. Then
//! nobody has seen it, and its data files are deleted.
//!
//! What counts and compares is one pass over the columns that it needs; `unique`,
//! `relationships` and `custom` are a query each. All of them sort and group within
//! [`MEMORY_BYTES`] and spill the rest.

mod figures;
mod findings;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use sluice_lake::session::SessionOptions;
use sluice_lake::sql;
use sluice_lake::state::State;
use sluice_lake::{LakeCatalog, TableName, registry::Registry};
use sluice_udfs::models::ModelSet;
use sluice_udfs::session::LakeSession;

use self::figures::Figures;
use super::context::RunContext;
use super::error::StageError;
use super::rules::{report_findings, stopping};
use crate::plan::rules::length;
use crate::plan::{Asset, TableExpectation, TableRule};
use crate::spec::Otherwise;

/// What the queries of one audit hold in memory before they spill, in bytes.
const MEMORY_BYTES: usize = 1 << 30;

/// What was found of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) rule: TableExpectation,
    /// Rows of the table.
    pub(crate) rows: u64,
    /// Rows that break the rule; 0 where it holds.
    pub(crate) failed: u64,
    /// What is wrong, with examples; `None` where the rule holds.
    pub(crate) what: Option<String>,
}

/// What was found so far, shared with whoever waits for it.
pub(crate) type Findings = Arc<Mutex<Vec<Finding>>>;

/// Rules on a table, and all that looking at it takes.
pub(crate) struct Audit {
    table: TableName,
    rules: Vec<TableExpectation>,
    options: SessionOptions,
    catalog: LakeCatalog,
    state: State,
    registry: Registry,
    models: Arc<ModelSet>,
    /// The run's start, in milliseconds since 1970 UTC.
    started_ms: i64,
    findings: Findings,
}

/// A table is not made, since a rule on the whole of it is broken.
#[derive(Debug, thiserror::Error)]
#[error("expectation `{name}` failed: {what}")]
struct Refused {
    name: String,
    what: String,
}

impl Audit {
    pub(crate) fn new(run: &RunContext, table: &TableName, rules: &[TableExpectation]) -> Self {
        Self {
            table: table.clone(),
            rules: rules.to_vec(),
            options: SessionOptions {
                target_partitions: run.threads.get(),
                memory_limit_bytes: Some(MEMORY_BYTES),
                ..SessionOptions::default()
            },
            catalog: run.catalog.clone(),
            state: run.state.clone(),
            registry: run.world.registry.clone(),
            models: Arc::clone(&run.models),
            started_ms: run.started_ms,
            findings: Findings::default(),
        }
    }

    /// Whether there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where the findings will be.
    pub(crate) fn findings(&self) -> Findings {
        Arc::clone(&self.findings)
    }

    /// Looks at the table as it would be, by all rules, and refuses it where one that forbids
    /// it is broken.
    pub(crate) async fn look(&self, rows: Arc<dyn TableProvider>) -> Result<(), DataFusionError> {
        let findings = self.found(rows).await;
        let findings = findings.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let refused = refusal(&findings).map(|(name, what)| Refused {
            name: name.to_owned(),
            what: what.to_owned(),
        });
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = findings;
        match refused {
            Some(refused) => Err(DataFusionError::External(Box::new(refused))),
            None => Ok(()),
        }
    }

    async fn found(&self, rows: Arc<dyn TableProvider>) -> Result<Vec<Finding>, StageError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let catalog = self.catalog.clone();
        let session = LakeSession::open(
            &self.options,
            catalog.with_rows_instead(&self.table, Arc::clone(&rows)),
            Some(self.state.clone()),
            self.registry.clone(),
            Arc::clone(&self.models),
        )?;
        let ctx = session.context();
        let rows = rows_of(ctx, &self.table).await?;
        find(ctx, rows, &self.rules, self.started_ms).await
    }
}

/// Looks at the rows of a table by rules on the whole of it. `ctx` has all that its rules look
/// at; `now_ms` is what they call now, in milliseconds since 1970 UTC.
pub(crate) async fn find(
    ctx: &SessionContext,
    rows: DataFrame,
    rules: &[TableExpectation],
    now_ms: i64,
) -> Result<Vec<Finding>, StageError> {
    let looking = Looking {
        ctx,
        figures: Figures::of(&rows, rules).await?,
        rows,
        now_ms,
    };
    let mut found = Vec::with_capacity(rules.len());
    for (at, rule) in rules.iter().enumerate() {
        let (failed, what) = looking.at(&rule.rule, at).await?;
        found.push(Finding {
            rule: rule.clone(),
            rows: looking.figures.rows(),
            failed,
            what: what.filter(|_| failed > 0),
        });
    }
    Ok(found)
}

/// The rows of a table of a session.
async fn rows_of(ctx: &SessionContext, table: &TableName) -> Result<DataFrame, StageError> {
    let name = TableReference::partial(table.layer(), table.table());
    Ok(ctx.table(name).await?)
}

/// A look at a table.
struct Looking<'a> {
    ctx: &'a SessionContext,
    rows: DataFrame,
    figures: Figures,
    now_ms: i64,
}

impl Looking<'_> {
    /// How many rows break a rule, and what is wrong with them. `at`: the rule's place.
    async fn at(&self, rule: &TableRule, at: usize) -> Result<(u64, Option<String>), StageError> {
        let (table, rows) = (&self.rows, self.figures.rows());
        let of_rows = |failed: u64| format!("{failed} of {rows} rows");
        Ok(match rule {
            TableRule::Unique(columns) => {
                let (failed, examples) = findings::repeated(table, columns).await?;
                let columns = columns.join(", ");
                let what = format!(
                    "{} repeat what another has in ({columns}), such as {examples}",
                    of_rows(failed)
                );
                (failed, Some(what))
            }
            TableRule::NotNull(columns) => {
                let failed = self.figures.failed(at);
                let columns = columns.join("` or `");
                let what = format!("{} have no value in `{columns}`", of_rows(failed));
                (failed, Some(what))
            }
            TableRule::AcceptedValues { column, values } => match self.figures.failed(at) {
                0 => (0, None),
                failed => {
                    let examples = findings::other_values(table, column, values).await?;
                    let of_rows = of_rows(failed);
                    let what = format!("{of_rows} have another value in `{column}`: {examples}");
                    (failed, Some(what))
                }
            },
            TableRule::Relationship {
                column,
                to,
                to_column,
            } => {
                let parent = rows_of(self.ctx, to).await?;
                let orphans = findings::orphans(table, column, parent, to_column);
                let (failed, examples) = orphans.await?;
                let what = format!(
                    "{} have a value in `{column}` that `{to}` does not have in `{to_column}`: \
                     {examples}",
                    of_rows(failed)
                );
                (failed, Some(what))
            }
            TableRule::RowCount { min, max } => row_count(rows, *min, *max),
            TableRule::Freshness { column, within } => {
                let latest_ms = self.figures.latest_ms(at);
                stale(rows, column, latest_ms, self.now_ms, *within)
            }
            TableRule::Custom { query, .. } => {
                let plan = sql::plan(self.ctx, query.as_ref().clone()).await?;
                let found = DataFrame::new(self.ctx.state(), plan);
                let (failed, examples) = findings::given(found).await?;
                let given = match failed {
                    1 => "the query gives 1 row".to_owned(),
                    _ => format!("the query gives {failed} rows"),
                };
                (failed, Some(format!("{given}, such as {examples}")))
            }
        })
    }
}

/// Looks at a table that is up to date by the rules that time alone can break.
pub(crate) async fn look_again(run: &RunContext, asset: &Asset) -> Result<(), StageError> {
    let (Some(table), Some(plan)) = (asset.table(), asset.rows()) else {
        return Ok(());
    };
    let aging = plan.table_rules.iter().filter(|rule| rule.rule.ages());
    let aging: Vec<TableExpectation> = aging.cloned().collect();
    if aging.is_empty() {
        return Ok(());
    }
    let stored = run.catalog.table(table).await?;
    let stored = stored.ok_or_else(|| StageError::TableGone(table.to_string()))?;
    let audit = Audit::new(run, table, &aging);
    let findings = stopping(run, audit.found(stored.provider)).await?;
    report_findings(run, asset, &findings).await?;
    match refusal(&findings) {
        None => Ok(()),
        Some((name, what)) => Err(StageError::Aged {
            name: name.to_owned(),
            what: what.to_owned(),
        }),
    }
}

/// The first broken rule that forbids the table, and what is wrong.
pub(crate) fn refusal(findings: &[Finding]) -> Option<(&str, &str)> {
    findings.iter().find_map(|finding| {
        let forbids = finding.rule.otherwise == Otherwise::Fail;
        let what = finding.what.as_deref().filter(|_| forbids)?;
        Some((finding.rule.name.as_str(), what))
    })
}

/// Too few rows, or too many: how many, and in words.
fn row_count(rows: u64, min: Option<u64>, max: Option<u64>) -> (u64, Option<String>) {
    let counted = match rows {
        1 => "there is 1 row".to_owned(),
        rows => format!("there are {rows} rows"),
    };
    match (min, max) {
        (Some(min), _) if rows < min => (min - rows, Some(format!("{counted}, fewer than {min}"))),
        (_, Some(max)) if rows > max => (rows - max, Some(format!("{counted}, more than {max}"))),
        _ => (0, None),
    }
}

/// Whether the latest row is too old: all rows are, then.
fn stale(
    rows: u64,
    column: &str,
    latest_ms: Option<i64>,
    now_ms: i64,
    within: Duration,
) -> (u64, Option<String>) {
    let Some(latest_ms) = latest_ms else {
        let what = format!("there is no value in `{column}`, so that nothing is fresh");
        return (rows.max(1), Some(what));
    };
    let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
    let age_ms = now_ms.saturating_sub(latest_ms);
    if age_ms <= within_ms {
        return (0, None);
    }
    let age = Duration::from_secs(age_ms.unsigned_abs() / 1000);
    let what = format!(
        "the latest `{column}` is {} old, and {} is the most",
        length(age),
        length(within)
    );
    (rows.max(1), Some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_two_bounds_and_an_empty_table_is_not_fresh() {
        assert_eq!(row_count(3, Some(3), Some(3)), (0, None));
        let few = row_count(1, Some(3), None);
        assert_eq!(few, (2, Some("there is 1 row, fewer than 3".to_owned())));
        let many = row_count(5, Some(3), Some(4));
        assert_eq!(many, (1, Some("there are 5 rows, more than 4".to_owned())));

        let hour = Duration::from_secs(3600);
        let at = |latest, now| stale(7, "at", latest, now, hour);
        assert_eq!(at(Some(0), 3_600_000), (0, None));
        // What lies in the future is fresh.
        assert_eq!(at(Some(i64::MAX), 0), (0, None));
        let old = at(Some(0), 93_600_000);
        let what = "the latest `at` is 1d2h old, and 1h is the most";
        assert_eq!(old, (7, Some(what.to_owned())));
        assert_eq!(stale(0, "at", None, 0, hour).0, 1);
    }
}
