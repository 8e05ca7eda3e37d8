//! Records of a CSV file, and its header.

use std::collections::HashMap;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    discover::SourceFile,
    error::IngestError,
    options::{CsvOptions, NameStyle},
    text::Text,
};
use crate::name::{FORBIDDEN_IN_COLUMNS, snake_case};

/// How long a record may be, in bytes: beyond it a quote was never closed.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// A column as a file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The name that it gets.
    pub(super) name: String,
    /// The header as it is in the file, where that is another.
    pub(super) original: Option<String>,
}

/// Reads the records of one file, front to back.
pub(super) struct Records {
    text: Text,
    parser: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    /// How much of `output` and `ends` the current record fills.
    output_used: usize,
    fields: usize,
    /// The line that is read next, and the one that the current record starts on.
    next_line: u64,
    record_line: u64,
    /// What every record must have, once the header is known.
    expected: Option<usize>,
    delimiter: u8,
}

impl Records {
    /// Opens a file.
    pub(super) fn open(source: &SourceFile, options: &CsvOptions) -> Result<Self, IngestError> {
        Ok(Self {
            text: Text::open(source)?,
            parser: ReaderBuilder::new().delimiter(options.delimiter).build(),
            output: vec![0; 4096],
            ends: vec![0; 64],
            output_used: 0,
            fields: 0,
            next_line: 1,
            record_line: 1,
            expected: None,
            delimiter: options.delimiter,
        })
    }

    /// Opens a file and finds its columns: the header's, or `column_1`, ... by the
    /// first record, which is then the current one (`true`).
    pub(super) fn open_with_columns(
        source: &SourceFile,
        options: &CsvOptions,
    ) -> Result<(Self, Vec<Column>, bool), IngestError> {
        let mut records = Self::open(source, options)?;
        if !records.advance()? {
            return Err(IngestError::Empty {
                file: source.path.clone(),
            });
        }
        records.expected = Some(records.fields);
        let columns = if options.header {
            records.header(options)?
        } else {
            (1..=records.fields).map(numbered).collect()
        };
        Ok((records, columns, !options.header))
    }

    /// Moves to the next record; `false` at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, IngestError> {
        self.skip_line_ends()?;
        self.record_line = self.next_line;
        (self.output_used, self.fields) = (0, 0);
        let mut quotes = 0;
        loop {
            let input = self.text.chunk()?;
            let at_end = input.is_empty();
            let (result, read, written, ended) = self.parser.read_record(
                input,
                &mut self.output[self.output_used..],
                &mut self.ends[self.fields..],
            );
            for byte in &input[..read] {
                self.next_line += u64::from(*byte == b'\n');
                quotes += u64::from(*byte == b'"');
            }
            self.text.consume(read);
            self.output_used += written;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow()?,
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::Record => {
                    let many_lines = self.next_line > self.record_line;
                    if at_end && many_lines && quotes % 2 == 1 {
                        return Err(IngestError::UnclosedQuote {
                            file: self.text.file().to_owned(),
                            line: self.record_line,
                        });
                    }
                    return self.check_fields();
                }
            }
        }
    }

    /// The fields of the current record.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends[..self.fields])
            .map(|(start, end)| self.field_text(start, *end))
    }

    /// The line that the current record starts on, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.record_line
    }

    /// The file, as in `_file`.
    pub(super) fn file(&self) -> &str {
        self.text.file()
    }

    /// The hash of the whole file, at its end.
    pub(super) fn hash(&self) -> String {
        self.text.hash()
    }

    fn field_text(&self, start: usize, end: usize) -> &str {
        // The parser removes whole ASCII characters of checked text only.
        std::str::from_utf8(&self.output[start..end]).unwrap_or_default()
    }

    /// Blank lines are no records; skipping them here keeps the line number right.
    fn skip_line_ends(&mut self) -> Result<(), IngestError> {
        loop {
            let chunk = self.text.chunk()?;
            let ends = chunk
                .iter()
                .take_while(|byte| matches!(byte, b'\n' | b'\r'))
                .count();
            let whole = ends == chunk.len();
            let done = chunk.is_empty() || !whole;
            self.next_line += super::text::line_breaks(&chunk[..ends]);
            self.text.consume(ends);
            if done {
                return Ok(());
            }
        }
    }

    fn grow(&mut self) -> Result<(), IngestError> {
        if self.output.len() >= MAX_RECORD_BYTES {
            return Err(IngestError::TooLong {
                file: self.text.file().to_owned(),
                line: self.record_line,
                limit_bytes: MAX_RECORD_BYTES,
            });
        }
        self.output.resize(self.output.len() * 2, 0);
        Ok(())
    }

    fn check_fields(&self) -> Result<bool, IngestError> {
        match self.expected {
            Some(expected) if expected != self.fields => Err(IngestError::Ragged {
                file: self.text.file().to_owned(),
                line: self.record_line,
                expected,
                found: self.fields,
            }),
            _ => Ok(true),
        }
    }

    /// Makes the current record the header.
    fn header(&self, options: &CsvOptions) -> Result<Vec<Column>, IngestError> {
        let file = self.text.file();
        let headers: Vec<&str> = self.fields().collect();
        if let [only] = headers[..]
            && let Some(guess) = [';', ',', '\t', '|']
                .into_iter()
                .find(|c| only.contains(*c))
        {
            return Err(IngestError::Delimiter {
                file: file.to_owned(),
                delimiter: char::from(self.delimiter),
                guess,
            });
        }
        let mut seen: HashMap<String, &str> = HashMap::new();
        let mut columns = Vec::with_capacity(headers.len());
        for (index, header) in headers.into_iter().enumerate() {
            let name = column_name(header, index + 1, options.names);
            if [FILE_COLUMN, ROW_COLUMN, INGESTED_AT_COLUMN]
                .iter()
                .any(|reserved| reserved.eq_ignore_ascii_case(&name))
            {
                return Err(IngestError::ReservedHeader {
                    file: file.to_owned(),
                    name: header.to_owned(),
                });
            }
            if let Some(first) = seen.insert(name.to_lowercase(), header) {
                return Err(IngestError::HeaderClash {
                    file: file.to_owned(),
                    first: first.to_owned(),
                    second: header.to_owned(),
                    name,
                });
            }
            let original = (name != header).then(|| header.to_owned());
            columns.push(Column { name, original });
        }
        Ok(columns)
    }
}

/// A header as a column's name. Only what Delta refuses is changed: `pH` stays.
fn column_name(header: &str, position: usize, style: NameStyle) -> String {
    if style == NameStyle::AsIs {
        return header.to_owned();
    }
    let trimmed = header.trim();
    if trimmed.is_empty() {
        return numbered(position).name;
    }
    if trimmed.contains(|c| FORBIDDEN_IN_COLUMNS.contains(c) || c == '\r') {
        snake_case(trimmed)
    } else {
        trimmed.to_owned()
    }
}

fn numbered(position: usize) -> Column {
    Column {
        name: format!("column_{position}"),
        original: None,
    }
}
