//! A model from the hub to this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::cache::{HubCache, Snapshot};
use super::client::HubClient;
use super::download::Download;
use super::files::Choice;
use super::listing::{Listing, RemoteFile};
use super::options::HubOptions;
use super::{HubError, HubReference, snapshot};

/// Files that are asked for at the same time.
const AT_ONCE: usize = 4;

/// What is to be pulled.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The model.
    pub reference: HubReference,
    /// Patterns of the files that are wanted (`*` matches slashes, too); without any, safetensors,
    /// JSON, texts and SentencePiece models.
    pub include: Vec<String>,
    /// A folder that gets a copy of them.
    pub to: Option<PathBuf>,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where it lies.
    pub snapshot: Snapshot,
    /// Its files, by name; none where the hub was not asked.
    pub files: Vec<PulledFile>,
    /// The model's files that were not wanted, by name.
    pub left_out: Vec<String>,
    /// Whether the hub was asked: not when it must not be, and the model is here.
    pub asked: bool,
}

/// A file that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledFile {
    /// Its path in the model's folder, with forward slashes.
    pub name: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// How it came.
    pub how: How,
    /// Whether the hub told a checksum, and the content has it.
    pub checked: bool,
}

/// How a file came to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was here.
    Present,
    /// All of it was downloaded.
    Fetched,
    /// A part was here, the rest was downloaded.
    Resumed,
}

/// What happens while a model is pulled.
#[derive(Debug)]
pub enum PullEvent<'a> {
    /// The hub told what there is.
    Found {
        /// The commit that the revision names.
        commit: &'a str,
        /// How many files are wanted.
        files: usize,
        /// Their length together, in bytes.
        bytes: u64,
    },
    /// A file is here up to some byte; after a failure that may be less than before.
    At {
        /// The file.
        name: &'a str,
        /// How much of it, in bytes.
        bytes: u64,
    },
    /// A file is here.
    Done(&'a PulledFile),
    /// Another process downloads the same file.
    Waiting {
        /// The file.
        name: &'a str,
    },
    /// Something failed for the moment.
    Repeating {
        /// What.
        reason: &'a HubError,
        /// How long until it is tried again.
        wait: Duration,
    },
}

/// Is told what happens; from several threads, and often.
pub type Watcher = dyn Fn(PullEvent<'_>) + Send + Sync;

/// Downloads what is wanted of a model and is not here yet.
///
/// What breaks off can be pulled again, and goes on where it was. The model's folder appears
/// when everything is there and has the checksums that the hub told.
///
/// # Errors
/// What the hub does not have or give, what could not be reached, written or trusted; each
/// says what to do.
pub async fn pull(
    cache: &HubCache,
    options: HubOptions,
    request: &PullRequest,
    watcher: &Watcher,
) -> Result<Pulled, HubError> {
    let reference = &request.reference;
    let choice = Choice::new(&request.include)?;
    if options.offline {
        return offline(cache, request);
    }
    let client = HubClient::new(options)?;
    let Listing { commit, names } = client.listing(reference, watcher).await?;
    let (names, left_out) = choice.of(&reference.to_string(), names)?;
    let files: Vec<RemoteFile> = stream::iter(&names)
        .map(|name| client.file(reference, &commit, name, watcher))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    if let Some(to) = &request.to {
        let (files, to) = (files.clone(), to.clone());
        blocking(move || snapshot::check_copy(&files, &to)).await?;
    }
    watcher(PullEvent::Found {
        commit: &commit,
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    });
    let pulled = contents(cache, (&client, reference, &commit), &files, watcher).await?;
    let publish = {
        let (cache, reference, to) = (cache.clone(), reference.clone(), request.to.clone());
        move || {
            let snapshot = cache.publish(&reference, &commit, &files)?;
            match to {
                Some(to) => snapshot::copy(&snapshot, &files, &to).map(|()| snapshot),
                None => Ok(snapshot),
            }
        }
    };
    Ok(Pulled {
        snapshot: blocking(publish).await?,
        files: pulled,
        left_out,
        asked: true,
    })
}

/// Brings all contents into the cache, several at once. Equal ones come once.
async fn contents(
    cache: &HubCache,
    of: (&HubClient, &HubReference, &str),
    files: &[RemoteFile],
    watcher: &Watcher,
) -> Result<Vec<PulledFile>, HubError> {
    let blobs = cache.blobs_path(of.1);
    fs::create_dir_all(&blobs).map_err(HubError::io("write", &blobs))?;
    let mut equal: BTreeMap<&str, Vec<&RemoteFile>> = BTreeMap::new();
    for file in files {
        equal.entry(&file.etag).or_default().push(file);
    }
    let pulled: Vec<Vec<PulledFile>> = stream::iter(equal.into_values())
        .map(|equal| one_by_one(cache, of, equal, watcher))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut pulled: Vec<PulledFile> = pulled.into_iter().flatten().collect();
    pulled.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pulled)
}

async fn one_by_one(
    cache: &HubCache,
    (client, reference, commit): (&HubClient, &HubReference, &str),
    files: Vec<&RemoteFile>,
    watcher: &Watcher,
) -> Result<Vec<PulledFile>, HubError> {
    let mut pulled = Vec::with_capacity(files.len());
    for file in files {
        let download = Download {
            client,
            reference,
            commit,
            file,
            target: cache.blobs_path(reference).join(&file.etag),
            lock: cache.lock_path(reference, &file.etag),
        };
        let done = PulledFile {
            name: file.name.clone(),
            bytes: file.bytes,
            how: download.run(watcher).await?,
            checked: file.checksum.is_some(),
        };
        watcher(PullEvent::Done(&done));
        pulled.push(done);
    }
    Ok(pulled)
}

/// What is here already serves where nothing may be downloaded.
fn offline(cache: &HubCache, request: &PullRequest) -> Result<Pulled, HubError> {
    let reference = &request.reference;
    match cache.resolve(reference) {
        // A copy needs the hub's list of what belongs to it.
        Ok(snapshot) if request.to.is_none() && request.include.is_empty() => Ok(Pulled {
            snapshot,
            files: Vec::new(),
            left_out: Vec::new(),
            asked: false,
        }),
        Ok(_) | Err(HubError::NotPulled { .. }) => Err(HubError::Offline {
            reference: reference.clone(),
        }),
        Err(other) => Err(other),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HubError> + Send + 'static,
) -> Result<T, HubError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(HubError::Client {
            reason: "the program is ending".to_owned(),
        }),
    }
}
