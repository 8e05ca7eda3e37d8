//! What is wrong, where, and what to do: diagnostics, all of a project at once.
//!
//! A [`Diagnostic`] points into a [`SourceFile`]; [`Diagnostics`] collects them, sorts them by
//! place and renders them: [`Diagnostics::plain`] for pipes and snapshots,
//! [`Diagnostics::graphical`] for terminals. A single one implements `miette::Diagnostic`.

mod miette_report;
mod nearest;
mod plain;

use std::fmt;
use std::sync::Arc;

pub use nearest::{did_you_mean, nearest};

use crate::source::{Location, SourceFile, Span};

/// So many are told; who wrote more wrong puts these right first.
const MOST_TOLD: usize = 100;

/// So many bytes of a message, a label or a help are told: enough for all that is written here,
/// not for a name of a megabyte that is quoted in it.
const MOST_BYTES: usize = 4000;

/// Whether a project with this diagnostic can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but something is worth a look.
    Warning,
}

/// A second place that explains the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The place.
    pub location: Location,
    /// What is there.
    pub label: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable, short name of the kind, such as `unknown_key`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; absent when no text is to blame (a missing file, a flag).
    pub location: Option<Location>,
    /// What stands at the caret; may be empty.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places that matter, such as the first of two duplicates.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: cut(message.into()),
            location: None,
            label: String::new(),
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Points at a span of a file.
    #[must_use]
    pub fn at(self, source: &Arc<SourceFile>, span: Span) -> Self {
        self.at_location(Location {
            source: Arc::clone(source),
            span,
        })
    }

    /// Points at a place.
    #[must_use]
    pub fn at_location(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Writes something beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = cut(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(cut(help.into()));
        self
    }

    /// Says what to do, if anything is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.map(cut).or(self.help);
        self
    }

    /// Shows another place.
    #[must_use]
    pub fn related(mut self, location: Location, label: impl Into<String>) -> Self {
        self.related.push(Related {
            location,
            label: label.into(),
        });
        self
    }

    fn sort_key(&self) -> (&str, usize, usize, &str, &str) {
        let (path, start, len) = self.location.as_ref().map_or(("", 0, 0), |location| {
            (
                location.source.path(),
                location.span.start,
                location.span.len,
            )
        });
        (path, start, len, self.code, &self.message)
    }
}

/// A text of [`MOST_BYTES`] at most.
fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push_str("...");
    }
    text
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// Everything that is wrong with a project. Displays as [`Diagnostics::plain`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Forgets all but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    /// Says what to do about the one that was added last.
    pub(crate) fn help_last(&mut self, help: String) {
        if let Some(last) = self.list.last_mut() {
            last.help = Some(help);
        }
    }

    /// Adds those of another list.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        self.list.extend(others);
    }

    /// True when there are more than are told, so that there is no sense in looking for others.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() > MOST_TOLD
    }

    /// True when there is neither an error nor a warning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of errors and warnings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True when at least one is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    /// Number of errors.
    #[must_use]
    pub fn error_count(&self) -> usize {
        let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
        self.list.iter().filter(is_error).count()
    }

    /// Sorts by file and place, and drops exact repetitions.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        self.list.dedup();
    }

    /// In the order of [`Diagnostics::sort`] if that was called, else as added.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// `value` with the warnings, unless there are errors; then all of them, sorted.
    ///
    /// # Errors
    /// These diagnostics, when at least one is an error.
    pub fn into_result<T>(mut self, value: T) -> Result<(T, Diagnostics), Diagnostics> {
        self.sort();
        if self.has_errors() {
            Err(self)
        } else {
            Ok((value, self))
        }
    }

    /// The first hundred without colour, one below the other, and how many more there are:
    /// stable, for pipes and snapshots.
    #[must_use]
    pub fn plain(&self) -> String {
        self.rendered(plain::render)
    }

    /// The first hundred for a terminal of `width` columns, with or without colour, and how many
    /// more there are.
    #[must_use]
    pub fn graphical(&self, width: usize, colour: bool) -> String {
        self.rendered(|diagnostic| miette_report::render(diagnostic, width, colour))
    }

    fn rendered(&self, render: impl Fn(&Diagnostic) -> String) -> String {
        let mut parts: Vec<String> = self.list.iter().take(MOST_TOLD).map(render).collect();
        let more = self.list.len() - parts.len();
        if more > 0 {
            parts.push(format!("and {more} more at least: put these right first\n"));
        }
        parts.join("\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            list: vec![diagnostic],
        }
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Self {
        Self {
            list: iter.into_iter().collect(),
        }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

impl std::error::Error for Diagnostics {}
