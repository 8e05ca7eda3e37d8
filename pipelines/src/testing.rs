//! Runs the tests of a project: in memory, side by side, without a lakehouse.
//!
//! Entry point: [`run_tests`] on the [`TestCase`]s of a checked plan. A test's query is planned
//! and its rules and split are applied as a run does it, over tables that hold the given
//! rows; [`compare`] finds what differs.

mod compare;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::prelude::SessionContext;
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::system::SystemSchema;
use sluice_udfs::models::ModelSet;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use compare::{Difference, DifferentRow};

use crate::plan::{AssetBody, TestCase, TestOutcome};
use crate::run::error::StageError;
use crate::run::{in_memory, in_words};

/// How a test ended.
#[derive(Debug, Clone)]
pub struct TestResult {
    /// The test.
    pub case: Arc<TestCase>,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What came of a test.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// What was expected.
    Passed,
    /// The rows are not those that were expected.
    Different(Box<Difference>),
    /// The table was made, or not made, against what was expected: in words.
    Failed(String),
}

impl TestResult {
    /// Whether it came out as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }
}

/// Runs tests, at most `parallelism` side by side; the results are in the order of the tests.
/// Each holds its rows in memory.
pub async fn run_tests(cases: &[Arc<TestCase>], parallelism: NonZeroUsize) -> Vec<TestResult> {
    let permits = Arc::new(Semaphore::new(parallelism.get()));
    let mut running = JoinSet::new();
    for (position, case) in cases.iter().enumerate() {
        let (case, permits) = (Arc::clone(case), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let started = Instant::now();
            let verdict = verdict(&case).await;
            let seconds = started.elapsed().as_secs_f64();
            (position, verdict, seconds)
        });
    }
    let mut ended: BTreeMap<usize, (Verdict, f64)> = BTreeMap::new();
    while let Some(joined) = running.join_next().await {
        if let Ok((position, verdict, seconds)) = joined {
            ended.insert(position, (verdict, seconds));
        }
    }
    let results = cases.iter().enumerate().map(|(position, case)| {
        let (verdict, seconds) = ended.remove(&position).unwrap_or_else(|| {
            let words = "the test broke off unexpectedly; please report this".to_owned();
            (Verdict::Failed(words), 0.0)
        });
        TestResult {
            case: Arc::clone(case),
            verdict,
            seconds,
        }
    });
    results.collect()
}

async fn verdict(case: &TestCase) -> Verdict {
    let made = made(case).await;
    match (&case.outcome, made) {
        (
            TestOutcome::Rows {
                rows,
                ordered,
                tolerance,
            },
            Ok(made),
        ) => match compare::compare(rows, &made, *ordered, *tolerance) {
            Ok(None) => Verdict::Passed,
            Ok(Some(difference)) => Verdict::Different(Box::new(difference)),
            Err(error) => Verdict::Failed(format!("the rows cannot be compared: {error}")),
        },
        (TestOutcome::Rows { .. }, Err(error)) => Verdict::Failed(format!(
            "rows were expected, and it failed: {}",
            in_words(&error)
        )),
        (TestOutcome::Error { .. }, Ok(made)) => {
            let rows: usize = made.iter().map(RecordBatch::num_rows).sum();
            Verdict::Failed(format!("an error was expected, and it made {rows} rows"))
        }
        (TestOutcome::Error { rule, message }, Err(error)) => {
            expected(rule.as_deref(), message.as_deref(), &error)
        }
    }
}

/// Whether an error is the one that was expected.
fn expected(rule: Option<&str>, message: Option<&str>, error: &StageError) -> Verdict {
    let words = in_words(error);
    if let Some(rule) = rule
        && error.rule() != Some(rule)
    {
        let what = format!("the rule `{rule}` was to fail it, and what failed is: {words}");
        return Verdict::Failed(what);
    }
    match message {
        Some(part) if !words.contains(part) => Verdict::Failed(format!(
            "the error was to say `{part}`, and it says: {words}"
        )),
        _ => Verdict::Passed,
    }
}

/// The rows that a table comes to.
async fn made(case: &TestCase) -> Result<Vec<RecordBatch>, StageError> {
    let AssetBody::Sql(sql) = &case.asset.body else {
        // The check refuses tests of other tables.
        return Err(StageError::Panicked);
    };
    let ctx = tables(case)?;
    in_memory::rows(&ctx, &case.asset, sql).await
}

/// A session with the given tables, empty `system` tables, and nothing else.
fn tables(case: &TestCase) -> Result<SessionContext, StageError> {
    let options = SessionOptions {
        target_partitions: 1,
        ..SessionOptions::default()
    };
    let ctx = session(&options)?;
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let system = SystemSchema::new(None)?;
    catalog.register_schema(SystemSchema::NAME, Arc::new(system))?;
    for (name, rows) in &case.given {
        let layer = match catalog.schema(name.layer()) {
            Some(layer) => layer,
            None => {
                let layer: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(name.layer(), Arc::clone(&layer))?;
                layer
            }
        };
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
        layer.register_table(name.table().to_owned(), Arc::new(table))?;
    }
    ctx.register_catalog(DEFAULT_CATALOG, catalog as Arc<dyn CatalogProvider>);
    sluice_udfs::register(&ctx, &Arc::new(ModelSet::default()));
    Ok(ctx)
}
