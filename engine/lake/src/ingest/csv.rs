//! Records of a CSV file, and its header.

use memchr::{memchr, memchr2, memchr3};

use super::{
    error::{Fault, IngestError},
    input::Input,
    options::ReadOptions,
    record::{Columns, Found, Kind, MAX_RECORD_BYTES, Values},
    survey::SourceFile,
};

/// What divides records and fields.
#[derive(Debug, Clone, Copy)]
struct Dialect {
    delimiter: u8,
    quote: Option<u8>,
    /// What makes a quote inside quotes a character; without it, a quote does.
    escape: Option<u8>,
}

/// Reads the records of one file, front to back.
pub(super) struct CsvRecords {
    input: Input,
    dialect: Dialect,
    columns: Columns,
    values: Values,
    /// The current record in the window, and how far it is to the next.
    raw: std::ops::Range<usize>,
    length: usize,
    next_line: u64,
    /// The first record, when it is not the header and was read for the columns.
    first: Option<Found>,
}

/// The end of a record in the window.
enum End {
    /// Where it is.
    At(usize),
    /// A quote is open at the end of the file, or for too long.
    Unclosed,
}

impl CsvRecords {
    /// Opens a file and finds its columns: the header's, or `column_1`, ... by the
    /// first record.
    pub(super) fn open(source: &SourceFile, options: &ReadOptions) -> Result<Self, IngestError> {
        let mut records = Self {
            input: Input::open(source, options.encoding)?,
            dialect: Dialect {
                delimiter: options.delimiter,
                quote: options.quote,
                escape: options.escape,
            },
            columns: Columns::default(),
            values: Values::default(),
            raw: 0..0,
            length: 0,
            next_line: 1,
            first: None,
        };
        records.input.refuse_other_formats()?;
        let Some(first) = records.next_record()? else {
            return Err(IngestError::Empty {
                file: source.path.clone(),
            });
        };
        if !options.header {
            records.columns = Columns::numbered(records.values.cells.len());
            records.first = Some(first);
            return Ok(records);
        }
        if let Some(fault) = first.fault {
            return Err(records.bad_header(fault, first.line));
        }
        records.read_header(options)?;
        Ok(records)
    }

    /// Moves to the next record; `None` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<Option<Found>, IngestError> {
        let first = self.first.take();
        let mut found = match first {
            Some(found) => found,
            None => match self.next_record()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let (expected, fields) = (self.columns.list().len(), self.values.cells.len());
        if found.fault.is_none() && fields != expected {
            found.fault = Some(Fault::Ragged {
                expected,
                found: fields,
            });
        }
        Ok(Some(found))
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

    fn next_record(&mut self) -> Result<Option<Found>, IngestError> {
        self.input.consume(self.length);
        (self.raw, self.length) = (0..0, 0);
        self.values.clear();
        self.skip_line_ends()?;
        if self.input.window().is_empty() {
            return Ok(None);
        }
        let line = self.next_line;
        let mut fault = None;
        let end = match self.find_end(line)? {
            End::At(end) => end,
            End::Unclosed => {
                fault = Some(Fault::UnclosedQuote);
                let window = self.input.window();
                memchr2(b'\n', b'\r', window).unwrap_or(window.len())
            }
        };
        (self.raw, self.length) = (0..end, end);
        let raw = &self.input.window()[..end];
        self.next_line += line_breaks(raw);
        if fault.is_none() {
            fault = match std::str::from_utf8(raw) {
                Ok(text) => self.dialect.divide(text, &mut self.values).err(),
                Err(error) => Some(Fault::NotUtf8 {
                    offset: error.valid_up_to(),
                }),
            };
        }
        Ok(Some(Found { fault, line }))
    }

    /// Blank lines are no records.
    fn skip_line_ends(&mut self) -> Result<(), IngestError> {
        loop {
            let window = self.input.window();
            let is_end = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
            let ends = window.iter().take_while(is_end).count();
            let whole = ends == window.len();
            self.next_line += line_breaks(&window[..ends]);
            self.input.consume(ends);
            if !whole || !self.input.more()? {
                return Ok(());
            }
        }
    }

    /// Where the record ends that the window begins with; the window is made long enough.
    fn find_end(&mut self, line: u64) -> Result<End, IngestError> {
        let (mut at, mut inside) = (0, false);
        loop {
            let found = self
                .dialect
                .find_end(self.input.window(), &mut at, &mut inside);
            if let Some(end) = found {
                return Ok(End::At(end));
            }
            if self.input.window().len() > MAX_RECORD_BYTES {
                if inside {
                    return Ok(End::Unclosed);
                }
                return Err(IngestError::TooLong {
                    file: self.input.file().to_owned(),
                    line,
                    limit_bytes: MAX_RECORD_BYTES,
                });
            }
            if !self.input.more()? {
                let length = self.input.window().len();
                // A quote that waited for what follows it has closed the field.
                let closed = at < length && self.dialect.closes(&self.input.window()[at..]);
                return Ok(match inside && !closed {
                    true => End::Unclosed,
                    false => End::At(length),
                });
            }
        }
    }

    fn bad_header(&self, fault: Fault, line: u64) -> IngestError {
        let file = self.input.file().to_owned();
        if !matches!(fault, Fault::NotUtf8 { .. }) {
            return IngestError::BadRecord {
                file,
                row: 0,
                line,
                fault: Box::new(fault),
            };
        }
        IngestError::NotText {
            file,
            line,
            hint: "declare how it is written, as in `csv: {encoding: windows-1252}`",
        }
    }

    /// Makes the current record the header.
    fn read_header(&mut self, options: &ReadOptions) -> Result<(), IngestError> {
        let file = self.input.file();
        let headers: Vec<&str> = self.values.iter().map(|(_, _, text)| text).collect();
        if let [only] = headers[..]
            && let Some(guess) = [';', ',', '\t', '|']
                .into_iter()
                .find(|c| only.contains(*c))
        {
            return Err(IngestError::Delimiter {
                file: file.to_owned(),
                delimiter: char::from(self.dialect.delimiter),
                guess,
            });
        }
        for header in headers {
            self.columns.add(file, header, options.names)?;
        }
        Ok(())
    }
}

impl Dialect {
    /// Looks for the end of the record from `at` on (`inside` quotes or not); both say
    /// where to go on when there is more to see.
    fn find_end(&self, window: &[u8], at: &mut usize, inside: &mut bool) -> Option<usize> {
        while *at < window.len() {
            let rest = &window[*at..];
            if *inside {
                let quote = self.quote?;
                let Some(next) = memchr2(quote, self.escape.unwrap_or(quote), rest) else {
                    *at = window.len();
                    return None;
                };
                *at += next;
                let after = window.get(*at + 1)?;
                let escaped = match self.escape {
                    Some(escape) if escape != quote => rest[next] == escape,
                    _ => *after == quote,
                };
                if escaped {
                    *at += 2;
                } else {
                    *inside = false;
                    *at += 1;
                }
                continue;
            }
            let next = match self.quote {
                Some(quote) => memchr3(b'\n', b'\r', quote, rest),
                None => memchr2(b'\n', b'\r', rest),
            };
            let Some(next) = next else {
                *at = window.len();
                return None;
            };
            *at += next;
            if Some(rest[next]) != self.quote {
                return Some(*at);
            }
            // A quote opens a field only as its first character.
            *inside = *at == 0 || window[*at - 1] == self.delimiter;
            *at += 1;
        }
        None
    }

    /// Whether the last byte of the file, inside quotes, closes them.
    fn closes(&self, rest: &[u8]) -> bool {
        rest.len() == 1 && Some(rest[0]) == self.quote
    }

    /// Divides a whole record into its fields.
    fn divide(&self, record: &str, values: &mut Values) -> Result<(), Fault> {
        let bytes = record.as_bytes();
        let mut at = 0;
        for column in 0.. {
            if self.quote.is_some() && bytes.get(at) == self.quote.as_ref() {
                at = self.unquote(record, at + 1, values)?;
                if at < bytes.len() && bytes[at] != self.delimiter {
                    return Err(Fault::AfterQuote { field: column + 1 });
                }
            } else {
                let length = memchr(self.delimiter, &bytes[at..]).unwrap_or(bytes.len() - at);
                values.text.push_str(&record[at..at + length]);
                at += length;
            }
            values.end(column, Kind::Bare);
            if at == bytes.len() {
                return Ok(());
            }
            at += 1;
        }
        Ok(())
    }

    /// Takes a quoted field, from behind its quote; gives the place behind its end.
    fn unquote(&self, record: &str, mut at: usize, values: &mut Values) -> Result<usize, Fault> {
        let (bytes, quote) = (record.as_bytes(), self.quote.unwrap_or(b'"'));
        loop {
            let next = memchr2(quote, self.escape.unwrap_or(quote), &bytes[at..]);
            let next = at + next.ok_or(Fault::UnclosedQuote)?;
            values.text.push_str(&record[at..next]);
            let escaped = match self.escape {
                Some(escape) if escape != quote => bytes[next] == escape,
                _ => bytes.get(next + 1) == Some(&quote),
            };
            if !escaped {
                return Ok(next + 1);
            }
            // The character may have several bytes.
            let character = record[next + 1..].chars().next();
            let character = character.ok_or(Fault::UnclosedQuote)?;
            values.text.push(character);
            at = next + 1 + character.len_utf8();
        }
    }
}

/// How many line breaks there are.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
