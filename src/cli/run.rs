//! `sluice run`: makes what should exist and does not, or not as it should.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use sluice_pipelines::check::World;
use sluice_pipelines::events::RunStatus;
use sluice_pipelines::plan::Plan;
use sluice_pipelines::run::{self, RunOptions};
use tokio_util::sync::CancellationToken;

use super::check::checked_to_run;
use super::error::CliError;
use super::event_time::EventWindow;
use super::selection::{Refresh, Selected};
use super::{Global, signal};
use crate::exit::Exit;
use crate::render::Display;

const STOPPING: &str = "Stopping: what is committed stays. Ctrl-C again ends at once.";

/// Options of `sluice run`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
    /// Writes one event a line, as JSON
    #[arg(long)]
    json: bool,
    /// Assets made side by side, and threads of one training; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
    /// Waits for another run of the project that is under way, rather than to end with code 3
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    selected: Selected,
    #[command(flatten)]
    refresh: Refresh,
    #[command(flatten)]
    event_time: EventWindow,
}

/// Runs the project and shows what happens.
///
/// # Errors
/// All that is wrong with the project; another run of it at work; a lakehouse that cannot be
/// written. A stage that fails is told by the exit code.
pub(super) async fn run(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = checked_to_run(options.project.as_deref(), global).await?;
    options.selected.narrow(&mut plan, &world).await?;
    options.refresh.mark(&mut plan, &world).await?;
    options.event_time.mark(&mut plan)?;
    let mut how = RunOptions {
        wait: options.wait,
        ..RunOptions::default()
    };
    how.parallelism = options.parallelism.unwrap_or(how.parallelism);
    carry_out(plan, world, options.json, how).await
}

/// Runs a plan and shows what happens.
///
/// # Errors
/// As [`run`], without those of the project.
pub(super) async fn carry_out(
    plan: Plan,
    world: World,
    json: bool,
    how: RunOptions,
) -> Result<Exit, CliError> {
    if let Some(state) = &world.state {
        state.close().await;
    }
    let cancel = CancellationToken::new();
    let display = Display::start(json).map_err(CliError::Runtime)?;
    let watcher = signal::watch(cancel.clone(), display.notice(STOPPING));
    let ran = run::run(plan, how, display.sink(), cancel).await;
    watcher.abort();
    let shown = match &ran {
        Ok(_) => display.finish(),
        // Nothing was run: there is nothing to sum up.
        Err(_) => display.drop_rest(),
    };
    let summary = ran?;
    shown.map_err(CliError::Output)?;
    Ok(match summary.status {
        RunStatus::Finished => Exit::Ok,
        RunStatus::Failed => Exit::Failed,
        RunStatus::Cancelled => Exit::Cancelled,
    })
}
