//! Files that belong to a project's definition, and are named in it: queries, rows of tests.

use std::io::ErrorKind;
use std::path::{Component as PathPart, Path};
use std::sync::Arc;

use super::decode::{Context, Decode};
use crate::diagnostic::{Diagnostic, nearest};
use crate::source::{self, SourceFile, Spanned};
use crate::yaml::{Node, TextMap};

/// Such a file.
pub(super) struct DefinitionFile {
    /// The path, as written.
    pub(super) path: Spanned<String>,
    /// What it says, under the name by which people know it.
    pub(super) source: Arc<SourceFile>,
}

impl DefinitionFile {
    /// Reads the file that a node names; where it cannot be read, reports why.
    pub(super) fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let path = Spanned::<String>::decode(node, cx)?;
        let text = match read_definition(&path, cx) {
            Ok(text) => text,
            Err(diagnostic) => {
                cx.report(*diagnostic, path.span);
                return None;
            }
        };
        let shown = cx.project.resolve(&path).display().to_string();
        let source = Arc::new(SourceFile::new(shown, text));
        Some(Self { path, source })
    }

    /// The text behind a byte order mark, and where each of its parts stands.
    pub(super) fn content(&self) -> (&str, TextMap) {
        let text = self.source.text();
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let text = &text[start..];
        (text, TextMap::identity(start, text.len()))
    }
}

/// Reads a file that belongs to the project's definition and so lies inside its folder.
fn read_definition(path: &str, cx: &Context<'_>) -> Result<String, Box<Diagnostic>> {
    if let Some(text) = cx
        .overrides
        .kept
        .as_ref()
        .and_then(|kept| kept.files.get(path))
    {
        return Ok(text.clone());
    }
    let folder = cx.project.folder();
    let outside = || -> Box<Diagnostic> {
        Diagnostic::error(
            "outside_project",
            format!("`{path}` lies outside the project's folder"),
        )
        .help("definitions belong to the project: move the file beside the pipeline")
        .into()
    };
    let relative = Path::new(path);
    let plain = |part: PathPart<'_>| matches!(part, PathPart::Normal(_) | PathPart::CurDir);
    if relative.is_absolute() || path.is_empty() {
        return Err(outside());
    }
    let file = folder.join(relative);
    let unreadable = |error: &std::io::Error| -> Box<Diagnostic> {
        let message = match error.kind() {
            ErrorKind::NotFound => format!("there is no file `{path}`"),
            _ => format!("cannot read `{path}`: {error}"),
        };
        let near = nearest_file(&file).map(|near| relative.with_file_name(near));
        Diagnostic::error("unreadable_file", message)
            .maybe_help(near.map(|near| format!("did you mean `{}`?", near.display())))
            .into()
    };
    // A path with `..` may only be followed when what it names exists inside.
    let real = match file.canonicalize() {
        Ok(real) => real,
        Err(error) if relative.components().all(plain) => return Err(unreadable(&error)),
        Err(_) => return Err(outside()),
    };
    let root = folder.canonicalize().map_err(|error| unreadable(&error))?;
    if !real.starts_with(&root) {
        return Err(outside());
    }
    if real.is_dir() {
        let message = format!("`{path}` is a folder");
        return Err(Diagnostic::error("unreadable_file", message).into());
    }
    let bytes = source::read_definition(&real).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        Diagnostic::error(
            "not_utf8",
            format!("`{path}` is not UTF-8: byte {} on line {line}", at + 1),
        )
        .help("save the file as UTF-8")
        .into()
    })
}

/// The file in the same folder whose name is nearest.
fn nearest_file(missing: &Path) -> Option<String> {
    let wanted = missing.file_name()?.to_str()?;
    let mut names: Vec<String> = std::fs::read_dir(missing.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}
