//! Texts of other encodings, as UTF-8.

use std::io::{self, Read};

use super::input::peek;

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8; a file that begins with UTF-16's byte order mark is that.
    #[default]
    Utf8,
    /// UTF-16, in the order that its byte order mark says, else little-endian.
    Utf16,
    /// Windows-1252, of which ISO 8859-1 (Latin-1) is a part.
    Windows1252,
}

/// The characters of Windows-1252 from 0x80 to 0x9F; the five bytes that it leaves
/// open are the control characters of the same number, as browsers have it.
const WESTERN: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2C6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

/// How much is decoded at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads UTF-8 out of something else. What is no character there becomes bytes that
/// are no UTF-8, so that the record in which it stands is found to be bad.
pub(super) struct Decoder {
    reader: Box<dyn Read + Send>,
    units: Units,
    /// Bytes that wait for the rest of their character.
    waiting: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy)]
enum Units {
    Western,
    Little,
    Big,
}

impl Decoder {
    /// A reader of UTF-8, and whether it has anything to decode.
    pub(super) fn decode(
        reader: Box<dyn Read + Send>,
        encoding: Encoding,
    ) -> io::Result<(Box<dyn Read + Send>, bool)> {
        let (front, mut whole) = peek(reader, 2)?;
        let marked = match &front[..] {
            b"\xFF\xFE" => Some(Units::Little),
            b"\xFE\xFF" => Some(Units::Big),
            _ => None,
        };
        let units = match (encoding, marked) {
            (Encoding::Utf8, None) => return Ok((whole, false)),
            (Encoding::Utf8 | Encoding::Utf16, Some(units)) => {
                whole.read_exact(&mut [0; 2])?;
                units
            }
            (Encoding::Utf16, None) => Units::Little,
            (Encoding::Windows1252, _) => Units::Western,
        };
        let decoder = Self {
            reader: whole,
            units,
            waiting: Vec::new(),
            ready: Vec::new(),
            taken: 0,
        };
        Ok((Box::new(decoder), true))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        // Whole characters only may come out empty: then more is needed.
        while self.ready.is_empty() {
            let before = self.waiting.len();
            self.waiting.resize(before + CHUNK_BYTES, 0);
            let read = self.reader.read(&mut self.waiting[before..])?;
            self.waiting.truncate(before + read);
            if self.waiting.is_empty() {
                return Ok(());
            }
            match self.units {
                Units::Western => self.western(),
                Units::Little => self.wide(u16::from_le_bytes, read == 0),
                Units::Big => self.wide(u16::from_be_bytes, read == 0),
            }
        }
        Ok(())
    }

    fn western(&mut self) {
        for byte in self.waiting.drain(..) {
            let character = match byte {
                0x80..=0x9F => WESTERN[usize::from(byte - 0x80)],
                other => char::from(other),
            };
            push(&mut self.ready, character);
        }
    }

    fn wide(&mut self, unit: fn([u8; 2]) -> u16, last: bool) {
        let mut units: Vec<u16> = self
            .waiting
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        let half_pair = units
            .last()
            .is_some_and(|last| (0xD800..0xDC00).contains(last));
        if half_pair && !last {
            units.pop();
        }
        let rest = self.waiting.split_off(units.len() * 2);
        self.waiting = rest;
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => push(&mut self.ready, character),
                Err(error) => {
                    // As a character of three bytes it would be written so.
                    let [high, low] = error.unpaired_surrogate().to_be_bytes();
                    let middle = 0x80 | ((high & 0x0F) << 2) | (low >> 6);
                    self.ready
                        .extend([0xE0 | (high >> 4), middle, 0x80 | (low & 0x3F)]);
                }
            }
        }
        if last {
            // Half a unit at the end.
            self.ready.extend(self.waiting.drain(..).map(|_| 0xFF));
        }
    }
}

fn push(ready: &mut Vec<u8>, character: char) {
    ready.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.fill()?;
        }
        let bytes = buffer.len().min(self.ready.len() - self.taken);
        buffer[..bytes].copy_from_slice(&self.ready[self.taken..self.taken + bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}
