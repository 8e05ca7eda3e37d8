//! `sluice retry`: makes what an earlier run did not get done.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sluice_lake::state::{Run, State, StateError};
use sluice_pipelines::plan::Plan;
use sluice_pipelines::select::{SelectError, undone};

use super::error::CliError;
use super::run::{Manner, begun, carry_out};
use super::{Global, print};
use crate::exit::Exit;

/// Options of `sluice retry`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The run, or the beginning of its identifier; the project's last one by default
    run: Option<String>,
    /// The project; the nearest one upward by default
    #[arg(short, long, value_name = "PROJECT")]
    project: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
}

/// Runs what the earlier run failed to make, what it did not try because of that, and what it
/// was stopped before. The project is taken as it is now, with the variables given now.
///
/// # Errors
/// As `sluice run`; a run that is not of this project.
pub(super) async fn retry(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (mut plan, world) = begun(options.project.as_deref(), global).await?;
    let project = world.lakehouse.existing_project_uuid(&plan.pipeline)?;
    let (Some(state), Some(project)) = (&world.state, project) else {
        return Err(nothing(&plan, "the project has not run yet").into());
    };
    let project = project.to_string();
    let run = find(state, &project, options.run.as_deref()).await?;
    let Some(run) = run else {
        return Err(nothing(&plan, "the project has not run yet").into());
    };
    if run.project != project {
        return Err(nothing(&plan, &format!("run {} is of another project", run.run_id)).into());
    }
    let stages = state.stages(&run.run_id).await?;
    let left: BTreeSet<usize> = undone(&plan, &stages);
    if left.is_empty() {
        print(&format!("Run {} left nothing undone.\n", run.run_id))?;
        return Ok(Exit::Ok);
    }
    plan.chosen = left;
    carry_out(plan, world, &options.manner).await
}

async fn find(
    state: &State,
    project: &str,
    written: Option<&str>,
) -> Result<Option<Run>, StateError> {
    match written {
        Some(text) => state.find_run(text).await.map(Some),
        None => Ok(state.latest_runs(project, 1).await?.into_iter().next()),
    }
}

fn nothing(plan: &Plan, reason: &str) -> SelectError {
    SelectError::Nothing {
        written: format!("retry of {}", plan.pipeline),
        reason: Some(reason.to_owned()),
    }
}
