//! `sluice check`: everything that is wrong with a project, at once.

use std::path::PathBuf;

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

/// Reads the project and says that it is sound.
///
/// # Errors
/// All that is wrong with it.
pub(super) async fn check(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let spec = project::load(options.project.as_deref(), global)?;
    let tables = counted(spec.tables.iter().count() as u64, "tables");
    let models = counted(spec.models.iter().count() as u64, "models");
    print(&format!(
        "{} is sound: {tables}, {models}\n",
        *spec.pipeline
    ))?;
    Ok(Exit::Ok)
}
