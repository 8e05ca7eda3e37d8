//! Divides records into fields, a chunk at a time and a column beside the other.

use memchr::memchr;

use super::{
    super::error::Fault,
    cutter::{Chunk, Span},
    dialect::{Dialect, Quoted},
};

/// The fields of the good records of a chunk. Kept, its memory is used again.
#[derive(Default)]
pub(super) struct Fields {
    /// Column after column, each with room for all records.
    cells: Vec<Cell>,
    room: usize,
    /// For each row its record.
    rows: Vec<u32>,
    /// Records that are wrong, by their place in the chunk, in order.
    faults: Vec<(usize, Fault)>,
    /// Fields that do not stand in their record as they are.
    rewritten: String,
    /// Records that are no UTF-8, as they were: in the chunk others stand in their place.
    not_text: Vec<(usize, Vec<u8>)>,
}

/// Where a field is.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// With [`REWRITTEN`] where it is not in the chunk.
    start: u32,
    end: u32,
}

const REWRITTEN: u32 = 1 << 31;

impl Cell {
    fn of<'a>(self, text: &'a str, rewritten: &'a str) -> &'a str {
        match self.start & REWRITTEN {
            0 => &text[self.start as usize..self.end as usize],
            _ => &rewritten[(self.start & !REWRITTEN) as usize..self.end as usize],
        }
    }
}

/// The fields of a chunk, for reading.
pub(super) struct Divided<'a> {
    fields: &'a Fields,
    text: &'a str,
}

impl Fields {
    /// Makes a chunk the current one: records that are no UTF-8 are put aside, so that
    /// what it holds is text.
    pub(super) fn take(&mut self, chunk: &mut Chunk) {
        self.faults.clear();
        self.not_text.clear();
        if std::str::from_utf8(&chunk.bytes).is_err() {
            self.cover_what_is_no_text(chunk);
        }
    }

    /// Divides the records of the current chunk into `columns` fields each.
    pub(super) fn divide<'a>(
        &'a mut self,
        chunk: &'a Chunk,
        dialect: &Dialect,
        columns: usize,
    ) -> Divided<'a> {
        self.rows.clear();
        self.rewritten.clear();
        self.room = chunk.records.len();
        self.cells.clear();
        self.cells.resize(columns * self.room, Cell::default());
        let text = std::str::from_utf8(&chunk.bytes)
            .expect("records that are no UTF-8 were covered, and line ends divide characters");
        let has_quotes = dialect
            .quote
            .is_some_and(|quote| memchr(quote, text.as_bytes()).is_some());
        let mut wrong = self.not_text.iter().map(|(record, _)| *record).peekable();
        let mut faults = Vec::new();
        for (place, record) in chunk.records.iter().enumerate() {
            if wrong.next_if_eq(&place).is_some() {
                continue;
            }
            let mut row = Row {
                cells: &mut self.cells,
                rewritten: &mut self.rewritten,
                room: self.room,
                row: self.rows.len(),
                columns,
                text,
                dialect,
            };
            let fault = match (record.unclosed, has_quotes) {
                (true, _) => Some(Fault::UnclosedQuote),
                (false, true) => row.divide(*record),
                (false, false) => row.divide_plain(*record),
            };
            match fault {
                Some(fault) => faults.push((place, fault)),
                None => self.rows.push(place as u32),
            }
        }
        self.faults.extend(faults);
        self.faults.sort_by_key(|(place, _)| *place);
        Divided { fields: self, text }
    }

    /// Puts question marks over the records that are no UTF-8, so that the rest is.
    fn cover_what_is_no_text(&mut self, chunk: &mut Chunk) {
        for (place, record) in chunk.records.iter().enumerate() {
            let bytes = &mut chunk.bytes[record.range()];
            if let Err(error) = std::str::from_utf8(bytes) {
                let fault = match record.unclosed {
                    true => Fault::UnclosedQuote,
                    false => Fault::NotUtf8 {
                        offset: error.valid_up_to(),
                    },
                };
                self.faults.push((place, fault));
                self.not_text.push((place, bytes.to_vec()));
                bytes.fill(b'?');
            }
        }
    }
}

impl<'a> Divided<'a> {
    /// For each row its record's place in the chunk.
    pub(super) fn rows(&self) -> &'a [u32] {
        &self.fields.rows
    }

    /// Records that are wrong, by their place in the chunk, in order.
    pub(super) fn faults(&self) -> &'a [(usize, Fault)] {
        &self.fields.faults
    }

    /// The fields of a column.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let first = column * self.fields.room;
        let cells = &self.fields.cells[first..first + self.fields.rows.len()];
        let (text, rewritten) = (self.text, &self.fields.rewritten);
        cells.iter().map(move |cell| cell.of(text, rewritten))
    }

    /// A record as it was.
    pub(super) fn raw(&self, place: usize, record: Span) -> &'a [u8] {
        let covered = &self.fields.not_text;
        match covered.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(found) => &covered[found].1,
            Err(_) => &self.text.as_bytes()[record.range()],
        }
    }
}

/// One record on its way to a row.
struct Row<'a> {
    cells: &'a mut [Cell],
    rewritten: &'a mut String,
    room: usize,
    row: usize,
    columns: usize,
    text: &'a str,
    dialect: &'a Dialect,
}

impl Row<'_> {
    fn put(&mut self, column: usize, cell: Cell) {
        // One too many is counted, and the record is wrong.
        if column < self.columns {
            self.cells[column * self.room + self.row] = cell;
        }
    }

    fn count(&self, found: usize) -> Option<Fault> {
        let expected = self.columns;
        (found != expected).then_some(Fault::Ragged { expected, found })
    }

    /// A record in which nothing is quoted.
    fn divide_plain(&mut self, record: Span) -> Option<Fault> {
        let bytes = &self.text.as_bytes()[record.range()];
        let (mut column, mut start) = (0, record.start);
        each_of(self.dialect.delimiter, bytes, |at| {
            let end = record.start + at;
            self.put(column, Cell { start, end });
            column += 1;
            start = end + 1;
        });
        let end = record.end;
        self.put(column, Cell { start, end });
        self.count(column + 1)
    }

    /// A record in which fields may be quoted.
    fn divide(&mut self, record: Span) -> Option<Fault> {
        let bytes = &self.text.as_bytes()[record.range()];
        let Some(quote) = self
            .dialect
            .quote
            .filter(|quote| memchr(*quote, bytes).is_some())
        else {
            return self.divide_plain(record);
        };
        let text = &self.text[record.range()];
        let place = |at: usize| record.start + at as u32;
        let mut at = 0;
        for column in 0.. {
            if bytes.get(at) == Some(&quote) {
                let from = self.rewritten.len();
                let (cell, behind) = match self.dialect.unquote(text, at + 1, self.rewritten) {
                    Err(fault) => return Some(fault),
                    Ok(Quoted::Plain(end)) => {
                        let (start, end) = (place(at + 1), place(end));
                        (Cell { start, end }, end - record.start)
                    }
                    Ok(Quoted::Rewritten(end)) => {
                        let start = from as u32 | REWRITTEN;
                        let end_there = self.rewritten.len() as u32;
                        let cell = Cell {
                            start,
                            end: end_there,
                        };
                        (cell, end as u32)
                    }
                };
                at = behind as usize + 1;
                if at < bytes.len() && bytes[at] != self.dialect.delimiter {
                    return Some(Fault::AfterQuote { field: column + 1 });
                }
                self.put(column, cell);
            } else {
                let rest = &bytes[at..];
                let length = memchr(self.dialect.delimiter, rest);
                let length = length.unwrap_or(rest.len());
                let (start, end) = (place(at), place(at + length));
                self.put(column, Cell { start, end });
                at += length;
            }
            if at == bytes.len() {
                return self.count(column + 1);
            }
            at += 1;
        }
        None
    }
}

/// The fields of a single record.
pub(super) fn of_one(record: &[u8], dialect: &Dialect) -> Result<Vec<String>, Fault> {
    let text = std::str::from_utf8(record).map_err(|error| Fault::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    // There are no more fields than delimiters, and one.
    let most = memchr::memchr_iter(dialect.delimiter, record).count() + 1;
    let mut cells = vec![Cell::default(); most];
    let mut rewritten = String::new();
    let mut row = Row {
        cells: &mut cells,
        rewritten: &mut rewritten,
        room: 1,
        row: 0,
        columns: most,
        text,
        dialect,
    };
    let found = match row.divide(Span::whole(record)) {
        None => most,
        Some(Fault::Ragged { found, .. }) => found,
        Some(fault) => return Err(fault),
    };
    let cells = cells[..found].iter();
    Ok(cells
        .map(|cell| cell.of(text, &rewritten).to_owned())
        .collect())
}

/// Calls `found` with each place of a byte, eight bytes at a time.
///
/// A byte of `x` is zero where the byte is that; `(x & LOW) + LOW` has its highest bit set
/// where any of the seven lower bits is, without a carry to the next byte (Warren,
/// "Hacker's Delight", 6-1).
fn each_of(byte: u8, bytes: &[u8], mut found: impl FnMut(u32)) {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let pattern = u64::from_ne_bytes([byte; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let x = u64::from_le_bytes(*word) ^ pattern;
        let mut hits = !(((x & LOW) + LOW) | x | LOW);
        while hits != 0 {
            found(at + hits.trailing_zeros() / 8);
            hits &= hits - 1;
        }
        at += 8;
    }
    for (here, other) in (at..).zip(rest) {
        if *other == byte {
            found(here);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_place_is_found(bytes in prop::collection::vec(any::<u8>(), 0..40), byte in 0_u8..3) {
            let few: Vec<u8> = bytes.iter().map(|byte| byte % 3).collect();
            for bytes in [&bytes, &few] {
                let mut places = Vec::new();
                each_of(byte, bytes, |at| places.push(at as usize));
                let expected: Vec<usize> = memchr::memchr_iter(byte, bytes).collect();
                prop_assert_eq!(places, expected);
            }
        }
    }
}
