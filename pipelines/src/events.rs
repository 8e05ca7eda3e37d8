//! What the runner says while it works.
//!
//! The runner emits [`Event`]s through an [`EventSink`]; progress bars, plain lines,
//! `--json`, `--events`, OpenLineage and the tracking store only consume them. An event
//! serialises to one flat JSON object whose `event` key names its kind; [`json_schema`]
//! describes all of them, from the words below.

mod describe;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use sluice_lake::state::Fault;

use describe::events;
pub use describe::json_schema;

/// The version of the events: raised when a kind or a field is taken away or comes to mean
/// something else. New kinds and new fields leave it as it is, so readers ignore what they do
/// not know.
pub const EVENT_VERSION: u32 = 1;

/// One thing that happened in a run.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// [`EVENT_VERSION`].
    pub format_version: u32,
    /// The run that it belongs to; empty until the run gives it out.
    pub run: String,
    /// Its place among the events of the run, from 1; 0 for what hooks tell after its end.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch (UTC).
    pub time_ms: i64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event that belongs to no run yet.
    pub fn new(time_ms: i64, kind: EventKind) -> Self {
        Self {
            format_version: EVENT_VERSION,
            run: String::new(),
            seq: 0,
            time_ms,
            kind,
        }
    }
}

/// A sink that gives the events of a run their identifier and their places, and hands them on in
/// that order.
pub(crate) fn stamped(run: String, sink: EventSink) -> EventSink {
    let places = Mutex::new(0_u64);
    Arc::new(move |event: &Event| {
        // Held while it is handed on, or two threads could swap places behind it.
        let mut place = places.lock().unwrap_or_else(PoisonError::into_inner);
        *place += 1;
        sink(&Event {
            run: run.clone(),
            seq: *place,
            ..event.clone()
        });
    })
}

/// A sink that hands events on to several.
pub fn all(sinks: Vec<EventSink>) -> EventSink {
    Arc::new(move |event: &Event| sinks.iter().for_each(|sink| sink(event)))
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every asset was made or skipped.
    Finished,
    /// At least one asset failed.
    Failed,
    /// Stopped by the user; the next run goes on.
    Cancelled,
}

events! {
/// The kinds of events, in the order in which a run can emit them.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The first event of a run.
    RunStarted {
        /// Identifier of the run.
        run_id: String,
        /// The project's `pipeline:` name.
        pipeline: String,
        /// The lakehouse's folder.
        lakehouse: String,
        /// All assets of the project, in an order that respects their edges.
        assets: Vec<String>,
    },
    /// A stage has begun to make an asset.
    StageStarted {
        /// The asset.
        asset: String,
        /// `ingest`, `sql`, `predict`, `tokenizer`, `train`, `sweep`, or the kind of a report,
        /// such as `profile`.
        kind: &'static str,
        /// Why it is made, as `plan` says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How far a stage is.
    StageProgress {
        /// The asset.
        asset: String,
        /// Units done so far.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What is counted: `rows`, `rounds`, `trials`.
        unit: &'static str,
    },
    /// A row- or table-level rule was checked.
    Expectation {
        /// The table.
        asset: String,
        /// The rule's name.
        name: String,
        /// `row` for a condition on single rows, else the kind of the rule on the whole table,
        /// such as `unique`.
        kind: String,
        /// `fail`, `drop`, `quarantine` or `warn`.
        otherwise: String,
        /// Rows that were checked.
        rows: u64,
        /// Rows that broke the rule.
        failed: u64,
        /// What was found of a rule on the whole table that is broken, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// A model or a tokenizer is not trained, since the same training was done before.
    TrainingReused {
        /// The model or tokenizer asset.
        asset: String,
        /// Which training it is, and how it is known to be the same.
        reason: String,
    },
    /// A sweep goes on from trials that earlier runs have finished.
    SweepResumed {
        /// The sweep.
        asset: String,
        /// The trials that are done.
        done: u64,
        /// Trials in all.
        total: u64,
    },
    /// A training in steps goes on from a checkpoint of an earlier run.
    TrainingResumed {
        /// The model asset.
        asset: String,
        /// The steps that are done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// How far a training in steps is; the figures are of the steps since the last such event.
    TrainingProgress {
        /// The model asset.
        asset: String,
        /// Steps done.
        step: u64,
        /// Steps in all, if it does not stop early.
        total_steps: u64,
        /// Epochs done, with the part of the current one.
        epoch: f64,
        /// The mean loss.
        loss: f64,
        /// Tokens learned from a second, padding not counted.
        tokens_per_second: f64,
        /// How long all other steps will take, as far as can be told.
        seconds_left: Option<f64>,
    },
    /// A trial of a sweep has ended; emitted in trial order.
    Trial {
        /// The sweep.
        asset: String,
        /// The trial's number, from 1.
        number: u64,
        /// Trials in all.
        total: u64,
        /// Identifier of the trial's run.
        run_id: String,
        /// The parameters that the search chose.
        params: BTreeMap<String, serde_json::Value>,
        /// The objective; absent when the trial failed or gave no number.
        value: Option<f64>,
        /// Whether it was ended early since others did better.
        pruned: bool,
        /// The best objective so far.
        best: Option<f64>,
    },
    /// The best trials of a sweep, best first.
    Leaderboard {
        /// The sweep.
        asset: String,
        /// The objective, as `validation.auc`.
        metric: String,
        /// True when larger is better.
        maximize: bool,
        /// How many trials there were.
        trials: u64,
        /// How many of them were pruned.
        pruned: u64,
        /// The rows, best first, without pruned trials.
        rows: Vec<LeaderboardRow>,
        /// The part of the objective's variance that each searched parameter explains alone,
        /// the largest first; empty when the trials cannot tell.
        importance: Vec<(String, f64)>,
    },
    /// A table that a model makes is being written: which rows are scored, and which keep the
    /// prediction that they have.
    Scoring {
        /// The table.
        asset: String,
        /// The model version that scores: `models:/sentiment/3`.
        model: String,
        /// Rows to score: new or changed ones, or all.
        scored: u64,
        /// Rows that keep their prediction.
        kept: u64,
        /// Rows that are in the table and not in the source any more, as they are.
        removed: u64,
    },
    /// A page for people was written.
    Report {
        /// The asset that it is about.
        asset: String,
        /// The HTML file.
        path: String,
    },
    /// A version of a model or a tokenizer was registered, and whether the alias moved to it.
    Registered {
        /// The model or tokenizer asset.
        asset: String,
        /// The registered model's name.
        model: String,
        /// The new version.
        version: i64,
        /// The alias in question, if the asset names one.
        alias: Option<String>,
        /// Whether the alias now names this version.
        moved: bool,
        /// Why.
        reason: String,
    },
    /// A table, or the memory of runs, was looked after, as `maintain:` says.
    Maintained {
        /// The table; the pipeline for what is of no table.
        asset: String,
        /// `optimize`, `zorder`, `vacuum`, `checkpoint`, `runs` or `artifacts`.
        operation: &'static str,
        /// Why it was due.
        reason: String,
        /// The version that it made, or that a checkpoint was written of.
        version: Option<i64>,
        /// Data files of the table before.
        files_before: Option<u64>,
        /// Data files after.
        files_after: Option<u64>,
        /// The size of the data files before, in bytes.
        bytes_before: Option<u64>,
        /// Their size after, in bytes.
        bytes_after: Option<u64>,
        /// Wall-clock time, in seconds.
        seconds: f64,
    },
    /// Something the user should know but that stops nothing.
    Warning {
        /// The asset it is about.
        asset: String,
        /// The words.
        message: String,
    },
    /// An asset did not have to be made.
    StageSkipped {
        /// The asset.
        asset: String,
        /// Why.
        reason: String,
    },
    /// An asset was made.
    StageFinished {
        /// The asset.
        asset: String,
        /// `ingest`, `sql`, `predict`, `tokenizer`, `train`, `sweep`, or the kind of a report,
        /// such as `profile`.
        kind: &'static str,
        /// Rows written, for a table.
        rows: Option<u64>,
        /// The Delta version of a table, or the registry's version of a model.
        version: Option<i64>,
        /// Wall-clock time, in seconds.
        seconds: f64,
        /// Figures worth a glance, such as `test.auc` of a model.
        metrics: BTreeMap<String, f64>,
    },
    /// A stage failed for what passes, and is tried again after a pause.
    StageRetried {
        /// The asset.
        asset: String,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// What, where, and why.
        error: String,
        /// Whose fault it is.
        fault: Fault,
        /// How long the pause is, in seconds.
        wait_seconds: f64,
    },
    /// An asset could not be made.
    StageFailed {
        /// The asset.
        asset: String,
        /// `ingest`, `sql`, `predict`, `tokenizer`, `train`, `sweep`, or the kind of a report,
        /// such as `profile`.
        kind: &'static str,
        /// What, where, why, and what to do.
        error: String,
        /// Whose fault it is: `user`, `data` or `system`.
        fault: Fault,
        /// Whether it is of a kind that passes, so that trying again can help.
        transient: bool,
        /// How often it was tried.
        attempts: u32,
        /// Wall-clock time, in seconds.
        seconds: f64,
    },
    /// An asset was not tried because one that it reads failed or was stopped.
    StageBlocked {
        /// The asset.
        asset: String,
        /// The asset that is in the way.
        by: String,
    },
    /// The last event of a run.
    RunFinished {
        /// Identifier of the run.
        run_id: String,
        /// How it ended.
        status: RunStatus,
        /// Assets made.
        made: u64,
        /// Assets skipped.
        skipped: u64,
        /// Assets failed or blocked.
        failed: u64,
        /// Wall-clock time, in seconds.
        seconds: f64,
    },
}
}

/// One line of a leaderboard.
#[derive(Debug, Clone, Serialize)]
pub struct LeaderboardRow {
    /// The trial's number, from 1.
    pub number: u64,
    /// Identifier of the trial's run.
    pub run_id: String,
    /// The objective.
    pub value: f64,
    /// The parameters that the search chose.
    pub params: BTreeMap<String, serde_json::Value>,
}

/// Where events go. Called from many threads; must not block for long.
pub type EventSink = Arc<dyn Fn(&Event) + Send + Sync>;
