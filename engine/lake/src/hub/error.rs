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

    /// A variable of the environment that makes no sense.
    #[error("{variable} cannot be used: {reason}")]
    Setting {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it, without a secret.
        reason: String,
    },

    /// A pattern of file names that is none.
    #[error("a pattern of files cannot be read: {source}; it takes one such as `*.safetensors`")]
    Pattern {
        /// What is wrong with it.
        source: globset::Error,
    },

    /// A model without a file to pull.
    #[error("nothing of `{model}` is to be pulled: {}", nothing(patterns, files))]
    NothingChosen {
        /// Its name on the hub.
        model: String,
        /// The patterns that were asked for.
        patterns: Vec<String>,
        /// The files that it has.
        files: Vec<String>,
    },

    /// A download that was forbidden.
    #[error(
        "`{reference}` is not on this machine, and HF_HUB_OFFLINE forbids to download it: unset it, or use a folder that holds the model"
    )]
    Offline {
        /// What was asked for.
        reference: HubReference,
    },

    /// A model that the hub does not have, or does not show.
    #[error(
        "{endpoint} has no model `{model}` {} ({status}): check the name; {}",
        if *with_token { "that the token of HF_TOKEN may see" } else { "that everybody may see" },
        if *with_token { "a private one needs a token of an account that may see it" }
        else { "a private one needs HF_TOKEN to be set to a token of yours" }
    )]
    NoSuchModel {
        /// Its name.
        model: String,
        /// The hub.
        endpoint: String,
        /// What it answered.
        status: String,
        /// Whether a token was shown.
        with_token: bool,
    },

    /// A revision that the model does not have.
    #[error(
        "`{}` has no revision `{}` at {endpoint}{}",
        reference.id(), reference.revision(),
        nearest.as_ref().map_or_else(|| listed("; it has ", known), |name| format!("; did you mean `{name}`?"))
    )]
    NoSuchRevision {
        /// What was asked for.
        reference: HubReference,
        /// The hub.
        endpoint: String,
        /// The nearest branch or tag.
        nearest: Option<String>,
        /// All branches and tags, where the hub tells them.
        known: Vec<String>,
    },

    /// A model whose terms have to be accepted first.
    #[error(
        "`{model}` is given only to those who accept its terms: accept them at {endpoint}/{model}, {}, and pull again",
        if *with_token { "with the account of the token in HF_TOKEN" }
        else { "set HF_TOKEN to a token of the account that did" }
    )]
    Gated {
        /// The model's name.
        model: String,
        /// The hub.
        endpoint: String,
        /// Whether a token was shown.
        with_token: bool,
    },

    /// A token that the hub does not know.
    #[error(
        "{endpoint} does not accept the token in HF_TOKEN: make a new one at {endpoint}/settings/tokens, or unset HF_TOKEN for models that everybody may see"
    )]
    BadToken {
        /// The hub.
        endpoint: String,
    },

    /// A server that answers, but not with what was asked for.
    #[error(
        "{host} answers {status}{}",
        if message.is_empty() { "; try again later".to_owned() } else { format!(": {message}") }
    )]
    Refused {
        /// The server.
        host: String,
        /// What it answered.
        status: String,
        /// What it says of it.
        message: String,
    },

    /// A server that does not answer at all.
    #[error(
        "{host} cannot be reached: {reason}; look at the network and the proxy (HTTPS_PROXY), set HF_ENDPOINT to a mirror, or use a folder that holds the model"
    )]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },

    /// A connection that broke.
    #[error(
        "the connection to {host} broke: {reason}; pull again: what is downloaded already is kept"
    )]
    CutOff {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },

    /// A content that is not what the hub says it should be.
    #[error(
        "the file `{name}` arrived damaged: its checksum is {found} instead of {wanted}; it is thrown away, pull again"
    )]
    Damaged {
        /// The file.
        name: String,
        /// The checksum that the hub tells.
        wanted: String,
        /// The checksum of what came.
        found: String,
    },

    /// A hub that does not answer as hubs do.
    #[error("{endpoint} does not answer as a hub: {reason}")]
    BadAnswer {
        /// The hub.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },

    /// The HTTP machinery failed.
    #[error("a request to the hub cannot be made: {reason}")]
    Client {
        /// Why.
        reason: String,
    },

    /// A folder that already holds something else.
    #[error(
        "{} is there already and is another one; remove it, or choose another folder for --to",
        path.display()
    )]
    InTheWay {
        /// The file or folder.
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

impl HubError {
    /// Whether doing the same again can succeed without a change by the user.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Unreachable { .. }
                | Self::CutOff { .. }
                | Self::Damaged { .. }
        )
    }

    /// Whether what was asked for is wrong, rather than the hub or this machine.
    pub fn is_wrong_request(&self) -> bool {
        matches!(
            self,
            Self::InvalidReference { .. }
                | Self::NotPulled { .. }
                | Self::Setting { .. }
                | Self::Pattern { .. }
                | Self::NothingChosen { .. }
                | Self::Offline { .. }
                | Self::NoSuchModel { .. }
                | Self::NoSuchRevision { .. }
                | Self::Gated { .. }
                | Self::BadToken { .. }
                | Self::InTheWay { .. }
        )
    }
}

fn nothing(patterns: &[String], files: &[String]) -> String {
    let why = match patterns {
        [] => "it has no safetensors, JSON, text or SentencePiece file".to_owned(),
        patterns => format!("no file matches {}", quoted(patterns)),
    };
    format!("{why}{}", listed("; it has ", files))
}

/// `names` after `lead`; nothing where there are none.
fn listed(lead: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("{lead}{}", quoted(names)),
    }
}

fn quoted(names: &[String]) -> String {
    /// More would not be read.
    const SHOWN: usize = 8;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn instead(nearest: Option<&str>, revisions: &[String]) -> String {
    match (nearest, revisions) {
        (Some(nearest), _) => format!("; did you mean `hf:{nearest}`, which is?"),
        (None, []) => String::new(),
        (None, revisions) => {
            let verb = if revisions.len() == 1 { "is" } else { "are" };
            format!("; of this model {} {verb}", quoted(revisions))
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
