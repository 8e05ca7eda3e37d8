//! One project of a daemon: it waits for the next time, claims it, and runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sluice_lake::state::RunId;
use sluice_pipelines::check::World;
use sluice_pipelines::events::{Event, EventKind, EventSink, RunStatus};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::project::find_project;
use sluice_pipelines::run::{self, RunError, RunOptions};
use sluice_pipelines::schedule::watch::{self, Look, News};
use sluice_pipelines::schedule::{MOST_CAUGHT_UP, Schedule, Ticker};
use sluice_pipelines::spec::CatchUp;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::claims::Claims;
use crate::cli::Global;
use crate::cli::check::checked_to_run;
use crate::cli::error::CliError;
use crate::export::Exporting;

/// The longest sleep: a clock that is set, and a file that changed, is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);
/// How long to wait before a store that refused is asked again.
const BEFORE_ASKING_AGAIN: Duration = Duration::from_secs(5);

/// Says a word about a pipeline, with the time, on standard error.
pub(super) fn tell(pipeline: &str, words: &str) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let words = words.trim_end();
    // A daemon whose standard error is closed goes on.
    let _closed = std::io::Write::write_fmt(
        &mut std::io::stderr().lock(),
        format_args!("{now} {pipeline}: {words}\n"),
    );
}

/// What a daemon knows of a project that is sound.
struct Known {
    plan: Plan,
    schedule: Option<Schedule>,
    /// The pipeline file when it was read.
    file: FileStamp,
    ticker: Ticker,
}

/// Tells a file that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct FileStamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What became of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// There is no more to do about it.
    Settled,
    /// The store could not be asked, or the daemon is to stop.
    Open,
}

/// One project.
pub(super) struct Daemon<'a> {
    path: Option<&'a Path>,
    global: &'a Global,
    options: &'a Options,
    cancel: CancellationToken,
    known: Option<Known>,
    /// What was said last of something that does not go: it is not said again and again.
    told: Option<String>,
    /// What else began a run last, or was begun by another daemon.
    taken: Option<News>,
}

impl<'a> Daemon<'a> {
    pub(super) fn new(
        path: Option<&'a Path>,
        global: &'a Global,
        options: &'a Options,
        cancel: &CancellationToken,
    ) -> Self {
        Self {
            path,
            global,
            options,
            cancel: cancel.clone(),
            known: None,
            told: None,
            taken: None,
        }
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        while !self.cancel.is_cancelled() {
            self.refresh().await;
            let fate = self.times().await;
            if !self.cancel.is_cancelled() {
                self.watch().await;
            }
            self.sleep(fate).await;
        }
    }

    fn name(&self) -> String {
        match (&self.known, self.path) {
            (Some(known), _) => known.plan.pipeline.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => "the project".to_owned(),
        }
    }

    fn stamp(&self) -> FileStamp {
        let project = find_project(self.path).ok();
        let metadata = project.and_then(|project| std::fs::metadata(project.file()).ok());
        metadata.map_or_else(FileStamp::default, |metadata| FileStamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    /// Reads the project when it has not been, or its file has changed. One that is wrong is
    /// told, and tried again; until then the times that it had count on.
    async fn refresh(&mut self) {
        let file = self.stamp();
        if self.known.as_ref().is_some_and(|known| known.file == file) {
            return;
        }
        match self.read(file).await {
            Ok(known) => {
                self.told = None;
                self.known = Some(known);
                self.announce();
            }
            Err(error) => self.tell_once(&error.to_string()),
        }
    }

    async fn read(&self, file: FileStamp) -> Result<Known, CliError> {
        let (plan, world) = checked_to_run(self.path, self.global).await?;
        if let Some(state) = &world.state {
            state.close().await;
        }
        let ticker = match &self.known {
            Some(known) if known.plan.pipeline == plan.pipeline => known.ticker,
            _ => Ticker::new(Timestamp::now(), Claims::last(&plan).await?),
        };
        Ok(Known {
            schedule: plan.schedule.clone(),
            plan,
            file,
            ticker,
        })
    }

    fn tell_once(&mut self, words: &str) {
        if self.told.as_deref() != Some(words) {
            tell(&self.name(), words);
            self.told = Some(words.to_owned());
        }
    }

    fn announce(&self) {
        let Some(known) = &self.known else { return };
        let words = match &known.schedule {
            None => "has no `schedule:`, so that nothing begins a run".to_owned(),
            Some(schedule) => match known.ticker.next(schedule) {
                Some(next) => format!("next run {}", schedule.shown(next)),
                None => "waits for what begins a run".to_owned(),
            },
        };
        tell(&known.plan.pipeline, &words);
    }

    /// Sleeps until the next time, a look for what is new, or a look at the clock.
    async fn sleep(&self, fate: Fate) {
        let mut longest = LONGEST_SLEEP;
        if fate == Fate::Open {
            longest = longest.min(BEFORE_ASKING_AGAIN);
        } else if self.known.is_none() {
            longest = longest.min(Duration::from_secs(self.options.poll));
        } else if let Some(known) = &self.known
            && let Some(schedule) = &known.schedule
        {
            if schedule.trigger.is_some() {
                longest = longest.min(Duration::from_secs(self.options.poll));
            }
            if let Some(next) = known.ticker.next(schedule) {
                let until = next.duration_since(Timestamp::now());
                let until = Duration::try_from(until).unwrap_or_default();
                // A moment after it, since timers count in milliseconds.
                longest = longest.min(until + Duration::from_millis(1));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(longest) => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// Begins what the clock says.
    async fn times(&mut self) -> Fate {
        let now = Timestamp::now();
        let due = match &mut self.known {
            Some(Known {
                schedule: Some(schedule),
                ticker,
                ..
            }) => ticker.due(schedule, now),
            _ => return Fate::Settled,
        };
        if due.len() == MOST_CAUGHT_UP {
            let words = format!(
                "of the times that were missed only the last {MOST_CAUGHT_UP} are made up for"
            );
            tell(&self.name(), &words);
        }
        for time in due {
            if self.at(time).await == Fate::Open {
                return Fate::Open;
            }
            if let Some(known) = &mut self.known {
                known.ticker.settle(time);
            }
            self.announce();
        }
        if let Some(known) = &mut self.known {
            known.ticker.settle(now);
        }
        Fate::Settled
    }

    /// A time of the clock has come.
    async fn at(&mut self, time: Timestamp) -> Fate {
        let Some(known) = &self.known else {
            return Fate::Settled;
        };
        let Some(schedule) = &known.schedule else {
            return Fate::Settled;
        };
        let begins = time + schedule.delay(&known.plan.pipeline, time);
        let why = format!("for {}", schedule.shown(time));
        // What passed while a run was under way is missed, and `none` of it made up for.
        let wait = schedule.catch_up != CatchUp::None;
        let delay = begins.duration_since(Timestamp::now());
        tokio::select! {
            () = tokio::time::sleep(Duration::try_from(delay).unwrap_or_default()) => {}
            // Not claimed: another daemon, or this one when it starts again, can have it.
            () = self.cancel.cancelled() => return Fate::Open,
        }
        self.begin("time", time.to_string(), time, &why, wait).await
    }

    /// Looks for what begins a run besides the clock.
    async fn watch(&mut self) {
        let Some(known) = &self.known else { return };
        let trigger = known
            .schedule
            .as_ref()
            .and_then(|schedule| schedule.trigger.clone());
        let Some(trigger) = trigger else { return };
        let look = match World::open(&known.plan.lakehouse).await {
            Ok(world) => {
                let look = watch::look(&known.plan, &world, &trigger).await;
                if let Some(state) = &world.state {
                    state.close().await;
                }
                look
            }
            Err(diagnostic) => Look::Unclear(diagnostic.message.clone()),
        };
        let news = match look {
            Look::Nothing => return self.told = None,
            Look::Unclear(words) => return self.tell_once(&words),
            Look::News(news) => news,
        };
        if self.taken.as_ref() == Some(&news) {
            return;
        }
        let now = Timestamp::now();
        let begun = self
            .begin(news.cause, news.name.clone(), now, &news.why, true)
            .await;
        if begun == Fate::Settled {
            self.taken = Some(news);
        }
    }

    /// Claims what has come and runs the project as it is now. `wait`: for a run that is under
    /// way, rather than to leave it at that one.
    async fn begin(
        &mut self,
        cause: &'static str,
        name: String,
        time: Timestamp,
        why: &str,
        wait: bool,
    ) -> Fate {
        let Some(known) = &self.known else {
            return Fate::Settled;
        };
        let before = known.plan.clone();
        let tick = match Claims::claim(&before, cause, name, time).await {
            Ok(Some(tick)) => tick,
            Ok(None) => {
                // A run that took in something else leaves nothing to say of it each time.
                if cause == "time" {
                    tell(
                        &self.name(),
                        &format!("{why}: begun before, or by another daemon"),
                    );
                }
                return Fate::Settled;
            }
            Err(error) => {
                self.tell_once(&error.to_string());
                return Fate::Open;
            }
        };
        tell(&self.name(), &format!("begins, {why}"));
        let (outcome, run, words) = self.attempt(wait).await;
        tell(&self.name(), &words);
        let settled = Claims::settle(&before, &tick, outcome, run.as_ref()).await;
        if let Err(error) = settled {
            tell(&self.name(), &error.to_string());
        }
        match outcome {
            Some(_) => Fate::Settled,
            None => Fate::Open,
        }
    }

    /// One run: how it ended (`None`: it never began, and its time is not used up), its
    /// identifier, and words about it.
    async fn attempt(&mut self, wait: bool) -> (Option<&'static str>, Option<RunId>, String) {
        let file = self.stamp();
        let known = match self.read(file).await {
            Ok(known) => known,
            Err(error) => {
                let words = error.to_string();
                if let Some(known) = &self.known {
                    // Those that it had when it was sound.
                    run::tell_wrong(&known.plan, &words, self.sink(), &self.cancel).await;
                }
                return (Some("WRONG"), None, words);
            }
        };
        let mut plan = known.plan.clone();
        plan.chosen = (0..plan.assets.len()).collect();
        self.known = Some(known);
        // Where events cannot go, the run goes on.
        let exporting = self.options.exports.start(&plan).unwrap_or_else(|error| {
            tell(&self.name(), &error.to_string());
            Exporting::default()
        });
        let mut how = RunOptions::default();
        how.parallelism = self.options.parallelism.unwrap_or(how.parallelism);
        how.wait = wait;
        let sink = exporting.beside(self.sink());
        let ran = run::run(plan, how, sink, self.cancel.child_token()).await;
        let lost = tokio::task::spawn_blocking(|| exporting.finish()).await;
        for words in lost.unwrap_or_default() {
            tell(&self.name(), &words);
        }
        match ran {
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
                (Some(outcome), Some(RunId::from(summary.run_id)), words)
            }
            Err(RunError::Stopped) => (None, None, "stopped before the run began".to_owned()),
            Err(error @ RunError::Locked(_)) => (Some("LOCKED"), None, error.to_string()),
            Err(error) => (Some("FAILED"), None, error.to_string()),
        }
    }

    /// Tells of stages that failed; of everything in JSON when that is asked for.
    fn sink(&self) -> EventSink {
        let (json, pipeline) = (self.options.json, self.name());
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
