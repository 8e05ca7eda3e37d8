//! Looking after the tables of a project, and after the memory of its runs.
//!
//! Entry points: [`maintain`], which `sluice maintain` calls, and [`after_run`], with which a run
//! ends. [`table`] knows what is due for a table and does it, [`history`] forgets old runs.
//! Nothing here changes a row, an asset's key, or what a run would make.

mod history;
mod table;

use std::num::NonZeroUsize;

use sluice_lake::registry::Registry;
use sluice_lake::state::{Maintained, Operation, StageStatus, State, now_ms};
use sluice_lake::{Lakehouse, TableName};
use tokio_util::sync::CancellationToken;

use super::context::RunContext;
use super::error::{RunError, StageError};
use super::lease::{self, Leased};
use super::recover;
use crate::check::{World, error_chain};
use crate::events::EventKind;
use crate::plan::{Asset, Plan};

/// How to look after a project.
#[derive(Debug, Clone, Copy)]
pub struct MaintainOptions {
    /// Waits for a run of the project that is under way, rather than to be refused.
    pub wait: bool,
    /// Does what `maintain:` names, due or not.
    pub now: bool,
    /// Data files that are written side by side.
    pub threads: NonZeroUsize,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The table; the pipeline for what is of no table.
    pub asset: String,
    /// What.
    pub operation: Operation,
    /// Why it is due.
    pub reason: String,
    /// What came of it.
    pub outcome: WorkOutcome,
}

/// What came of something that was to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkOutcome {
    /// It is due, and was not done: nobody asked for it.
    Due,
    /// It was done; it took so many seconds.
    Done(Maintained, f64),
    /// It could not be done, why, in words.
    Failed(String),
}

/// Does what is due for the tables that `plan` is about, and for the memory of runs.
///
/// Holds the project's lease, as a run does. What cannot be done for one table is told, and
/// keeps nothing else from being done.
///
/// # Errors
/// A lakehouse or state store that cannot be used; a lease that another run holds, or has taken
/// over meanwhile.
pub async fn maintain(
    plan: &Plan,
    options: MaintainOptions,
    cancel: &CancellationToken,
) -> Result<Vec<Work>, RunError> {
    let work = |leased| look_after(plan, options, leased);
    lease::under(&plan.lakehouse, &plan.pipeline, options.wait, cancel, work).await
}

async fn look_after(
    plan: &Plan,
    options: MaintainOptions,
    leased: Leased,
) -> Result<Vec<Work>, RunError> {
    let (lakehouse, state) = (&leased.lakehouse, &leased.state);
    let project = lakehouse.project_uuid(&plan.pipeline)?.to_string();
    let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
    recover(plan, lakehouse, state, &registry, &project).await?;
    let keeper = Keeper {
        plan,
        lakehouse,
        state,
        project: &project,
        now: options.now,
        dry_run: false,
        threads: options.threads,
        cancel: &leased.stop,
    };
    let chosen = plan.chosen.iter().map(|position| &*plan.assets[*position]);
    let mut done = keeper.tables(chosen).await?;
    done.extend(keeper.history().await?);
    Ok(done)
}

/// What [`maintain`] would do; writes nothing.
///
/// # Errors
/// A lakehouse or state store that cannot be read.
pub async fn due(
    plan: &Plan,
    world: &World,
    options: MaintainOptions,
) -> Result<Vec<Work>, RunError> {
    let project = world.lakehouse.existing_project_uuid(&plan.pipeline)?;
    let (Some(state), Some(project)) = (&world.state, project) else {
        return Ok(Vec::new());
    };
    let keeper = Keeper {
        plan,
        lakehouse: &world.lakehouse,
        state,
        project: &project.to_string(),
        now: options.now,
        dry_run: true,
        threads: options.threads,
        cancel: &CancellationToken::new(),
    };
    let chosen = plan.chosen.iter().map(|position| &*plan.assets[*position]);
    let mut due = keeper.tables(chosen).await?;
    due.extend(keeper.history().await?);
    Ok(due)
}

/// Does what is due for the tables that a run has made, and for the memory of runs. The run is
/// none the worse for what cannot be done: it says so.
pub(super) async fn after_run(run: &RunContext) {
    let keeper = Keeper {
        plan: &run.plan,
        lakehouse: &run.world.lakehouse,
        state: &run.state,
        project: &run.project,
        now: false,
        dry_run: false,
        threads: run.threads,
        cancel: &run.cancel,
    };
    match keeper.of_run(run).await {
        Ok(done) => done.into_iter().for_each(|work| tell(run, work)),
        Err(error) => run.warn(
            &run.plan.pipeline,
            format!("tables were not looked after: {}", error_chain(&error)),
        ),
    }
}

fn tell(run: &RunContext, work: Work) {
    match work.outcome {
        WorkOutcome::Due => {}
        WorkOutcome::Failed(error) => {
            run.warn(&work.asset, format!("{} failed: {error}", work.operation));
        }
        WorkOutcome::Done(done, seconds) => {
            let counts = |pair: Option<(i64, i64)>| {
                let count = |number: i64| u64::try_from(number).unwrap_or(0);
                (
                    pair.map(|(before, _)| count(before)),
                    pair.map(|(_, after)| count(after)),
                )
            };
            let (files_before, files_after) = counts(done.files);
            let (bytes_before, bytes_after) = counts(done.bytes);
            run.emit(EventKind::Maintained {
                asset: work.asset,
                operation: done.operation.as_str(),
                reason: work.reason,
                version: done.version,
                files_before,
                files_after,
                bytes_before,
                bytes_after,
                seconds,
            });
        }
    }
}

/// Who looks after a project.
struct Keeper<'a> {
    plan: &'a Plan,
    lakehouse: &'a Lakehouse,
    state: &'a State,
    /// The project's UUID.
    project: &'a str,
    /// Due or not.
    now: bool,
    /// Nothing is done.
    dry_run: bool,
    threads: NonZeroUsize,
    cancel: &'a CancellationToken,
}

impl Keeper<'_> {
    async fn of_run(&self, run: &RunContext) -> Result<Vec<Work>, StageError> {
        let looked_after = |asset: &Asset| !asset.maintenance.is_empty();
        let mut done = Vec::new();
        if self.plan.assets.iter().any(|asset| looked_after(asset)) {
            let stages = self.state.stages(&run.run_id).await?;
            let made = stages
                .iter()
                .filter(|stage| stage.status == StageStatus::Success)
                .filter_map(|stage| self.plan.position(&stage.asset))
                .map(|position| &*self.plan.assets[position]);
            done = self.tables(made).await?;
        }
        done.extend(self.history().await?);
        Ok(done)
    }

    async fn tables<'p>(
        &self,
        assets: impl Iterator<Item = &'p Asset>,
    ) -> Result<Vec<Work>, StageError> {
        let mut done = Vec::new();
        let mut readers = None;
        for asset in assets.filter(|asset| !asset.maintenance.is_empty()) {
            let Some(table) = asset.table() else { continue };
            if self.cancel.is_cancelled() {
                break;
            }
            if readers.is_none() {
                readers = Some(table::Readers::find(self).await?);
            }
            if let Some(readers) = &readers {
                let keeping = table::Keeping {
                    keeper: self,
                    asset,
                    table,
                    readers,
                };
                done.extend(keeping.look_after().await?);
            }
        }
        Ok(done)
    }

    /// When something of a table was done last, if it was: milliseconds since 1970 UTC, and the
    /// version that it made.
    async fn last(
        &self,
        table: &str,
        operation: Operation,
    ) -> Result<Option<(i64, Option<i64>)>, StageError> {
        let last = self.state.last_maintained(self.project, table, operation);
        Ok(last.await?)
    }

    async fn record(&self, done: &Maintained) -> Result<(), StageError> {
        Ok(self.state.record_maintenance(self.project, done).await?)
    }
}

/// Whether so long has passed since then, or it was never done.
fn has_passed(every: std::time::Duration, since: Option<(i64, Option<i64>)>) -> bool {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    since.is_none_or(|(then, _)| now_ms().saturating_sub(then) >= every)
}

/// What was done to a table, just now.
fn maintained(table: &TableName, operation: Operation) -> Maintained {
    Maintained {
        table: table.to_string(),
        operation,
        time_ms: now_ms(),
        version: None,
        files: None,
        bytes: None,
        details: serde_json::json!({}),
    }
}
