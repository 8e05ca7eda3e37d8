//! `sluice schedule`: runs projects at the times of their `schedule:`.
//!
//! A daemon in the foreground. What it knows is in the state store: of several daemons one
//! claims each time, and one that starts again goes on after the last time that was claimed.
//! [`daemon`] minds one project, [`claims`] asks the store.

mod claims;
mod daemon;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use sluice_pipelines::diagnostic::{Diagnostic, Diagnostics};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use super::check::checked_to_run;
use super::error::CliError;
use super::{Global, print, signal};
use crate::exit::Exit;
use crate::export::Exports;
use daemon::Daemon;

/// Options of `sluice schedule`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Folders with a pipeline.yaml, or such files; the nearest one upward by default
    projects: Vec<PathBuf>,
    /// Prints the next N times of each project, and runs nothing
    #[arg(long, value_name = "N")]
    next: Option<usize>,
    /// The moment after which the times of --next are told, such as 2026-03-29T00:00:00Z; now by
    /// default
    #[arg(long, value_name = "TIME", requires = "next")]
    after: Option<Timestamp>,
    /// Looks for new files and new versions of tables this often, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    poll: u64,
    /// After SIGTERM, runs that have not stopped within this are cut off, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    grace: u64,
    /// Writes the events of the runs to standard output, one a line, as JSON
    #[arg(long)]
    json: bool,
    /// Assets made side by side, and threads of one training; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
    #[command(flatten)]
    exports: Exports,
}

/// Runs each project when its time comes, until Ctrl-C or SIGTERM: then a run that is under way
/// stops without losing what it made, and the command ends well.
///
/// # Errors
/// When the daemon starts: projects that are all wrong, or without `schedule:`. One among
/// several that is wrong, or becomes so later, is told and tried again.
pub(super) async fn schedule(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let paths: Vec<Option<&Path>> = match options.projects.as_slice() {
        [] => vec![None],
        paths => paths.iter().map(|path| Some(path.as_path())).collect(),
    };
    let mut sound = 0;
    let mut wrong = None;
    let mut coming = String::new();
    for path in &paths {
        match scheduled(*path, global).await {
            Ok((plan, schedule)) => {
                sound += 1;
                if let Some(count) = options.next {
                    coming += &times(&plan, &schedule, count, options.after);
                }
            }
            Err(error) => {
                if sound > 0 || paths.len() > 1 {
                    error.print();
                }
                wrong = Some(error);
            }
        }
    }
    if options.next.is_some() {
        print(&coming)?;
    }
    match wrong {
        // Several were told one by one.
        Some(error) if paths.len() > 1 && (sound == 0 || options.next.is_some()) => {
            Ok(error.exit())
        }
        Some(error) if sound == 0 => Err(error),
        _ if options.next.is_some() => Ok(Exit::Ok),
        _ => mind(&paths, options, global).await,
    }
}

/// A project's plan and its schedule.
async fn scheduled(path: Option<&Path>, global: &Global) -> Result<(Plan, Schedule), CliError> {
    let (plan, world) = checked_to_run(path, global).await?;
    if let Some(state) = &world.state {
        state.close().await;
    }
    match plan.schedule.clone() {
        Some(schedule) => Ok((plan, schedule)),
        None => Err(unscheduled(&plan)),
    }
}

fn unscheduled(plan: &Plan) -> CliError {
    let message = format!("the pipeline `{}` has no `schedule:`", plan.pipeline);
    let diagnostic = Diagnostic::error("missing_key", message).help(
        "write `schedule: {cron: \"0 6 * * *\"}`, `{every: 15m}` or `{or_when: {new_files: TABLE}}`",
    );
    CliError::Wrong(Diagnostics::from(diagnostic))
}

/// Minds all projects until the daemon is told to stop.
async fn mind(
    paths: &[Option<&Path>],
    options: &Options,
    global: &Global,
) -> Result<Exit, CliError> {
    let cancel = CancellationToken::new();
    let watcher = signal::watch(cancel.clone(), || {
        daemon::tell("sluice", "stopping: what is committed stays");
    });
    let daemons = paths
        .iter()
        .map(|path| Daemon::new(*path, global, options, &cancel).run());
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(Duration::from_secs(options.grace)).await;
    };
    tokio::select! {
        _ = join_all(daemons) => {}
        () = overdue => {
            let words = format!("not stopped within {} s: cut off; what is committed stays", options.grace);
            daemon::tell("sluice", &words);
            signal::end();
        }
    }
    watcher.abort();
    Ok(Exit::Ok)
}

/// The next times of a pipeline, one a line.
fn times(plan: &Plan, schedule: &Schedule, count: usize, after: Option<Timestamp>) -> String {
    let mut time = after.unwrap_or_else(Timestamp::now);
    let mut text = String::new();
    for _ in 0..count {
        let Some(next) = schedule.next_after(time) else {
            break;
        };
        text.push_str(&format!("{}  {}\n", plan.pipeline, schedule.shown(next)));
        time = next;
    }
    if text.is_empty() && count > 0 {
        text = format!(
            "{}  has no times: it waits for what begins a run\n",
            plan.pipeline
        );
    }
    text
}
