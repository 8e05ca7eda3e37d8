//! Files for what queries spill.
//!
//! Entry point: [`NamelessFiles`], which a session's disk manager makes its files with. They
//! have no name, so that the system frees them with the process, however that ends: a run that
//! is killed leaves nothing behind.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use datafusion::{
    error::{DataFusionError, Result},
    execution::{SpillFile, SpillWriter, TempFileFactory},
};
use futures::Stream;

/// What is read of a file at a time, in bytes.
const CHUNK_BYTES: usize = 128 << 10;

/// Makes files without a name in one folder, which together may take so much.
#[derive(Debug)]
pub(crate) struct NamelessFiles {
    /// The folder; `None` for the system's temporary one.
    folder: Option<PathBuf>,
    disk: Arc<Disk>,
}

impl NamelessFiles {
    /// Files in `folder` (`None` for the system's temporary one), of at most `limit_bytes`
    /// together.
    pub(crate) fn new(folder: Option<PathBuf>, limit_bytes: u64) -> Self {
        Self {
            folder,
            disk: Arc::new(Disk {
                limit_bytes,
                used_bytes: AtomicU64::new(0),
            }),
        }
    }
}

impl TempFileFactory for NamelessFiles {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let made = match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        let file = made.map_err(|source| {
            let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
            let folder = folder.display();
            let text =
                format!("cannot make a file in {folder} to spill to ({description}): {source}");
            DataFusionError::IoError(io::Error::new(source.kind(), text))
        })?;
        Ok(Arc::new(Nameless(Arc::new(Content {
            file,
            written_bytes: AtomicU64::new(0),
            disk: Arc::clone(&self.disk),
        }))))
    }
}

/// What all files of a session take.
#[derive(Debug)]
struct Disk {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

/// A file that is there as long as somebody writes or reads it.
struct Nameless(Arc<Content>);

struct Content {
    file: File,
    written_bytes: AtomicU64,
    disk: Arc<Disk>,
}

impl Drop for Content {
    fn drop(&mut self) {
        let written = *self.written_bytes.get_mut();
        self.disk.used_bytes.fetch_sub(written, Ordering::Relaxed);
    }
}

impl SpillFile for Nameless {
    fn size(&self) -> Option<u64> {
        Some(self.0.written_bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let start = (Arc::clone(&self.0), 0);
        Ok(Box::pin(futures::stream::try_unfold(start, next_chunk)))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer(Arc::clone(&self.0))))
    }
}

/// The bytes from `offset` on, and where those after them begin; `None` at the end.
async fn next_chunk(
    (content, offset): (Arc<Content>, u64),
) -> Result<Option<(Bytes, (Arc<Content>, u64))>> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = loop {
            match content.file.read_at(&mut chunk, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        chunk.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(chunk), (content, offset + read as u64))))
    });
    match reading.await {
        Ok(read) => read.map_err(DataFusionError::IoError),
        Err(error) => Err(DataFusionError::External(Box::new(error))),
    }
}

/// Writes at the end of a file.
struct Writer(Arc<Content>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let content = &self.0;
        let length = bytes.len() as u64;
        let disk = &content.disk;
        let used = disk.used_bytes.fetch_add(length, Ordering::Relaxed) + length;
        let written = if used > disk.limit_bytes {
            Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "what is spilled would take more than {} GiB of disk",
                    disk.limit_bytes >> 30
                ),
            ))
        } else {
            (&content.file).write_all(bytes)
        };
        if let Err(error) = written {
            disk.used_bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(error);
        }
        content.written_bytes.fetch_add(length, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    async fn read(file: &dyn SpillFile) -> Vec<u8> {
        let chunks: Vec<Bytes> = file.read_stream().unwrap().try_collect().await.unwrap();
        chunks.concat()
    }

    #[tokio::test]
    async fn what_is_written_is_read_as_often_as_one_likes() {
        let folder = tempfile::tempdir().unwrap();
        let files = NamelessFiles::new(Some(folder.path().to_owned()), 1 << 30);
        let file = files.create_temp_file("a test").unwrap();
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 7).map(|n| (n % 251) as u8).collect();
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&bytes[..100]).unwrap();
        assert_eq!(read(&*file).await, bytes[..100]);
        writer.write_all(&bytes[100..]).unwrap();
        writer.finish().unwrap();
        assert_eq!(file.size(), Some(bytes.len() as u64));
        assert!(read(&*file).await == bytes && read(&*file).await == bytes);
        // It has no name.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn all_files_share_a_limit_and_give_back_what_they_took() {
        let files = NamelessFiles::new(None, 100);
        let (one, two) = (
            files.create_temp_file("a test").unwrap(),
            files.create_temp_file("a test").unwrap(),
        );
        one.open_writer().unwrap().write_all(&[1; 60]).unwrap();
        let error = two.open_writer().unwrap().write_all(&[2; 60]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(read(&*two).await.is_empty());
        drop(one);
        two.open_writer().unwrap().write_all(&[2; 60]).unwrap();
        assert_eq!(read(&*two).await, [2; 60]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap().path().join("gone");
        let files = NamelessFiles::new(Some(folder.clone()), 1);
        let error = files.create_temp_file("a sort").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(&folder.display().to_string()));
    }
}
