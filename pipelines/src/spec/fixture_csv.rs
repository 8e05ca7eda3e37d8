//! CSV of a test's rows (RFC 4180), each field with its place.
//!
//! Not the reader of `ingest:`, which guesses types and takes bad records apart: a test's rows
//! are few, their types are known, and each mistake is to be shown where it stands.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use super::fixture::{Cell, CellValue, FixtureRow};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, SourceFile};
use crate::yaml::TextMap;

/// A field and its bytes.
struct Field {
    text: String,
    quoted: bool,
    range: Range<usize>,
}

/// The rows of `text`, whose bytes `map` maps to `source`.
///
/// # Errors
/// No header, a record of another length than it, a column that is there twice, a quote that
/// is never closed.
pub(super) fn rows(
    text: &str,
    map: &TextMap,
    source: &Arc<SourceFile>,
) -> Result<Vec<FixtureRow>, Box<Diagnostic>> {
    let place = |range: Range<usize>| Location {
        source: Arc::clone(source),
        span: map.to_source(range),
    };
    let wrong = |message: String, range: Range<usize>| {
        Box::new(Diagnostic::error("bad_csv", message).at_location(place(range)))
    };
    let mut records = records(text).map_err(|at| {
        let words = "this quote is never closed".to_owned();
        wrong(words, at..at + 1)
    })?;
    if records.is_empty() {
        return Err(wrong("this CSV has no header".to_owned(), 0..0));
    }
    let header = records.remove(0);
    let mut names = HashSet::with_capacity(header.len());
    for column in &header {
        if column.text.is_empty() || !names.insert(column.text.to_ascii_lowercase()) {
            let message = match column.text.is_empty() {
                true => "a column of this CSV has no name".to_owned(),
                false => format!("the column `{}` is there twice", column.text),
            };
            return Err(wrong(message, column.range.clone()));
        }
    }
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        if record.len() != header.len() {
            let message = format!(
                "this record has {} fields, the header {}",
                record.len(),
                header.len()
            );
            let range = record[0].range.start..record[record.len() - 1].range.end;
            return Err(wrong(message, range));
        }
        let cells = header.iter().zip(record).map(|(column, field)| Cell {
            column: (column.text.clone(), place(column.range.clone())),
            at: place(match field.range.is_empty() {
                true => column.range.clone(),
                false => field.range.clone(),
            }),
            value: match field.text.is_empty() && !field.quoted {
                true => CellValue::Value(Json::Null),
                false => CellValue::Text(field.text),
            },
        });
        rows.push(FixtureRow {
            cells: cells.collect(),
        });
    }
    Ok(rows)
}

/// All records that are no empty lines; else where the quote stands that is never closed.
fn records(text: &str) -> Result<Vec<Vec<Field>>, usize> {
    let mut records = Vec::new();
    let mut record: Vec<Field> = Vec::new();
    let mut at = 0;
    while at < text.len() || !record.is_empty() {
        let (field, next) = field(text, at)?;
        let blank = record.is_empty() && field.text.is_empty() && !field.quoted;
        record.push(field);
        if text[next..].starts_with(',') {
            at = next + 1;
            continue;
        }
        let rest = &text[next..];
        let line_break = ["\r\n", "\n"].into_iter().find(|it| rest.starts_with(it));
        at = next + line_break.map_or(0, str::len);
        let finished = std::mem::take(&mut record);
        if !(blank && finished.len() == 1) {
            records.push(finished);
        }
    }
    Ok(records)
}

/// The field that begins at a byte, and where it ends.
fn field(text: &str, start: usize) -> Result<(Field, usize), usize> {
    let rest = &text[start..];
    if !rest.starts_with('"') {
        let written = unquoted(rest);
        let end = start + written.len();
        let plain = Field {
            text: written.to_owned(),
            quoted: false,
            range: start..end,
        };
        return Ok((plain, end));
    }
    let mut value = String::new();
    let mut at = start + 1;
    loop {
        let quote = at + text[at..].find('"').ok_or(start)?;
        value.push_str(&text[at..quote]);
        at = quote + 1;
        if !text[at..].starts_with('"') {
            break;
        }
        value.push('"');
        at += 1;
    }
    // What stands between a closing quote and the comma belongs to the field, as spreadsheets
    // have it.
    let written = unquoted(&text[at..]);
    value.push_str(written);
    let end = at + written.len();
    let quoted = Field {
        text: value,
        quoted: true,
        range: start..end,
    };
    Ok((quoted, end))
}

/// What stands before the next comma or line break.
fn unquoted(rest: &str) -> &str {
    let len = rest.find([',', '\n']).unwrap_or(rest.len());
    let written = &rest[..len];
    match rest[len..].starts_with('\n') {
        true => written.strip_suffix('\r').unwrap_or(written),
        false => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
        let source = Arc::new(SourceFile::new("a.csv", text));
        let map = TextMap::identity(0, text.len());
        let rows = rows(text, &map, &source).map_err(|error| {
            let at = error.location.as_ref().unwrap();
            let position = at.source.position(at.span.start);
            format!("{}:{}: {error}", position.line, position.column)
        })?;
        let shown = |cell: &Cell| match &cell.value {
            CellValue::Text(text) => {
                let stands = cell.at.source.slice(cell.at.span);
                assert!(text.is_empty() || stands.contains(&text[..1]), "{stands}");
                format!("{}={text}", cell.column.0)
            }
            CellValue::Value(value) => format!("{}:{value}", cell.column.0),
        };
        let rows = rows.iter();
        Ok(rows
            .map(|row| row.cells.iter().map(shown).collect())
            .collect())
    }

    #[test]
    fn reads_quotes_line_breaks_and_nothing() {
        let text = "a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\"\"\n2,\n";
        let rows = read(text).unwrap();
        assert_eq!(
            rows,
            [
                ["a=1", "b=x, \"y\"\nz"],
                ["a:null", "b="],
                ["a=2", "b:null"]
            ]
        );
        assert_eq!(read("a\n").unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(read("").unwrap_err(), "1:1: this CSV has no header");
        assert_eq!(
            read("a,b\n1\n").unwrap_err(),
            "2:1: this record has 1 fields, the header 2"
        );
        assert_eq!(
            read("a,A\n1,2\n").unwrap_err(),
            "1:3: the column `A` is there twice"
        );
        assert_eq!(
            read("a,b\n1,\"x\n").unwrap_err(),
            "2:3: this quote is never closed"
        );
    }
}
