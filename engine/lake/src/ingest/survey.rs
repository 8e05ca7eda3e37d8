//! Looking at files before their rows are read: what their content is, and their columns.
//!
//! A file that is remembered, and of which the file system says that it did not change
//! since, is not opened.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
};

use futures::{FutureExt, StreamExt, TryStreamExt, future};

use super::{
    csv::Cut,
    discover::FoundFile,
    error::IngestError,
    options::ReadOptions,
    outline::{Outline, outline},
    read::{in_background, parallel_files},
    stamp::{Seen, Stamp},
};

/// A file that is to be ingested.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFile {
    /// Its name: [`FoundFile::path`], or the one under which it was first read.
    pub path: String,
    /// [`FoundFile::path`].
    pub found_as: String,
    /// Where the file is.
    pub absolute: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The BLAKE3 hash of its content, in hexadecimal.
    pub content_hash: String,
    /// What the file system said before its content was read.
    pub seen: Seen,
    /// Its columns, where they are known.
    pub outline: Option<Arc<Outline>>,
    /// Places from which it can be read, where they are known.
    pub(super) cuts: Arc<[Cut]>,
}

/// What is remembered of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct RememberedFile {
    /// What the file system said before its content was read.
    pub seen: Seen,
    /// The BLAKE3 hash of its content then, in hexadecimal.
    pub content_hash: String,
    /// Its columns, where they are remembered.
    pub outline: Option<Arc<Outline>>,
    /// Places from which it can be read, where they are remembered.
    pub(super) cuts: Arc<[Cut]>,
}

/// What is remembered of files, by path, for one way of reading them
/// ([`ReadOptions::identity`]).
pub type FileMemory = HashMap<String, RememberedFile>;

impl RememberedFile {
    /// What a store remembers.
    pub(crate) fn new(seen: Seen, content_hash: String, outline: Option<Arc<Outline>>) -> Self {
        Self {
            seen,
            content_hash,
            outline,
            cuts: Arc::default(),
        }
    }
}

impl SourceFile {
    /// A file as it is remembered, if that still holds; else nothing is known of its
    /// content.
    fn recalled(found: FoundFile, known: Option<&RememberedFile>) -> Self {
        let holds = |known: &&RememberedFile| known.seen.vouches_for(&found.stamp);
        let known = known.filter(holds);
        Self {
            found_as: found.path.clone(),
            path: found.path,
            absolute: found.absolute,
            size_bytes: found.stamp.size_bytes,
            content_hash: known.map_or_else(String::new, |known| known.content_hash.clone()),
            seen: known.map_or_else(|| Seen::now(found.stamp), |known| known.seen),
            outline: known.and_then(|known| known.outline.clone()),
            cuts: known.map_or_else(Arc::default, |known| Arc::clone(&known.cuts)),
        }
    }

    /// A file of which all is remembered, whatever is in it.
    pub fn from_memory(found: FoundFile, memory: RememberedFile) -> Self {
        Self {
            found_as: found.path.clone(),
            path: found.path,
            absolute: found.absolute,
            size_bytes: found.stamp.size_bytes,
            content_hash: memory.content_hash,
            seen: memory.seen,
            outline: memory.outline,
            cuts: memory.cuts,
        }
    }

    fn is_identified(&self) -> bool {
        !self.content_hash.is_empty()
    }

    /// What is worth remembering of it.
    pub fn remembered(&self) -> RememberedFile {
        RememberedFile {
            seen: self.seen,
            content_hash: self.content_hash.clone(),
            outline: self.outline.clone(),
            cuts: Arc::clone(&self.cuts),
        }
    }

    /// Whether the file still is what it was when it was surveyed. Where its stamp cannot
    /// tell, it is read once more.
    pub(super) fn check_unchanged(&self) -> Result<(), IngestError> {
        let metadata = fs::metadata(&self.absolute);
        let metadata = metadata.map_err(|error| IngestError::unreadable(&self.absolute, error))?;
        let stamp = Stamp::of(&metadata);
        if self.seen.vouches_for(&stamp) || self.hash()? == self.content_hash {
            return Ok(());
        }
        Err(IngestError::Changed {
            file: self.path.clone(),
        })
    }

    /// The hash of what is in the file now.
    pub(super) fn hash(&self) -> Result<String, IngestError> {
        let unreadable = |error| IngestError::unreadable(&self.absolute, error);
        let mut file = File::open(&self.absolute).map_err(unreadable)?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher).map_err(unreadable)?;
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// What the content of files is, and their columns: as remembered, or else read. Files
/// are read side by side, each once.
///
/// # Errors
/// Every fault of a header, bad records when the options want none, and
/// [`IngestError::Unreadable`].
pub async fn survey(
    files: Vec<FoundFile>,
    options: &ReadOptions,
    memory: &FileMemory,
) -> Result<Vec<SourceFile>, IngestError> {
    options.check()?;
    let options = options.clone();
    let complete = |file: &SourceFile| file.is_identified() && file.outline.is_some();
    look_at(files, memory, complete, move |file, _| {
        let looked = outline(file, &options)?;
        if let Some(hash) = looked.content_hash {
            file.content_hash = hash;
        } else if !file.is_identified() {
            file.content_hash = file.hash()?;
        }
        file.outline = Some(Arc::new(looked.outline));
        file.cuts = looked.cuts.into();
        Ok(())
    })
    .await
}

/// What the content of files is: as remembered, or else read. Their columns are known
/// where they are remembered for this very content.
///
/// # Errors
/// [`IngestError::Unreadable`].
pub async fn identify(
    files: Vec<FoundFile>,
    memory: &FileMemory,
) -> Result<Vec<SourceFile>, IngestError> {
    look_at(files, memory, SourceFile::is_identified, |file, known| {
        file.content_hash = file.hash()?;
        let same = |known: &RememberedFile| known.content_hash == file.content_hash;
        if let Some(known) = known.filter(same) {
            (file.outline, file.cuts) = (known.outline, known.cuts);
        }
        Ok(())
    })
    .await
}

/// Each file as it is remembered, completed by `read` where that is not enough.
async fn look_at(
    files: Vec<FoundFile>,
    memory: &FileMemory,
    is_enough: impl Fn(&SourceFile) -> bool,
    read: impl Fn(&mut SourceFile, Option<RememberedFile>) -> Result<(), IngestError>
    + Send
    + Sync
    + 'static,
) -> Result<Vec<SourceFile>, IngestError> {
    let read = Arc::new(read);
    let looks = files.into_iter().map(|found| {
        let known = memory.get(&found.path);
        let mut file = SourceFile::recalled(found, known);
        if is_enough(&file) {
            return future::ready(Ok(file)).left_future();
        }
        let (read, known) = (Arc::clone(&read), known.cloned());
        let work = in_background(file.path.clone(), move || {
            read(&mut file, known).map(|()| file)
        });
        work.right_future()
    });
    let looks = futures::stream::iter(looks).buffered(parallel_files());
    looks.try_collect().await
}
