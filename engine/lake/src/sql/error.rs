//! What is wrong with a piece of SQL, and where.

use std::error::Error;
use std::ops::Range;

use datafusion::common::Span as PlannerSpan;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// A place in a SQL text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlSpan {
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character in its line, in characters, from 1.
    pub column: usize,
    /// Offset of the first character in the text, in bytes.
    pub start: usize,
    /// Length in bytes; 0 at the end of the text.
    pub len: usize,
}

impl SqlSpan {
    /// The bytes of the text that this place covers.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The place from `start` to `end` (exclusive) in `text`; `None` when the
    /// parser did not know it. Places beyond the text are cut to its end.
    pub(crate) fn between(text: &str, start: Location, end: Location) -> Option<Self> {
        if start.line == 0 {
            return None;
        }
        let from = byte_offset(text, start);
        let to = byte_offset(text, end).max(from);
        Some(Self {
            line: usize::try_from(start.line).ok()?,
            column: usize::try_from(start.column).ok()?.max(1),
            start: from,
            len: to - from,
        })
    }

    /// The place of a parsed node.
    pub fn of(text: &str, span: Span) -> Option<Self> {
        Self::between(text, span.start, span.end)
    }

    /// The place of something the planner remembers.
    pub(crate) fn of_planned(text: &str, span: PlannerSpan) -> Option<Self> {
        let location = |at: datafusion::common::Location| Location::new(at.line, at.column);
        Self::between(text, location(span.start), location(span.end))
    }
}

/// The byte at which a line and column (in characters, from 1) begin.
fn byte_offset(text: &str, at: Location) -> usize {
    let mut line_start = 0;
    for _ in 1..at.line {
        match text[line_start..].find('\n') {
            Some(newline) => line_start += newline + 1,
            None => return text.len(),
        }
    }
    let skip = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
    text[line_start..]
        .char_indices()
        .nth(skip)
        .map_or(text.len(), |(offset, _)| line_start + offset)
}

/// What kind of mistake a [`SqlError`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SqlErrorKind {
    /// The text is not SQL.
    Syntax,
    /// SQL that would change something, where only questions may stand.
    NotReadOnly,
    /// SQL that Sluice does not run.
    Unsupported,
    /// A table that no layer has.
    UnknownTable,
    /// A column that no table in scope has.
    UnknownColumn,
    /// A function that is not registered.
    UnknownFunction,
    /// A name that two tables in scope have.
    Ambiguous,
    /// Anything else that the planner refuses: types, arguments, grouping.
    Planning,
    /// The tables that the text reads could not be opened.
    Catalog,
}

/// A mistake in SQL: what, where, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// The kind of mistake.
    pub kind: SqlErrorKind,
    /// What is wrong, in one sentence that begins in lower case.
    pub message: String,
    /// Where; `None` only when nothing in the text can be blamed.
    pub span: Option<SqlSpan>,
    /// What to do about it, such as the nearest valid name.
    pub help: Option<String>,
    /// The error of the planner, or of the registry, where there is one.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SqlError {
    /// An error without a place or advice yet.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            span: None,
            help: None,
            source: None,
        }
    }

    /// The same error at a place.
    #[must_use]
    pub fn at(mut self, span: Option<SqlSpan>) -> Self {
        self.span = span;
        self
    }

    /// The same error with advice, if there is any.
    #[must_use]
    pub fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// The same error with another as its source.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_in_lines_and_bytes_in_text() {
        let text = "SELECT 'ä',\n  öljy FROM t";
        let span = SqlSpan::between(text, Location::new(2, 3), Location::new(2, 7)).unwrap();
        assert_eq!((span.line, span.column), (2, 3));
        assert_eq!(&text[span.range()], "öljy");
    }

    #[test]
    fn places_beyond_the_text_end_with_it() {
        let text = "SELECT";
        let span = SqlSpan::between(text, Location::new(3, 9), Location::new(3, 10)).unwrap();
        assert_eq!((span.start, span.len), (6, 0));
        assert_eq!(SqlSpan::of(text, Span::empty()), None);
    }
}
