//! The content of one file: resumed where it was cut off, checked, and there whole or not at
//! all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::checksum::Checker;
use super::client::{Answer, Ask, Failure, HubClient};
use super::listing::RemoteFile;
use super::pull::{How, PullEvent, Watcher};
use super::{HubError, HubReference};

/// Pieces of a content that wait to be written. A piece is what a read from the network
/// brings: some 16 KiB.
const PIECES_WAITING: usize = 64;
/// How often it is looked whether another process is done with the same content.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// What is read at once of a content that is on the disk already, in bytes.
const READ_BYTES: usize = 1 << 20;

/// One content on its way.
#[derive(Debug)]
pub(super) struct Download<'a> {
    pub(super) client: &'a HubClient,
    pub(super) reference: &'a HubReference,
    pub(super) commit: &'a str,
    pub(super) file: &'a RemoteFile,
    /// Where the content goes.
    pub(super) target: PathBuf,
    /// The file that Python's `huggingface_hub` locks for it, too.
    pub(super) lock: PathBuf,
}

impl Download<'_> {
    /// Brings the content to the target.
    ///
    /// # Errors
    /// What could not be had, written or trusted. What has arrived stays for the next time,
    /// unless it is wrong.
    pub(super) async fn run(&self, watcher: &Watcher) -> Result<How, HubError> {
        let _lock = self.lock(watcher).await?;
        if self.is_there() {
            self.tell(self.file.bytes, watcher);
            return Ok(How::Present);
        }
        let partial = self.target.with_extension("incomplete");
        let mut sink = Sink::open(&partial, self.file).await?;
        let mut how = match sink.at_byte {
            0 => How::Fetched,
            _ => How::Resumed,
        };
        loop {
            self.fill(&mut sink, watcher).await?;
            match sink.finish().await? {
                Ok(()) => break,
                Err((wanted, found)) => {
                    fs::remove_file(&partial).map_err(HubError::io("remove", &partial))?;
                    if how == How::Fetched {
                        return Err(HubError::Damaged {
                            name: self.file.name.clone(),
                            wanted,
                            found,
                        });
                    }
                    // What was there before may have been wrong.
                    how = How::Fetched;
                    sink = Sink::open(&partial, self.file).await?;
                }
            }
        }
        fs::rename(&partial, &self.target).map_err(HubError::io("write", &self.target))?;
        Ok(how)
    }

    fn is_there(&self) -> bool {
        fs::metadata(&self.target).is_ok_and(|file| file.len() == self.file.bytes)
    }

    fn tell(&self, bytes: u64, watcher: &Watcher) {
        watcher(PullEvent::At {
            name: &self.file.name,
            bytes,
        });
    }

    /// Waits until no other process downloads the same content.
    async fn lock(&self, watcher: &Watcher) -> Result<File, HubError> {
        let path = &self.lock;
        let open = || {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).open(path)
        };
        let file = open().map_err(HubError::io("write", path))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        told = true;
                        watcher(PullEvent::Waiting {
                            name: &self.file.name,
                        });
                    }
                    tokio::time::sleep(LOCK_POLL).await;
                }
                // A file system without locks: the checksum finds what two may have mixed.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(file);
                }
                Err(TryLockError::Error(source)) => {
                    return Err(HubError::io("lock", path)(source));
                }
            }
        }
    }

    /// Asks for what is missing until nothing is. Whatever arrives counts as progress.
    async fn fill(&self, sink: &mut Sink, watcher: &Watcher) -> Result<(), HubError> {
        let mut repetitions = 0;
        self.tell(sink.at_byte, watcher);
        while sink.at_byte < self.file.bytes {
            let before = sink.at_byte;
            let failure = match self.stream(sink, watcher).await {
                Err(failure) => failure,
                Ok(host) if sink.at_byte == before => Failure::passing(HubError::CutOff {
                    host,
                    reason: "the answer is empty".to_owned(),
                }),
                Ok(_) => continue,
            };
            if sink.at_byte > before {
                repetitions = 0;
            }
            self.client.wait(failure, &mut repetitions, watcher).await?;
        }
        Ok(())
    }

    /// One exchange; the host that answered.
    async fn stream(&self, sink: &mut Sink, watcher: &Watcher) -> Result<String, Failure> {
        let ask = Ask {
            from_byte: sink.at_byte,
            ..self
                .client
                .content(self.reference, self.commit, &self.file.name)
        };
        let Answer { mut response, .. } = self.client.ask_once(&ask).await?;
        let url = response.url().clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(sink.at_byte) => {}
            // The server knows no ranges, or not this one.
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
                if sink.at_byte > 0 =>
            {
                sink.restart().await.map_err(Failure::lasting)?;
                self.tell(0, watcher);
                if response.status() != StatusCode::OK {
                    return Ok(host);
                }
            }
            StatusCode::OK => {}
            _ => {
                let error = self.client.refusal(self.reference, response).await;
                return Err(Failure::lasting(error));
            }
        }
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.client.unanswered(&url, &error))?
        {
            if sink.at_byte + piece.len() as u64 > self.file.bytes {
                return Err(Failure::lasting(HubError::BadAnswer {
                    endpoint: self.client.endpoint().to_owned(),
                    reason: format!(
                        "`{}` is longer than the {} bytes that it tells",
                        self.file.name, self.file.bytes
                    ),
                }));
            }
            sink.write(&piece).await.map_err(Failure::lasting)?;
            self.tell(sink.at_byte, watcher);
        }
        Ok(host)
    }
}

/// The first byte of a part: `Content-Range: bytes 100-199/200`.
fn begins_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    first.trim().parse().ok()
}

/// What is told to the thread that writes.
enum Piece {
    Bytes(Vec<u8>),
    /// Everything so far is forgotten.
    Restart,
}

/// Either the content is right, or these are the checksums wanted and found.
type Verdict = Result<(), (String, String)>;

/// A file that is written and hashed by a thread of its own.
struct Sink {
    /// What has been written, in bytes.
    at_byte: u64,
    pieces: mpsc::Sender<Piece>,
    thread: JoinHandle<Result<Verdict, HubError>>,
}

impl Sink {
    /// Goes on with what is in the file already.
    async fn open(path: &Path, file: &RemoteFile) -> Result<Self, HubError> {
        let (pieces, received) = mpsc::channel(PIECES_WAITING);
        let (tell, told) = oneshot::channel();
        let path = path.to_owned();
        let (bytes, checker) = (file.bytes, Checker::new(file.checksum.clone(), file.bytes));
        let thread = tokio::task::spawn_blocking(move || {
            let failed = HubError::io("write", &path);
            let (file, hashed, at) = existing(&path, bytes, &checker).map_err(failed)?;
            // Whoever does not listen any more does not wait for the file either.
            let _gone = tell.send(at);
            write(&path, file, (checker, hashed), received)
        });
        match told.await {
            Ok(at_byte) => Ok(Self {
                at_byte,
                pieces,
                thread,
            }),
            Err(_) => Err(joined(thread).await.err().unwrap_or_else(ended)),
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), HubError> {
        self.send(Piece::Bytes(piece.to_vec())).await?;
        self.at_byte += piece.len() as u64;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), HubError> {
        self.send(Piece::Restart).await?;
        self.at_byte = 0;
        Ok(())
    }

    async fn send(&mut self, piece: Piece) -> Result<(), HubError> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        Err(joined(&mut self.thread).await.err().unwrap_or_else(ended))
    }

    /// Waits until everything is on the disk.
    async fn finish(self) -> Result<Verdict, HubError> {
        drop(self.pieces);
        joined(self.thread).await
    }
}

async fn joined(
    thread: impl Future<Output = Result<Result<Verdict, HubError>, tokio::task::JoinError>>,
) -> Result<Verdict, HubError> {
    match thread.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ended()),
    }
}

/// The runtime is shutting down.
fn ended() -> HubError {
    HubError::Client {
        reason: "the program is ending".to_owned(),
    }
}

/// The file, what its content hashes to so far, and how long that is.
fn existing(path: &Path, bytes: u64, fresh: &Checker) -> io::Result<(File, Checker, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    let mut checker = fresh.clone();
    let length = file.metadata()?.len();
    if length > bytes {
        file.set_len(0)?;
        return Ok((file, checker, 0));
    }
    let mut left = length;
    let mut buffer = vec![0; READ_BYTES];
    while left > 0 {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        checker.update(&buffer[..read]);
        left = left.saturating_sub(read as u64);
    }
    Ok((file, checker, length - left))
}

fn write(
    path: &Path,
    mut file: File,
    (fresh, mut checker): (Checker, Checker),
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<Verdict, HubError> {
    let mut take = |piece: Piece| match piece {
        Piece::Bytes(bytes) => {
            checker.update(&bytes);
            file.write_all(&bytes)
        }
        Piece::Restart => {
            checker = fresh.clone();
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0)).map(|_start| ())
        }
    };
    while let Some(piece) = pieces.blocking_recv() {
        take(piece).map_err(HubError::io("write", path))?;
    }
    file.sync_all().map_err(HubError::io("write", path))?;
    Ok(checker.finish())
}
