//! `sluice check`: everything that is wrong with a project, at once.

use std::path::{Path, PathBuf};

use sluice_lake::Lakehouse;
use sluice_lake::state::State;
use sluice_pipelines::check::{self, OUTDATED_STATE, World};
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::plan::{AssetBody, Plan};

use super::error::CliError;
use super::{Global, print, project};
use crate::exit::Exit;
use crate::render::figures::counted;

/// Options of `sluice check`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A folder with a pipeline.yaml, or such a file; the nearest one upward by default
    project: Option<PathBuf>,
}

/// Checks the project and says that it is sound.
///
/// # Errors
/// All that is wrong with it.
pub(super) async fn check(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let (plan, _) = checked(options.project.as_deref(), global).await?;
    let (mut tables, mut tokenizers, mut models, mut reports) = (0, 0, 0, 0);
    for asset in &plan.assets {
        match asset.body {
            AssetBody::Ingest(_) | AssetBody::Sql(_) | AssetBody::Scored(_) => tables += 1,
            AssetBody::Tokenizer(_) => tokenizers += 1,
            AssetBody::Model(_) => models += 1,
            AssetBody::Report(_) => reports += 1,
            // Only a plan that is to run has any.
            AssetBody::Unread(_) => {}
        }
    }
    let mut parts = vec![counted(tables, "tables")];
    if tokenizers > 0 {
        parts.push(counted(tokenizers, "tokenizers"));
    }
    parts.push(counted(models, "models"));
    if reports > 0 {
        parts.push(counted(reports, "reports"));
    }
    let parts = parts.join(", ");
    print(&format!("{} is sound: {parts}\n", plan.pipeline))?;
    Ok(Exit::Ok)
}

/// As [`checked`], for a command that is going to write: a store that an older release wrote is
/// brought up to date first, and files that cannot be read are left to their stage.
///
/// # Errors
/// As [`checked`], without what is wrong with files.
pub(super) async fn checked_to_run(
    path: Option<&Path>,
    global: &Global,
) -> Result<(Plan, World), CliError> {
    match resolved(path, global, true).await {
        Err(CliError::Unreadable(wrong)) if wrong.iter().any(|one| one.code == OUTDATED_STATE) => {
            let lakehouse = project::lakehouse_quietly(path, global).map_err(CliError::Wrong)?;
            let state = Lakehouse::open(lakehouse)?.state_path();
            State::bring_up_to_date(state).await?;
            resolved(path, global, true).await
        }
        other => other,
    }
}

/// The plan of a project, and the lakehouse that it was checked against. Warnings go to
/// standard error.
///
/// # Errors
/// All that is wrong with the project, or a lakehouse that cannot be read.
pub(super) async fn checked(
    path: Option<&Path>,
    global: &Global,
) -> Result<(Plan, World), CliError> {
    resolved(path, global, false).await
}

async fn resolved(
    path: Option<&Path>,
    global: &Global,
    to_run: bool,
) -> Result<(Plan, World), CliError> {
    let spec = match project::load(path, global) {
        Err(CliError::Wrong(wrong)) => return Err(project::all_wrong(path, global, wrong).await),
        loaded => loaded?,
    };
    let world = World::open(&spec.lakehouse.path)
        .await
        .map_err(|diagnostic| CliError::Unreadable(Diagnostics::from(*diagnostic)))?;
    let resolved = match to_run {
        true => check::check_to_run(&spec, &world).await,
        false => check::check(&spec, &world).await,
    };
    let (plan, warnings) = resolved.map_err(CliError::Wrong)?;
    project::warn(&warnings);
    Ok((plan, world))
}
