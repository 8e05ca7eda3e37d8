//! A file as a sequence of chunks of valid UTF-8, hashed as they pass.

use std::{
    fs::File,
    io::{self, Read},
};

use super::{discover::SourceFile, error::IngestError};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file once, front to back. A byte order mark is dropped.
pub(super) struct Text<R = File> {
    reader: R,
    file: String,
    path: std::path::PathBuf,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    /// `buffer[start..valid]` is checked text that has not been consumed;
    /// `buffer[valid..end]` is the front of a character that goes on.
    start: usize,
    valid: usize,
    end: usize,
    /// Where in the file `buffer[0]` is, and how many line breaks came before it.
    base_offset: u64,
    base_lines: u64,
    at_end: bool,
}

impl Text<File> {
    /// Opens the file.
    pub(super) fn open(source: &SourceFile) -> Result<Self, IngestError> {
        let reader = File::open(&source.absolute)
            .map_err(|error| IngestError::unreadable(&source.absolute, error))?;
        Ok(Self::new(reader, source, CHUNK_BYTES))
    }
}

impl<R: Read> Text<R> {
    pub(super) fn new(reader: R, source: &SourceFile, chunk_bytes: usize) -> Self {
        Self {
            reader,
            file: source.path.clone(),
            path: source.absolute.clone(),
            hasher: blake3::Hasher::new(),
            // A character and a byte order mark always fit.
            buffer: vec![0; chunk_bytes.max(8)],
            start: 0,
            valid: 0,
            end: 0,
            base_offset: 0,
            base_lines: 0,
            at_end: false,
        }
    }

    /// The text that has been read and not consumed; empty at the end of the file.
    pub(super) fn chunk(&mut self) -> Result<&[u8], IngestError> {
        if self.start == self.valid && !self.at_end {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.valid])
    }

    /// Moves on by `bytes` of the chunk.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.valid);
    }

    /// The file, as in `_file`.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The hash of what has been read: of the whole file, at its end.
    pub(super) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    fn fill(&mut self) -> Result<(), IngestError> {
        self.base_offset += self.valid as u64;
        self.base_lines += line_breaks(&self.buffer[..self.valid]);
        self.buffer.copy_within(self.valid..self.end, 0);
        self.end -= self.valid;
        (self.start, self.valid) = (0, 0);
        while self.end < self.buffer.len() && !self.at_end {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(bytes) => {
                    let read = self.end..self.end + bytes;
                    self.hasher.update(&self.buffer[read]);
                    self.end += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(IngestError::unreadable(&self.path, error)),
            }
        }
        self.valid = match std::str::from_utf8(&self.buffer[..self.end]) {
            Ok(_) => self.end,
            Err(error) if error.error_len().is_none() && !self.at_end => error.valid_up_to(),
            Err(error) => return Err(self.not_utf8(error.valid_up_to())),
        };
        if self.base_offset == 0 && self.buffer[..self.valid].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
            if self.start == self.valid && !self.at_end {
                return self.fill();
            }
        }
        Ok(())
    }

    fn not_utf8(&self, position: usize) -> IngestError {
        let start = &self.buffer[..self.end];
        let hint = if self.base_offset > 0 {
            "save the file as UTF-8, for example with `iconv -f latin1 -t utf-8`"
        } else if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
            "the file is UTF-16; save it as UTF-8, for example with `iconv -f utf-16 -t utf-8`"
        } else if start.starts_with(b"\x1F\x8B") {
            "the file is compressed; unpack it with `gunzip`"
        } else if start.starts_with(b"PK\x03\x04") {
            "the file is an archive or a spreadsheet; export it as CSV"
        } else {
            "save the file as UTF-8, for example with `iconv -f latin1 -t utf-8`"
        };
        IngestError::NotUtf8 {
            file: self.file.clone(),
            line: self.base_lines + line_breaks(&start[..position]) + 1,
            offset: self.base_offset + position as u64,
            hint,
        }
    }
}

/// How many line breaks there are.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceFile {
        SourceFile {
            path: "a.csv".to_owned(),
            absolute: "a.csv".into(),
            size_bytes: 0,
            content_hash: String::new(),
        }
    }

    fn read_all(bytes: &[u8], chunk_bytes: usize) -> Result<Vec<u8>, IngestError> {
        let mut text = Text::new(bytes, &source(), chunk_bytes);
        let mut all = Vec::new();
        loop {
            let chunk = text.chunk()?;
            if chunk.is_empty() {
                assert_eq!(text.hash(), blake3::hash(bytes).to_hex().to_string());
                return Ok(all);
            }
            // A few bytes at a time, as a parser does.
            let bytes = chunk.len().min(3);
            all.extend_from_slice(&chunk[..bytes]);
            text.consume(bytes);
        }
    }

    #[test]
    fn characters_across_chunks_are_whole() {
        let text = "añ€😀\n".repeat(50);
        for chunk_bytes in 8..40 {
            assert_eq!(
                read_all(text.as_bytes(), chunk_bytes).unwrap(),
                text.as_bytes()
            );
        }
    }

    #[test]
    fn the_byte_order_mark_goes_and_only_at_the_start() {
        assert_eq!(
            read_all("\u{FEFF}a\u{FEFF}".as_bytes(), 8).unwrap(),
            "a\u{FEFF}".as_bytes()
        );
        assert_eq!(read_all("\u{FEFF}".as_bytes(), 8).unwrap(), b"");
        assert_eq!(read_all(b"", 8).unwrap(), b"");
    }

    #[test]
    fn the_wrong_byte_is_named() {
        let mut bytes = "é\n".repeat(20).into_bytes();
        let offset = bytes.len() as u64 + 1;
        bytes.extend_from_slice(b"a\xE9b\n");
        for chunk_bytes in 8..40 {
            let error = read_all(&bytes, chunk_bytes).unwrap_err();
            let IngestError::NotUtf8 {
                line,
                offset: found,
                ..
            } = error
            else {
                panic!("{error}");
            };
            assert_eq!((line, found), (21, offset));
        }
    }

    #[test]
    fn a_character_cut_off_at_the_end_is_wrong() {
        let error = read_all(b"ab\n\xE2\x82", 8).unwrap_err();
        assert!(
            matches!(
                error,
                IngestError::NotUtf8 {
                    line: 2,
                    offset: 3,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn other_formats_are_recognised() {
        for (bytes, word) in [
            (&b"\xFF\xFEa\0"[..], "UTF-16"),
            (b"\x1F\x8B\x08", "gunzip"),
            (b"a\xE9", "latin1"),
        ] {
            let error = read_all(bytes, 8).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
