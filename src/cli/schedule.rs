//! `sluice schedule`: runs projects at the times of their `schedule:`.
//!
//! A daemon in the foreground. What it knows is in the state store: of several daemons one
//! claims each time, and one that starts again goes on after the last time that was claimed.

mod daemon;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use jiff::Timestamp;
use sluice_pipelines::diagnostic::{Diagnostic, Diagnostics};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use super::check::checked;
use super::error::CliError;
use super::{Global, print, signal};
use crate::exit::Exit;
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
    /// Writes the events of the runs to standard output, one a line, as JSON
    #[arg(long)]
    json: bool,
    /// Assets made side by side, and threads of one training; by default one a processor
    #[arg(long, value_name = "N")]
    parallelism: Option<NonZeroUsize>,
}

/// Runs each project when its time comes, until Ctrl-C or SIGTERM: then a run that is under way
/// stops without losing what it made, and the command ends well.
///
/// # Errors
/// Projects that are wrong, or without `schedule:`, when the daemon starts. One that becomes
/// wrong later is told, and tried again at its next time.
pub(super) async fn schedule(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let paths: Vec<Option<&Path>> = match options.projects.as_slice() {
        [] => vec![None],
        paths => paths.iter().map(|path| Some(path.as_path())).collect(),
    };
    let mut projects = Vec::new();
    for path in paths {
        let (plan, world) = checked(path, global).await?;
        if let Some(state) = &world.state {
            state.close().await;
        }
        let schedule = plan.schedule.clone().ok_or_else(|| unscheduled(&plan))?;
        projects.push((path, plan, schedule));
    }
    if let Some(count) = options.next {
        return times(&projects, count, options.after.unwrap_or_else(Timestamp::now));
    }
    let cancel = CancellationToken::new();
    let watcher = signal::watch(cancel.clone(), || {
        daemon::tell("sluice", "stopping: what is committed stays");
    });
    let daemons = projects.into_iter().map(|(path, plan, schedule)| {
        let daemon = Daemon::new(path, plan.pipeline, schedule, global, options, &cancel);
        daemon.run()
    });
    let ended = join_all(daemons).await;
    watcher.abort();
    ended.into_iter().collect::<Result<Vec<()>, CliError>>()?;
    Ok(Exit::Ok)
}

fn unscheduled(plan: &Plan) -> CliError {
    let message = format!("the pipeline `{}` has no `schedule:`", plan.pipeline);
    let diagnostic = Diagnostic::error("missing_key", message)
        .help("write `schedule: {cron: \"0 6 * * *\"}`, `{every: 15m}` or `{or_when: {new_files: TABLE}}`");
    CliError::Wrong(Diagnostics::from(diagnostic))
}

fn times(
    projects: &[(Option<&Path>, Plan, Schedule)],
    count: usize,
    after: Timestamp,
) -> Result<Exit, CliError> {
    let mut text = String::new();
    for (_, plan, schedule) in projects {
        let mut time = after;
        for _ in 0..count {
            let Some(next) = schedule.next_after(time) else {
                break;
            };
            let shown = schedule.shown(next);
            text.push_str(&format!("{}  {shown}\n", plan.pipeline));
            time = next;
        }
    }
    print(&text)?;
    Ok(Exit::Ok)
}
