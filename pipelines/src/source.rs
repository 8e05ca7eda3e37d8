//! Source files, byte spans into them, and values that remember where they were written.
//!
//! Every diagnostic points with a [`Location`]: a file and a [`Span`] of bytes. Lines and
//! columns are told from the offset only when something is shown.

use std::fmt;
use std::io::{self, Read as _};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A range of bytes in a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Length in bytes; zero for a point.
    pub len: usize,
}

impl Span {
    /// The span from `start` to `end` (exclusive); empty at `start` when `end` lies before it.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            len: end.saturating_sub(start),
        }
    }

    /// The empty span at `offset`.
    #[must_use]
    pub fn point(offset: usize) -> Self {
        Self {
            start: offset,
            len: 0,
        }
    }

    /// Offset just behind the last byte.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.len
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(&self, other: Span) -> Self {
        Self::new(self.start.min(other.start), self.end().max(other.end()))
    }

    /// As a range of byte offsets.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end()
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

/// A line and a column as a user counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// No definition has more bytes; one that has is something else by accident.
const MOST_FILE_BYTES: u64 = 64 << 20;

/// The bytes of a definition: of the pipeline, or of a file that belongs to it.
pub(crate) fn read_definition(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_FILE_BYTES {
        let words = format!("it has more than {} MiB", MOST_FILE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(bytes)
}

/// A text that diagnostics can point into.
pub struct SourceFile {
    path: String,
    text: String,
    line_starts: Vec<usize>,
    printable: OnceLock<String>,
}

impl SourceFile {
    /// A file with the path as the user knows it, and its text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.into(),
            text,
            line_starts,
            printable: OnceLock::new(),
        }
    }

    /// The path as shown to the user.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with the same bytes, but for control characters, which a terminal would obey.
    pub(crate) fn printable(&self) -> &str {
        self.printable.get_or_init(|| {
            let mut out = String::with_capacity(self.text.len());
            for c in self.text.chars() {
                if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
                    out.extend(std::iter::repeat_n('?', c.len_utf8()));
                } else {
                    out.push(c);
                }
            }
            out
        })
    }

    /// The text that a span covers; shortened to what exists.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        let start = self.floor_char(span.start);
        let end = self.floor_char(span.end()).max(start);
        &self.text[start..end]
    }

    /// Line and column of an offset; offsets behind the end count as the end.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.floor_char(offset);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = self.line_starts[line - 1];
        Position {
            line,
            column: self.text[line_start..offset].chars().count() + 1,
        }
    }

    /// Offset of a position; columns behind the end of a line count as its end.
    #[must_use]
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line.max(1);
        let Some(range) = self.line_range(line) else {
            return self.text.len();
        };
        offset_in_line(&self.text[range.clone()], position.column) + range.start
    }

    /// Number of lines; an empty file has one.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// Byte range of a line (from 1) without its line break.
    #[must_use]
    pub fn line_range(&self, line: usize) -> Option<Range<usize>> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        let text = &self.text[start..end];
        Some(start..start + text.strip_suffix('\r').unwrap_or(text).len())
    }

    fn floor_char(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

fn offset_in_line(line: &str, column: usize) -> usize {
    line.char_indices()
        .nth(column.saturating_sub(1))
        .map_or(line.len(), |(at, _)| at)
}

/// Byte offset of a line and column (both from 1, columns in characters) in any text.
#[must_use]
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(at) => start += at + 1,
            None => return text.len(),
        }
    }
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start + offset_in_line(&text[start..end], column)
}

/// Files are equal when path and text are.
impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for SourceFile {}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile")
            .field("path", &self.path)
            .field("bytes", &self.text.len())
            .finish()
    }
}

/// A place in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The bytes.
    pub span: Span,
}

impl Location {
    /// Line and column of the first byte.
    #[must_use]
    pub fn position(&self) -> Position {
        self.source.position(self.span.start)
    }
}

/// A value and the bytes of the pipeline file that it was read from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the pipeline file.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned::new(f(self.value), self.span)
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Values are equal when what they say is, wherever it stands.
impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
