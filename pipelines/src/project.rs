//! Finding the project that a command is about.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{SourceFile, Span, read_definition};

/// The name of a pipeline file.
pub const PIPELINE_FILE: &str = "pipeline.yaml";

/// A folder with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    file: PathBuf,
}

impl Project {
    /// The project whose pipeline is this file.
    pub fn from_file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// The pipeline file, as it can be opened from the working folder.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The project's folder: that of the pipeline file.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// A path as the pipeline has it, relative to the project's folder, as it can be opened
    /// from the working folder and shown to the user. Absolute paths stay what they are.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        let path = path.strip_prefix("./").unwrap_or(path);
        match self.file.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// Reads the pipeline file.
    ///
    /// # Errors
    /// One diagnostic when it cannot be read or is not UTF-8.
    pub fn read(&self) -> Result<SourceFile, Diagnostics> {
        let shown = self.file.display().to_string();
        let bytes = read_definition(&self.file).map_err(|error| {
            Diagnostic::error("unreadable_file", format!("cannot read {shown}: {error}"))
        })?;
        String::from_utf8(bytes)
            .map(|text| SourceFile::new(shown.clone(), text))
            .map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let source = std::sync::Arc::new(SourceFile::new(shown, text));
                Diagnostic::error("not_utf8", "a pipeline is UTF-8 text, and this byte is not")
                    .at(&source, Span::new(at, at + '\u{fffd}'.len_utf8()))
                    .help("save the file as UTF-8")
                    .into()
            })
    }
}

/// Finds the project: a folder with a `pipeline.yaml`, or a pipeline file; by default the
/// nearest `pipeline.yaml` in the working folder or above it.
///
/// # Errors
/// One diagnostic that says where was looked.
pub fn find_project(path: Option<&Path>) -> Result<Project, Diagnostics> {
    match path {
        Some(path) => at(path),
        None => nearest_upward(),
    }
}

fn at(path: &Path) -> Result<Project, Diagnostics> {
    let shown = path.display();
    if path.is_file() {
        return Ok(Project::from_file(path));
    }
    if !path.is_dir() {
        let message = format!("there is no file or folder {shown}");
        return Err(Diagnostic::error("no_project", message)
            .help("give a folder with a pipeline.yaml, or a pipeline file")
            .into());
    }
    let file = if path == Path::new(".") {
        PathBuf::from(PIPELINE_FILE)
    } else {
        path.join(PIPELINE_FILE)
    };
    if file.is_file() {
        return Ok(Project::from_file(file));
    }
    let message = format!("there is no {PIPELINE_FILE} in {shown}");
    Err(Diagnostic::error("no_project", message)
        .help(other_yaml(path))
        .into())
}

fn nearest_upward() -> Result<Project, Diagnostics> {
    let here = std::env::current_dir().map_err(|error| {
        Diagnostic::error(
            "no_project",
            format!("cannot tell the working folder: {error}"),
        )
    })?;
    let mut shown = PathBuf::new();
    for folder in here.ancestors() {
        if folder.join(PIPELINE_FILE).is_file() {
            return Ok(Project::from_file(shown.join(PIPELINE_FILE)));
        }
        shown.push("..");
    }
    let message = format!(
        "there is no {PIPELINE_FILE} in {} or above it",
        here.display()
    );
    Err(Diagnostic::error("no_project", message)
        .help(other_yaml(&here))
        .into())
}

/// What to do, given the YAML files that a folder does have.
fn other_yaml(folder: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    match names.first() {
        Some(name) => format!("name the file to run it: {}", folder.join(name).display()),
        None => "go to a project's folder, or name one".to_owned(),
    }
}
