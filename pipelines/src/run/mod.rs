//! The runner: makes what a [`Plan`] declares and is not up to date.
//!
//! Entry point: [`run`]. [`pool`] walks the graph, [`stage`] makes one asset, [`table`],
//! [`incremental`], [`files`], [`tokenizer`], [`model`] and [`report`] know how, [`commit`] makes a table's rows visible exactly once. Everything that
//! happens is told through an [`EventSink`].

mod after;
mod attempts;
mod audit;
mod beside;
mod commit;
mod content_hash;
pub(crate) mod context;
mod data;
mod describe;
pub(crate) mod error;
mod evaluate;
mod evidence;
mod fault;
mod feed;
mod figures;
mod file_rows;
pub(crate) mod files;
pub(crate) mod in_memory;
pub(crate) mod incremental;
pub(crate) mod keyed;
mod lease;
mod leftovers;
mod maintain;
mod model;
mod page;
mod pool;
mod profile;
mod promote;
pub(crate) mod quarantine;
pub(crate) mod rejects;
mod report;
pub(crate) mod resume;
mod reuse;
pub(crate) mod row_hash;
mod rows;
mod rules;
pub(crate) mod scored;
mod search;
mod side;
pub mod split;
pub(crate) mod stage;
mod table;
pub(crate) mod tally;
pub(crate) mod text;
mod tokenizer;
mod track;
pub(crate) mod turns;
mod wash;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant as Clock;

pub use error::RunError;
pub use maintain::{MaintainOptions, Work, WorkOutcome, due, maintain};
use sluice_lake::catalog::{LakeCatalog, Pins};
use sluice_lake::registry::Registry;
use sluice_lake::state::{
    NewRun, NewStage, RunKind, RunStatus as StoredStatus, StageEnd, StageStatus, State,
};
use sluice_lake::{Lakehouse, TableName};
use sluice_learn::ComputeBudget;
use sluice_udfs::models::ModelSet;
pub(crate) use stage::in_words;
use tokio_util::sync::CancellationToken;

use crate::check::World;
use crate::events::store::EventStore;
use crate::events::{self, EventKind, EventSink, RunStatus};
use crate::hooks::Hooks;
use crate::plan::{Asset, Plan};
use crate::replay::kept::KeptRun;
use crate::spec::{Instant, Spec};
use after::After;
use context::{RunContext, now_ms};
use tally::{Ended, Tally};
use turns::Turns;

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Stages that may be made side by side; threads that one query may use, and that all
    /// fits and sweeps share.
    pub parallelism: NonZeroUsize,
    /// Waits for another run of the project that is under way, rather than to be refused.
    pub wait: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            parallelism: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            wait: false,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Identifier of the run.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatus,
    /// Assets made.
    pub made: u64,
    /// Assets found up to date.
    pub skipped: u64,
    /// Assets that failed, and those that could not be tried because of them.
    pub failed: u64,
}

/// Makes everything that is not up to date.
///
/// Holds the project's lease: of two runs at once the second is refused, or waits. After
/// `cancel` nothing new starts, what is under way stops without a commit, and the next run goes
/// on from there.
///
/// # Errors
/// A lakehouse, state store or registry that cannot be used; a lease that another run holds, or
/// has taken over meanwhile. A stage that fails is no error here: the summary tells.
pub async fn run(
    plan: Plan,
    options: RunOptions,
    sink: EventSink,
    cancel: CancellationToken,
) -> Result<RunSummary, RunError> {
    let after = After::new(&plan, sink);
    let outcome = make(plan, options, after.sink(), cancel.clone()).await;
    after.tell(&outcome, &cancel).await;
    outcome
}

/// Tells the hooks of `plan` that a run could not begin, since the project is wrong now.
pub async fn tell_wrong(plan: &Plan, words: &str, sink: EventSink, cancel: &CancellationToken) {
    After::new(plan, sink).tell_wrong(words, cancel).await;
}

/// Tells the hooks of a project that a run could not begin, since the project as written is not
/// sound, or its lakehouse cannot be read.
pub async fn tell_not_begun(spec: &Spec, words: &str, sink: EventSink, cancel: &CancellationToken) {
    let (pipeline, lakehouse) = (&spec.pipeline.value, &spec.lakehouse.path);
    let after = After::of(Hooks::of(spec), pipeline, lakehouse, sink);
    after.tell_wrong(words, cancel).await;
}

async fn make(
    plan: Plan,
    options: RunOptions,
    sink: EventSink,
    cancel: CancellationToken,
) -> Result<RunSummary, RunError> {
    let started = Clock::now();
    let lakehouse = Lakehouse::create(&plan.lakehouse)?;
    let state = State::open(lakehouse.state_path()).await?;
    // A lease that is lost stops the run, and not what asked for it.
    let stop = cancel.child_token();
    let taken = lease::take(
        &lakehouse,
        &state,
        &plan.pipeline,
        options.wait,
        &cancel,
        &stop,
    );
    let held = match taken.await {
        Ok(held) => held,
        Err(error) => {
            state.close().await;
            return Err(error);
        }
    };
    let fenced = held.fenced();
    let lakehouse = lakehouse.fenced(fenced.clone());
    let kept = EventStore::start(fenced.clone());
    let sink = events::all(vec![sink, kept.sink()]);
    let outcome = run_leased(plan, options, sink, stop, lakehouse, fenced, started).await;
    kept.finish().await;
    let released = held.release().await;
    state.close().await;
    // What the run came to counts more than what became of its lease.
    let summary = outcome?;
    released?;
    Ok(summary)
}

async fn run_leased(
    mut plan: Plan,
    options: RunOptions,
    sink: EventSink,
    cancel: CancellationToken,
    lakehouse: Lakehouse,
    state: State,
    started: Clock,
) -> Result<RunSummary, RunError> {
    let project = lakehouse.project_uuid(&plan.pipeline)?.to_string();
    let registry = Registry::new(lakehouse.models_path(), Some(state.clone()));
    let warnings = recover(&plan, &lakehouse, &state, &registry, &project).await?;
    require_inputs(&plan, &lakehouse).await?;
    // What a run ran is known before it has done anything.
    let definitions = KeptRun::of(&plan).keep(&plan.pipeline, &lakehouse)?;
    let run_id = state
        .start_run(NewRun {
            project: project.clone(),
            pipeline: plan.pipeline.clone(),
            kind: RunKind::Run,
            name: plan.pipeline.clone(),
            parent: None,
            definitions: Some(definitions),
        })
        .await?;
    // All intervals of a run are judged by one moment, and so are its rules.
    let started_ms = now_ms();
    plan.event_time.now.get_or_insert(Instant(started_ms));
    let run = Arc::new(RunContext {
        plan: Arc::new(plan),
        world: World {
            lakehouse: lakehouse.clone(),
            state: Some(state.clone()),
            registry,
            only_files: Arc::default(),
        },
        state,
        project,
        started_ms,
        catalog: LakeCatalog::new(lakehouse, Pins::new()),
        models: Arc::new(ModelSet::default()),
        turns: Arc::new(Turns::default()),
        sink: events::stamped(run_id.to_string(), sink),
        run_id,
        cancel,
        threads: options.parallelism,
        budget: ComputeBudget::new(options.parallelism),
    });
    run.emit(EventKind::RunStarted {
        run_id: run.run_id.to_string(),
        pipeline: run.plan.pipeline.clone(),
        lakehouse: run.plan.lakehouse.display().to_string(),
        assets: run
            .plan
            .chosen
            .iter()
            .map(|position| run.plan.assets[*position].name.clone())
            .collect(),
    });
    for (asset, message) in warnings {
        run.warn(&asset, message);
    }
    pin_external(&run).await?;
    let (cancel, models) = (run.cancel.clone(), Arc::clone(&run.models));
    let stopping = tokio::spawn(async move {
        cancel.cancelled().await;
        models.stop(true);
    });
    let summary = walk(&run, options).await;
    stopping.abort();
    let summary = summary?;
    if summary.status == RunStatus::Finished {
        maintain::after_run(&run).await;
    }
    finish(&run, &summary, started).await?;
    Ok(summary)
}

/// Settles what a process that ended early left behind, and tells a lost store again. Returns
/// what the user should know: the asset (or the pipeline) and the words.
async fn recover(
    plan: &Plan,
    lakehouse: &Lakehouse,
    state: &State,
    registry: &Registry,
    project: &str,
) -> Result<Vec<(String, String)>, RunError> {
    leftovers::remove(plan, lakehouse, state, project).await?;
    state.recover_runs(project).await?;
    // A side table is told from its own log, and by its own stage.
    let aside = |asset: &Asset| asset.rows().and_then(|rows| rows.quarantine.clone());
    let tables = plan.assets.iter().flat_map(|asset| {
        let aside = aside(asset);
        let makes = asset.makes();
        makes.filter(move |table| Some(*table) != aside.as_ref())
    });
    let tables: Vec<TableName> = tables.cloned().collect();
    let rebuilt = state.reconcile(lakehouse, project, &tables).await?;
    let reconciled = registry.reconcile().await?;
    let mut warnings = Vec::new();
    match rebuilt.lost_runs.len() {
        0 => {}
        lost => warnings.push((
            plan.pipeline.clone(),
            format!(
                "the history of {lost} earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse"
            ),
        )),
    }
    for table in rebuilt.went_back {
        let words = "the table was removed or went back to an earlier version".to_owned();
        warnings.push((table, words));
    }
    for folder in reconciled.damaged {
        let words = format!(
            "{} is no readable model version; it is left alone and its number stays taken",
            folder.display()
        );
        warnings.push((plan.pipeline.clone(), words));
    }
    Ok(warnings)
}

/// Pins the tables that the run reads and does not make, at its start.
async fn pin_external(run: &RunContext) -> Result<(), RunError> {
    for position in &run.plan.chosen {
        let asset = &run.plan.assets[*position];
        for table in asset.reads().into_iter().chain(asset.rule_reads()) {
            let maker = run.plan.maker_of(table);
            if !maker.is_some_and(|maker| run.plan.chosen.contains(&maker)) {
                run.catalog.table(table).await?;
            }
        }
    }
    Ok(())
}

/// Refuses a run whose assets need tables that it does not make and that are not there.
async fn require_inputs(plan: &Plan, lakehouse: &Lakehouse) -> Result<(), RunError> {
    for position in &plan.chosen {
        let asset = &plan.assets[*position];
        for table in asset.reads().into_iter().chain(asset.rule_reads()) {
            let maker = plan.maker_of(table);
            let made_elsewhere = maker.is_some_and(|maker| !plan.chosen.contains(&maker));
            if made_elsewhere && lakehouse.latest_version(table).await?.is_none() {
                return Err(RunError::NotMade {
                    asset: asset.name.clone(),
                    needs: maker.map_or_else(String::new, |at| plan.assets[at].name.clone()),
                });
            }
        }
    }
    Ok(())
}

async fn walk(run: &Arc<RunContext>, options: RunOptions) -> Result<RunSummary, RunError> {
    let tally = Arc::new(Tally::default());
    let mut blocked: BTreeMap<usize, usize> = BTreeMap::new();
    let start = |position| {
        let (run, tally) = (Arc::clone(run), Arc::clone(&tally));
        async move {
            match run.plan.chosen.contains(&position) {
                true => stage::run(run, tally, position).await,
                false => pool::StageEnd::Done,
            }
        }
    };
    let waiting = pool::walk(
        &run.plan.depends,
        options.parallelism.get(),
        &run.cancel,
        start,
        |position, by| {
            if !run.plan.chosen.contains(&position) {
                return;
            }
            blocked.insert(position, by);
            run.emit(EventKind::StageBlocked {
                asset: run.plan.assets[position].name.clone(),
                by: run.plan.assets[by].name.clone(),
            });
        },
    )
    .await;
    let waiting: Vec<usize> = waiting
        .into_iter()
        .filter(|position| run.plan.chosen.contains(position))
        .collect();
    let stage = |asset: &Asset| NewStage {
        asset: asset.name.clone(),
        kind: asset.kind().to_owned(),
        key: None,
        made_from: None,
    };
    let end = |status, reason: String| StageEnd {
        reason: Some(reason),
        ..StageEnd::new(status)
    };
    let mut rest: Vec<(NewStage, StageEnd)> = Vec::new();
    for (position, by) in &blocked {
        let reason = format!("it needs {}", run.plan.assets[*by].name);
        rest.push((
            stage(&run.plan.assets[*position]),
            end(StageStatus::Blocked, reason),
        ));
    }
    for position in &waiting {
        let reason = "the run was stopped".to_owned();
        rest.push((
            stage(&run.plan.assets[*position]),
            end(StageStatus::Cancelled, reason),
        ));
    }
    run.state.record_stages(&run.run_id, &rest).await?;
    let cancelled = tally.count(Ended::Cancelled) > 0 || !waiting.is_empty();
    let failed = tally.count(Ended::Failed);
    Ok(RunSummary {
        run_id: run.run_id.to_string(),
        status: if failed > 0 {
            RunStatus::Failed
        } else if cancelled {
            RunStatus::Cancelled
        } else {
            RunStatus::Finished
        },
        made: tally.count(Ended::Made),
        skipped: tally.count(Ended::Skipped),
        failed: if cancelled && failed == 0 {
            0
        } else {
            failed + blocked.len() as u64
        },
    })
}

async fn finish(run: &RunContext, summary: &RunSummary, started: Clock) -> Result<(), RunError> {
    let (status, error) = match summary.status {
        RunStatus::Finished => (StoredStatus::Finished, None),
        RunStatus::Failed => (StoredStatus::Failed, Some("stages failed")),
        RunStatus::Cancelled => (StoredStatus::Killed, Some("stopped by the user")),
    };
    run.state.finish_run(&run.run_id, status, error).await?;
    run.emit(EventKind::RunFinished {
        run_id: summary.run_id.clone(),
        status: summary.status,
        made: summary.made,
        skipped: summary.skipped,
        failed: summary.failed,
        seconds: started.elapsed().as_secs_f64(),
    });
    Ok(())
}
