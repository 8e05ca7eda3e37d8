//! Models of a Hugging Face hub: references `hf:org/name@revision`, and the folder on this
//! machine where they lie.
//!
//! Start at [`resolve`]: it turns a reference into a local folder, and never into network
//! traffic. [`pull`] downloads. The folder's layout is that of Python's `huggingface_hub`, so that both share
//! what either has downloaded:
//!
//! ```text
//! models--org--name/refs/main                       the commit that a revision names
//! models--org--name/snapshots/<commit>/config.json  -> ../../blobs/<etag>
//! models--org--name/blobs/<etag>                    a content, by the hub's checksum of it
//! ```

mod cache;
mod checksum;
mod client;
mod download;
mod error;
mod files;
mod listing;
mod options;
mod pull;
mod reference;
mod snapshot;

pub use cache::{HubCache, Snapshot};
pub use error::HubError;
pub use options::{HubOptions, HubToken};
pub use pull::{How, PullEvent, PullRequest, Pulled, PulledFile, Watcher, pull};
pub use reference::{HubReference, is_reference};

/// The folder of the model that `text` (`hf:org/name`, `hf:org/name@revision`) names, in this
/// machine's cache. Nothing is downloaded.
///
/// Blocks for a few looks at the file system.
///
/// # Errors
/// [`HubError::InvalidReference`]; [`HubError::NotPulled`], which says how to get the model;
/// [`HubError::Incomplete`] where files of it are gone; a cache that cannot be read.
pub fn resolve(text: &str) -> Result<Snapshot, HubError> {
    let reference: HubReference = text.parse()?;
    HubCache::of_user()?.resolve(&reference)
}
