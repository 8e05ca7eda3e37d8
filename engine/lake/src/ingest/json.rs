//! Records of JSON: an object on each line, or all of them in one list.

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

use super::{
    error::{Fault, IngestError},
    input::{Access, Input},
    options::{NameStyle, ReadOptions},
    record::{Columns, Found, Kind, MAX_RECORD_BYTES, Values, line_breaks},
    survey::SourceFile,
};

/// Reads the records of one file, front to back.
pub(super) struct JsonRecords {
    input: Input,
    names: NameStyle,
    columns: Columns,
    values: Values,
    shape: Shape,
    /// The current record in the window, and how far it is to the next.
    raw: std::ops::Range<usize>,
    length: usize,
    next_line: u64,
}

/// How the records of a file are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// By line ends.
    Lines,
    /// By the commas of one list.
    List,
    /// The list is closed.
    Closed,
}

impl JsonRecords {
    /// Opens a file. It may be empty.
    pub(super) fn open(source: &SourceFile, options: &ReadOptions) -> Result<Self, IngestError> {
        let mut records = Self {
            input: Input::open(source, options.encoding, Access::Hashed)?,
            names: options.names,
            columns: Columns::default(),
            values: Values::default(),
            shape: Shape::Lines,
            raw: 0..0,
            length: 0,
            next_line: 1,
        };
        records.input.refuse_other_formats()?;
        records.skip_space(b"")?;
        if records.input.window().first() == Some(&b'[') {
            records.input.consume(1);
            records.shape = Shape::List;
        }
        Ok(records)
    }

    /// Moves to the next record; `None` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<Option<Found>, IngestError> {
        self.input.consume(self.length);
        (self.raw, self.length) = (0..0, 0);
        self.values.clear();
        let was_list = self.shape == Shape::List;
        self.skip_space(if was_list { b"," } else { b"" })?;
        if was_list && self.input.window().first() == Some(&b']') {
            self.input.consume(1);
            self.shape = Shape::Closed;
            self.skip_space(b"")?;
        }
        if self.input.window().is_empty() {
            if self.shape != Shape::List {
                return Ok(None);
            }
            self.shape = Shape::Closed;
            let (fault, line) = (Some(Fault::CutOff), self.next_line);
            return Ok(Some(Found { fault, line }));
        }
        let line = self.next_line;
        let end = self.find_end(line)?;
        let raw = &self.input.window()[..end];
        let trimmed = raw.trim_ascii_end().len();
        self.next_line += line_breaks(raw);
        (self.raw, self.length) = (0..trimmed, end);
        let fault = match self.shape {
            Shape::Closed => Some(Fault::BehindList),
            Shape::Lines | Shape::List => self.understand()?,
        };
        Ok(Some(Found { fault, line }))
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.input.window()[self.raw.clone()]
    }

    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(super) fn hash(&mut self) -> Result<String, IngestError> {
        self.input.hash()
    }

    /// Skips white space, and `more` besides.
    fn skip_space(&mut self, more: &[u8]) -> Result<(), IngestError> {
        loop {
            let window = self.input.window();
            let is_space = |byte: &&u8| byte.is_ascii_whitespace() || more.contains(*byte);
            let space = window.iter().take_while(is_space).count();
            let whole = space == window.len();
            self.next_line += line_breaks(&window[..space]);
            self.input.consume(space);
            if !whole || !self.input.more()? {
                return Ok(());
            }
        }
    }

    /// Where the record ends that the window begins with; the window is made long enough.
    fn find_end(&mut self, line: u64) -> Result<usize, IngestError> {
        let mut scan = Scan::default();
        loop {
            let window = self.input.window();
            let found = match self.shape {
                Shape::Lines => {
                    let from = scan.at;
                    scan.at = window.len();
                    memchr(b'\n', &window[from..]).map(|end| from + end)
                }
                Shape::List => scan.value(window),
                // What stands behind the list is one bad record.
                Shape::Closed => None,
            };
            if let Some(end) = found {
                // A bracket that nothing opened is a record of its own.
                return Ok(end.max(1));
            }
            if window.len() > MAX_RECORD_BYTES {
                return Err(IngestError::TooLong {
                    file: self.input.file().to_owned(),
                    line,
                    limit_bytes: MAX_RECORD_BYTES,
                });
            }
            if !self.input.more()? {
                return Ok(self.input.window().len());
            }
        }
    }

    /// Takes the values out of the current record.
    fn understand(&mut self) -> Result<Option<Fault>, IngestError> {
        let raw = &self.input.window()[self.raw.clone()];
        let text = match std::str::from_utf8(raw) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.valid_up_to();
                return Ok(Some(Fault::NotUtf8 { offset }));
            }
        };
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            let reason = error.to_string();
            return Ok(Some(Fault::NotJson { reason }));
        }
        if !text.starts_with('{') {
            return Ok(Some(Fault::NotObject));
        }
        for (key, value) in Members::of(text) {
            let Some(key) = unescape(key) else {
                return Ok(Some(not_text(key)));
            };
            let column = match self.columns.place(&key) {
                Some(column) => column,
                None => self.columns.add(self.input.file(), &key, self.names)?,
            };
            if self.values.cells.iter().any(|cell| cell.column == column) {
                return Ok(Some(Fault::KeyTwice {
                    key: key.into_owned(),
                }));
            }
            let kind = match value.as_bytes()[0] {
                b'"' => Kind::Text,
                b'{' | b'[' => Kind::Nested,
                b'n' => Kind::Null,
                _ => Kind::Bare,
            };
            match (kind, unescape(value)) {
                (Kind::Text, Some(text)) => self.values.text.push_str(&text),
                (Kind::Text, None) => return Ok(Some(not_text(value))),
                (Kind::Null, _) => {}
                _ => self.values.text.push_str(value),
            }
            self.values.end(column, kind);
        }
        Ok(None)
    }
}

fn not_text(written: &str) -> Fault {
    Fault::NotJson {
        reason: format!("{written} is no text"),
    }
}

/// What a JSON string says; `None` when its escapes make no characters.
fn unescape(written: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inside = written
        .strip_prefix('"')
        .and_then(|s| s.strip_suffix('"'))?;
    if inside.contains('\\') {
        serde_json::from_str::<String>(written).ok().map(Into::into)
    } else {
        Some(inside.into())
    }
}

/// The members of an object that is right, as they are written.
struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    fn of(object: &'a str) -> Self {
        Self {
            text: object,
            at: 1,
        }
    }

    fn skip(&mut self, bytes: &[u8]) {
        let rest = &self.text.as_bytes()[self.at..];
        let skipped = |byte: &&u8| byte.is_ascii_whitespace() || bytes.contains(*byte);
        self.at += rest.iter().take_while(skipped).count();
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(b",");
        let rest = &self.text.as_bytes()[self.at..];
        if rest.first() != Some(&b'"') {
            return None;
        }
        let key = string_end(rest, 1)?;
        let key = &self.text[self.at..self.at + key];
        self.at += key.len();
        self.skip(b":");
        let rest = &self.text.as_bytes()[self.at..];
        let length = Scan::default().value(rest)?;
        let value = &self.text[self.at..self.at + length];
        self.at += length;
        Some((key, value.trim_ascii_end()))
    }
}

/// The place behind the string whose inside goes on at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Looks for the end of a value in a list or an object, a window at a time.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
}

impl Scan {
    /// The place of the `,`, `]` or `}` that ends the value at the front of `window`.
    fn value(&mut self, window: &[u8]) -> Option<usize> {
        while self.at < window.len() {
            let byte = window[self.at];
            if self.in_string {
                match byte {
                    b'\\' => self.at += 1,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' | b']' | b'}' if self.depth == 0 => return Some(self.at),
                    b']' | b'}' => self.depth -= 1,
                    _ => {}
                }
            }
            self.at += 1;
        }
        None
    }
}
