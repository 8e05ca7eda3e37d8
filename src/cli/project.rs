//! Which project a command is about, and where its lakehouse lies.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sluice_pipelines::check::also_wrong;
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::project::find_project;
use sluice_pipelines::spec::{self, Overrides, Spec};

use super::Global;
use super::error::{CliError, shown};
use crate::render::screen::Screen;

/// Finds and reads the project; warnings go to standard error.
///
/// # Errors
/// Everything that is wrong with it as written.
pub(super) fn load(path: Option<&Path>, global: &Global) -> Result<Spec, CliError> {
    let project = find_project(path).map_err(CliError::Wrong)?;
    let (spec, warnings) = spec::load(&project, &overrides(global)).map_err(CliError::Wrong)?;
    warn(&warnings);
    Ok(spec)
}

/// All that is wrong with a project that does not load.
pub(super) async fn all_wrong(
    path: Option<&Path>,
    global: &Global,
    mut wrong: Diagnostics,
) -> CliError {
    if let Ok(project) = find_project(path) {
        wrong.extend(also_wrong(&project, &overrides(global)).await);
        wrong.sort();
    }
    CliError::Wrong(wrong)
}

/// What the command line says otherwise than the file.
pub(super) fn overrides(global: &Global) -> Overrides {
    Overrides {
        lakehouse: global.lakehouse.clone(),
        set: global.set.clone(),
        ..Overrides::default()
    }
}

/// The lakehouse to ask: with `--lakehouse` and without a named project, no project is
/// needed.
///
/// # Errors
/// Everything that is wrong with the project as written.
pub(super) fn lakehouse_path(path: Option<&Path>, global: &Global) -> Result<PathBuf, CliError> {
    match (&global.lakehouse, path) {
        (Some(lakehouse), None) => Ok(lakehouse.clone()),
        _ => Ok(load(path, global)?.lakehouse.path),
    }
}

/// The folder of a project's lakehouse, without a word about what is wrong or doubtful.
///
/// # Errors
/// Everything that is wrong with the project as written.
pub(super) fn lakehouse_quietly(
    path: Option<&Path>,
    global: &Global,
) -> Result<PathBuf, Diagnostics> {
    Ok(load_quietly(path, global)?.lakehouse.path)
}

/// As [`load`], without a word about what is wrong or doubtful.
///
/// # Errors
/// As [`load`].
pub(super) fn load_quietly(path: Option<&Path>, global: &Global) -> Result<Spec, Diagnostics> {
    let project = find_project(path)?;
    let (spec, _) = spec::load(&project, &overrides(global))?;
    Ok(spec)
}

/// Shows warnings on standard error.
pub(super) fn warn(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        let text = shown(warnings, Screen::stderr());
        // A warning that nobody can read is no reason to stop.
        let _closed = io::stderr().lock().write_all(text.as_bytes());
    }
}
