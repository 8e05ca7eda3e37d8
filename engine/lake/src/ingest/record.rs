//! Records of a file, whatever its format: cut out first, understood after, so that
//! a bad one is there as it was.

use std::collections::HashMap;

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    error::{Fault, IngestError},
    options::NameStyle,
};
use crate::name::{FORBIDDEN_IN_COLUMNS, snake_case};

/// How long a record may be, in bytes.
pub(super) const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// A column as a file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The name that it gets.
    pub(super) name: String,
    /// The header as it is in the file, where that is another.
    pub(super) original: Option<String>,
}

impl Column {
    /// The name by which the user knows it.
    pub(super) fn shown(&self) -> &str {
        self.original.as_ref().unwrap_or(&self.name)
    }
}

/// What a value was in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text without quotes around it: anything. Empty, it is NULL.
    Bare,
    /// Text and nothing else, however it reads.
    Text,
    /// JSON's null.
    Null,
    /// JSON's list or object, as it is written.
    Nested,
}

/// A value of the current record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// The place of its column among those of the file.
    pub(super) column: usize,
    pub(super) kind: Kind,
    /// Where the text of the record's values ends that belongs to it.
    pub(super) end: usize,
}

/// The values of a record.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) text: String,
    pub(super) cells: Vec<Cell>,
}

impl Values {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// Ends a value, whose text has been pushed.
    pub(super) fn end(&mut self, column: usize, kind: Kind) {
        let end = self.text.len();
        self.cells.push(Cell { column, kind, end });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Kind, &str)> {
        let starts = std::iter::once(0).chain(self.cells.iter().map(|cell| cell.end));
        let cells = starts.zip(&self.cells);
        cells.map(|(start, cell)| (cell.column, cell.kind, &self.text[start..cell.end]))
    }
}

/// The record that was found.
pub(super) struct Found {
    /// What is wrong with it; its values count only when nothing is.
    pub(super) fault: Option<Fault>,
    /// The line that it starts on, counted from 1.
    pub(super) line: u64,
}

/// How many line breaks there are.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The columns of a file, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Columns {
    list: Vec<Column>,
    /// By the name in the file.
    by_header: HashMap<String, usize>,
    /// By the name that they get, in lower case: the name in the file.
    headers: HashMap<String, String>,
}

impl Columns {
    pub(super) fn list(&self) -> &[Column] {
        &self.list
    }

    /// Columns that have no names.
    pub(super) fn numbered(count: usize) -> Self {
        let list = (1..=count).map(|position| Column {
            name: numbered(position),
            original: None,
        });
        Self {
            list: list.collect(),
            ..Self::default()
        }
    }

    pub(super) fn place(&self, header: &str) -> Option<usize> {
        self.by_header.get(header).copied()
    }

    /// Adds a column that `file` calls `header`.
    pub(super) fn add(
        &mut self,
        file: &str,
        header: &str,
        style: NameStyle,
    ) -> Result<usize, IngestError> {
        let place = self.list.len();
        let name = column_name(header, place + 1, style);
        if [FILE_COLUMN, ROW_COLUMN, INGESTED_AT_COLUMN]
            .iter()
            .any(|reserved| reserved.eq_ignore_ascii_case(&name))
        {
            return Err(IngestError::ReservedHeader {
                file: file.to_owned(),
                name: header.to_owned(),
            });
        }
        let known = self.headers.insert(name.to_lowercase(), header.to_owned());
        if let Some(first) = known {
            return Err(IngestError::HeaderClash {
                file: file.to_owned(),
                first,
                second: header.to_owned(),
                name,
            });
        }
        self.by_header.insert(header.to_owned(), place);
        let original = (name != header).then(|| header.to_owned());
        self.list.push(Column { name, original });
        Ok(place)
    }
}

/// A header as a column's name. Only what Delta refuses is changed: `pH` stays.
fn column_name(header: &str, position: usize, style: NameStyle) -> String {
    if style == NameStyle::AsIs {
        return header.to_owned();
    }
    let trimmed = header.trim();
    if trimmed.is_empty() {
        return numbered(position);
    }
    if trimmed.contains(|c| FORBIDDEN_IN_COLUMNS.contains(c) || c == '\r') {
        snake_case(trimmed)
    } else {
        trimmed.to_owned()
    }
}

fn numbered(position: usize) -> String {
    format!("column_{position}")
}
