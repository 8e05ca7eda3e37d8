//! One project of a daemon: it waits for the next time, claims it, and runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sluice_lake::Lakehouse;
use sluice_lake::state::{RunId, State};
use sluice_pipelines::check::World;
use sluice_pipelines::events::{Event, EventKind, EventSink, RunStatus};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::plan::preview::{Action, preview};
use sluice_pipelines::run::{self, RunError, RunOptions};
use sluice_pipelines::schedule::{Schedule, Trigger};
use tokio_util::sync::CancellationToken;

use super::Options;
use crate::cli::Global;
use crate::cli::check::checked;
use crate::cli::error::CliError;

/// The longest sleep: a clock that is set is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// Says a word about a pipeline, with the time, on standard error.
pub(super) fn tell(pipeline: &str, words: &str) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    // A daemon whose standard error is closed goes on.
    let _closed = std::io::Write::write_fmt(
        &mut std::io::stderr().lock(),
        format_args!("{now} {pipeline}: {words}\n"),
    );
}

/// One project.
pub(super) struct Daemon<'a> {
    path: Option<&'a Path>,
    pipeline: String,
    schedule: Schedule,
    global: &'a Global,
    options: &'a Options,
    cancel: CancellationToken,
    /// Times until here are settled.
    seen: Timestamp,
    /// What began a run that failed: it does not begin another by itself.
    failed_on: Option<String>,
}

impl<'a> Daemon<'a> {
    pub(super) fn new(
        path: Option<&'a Path>,
        pipeline: String,
        schedule: Schedule,
        global: &'a Global,
        options: &'a Options,
        cancel: &CancellationToken,
    ) -> Self {
        Self {
            path,
            pipeline,
            schedule,
            global,
            options,
            cancel: cancel.clone(),
            seen: Timestamp::now(),
            failed_on: None,
        }
    }

    /// Runs until it is cancelled.
    ///
    /// # Errors
    /// A lakehouse whose store cannot be opened when it starts.
    pub(super) async fn run(mut self) -> Result<(), CliError> {
        let plan = self.load().await?.0;
        let store = Store::open(&plan).await?;
        if let Some(last) = store.last().await? {
            // A time that a clock ahead of this one claimed is no reason to wait for it.
            self.seen = self.seen.min(last);
        }
        self.announce();
        while !self.cancel.is_cancelled() {
            let now = Timestamp::now();
            for time in self.schedule.due(self.seen, now) {
                self.at(&store, time).await;
                self.seen = self.seen.max(time);
            }
            if self.cancel.is_cancelled() {
                break;
            }
            self.seen = self.seen.max(now);
            if self.schedule.trigger.is_some() {
                self.look(&store).await;
            }
            self.sleep().await;
        }
        store.state.close().await;
        Ok(())
    }

    async fn load(&self) -> Result<(Plan, World), CliError> {
        checked(self.path, self.global).await
    }

    fn announce(&self) {
        let words = match self.schedule.next_after(Timestamp::now()) {
            Some(next) => format!("next run {}", self.schedule.shown(next)),
            None => "waits for what begins a run".to_owned(),
        };
        tell(&self.pipeline, &words);
    }

    /// Sleeps until the next time, a look for what is new, or a look at the clock.
    async fn sleep(&self) {
        let mut longest = LONGEST_SLEEP;
        if self.schedule.trigger.is_some() {
            longest = longest.min(Duration::from_secs(self.options.poll));
        }
        let now = Timestamp::now();
        if let Some(next) = self.schedule.next_after(self.seen.min(now)) {
            let until = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            // A moment after it, since clocks tick in milliseconds.
            longest = longest.min(until + Duration::from_millis(1));
        }
        tokio::select! {
            () = tokio::time::sleep(longest) => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// A time of the clock has come.
    async fn at(&mut self, store: &Store, time: Timestamp) {
        let delay = self.schedule.delay(&self.pipeline, time);
        let begins = time + delay;
        let wait = Duration::try_from(begins.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // Not claimed: another daemon, or this one when it starts again, can have it.
            () = self.cancel.cancelled() => return,
        }
        let why = format!("for {}", self.schedule.shown(time));
        self.begin(store, time, "time", &why).await;
        self.announce();
    }

    /// Looks for what begins a run besides the clock.
    async fn look(&mut self, store: &Store) {
        let Some(trigger) = self.schedule.trigger.clone() else {
            return;
        };
        let (mut plan, world) = match self.load().await {
            Ok(loaded) => loaded,
            Err(error) => return self.failed_to_look(&error.to_string()),
        };
        let (cause, watched): (&str, Vec<usize>) = match &trigger {
            Trigger::NewFiles(table) => {
                ("new_files", plan.position(&table.to_string()).into_iter().collect())
            }
            Trigger::Table(table) => {
                let reads = |position: &usize| {
                    let asset = &plan.assets[*position];
                    asset.reads().iter().any(|read| read.matches(table))
                };
                ("table", (0..plan.assets.len()).filter(reads).collect())
            }
        };
        plan.chosen = watched.into_iter().collect();
        let steps = preview(&plan, &world).await;
        if let Some(state) = &world.state {
            state.close().await;
        }
        let news = steps.into_iter().find(|step| step.action != Action::Skip);
        let Some(news) = news else {
            self.failed_on = None;
            return;
        };
        let why = format!("{}: {}", news.asset, news.reason);
        if self.failed_on.as_ref() == Some(&why) {
            return;
        }
        let now = Timestamp::now();
        match self.begin(store, now, cause, &why).await {
            true => self.failed_on = None,
            false => self.failed_on = Some(why),
        }
    }

    fn failed_to_look(&mut self, words: &str) {
        if self.failed_on.as_deref() != Some(words) {
            tell(&self.pipeline, words.trim_end());
            self.failed_on = Some(words.to_owned());
        }
    }

    /// Claims a time and runs the project as it is now. False when the run failed.
    async fn begin(&mut self, store: &Store, time: Timestamp, cause: &str, why: &str) -> bool {
        let project = &store.project;
        let tick = time.as_millisecond();
        match store.state.claim_tick(project, tick, cause).await {
            Ok(true) => {}
            Ok(false) => {
                tell(&self.pipeline, &format!("{why}: another daemon has it"));
                return true;
            }
            Err(error) => {
                tell(&self.pipeline, &error.to_string());
                return false;
            }
        }
        tell(&self.pipeline, &format!("begins, {why}"));
        let (outcome, run, words) = self.attempt().await;
        tell(&self.pipeline, &words);
        let finished = store.state.finish_tick(project, tick, outcome, run.as_ref());
        if let Err(error) = finished.await {
            tell(&self.pipeline, &error.to_string());
        }
        outcome == "FINISHED"
    }

    /// One run: how it ended, its identifier, and words about it.
    async fn attempt(&mut self) -> (&'static str, Option<RunId>, String) {
        let (plan, world) = match self.load().await {
            Ok(loaded) => loaded,
            Err(error) => return ("WRONG", None, error.to_string().trim_end().to_owned()),
        };
        if let Some(state) = &world.state {
            state.close().await;
        }
        if let Some(schedule) = &plan.schedule {
            self.schedule = schedule.clone();
        }
        let ran = run::run(plan, how(self.options.parallelism), self.sink(), self.cancel.clone());
        match ran.await {
            Ok(summary) => {
                let (outcome, end) = match summary.status {
                    RunStatus::Finished => ("FINISHED", "finished"),
                    RunStatus::Failed => ("FAILED", "failed"),
                    RunStatus::Cancelled => ("KILLED", "was stopped"),
                };
                let words = format!(
                    "{end}: {} made, {} skipped, {} failed or blocked (run {})",
                    summary.made, summary.skipped, summary.failed, summary.run_id
                );
                (outcome, summary.run_id.parse().ok(), words)
            }
            Err(error @ RunError::Locked(_)) => ("LOCKED", None, error.to_string()),
            Err(error) => ("FAILED", None, error.to_string()),
        }
    }

    /// Tells of stages that failed; of everything in JSON when that is asked for.
    fn sink(&self) -> EventSink {
        let (json, pipeline) = (self.options.json, self.pipeline.clone());
        Arc::new(move |event: &Event| {
            if json && let Ok(line) = serde_json::to_string(event) {
                // A reader that has gone away does not stop a daemon.
                let _closed = crate::cli::print(&format!("{line}\n"));
            }
            match &event.kind {
                EventKind::StageFailed { asset, error, .. } => {
                    tell(&pipeline, &format!("{asset} failed: {error}"));
                }
                EventKind::Warning { asset, message } => {
                    tell(&pipeline, &format!("{asset}: {message}"));
                }
                _ => {}
            }
        })
    }
}

fn how(parallelism: Option<NonZeroUsize>) -> RunOptions {
    let mut how = RunOptions::default();
    how.parallelism = parallelism.unwrap_or(how.parallelism);
    how
}

/// The store that remembers which times were claimed.
struct Store {
    state: State,
    project: String,
}

impl Store {
    async fn open(plan: &Plan) -> Result<Self, CliError> {
        let lakehouse = Lakehouse::create(PathBuf::from(&plan.lakehouse))?;
        let project = lakehouse.project_uuid(&plan.pipeline)?.to_string();
        let state = State::open(lakehouse.state_path()).await?;
        Ok(Self { state, project })
    }

    async fn last(&self) -> Result<Option<Timestamp>, CliError> {
        let last = self.state.last_tick(&self.project).await?;
        Ok(last.and_then(|last| Timestamp::from_millisecond(last).ok()))
    }
}
