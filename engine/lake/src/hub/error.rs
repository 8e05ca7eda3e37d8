//! What can go wrong with models of a hub.

use std::io;
use std::path::{Path, PathBuf};

use super::HubReference;

/// A failure with a model of a hub. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that is not the name of a model on a hub.
    #[error(
        "`{text}` is not a model of a hub: {reason}; write `hf:ORGANISATION/NAME` or `hf:ORGANISATION/NAME@REVISION`"
    )]
    InvalidReference {
        /// The text as it was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Nothing says where the models of this machine's user lie.
    #[error(
        "there is no home folder to look for pulled models in: set HF_HUB_CACHE to the folder that is to hold them"
    )]
    NoHome,

    /// A model that is not on this machine.
    #[error(
        "`{reference}` is not on this machine (in {}): run `sluice models pull {reference}`{}",
        cache.display(), instead(nearest.as_deref(), revisions)
    )]
    NotPulled {
        /// What was asked for.
        reference: HubReference,
        /// The nearest name of a model that is on this machine.
        nearest: Option<String>,
        /// The revisions of this very model that are.
        revisions: Vec<String>,
        /// The folder that was looked into.
        cache: PathBuf,
    },

    /// A model of which a file's content is gone.
    #[error(
        "`{reference}` is not whole: {} leads to nothing; run `sluice models pull {reference}` again",
        path.display()
    )]
    Incomplete {
        /// What was asked for.
        reference: HubReference,
        /// The file.
        path: PathBuf,
    },

    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was being done: `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl HubError {
    /// Makes an error of what the operating system said.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

fn instead(nearest: Option<&str>, revisions: &[String]) -> String {
    /// More would not be read.
    const SHOWN: usize = 8;
    match (nearest, revisions) {
        (Some(nearest), _) => format!("; did you mean `hf:{nearest}`, which is?"),
        (None, []) => String::new(),
        (None, revisions) => {
            let shown = revisions.iter().take(SHOWN);
            let shown: Vec<String> = shown.map(|name| format!("`{name}`")).collect();
            let more = if revisions.len() > SHOWN { ", ..." } else { "" };
            let verb = if revisions.len() == 1 { "is" } else { "are" };
            format!("; of this model {}{more} {verb}", shown.join(", "))
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or set HF_HUB_CACHE to a folder on another disk, and run again: what is downloaded already is kept"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; set HF_HUB_CACHE to a folder that you may use"
        }
        _ => "",
    }
}
