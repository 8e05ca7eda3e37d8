//! Cuts a file into records, without looking into them.

use memchr::memchr2;

use super::{
    super::{
        error::IngestError,
        input::Input,
        record::{MAX_RECORD_BYTES, line_breaks},
    },
    dialect::Dialect,
};

/// How many bytes of records are cut at a time, about. They, and what becomes of them,
/// are to fit the cache of a processor.
const CHUNK_BYTES: usize = if cfg!(test) { 1024 } else { 1024 * 1024 };

/// Records that stand one after the other in a file.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Span>,
    /// The place of the first record in the file, counted from 1.
    pub(super) first_row: i64,
    /// Where the file's text begins in `bytes`, and the line that this is, counted from 1.
    front: usize,
    first_line: u64,
}

/// Where a record lies in its chunk, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Whether a quote that it opens is never closed: then it ends with its first line.
    pub(super) unclosed: bool,
}

impl Span {
    /// All of a short text.
    pub(super) fn whole(record: &[u8]) -> Self {
        span(0, record.len(), false)
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Chunk {
    /// Counts the lines up to records, which must be asked for in order.
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines {
            bytes: &self.bytes,
            at: self.front,
            line: self.first_line,
        }
    }
}

/// See [`Chunk::lines`].
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line that a record starts on, counted from 1.
    pub(super) fn of(&mut self, record: Span) -> u64 {
        let start = record.start as usize;
        self.line += line_breaks(&self.bytes[self.at..start]);
        self.at = start;
        self.line
    }
}

/// A place between two records from which a file can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Cut {
    /// How many bytes of the file stand before it.
    pub(in super::super) offset: u64,
    /// The place of the record behind it, counted from 1.
    pub(in super::super) row: i64,
    /// The line that this record starts on, or a blank one before it, counted from 1.
    pub(in super::super) line: u64,
}

/// Cuts a file, front to back.
pub(super) struct Cutter {
    pub(super) input: Input,
    dialect: Dialect,
    next: Cut,
    /// Memory of a chunk that is done with.
    spare: Vec<u8>,
}

impl Cutter {
    /// `next`: where the input begins in its file.
    pub(super) fn new(input: Input, dialect: Dialect, next: Cut) -> Self {
        Self {
            input,
            dialect,
            next,
            spare: Vec::new(),
        }
    }

    /// The place behind the records that were given.
    pub(super) fn place(&self) -> Cut {
        self.next
    }

    /// The next records, of which there are at most `max_records`; `None` at the end.
    pub(super) fn next_chunk(&mut self, max_records: usize) -> Result<Option<Chunk>, IngestError> {
        while self.input.window().len() < CHUNK_BYTES && self.input.more()? {}
        let Some(first) = self.first()? else {
            return Ok(None);
        };
        let window = self.input.window();
        let mut records = vec![first];
        let mut at = first.end as usize;
        while records.len() < max_records.max(1) && at < CHUNK_BYTES {
            at += line_ends(&window[at..]);
            let rest = &window[at..(at + MAX_RECORD_BYTES).min(window.len())];
            // What the window does not end is looked at again when there is more.
            let Some(length) = self.dialect.find_end(rest, &mut 0, &mut false) else {
                break;
            };
            records.push(span(at, length, false));
            at += length;
        }
        // Cuts stand behind line ends, so that the next record is the next thing.
        at += line_ends(&window[at..]);
        Ok(Some(self.take(records, at)))
    }

    /// Memory for the next chunk.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.spare = chunk.bytes;
    }

    /// The first record of the window, which is made to begin with it and to hold all of it.
    pub(super) fn first(&mut self) -> Result<Option<Span>, IngestError> {
        self.skip_line_ends()?;
        if self.input.window().is_empty() {
            return Ok(None);
        }
        let (mut at, mut inside) = (0, false);
        loop {
            let window = self.input.window();
            let limit = window.len().min(MAX_RECORD_BYTES);
            let found = self
                .dialect
                .find_end(&window[..limit], &mut at, &mut inside);
            if let Some(end) = found {
                return Ok(Some(span(0, end, false)));
            }
            let whole = window.len() > MAX_RECORD_BYTES || !self.input.more()?;
            if !whole {
                continue;
            }
            let window = self.input.window();
            let length = window.len();
            if length > MAX_RECORD_BYTES && !inside {
                return Err(IngestError::TooLong {
                    file: self.input.file().to_owned(),
                    line: self.next.line,
                    limit_bytes: MAX_RECORD_BYTES,
                });
            }
            // A quote that waited for what follows it has closed the field.
            let closed = at < length && self.dialect.closes(&window[at..]);
            if !inside || closed {
                return Ok(Some(span(0, length, false)));
            }
            let first_line = memchr2(b'\n', b'\r', window).unwrap_or(length);
            return Ok(Some(span(0, first_line, true)));
        }
    }

    /// Goes on behind the first `bytes` of the window, which hold `records` records.
    pub(super) fn pass(&mut self, bytes: usize, records: i64) {
        self.next.line += line_breaks(&self.input.window()[..bytes]);
        self.next.offset += bytes as u64;
        self.next.row += records;
        self.input.consume(bytes);
    }

    /// The front of the window as a chunk.
    fn take(&mut self, mut records: Vec<Span>, bytes: usize) -> Chunk {
        let Cut { row, line, .. } = self.next;
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        self.next.line += line_breaks(&self.input.window()[..bytes]);
        self.next.offset += bytes as u64;
        self.next.row += count;
        let (mut bytes, front) = self.input.take(bytes, std::mem::take(&mut self.spare));
        // What was passed before may be no UTF-8.
        bytes[..front].fill(b' ');
        let shift = u32::try_from(front).expect("a window is shorter than 4 GiB");
        for record in &mut records {
            record.start += shift;
            record.end += shift;
        }
        Chunk {
            bytes,
            records,
            first_row: row,
            front,
            first_line: line,
        }
    }

    /// Blank lines are no records.
    fn skip_line_ends(&mut self) -> Result<(), IngestError> {
        loop {
            let ends = line_ends(self.input.window());
            let whole = ends == self.input.window().len();
            self.pass(ends, 0);
            if !whole || !self.input.more()? {
                return Ok(());
            }
        }
    }
}

fn span(start: usize, length: usize, unclosed: bool) -> Span {
    let place = |at| u32::try_from(at).expect("a window is shorter than 4 GiB");
    Span {
        start: place(start),
        end: place(start + length),
        unclosed,
    }
}

fn line_ends(bytes: &[u8]) -> usize {
    let is_end = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
    bytes.iter().take_while(is_end).count()
}
