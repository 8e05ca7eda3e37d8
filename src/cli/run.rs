//! `sluice run`: makes what should exist and does not, or not as it should.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_pipelines::check::World;
use sluice_pipelines::events::{Event, EventKind, EventSink, RunStatus};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::run::{self, RunOptions};
use sluice_pipelines::spec::Length;
use tokio_util::sync::CancellationToken;

use super::check::checked_to_run;
use super::error::CliError;
use super::event_time::EventWindow;
use super::selection::{Refresh, Selected};
use super::{Global, project, signal};
use crate::exit::Exit;
use crate::export::Exports;
use crate::render::Display;
use crate::render::screen::{Screen, Tone};

const STOPPING: &str = "Stopping: what is committed stays. Ctrl-C again ends at once.";

/// Options of `sluice run`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    selected: Selected,
    #[command(flatten)]
    refresh: Refresh,
    #[command(flatten)]
    event_time: EventWindow,
}

/// How a run works, and how it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct Manner {
    /// Writes one event a line, as JSON
    #[arg(long)]
    json: bool,
    /// Assets made side by side, and threads of one training; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
    /// How long a run that is stopped (Ctrl-C, SIGTERM) may take to write checkpoints and end
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Length,
    /// Waits for another run of the project that is under way, rather than to end with code 3
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    exports: Exports,
}

/// Runs the project and shows what happens.
///
/// # Errors
/// All that is wrong with the project; another run of it at work; a lakehouse that cannot be
/// written. A stage that fails is told by the exit code.
pub(super) async fn run(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = begun(options.project.as_deref(), global).await?;
    options.selected.narrow(&mut plan, &world).await?;
    options.refresh.mark(&mut plan, &world).await?;
    options.event_time.mark(&mut plan)?;
    carry_out(plan, world, &options.manner).await
}

/// The plan that a run carries out. Where there is none although the project can be read, its
/// hooks are told that the run could not begin.
///
/// # Errors
/// As [`checked_to_run`].
pub(super) async fn begun(path: Option<&Path>, global: &Global) -> Result<(Plan, World), CliError> {
    let checked = checked_to_run(path, global).await;
    if let Err(error) = &checked
        && let Ok(spec) = project::load_quietly(path, global)
    {
        let warn: EventSink = Arc::new(|event: &Event| {
            if let EventKind::Warning { message, .. } = &event.kind {
                tell_lost(std::slice::from_ref(message));
            }
        });
        let cancel = CancellationToken::new();
        let watcher = signal::watch(cancel.clone(), || {});
        run::tell_not_begun(&spec, &error.to_string(), warn, &cancel).await;
        watcher.abort();
    }
    checked
}

/// Runs a plan and shows what happens.
///
/// # Errors
/// As [`run`], without those of the project.
pub(super) async fn carry_out(plan: Plan, world: World, manner: &Manner) -> Result<Exit, CliError> {
    if let Some(state) = &world.state {
        state.close().await;
    }
    let mut how = RunOptions {
        wait: manner.wait,
        ..RunOptions::default()
    };
    how.parallelism = manner.parallelism.unwrap_or(how.parallelism);
    let cancel = CancellationToken::new();
    let exporting = manner.exports.start(&plan)?;
    let display = Display::start(manner.json).map_err(CliError::Runtime)?;
    let late = format!(
        "It did not stop within {}: the process ends. The next run goes on.",
        manner.grace
    );
    let watcher = signal::watch(cancel.clone(), display.notice(STOPPING));
    // Not through the display, which the process does not wait for.
    let late = move || drop(writeln!(io::stderr().lock(), "{late}"));
    let timer = signal::end_after(cancel.clone(), manner.grace.0, late);
    let ran = run::run(plan, how, exporting.beside(display.sink()), cancel).await;
    watcher.abort();
    timer.abort();
    let shown = match &ran {
        Ok(_) => display.finish(),
        // Nothing was run: there is nothing to sum up.
        Err(_) => display.drop_rest(),
    };
    tell_lost(&exporting.finish());
    let summary = ran?;
    shown.map_err(CliError::Output)?;
    Ok(match summary.status {
        RunStatus::Finished => Exit::Ok,
        RunStatus::Failed => Exit::Failed,
        RunStatus::Cancelled => Exit::Cancelled,
    })
}

/// Says what told nobody: events that went nowhere, hooks that failed; the run is none the worse
/// for it.
fn tell_lost(lost: &[String]) {
    let warning = Screen::stderr().paint(Tone::Warning, "warning");
    for words in lost {
        // Nobody is left to be told when standard error is closed.
        let _closed = writeln!(io::stderr().lock(), "{warning}: {words}");
    }
}
