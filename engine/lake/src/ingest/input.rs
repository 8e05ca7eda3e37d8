//! A file's bytes on their way to a record reader: hashed as they are on disk,
//! unpacked, and turned into UTF-8, a window at a time.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use super::{
    encoding::{Decoder, Encoding},
    error::IngestError,
    survey::SourceFile,
};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const GZIP: &[u8] = b"\x1F\x8B";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";

/// Which bytes of a file are wanted.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// All of them, and their hash.
    Hashed,
    /// All of them.
    Whole,
    /// Some at the front; how many does not matter.
    Front,
    /// Those from one place to another. The file is UTF-8, and not packed.
    Piece(Range<u64>),
}

/// A window over a file that is read once, front to back. What it shows is UTF-8
/// as far as the file is right; nothing is checked here. A byte order mark is
/// dropped.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    hashed: Option<Hashed>,
    /// Whether the window shows the bytes of the file as they are.
    is_plain: bool,
    /// How long the byte order mark was that was dropped.
    mark_bytes: usize,
    file: String,
    path: std::path::PathBuf,
    buffer: Vec<u8>,
    /// How long the buffer is when it has to hold nothing special.
    usual_bytes: usize,
    /// `buffer[start..end]` has been read and not consumed.
    start: usize,
    end: usize,
    at_end: bool,
}

impl Input {
    /// Opens a file, whatever it is packed with.
    pub(super) fn open(
        source: &SourceFile,
        encoding: Encoding,
        access: Access,
    ) -> Result<Self, IngestError> {
        let whole = usize::try_from(source.size_bytes).unwrap_or(CHUNK_BYTES);
        let chunk_bytes = match access {
            Access::Front => 64 * 1024,
            _ => CHUNK_BYTES,
        };
        // A byte more, so that the end of a small file is seen at once.
        let chunk_bytes = chunk_bytes.min(whole.saturating_add(1)).max(4096);
        Self::open_with_chunks(source, encoding, access, chunk_bytes)
    }

    fn open_with_chunks(
        source: &SourceFile,
        encoding: Encoding,
        access: Access,
        chunk_bytes: usize,
    ) -> Result<Self, IngestError> {
        let unreadable = |error| IngestError::unreadable(&source.absolute, error);
        let mut file = File::open(&source.absolute).map_err(unreadable)?;
        let mut hashed = None;
        let mut is_front = true;
        let bytes: Box<dyn Read + Send> = match &access {
            Access::Hashed => {
                let own = Hashed(Arc::new(Mutex::new((file, blake3::Hasher::new()))));
                hashed = Some(own.clone());
                Box::new(own)
            }
            Access::Whole | Access::Front => Box::new(file),
            Access::Piece(range) => {
                is_front = range.start == 0;
                file.seek(SeekFrom::Start(range.start))
                    .map_err(unreadable)?;
                Box::new(file.take(range.end - range.start))
            }
        };
        let (mut reader, is_plain) = match access {
            // Bytes that happen to look like something else are no sign here.
            Access::Piece(_) => (bytes, true),
            _ => {
                let (unpacked, is_packed) = unpack(bytes).map_err(unreadable)?;
                let (decoded, is_coded) =
                    Decoder::decode(unpacked, encoding).map_err(unreadable)?;
                (decoded, !is_packed && !is_coded)
            }
        };
        let is_work = hashed.is_some() && source.size_bytes >= ReadAhead::WORTH_BYTES;
        if !matches!(access, Access::Front) && (is_work || !is_plain) {
            reader = Box::new(ReadAhead::of(reader));
        }
        let mut input = Self {
            reader,
            hashed,
            is_plain,
            mark_bytes: 0,
            file: source.path.clone(),
            path: source.absolute.clone(),
            // A byte order mark always fits.
            buffer: vec![0; chunk_bytes.max(8)],
            usual_bytes: chunk_bytes.max(8),
            start: 0,
            end: 0,
            at_end: false,
        };
        input.more()?;
        if is_front && input.window().starts_with(BYTE_ORDER_MARK) {
            input.mark_bytes = BYTE_ORDER_MARK.len();
            input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(input)
    }

    /// Whether the window shows the bytes of the file as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// How long the byte order mark was that was dropped.
    pub(super) fn mark_bytes(&self) -> u64 {
        self.mark_bytes as u64
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

    /// Moves on by `bytes` of the window, and gives them away: memory in which they stand
    /// behind some others, and how many those are. `spare` is used for what comes.
    pub(super) fn take(&mut self, bytes: usize, mut spare: Vec<u8>) -> (Vec<u8>, usize) {
        let rest = self.start + bytes..self.end;
        if rest.len() > bytes {
            spare.clear();
            spare.extend_from_slice(&self.window()[..bytes]);
            self.consume(bytes);
            return (spare, 0);
        }
        if self.at_end && rest.is_empty() {
            spare.clear();
        } else {
            spare.resize(self.usual_bytes.max(rest.len()), 0);
            spare[..rest.len()].copy_from_slice(&self.buffer[rest.clone()]);
        }
        let mut taken = std::mem::replace(&mut self.buffer, spare);
        taken.truncate(rest.start);
        let front = std::mem::take(&mut self.start);
        self.end = rest.len();
        (taken, front)
    }

    /// The file, as in `_file`.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Reads what is left of the file, and gives the hash of all of it as it is on disk;
    /// it was opened with [`Access::Hashed`].
    pub(super) fn hash(&mut self) -> Result<String, IngestError> {
        let hash = match &self.hashed {
            Some(hashed) => hashed.finish(),
            None => Err(io::Error::other("it is not hashed while it is read")),
        };
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

/// Reads on another thread, some blocks ahead.
struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    taken: usize,
}

impl ReadAhead {
    /// A smaller file is not worth a thread for its hash, in bytes.
    const WORTH_BYTES: u64 = 4 * 1024 * 1024;
    const BLOCK_BYTES: u64 = 256 * 1024;
    const WAITING_BLOCKS: usize = 8;

    /// The thread ends with the reader, or soon after this is dropped.
    fn of(mut reader: Box<dyn Read + Send>) -> Self {
        let (sender, blocks) = sync_channel(Self::WAITING_BLOCKS);
        thread::spawn(move || {
            loop {
                let mut block = Vec::with_capacity(Self::BLOCK_BYTES as usize);
                let mut part = reader.by_ref().take(Self::BLOCK_BYTES);
                let read = part.read_to_end(&mut block).map(|_| block);
                let is_last = !matches!(&read, Ok(block) if !block.is_empty());
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            blocks,
            block: Vec::new(),
            taken: 0,
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            self.taken = 0;
            // The last block is empty, and after it the thread is gone: unless it panicked.
            self.block = match self.blocks.recv() {
                Ok(block) => block?,
                Err(_) => return Err(io::Error::other("the reading thread was cut off")),
            };
        }
        let bytes = buffer.len().min(self.block.len() - self.taken);
        buffer[..bytes].copy_from_slice(&self.block[self.taken..self.taken + bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}

/// Unpacks what is packed: the first bytes tell, whatever the file is called. Says
/// whether it was.
pub(super) fn unpack(packed: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let (front, whole) = peek(packed, 4)?;
    if front.starts_with(GZIP) {
        return Ok((Box::new(flate2::read::MultiGzDecoder::new(whole)), true));
    }
    if front.starts_with(ZSTD) {
        return Ok((Box::new(zstd::stream::read::Decoder::new(whole)?), true));
    }
    Ok((whole, false))
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
            found_as: "a.csv".to_owned(),
            absolute,
            size_bytes: 0,
            content_hash: String::new(),
            seen: Seen::default(),
            outline: None,
            cuts: Arc::default(),
        };
        let mut input =
            Input::open_with_chunks(&source, encoding, Access::Hashed, chunk_bytes).unwrap();
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
