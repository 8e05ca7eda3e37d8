//! A file's bytes on their way to a record reader: hashed as they are on disk,
//! unpacked, and turned into UTF-8, a window at a time.

use std::{
    fs::File,
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    encoding::{Decoder, Encoding},
    error::IngestError,
    survey::SourceFile,
};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const GZIP: &[u8] = b"\x1F\x8B";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";

/// A window over a file that is read once, front to back. What it shows is UTF-8
/// as far as the file is right; nothing is checked here. A byte order mark is
/// dropped.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    hashed: Hashed,
    file: String,
    path: std::path::PathBuf,
    buffer: Vec<u8>,
    /// `buffer[start..end]` has been read and not consumed.
    start: usize,
    end: usize,
    at_end: bool,
}

impl Input {
    /// Opens a file, whatever it is packed with.
    pub(super) fn open(source: &SourceFile, encoding: Encoding) -> Result<Self, IngestError> {
        Self::open_with_chunks(source, encoding, CHUNK_BYTES)
    }

    fn open_with_chunks(
        source: &SourceFile,
        encoding: Encoding,
        chunk_bytes: usize,
    ) -> Result<Self, IngestError> {
        let unreadable = |error| IngestError::unreadable(&source.absolute, error);
        let file = File::open(&source.absolute).map_err(unreadable)?;
        let hashed = Hashed(Arc::new(Mutex::new((file, blake3::Hasher::new()))));
        let unpacked = unpack(Box::new(hashed.clone())).map_err(unreadable)?;
        let reader = Decoder::decode(unpacked, encoding).map_err(unreadable)?;
        let mut input = Self {
            reader,
            hashed,
            file: source.path.clone(),
            path: source.absolute.clone(),
            // A byte order mark always fits.
            buffer: vec![0; chunk_bytes.max(8)],
            start: 0,
            end: 0,
            at_end: false,
        };
        input.more()?;
        if input.window().starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(input)
    }

    /// Refuses a file that is known not to be text; the window is at its front.
    pub(super) fn refuse_other_formats(&self) -> Result<(), IngestError> {
        let hint = match self.window() {
            front if front.starts_with(b"PAR1") => {
                "it is Parquet, which is recognised where neither `csv` nor `json` is given"
            }
            front if front.starts_with(b"PK\x03\x04") => {
                "it is an archive or a spreadsheet; export it as CSV"
            }
            _ => return Ok(()),
        };
        Err(IngestError::NotText {
            file: self.file.clone(),
            line: 1,
            hint,
        })
    }

    /// What has been read and not consumed.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Makes the window longer, by as much as there is room for (and there is always
    /// some); `false` at the end of the file.
    pub(super) fn more(&mut self) -> Result<bool, IngestError> {
        if self.at_end {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end > self.buffer.len() / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let before = self.end;
        while self.end < self.buffer.len() {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(IngestError::unreadable(&self.path, error)),
            }
        }
        Ok(self.end > before)
    }

    /// Moves on by `bytes` of the window.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// The file, as in `_file`.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Reads what is left of the file, and gives the hash of all of it as it is on disk.
    pub(super) fn hash(&mut self) -> Result<String, IngestError> {
        let hash = self.hashed.finish();
        hash.map_err(|error| IngestError::unreadable(&self.path, error))
    }
}

/// A file whose bytes are hashed as they pass.
#[derive(Clone)]
struct Hashed(Arc<Mutex<(File, blake3::Hasher)>>);

impl Hashed {
    fn finish(&self) -> io::Result<String> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, hasher) = &mut *inner;
        io::copy(file, hasher)?;
        Ok(hasher.finalize().to_hex().to_string())
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, hasher) = &mut *inner;
        let bytes = file.read(buffer)?;
        hasher.update(&buffer[..bytes]);
        Ok(bytes)
    }
}

/// Unpacks what is packed: the first bytes tell, whatever the file is called.
pub(super) fn unpack(packed: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let (front, whole) = peek(packed, 4)?;
    if front.starts_with(GZIP) {
        return Ok(Box::new(flate2::read::MultiGzDecoder::new(whole)));
    }
    if front.starts_with(ZSTD) {
        return Ok(Box::new(zstd::stream::read::Decoder::new(whole)?));
    }
    Ok(whole)
}

/// The first `bytes` of a reader, fewer when it ends before, and the whole of it.
pub(super) fn peek(
    mut reader: Box<dyn Read + Send>,
    bytes: u64,
) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut front = Vec::new();
    reader.by_ref().take(bytes).read_to_end(&mut front)?;
    let whole = Box::new(io::Cursor::new(front.clone()).chain(reader));
    Ok((front, whole))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{super::stamp::Seen, *};

    fn read_all(content: &[u8], encoding: Encoding, chunk_bytes: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let absolute = dir.path().join("a.csv");
        std::fs::write(&absolute, content).unwrap();
        let source = SourceFile {
            path: "a.csv".to_owned(),
            absolute,
            size_bytes: 0,
            content_hash: String::new(),
            seen: Seen::default(),
            outline: None,
        };
        let mut input = Input::open_with_chunks(&source, encoding, chunk_bytes).unwrap();
        let mut all = Vec::new();
        loop {
            // A few bytes at a time, as a reader of records does.
            let taken = input.window().len().min(3);
            all.extend_from_slice(&input.window()[..taken]);
            input.consume(taken);
            if input.window().is_empty() && !input.more().unwrap() {
                break;
            }
        }
        let hash = blake3::hash(content).to_hex().to_string();
        assert_eq!(input.hash().unwrap(), hash);
        all
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn packed_or_not_the_text_is_the_same_and_the_mark_goes() {
        let text = "\u{FEFF}añ€😀\u{FEFF}\n".repeat(40);
        let expected = &text.as_bytes()[3..];
        let twice = [gzip(&text.as_bytes()[..100]), gzip(&text.as_bytes()[100..])].concat();
        let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        for content in [text.as_bytes(), &gzip(text.as_bytes()), &twice, &zstd] {
            for chunk_bytes in [8, 9, 64, 4096] {
                assert_eq!(read_all(content, Encoding::Utf8, chunk_bytes), expected);
            }
        }
        assert_eq!(read_all(b"", Encoding::Utf8, 8), b"");
        assert_eq!(read_all(b"\xEF\xBB\xBF", Encoding::Utf8, 8), b"");
    }

    #[test]
    fn other_encodings_become_utf8() {
        let text = "a;ñ€😀\r\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for chunk_bytes in [8, 64] {
            for (content, encoding) in [
                (marked(b"\xFF\xFE", &little), Encoding::Utf8),
                (marked(b"\xFE\xFF", &big), Encoding::Utf8),
                (marked(b"\xFE\xFF", &big), Encoding::Utf16),
                (little.clone(), Encoding::Utf16),
                (gzip(&marked(b"\xFF\xFE", &little)), Encoding::Utf8),
            ] {
                assert_eq!(read_all(&content, encoding, chunk_bytes), text.as_bytes());
            }
            let western = read_all(b"caf\xE9 \x80 \x9F", Encoding::Windows1252, chunk_bytes);
            assert_eq!(western, "café € Ÿ".as_bytes());
        }
    }

    #[test]
    fn what_no_character_is_stays_wrong() {
        // A surrogate without its other half, and half a unit.
        let alone = read_all(b"\xFF\xFEa\0\x00\xD8b\0", Encoding::Utf8, 8);
        assert!(std::str::from_utf8(&alone).is_err());
        assert_eq!((alone[0], *alone.last().unwrap()), (b'a', b'b'));
        let cut = read_all(b"\xFF\xFEa\0b", Encoding::Utf8, 8);
        assert!(std::str::from_utf8(&cut).is_err());
    }
}
