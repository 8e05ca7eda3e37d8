//! What can go wrong in the registry.

use std::{io, path::PathBuf};

use crate::{state::StateError, tags::TagError};

use super::uri::moment_text;

/// A failure of the registry. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A text that is not the address of a model version.
    #[error(
        "`{text}` is not the address of a model: {reason}; write `models:/NAME@ALIAS` or `models:/NAME/VERSION`"
    )]
    InvalidUri {
        /// The text as it was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A name that a model or an alias cannot have.
    #[error("`{name}` cannot name {} {role}: {reason}", if *role == "alias" { "an" } else { "a" })]
    InvalidName {
        /// `model` or `alias`.
        role: &'static str,
        /// The name as it was written.
        name: String,
        /// What would be right.
        reason: &'static str,
    },

    /// A new model whose name differs from another's only in case.
    #[error(
        "there is a model `{existing}` already: names that differ only in case, such as `{name}`, are refused"
    )]
    NameClash {
        /// The name of the new model.
        name: String,
        /// The model that there is.
        existing: String,
    },

    /// A model that the registry does not have.
    #[error("there is no model `{name}`{}", suggest(nearest.as_deref(), known, "models"))]
    UnknownModel {
        /// The name as it was written.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },

    /// A tokenizer that the registry does not have.
    #[error("there is no tokenizer `{name}`{}", suggest(nearest.as_deref(), known, "tokenizers"))]
    UnknownTokenizer {
        /// The name as it was written.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
        /// The names of all tokenizers, and of models that bring one.
        known: Vec<String>,
    },

    /// A version that is asked for its tokenizer and has none.
    #[error(
        "`{address}` is no tokenizer, and no model of texts that brings one: it has no tokenizer.json"
    )]
    NoTokenizer {
        /// The version's address.
        address: String,
    },

    /// A tokenizer where a model is wanted.
    #[error("`{address}` is a tokenizer, not a model: write `tokenize(text, '{name}')`")]
    NoModel {
        /// The version's address.
        address: String,
        /// Its name.
        name: String,
    },

    /// An alias that the model does not have.
    #[error("the model `{name}` has no alias `{alias}`{}", suggest(nearest.as_deref(), known, "aliases"))]
    UnknownAlias {
        /// The model.
        name: String,
        /// The alias as it was written.
        alias: String,
        /// The nearest alias that there is.
        nearest: Option<String>,
        /// All aliases of the model.
        known: Vec<String>,
    },

    /// An alias that named no version yet at the moment that was asked for.
    #[error(
        "the alias `{alias}` of `{name}` named no version at {}; {}",
        moment_text(*time_ms), never_or_removed(*first_ms, *removed_ms)
    )]
    NoVersionThen {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
        /// The moment, in milliseconds since 1970 UTC.
        time_ms: i64,
        /// When the alias was set first, in milliseconds since 1970 UTC.
        first_ms: i64,
        /// When it had been removed by then, in milliseconds since 1970 UTC.
        removed_ms: Option<i64>,
    },

    /// A moment that is still to come: what an alias will name then is not known.
    #[error(
        "what the alias `{alias}` of `{name}` names at {} is not known yet; leave `as_of` out for what it names now",
        moment_text(*time_ms)
    )]
    Future {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
        /// The moment, in milliseconds since 1970 UTC.
        time_ms: i64,
    },

    /// A version that the model does not have.
    #[error("the model `{name}` has no version {version}{}", versions_text(known))]
    UnknownVersion {
        /// The model.
        name: String,
        /// The version as it was asked for.
        version: i64,
        /// All versions of the model, lowest first.
        known: Vec<i64>,
    },

    /// An alias that somebody else moved in the meantime.
    #[error(
        "the alias `{alias}` of `{name}` was moved by another run ({} instead of {}): run again to compare with the new champion",
        or_none(*found), or_none(*expected)
    )]
    AliasMoved {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
        /// The version it was expected to name.
        expected: Option<i64>,
        /// The version it names.
        found: Option<i64>,
    },

    /// A version that an alias cannot move to.
    #[error("version {version} of `{name}` is retired: no alias moves to it")]
    Retired {
        /// The model.
        name: String,
        /// The version.
        version: i64,
    },

    /// A version that something uses and that was to go.
    #[error("version {version} of `{name}` cannot be {wanted}: {by}; {advice}")]
    InUse {
        /// The model.
        name: String,
        /// The version.
        version: i64,
        /// `retired` or `deleted`.
        wanted: &'static str,
        /// What uses it, in words.
        by: String,
        /// What to do.
        advice: &'static str,
    },

    /// An alias that a table's query names and that was to go.
    #[error(
        "the alias `{alias}` of `{name}` cannot be removed: {} models:/{name}@{alias}; let the query name a version (models:/{name}/{version}) or another alias and run it first",
        who_applies(tables)
    )]
    AliasInUse {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
        /// The version that it names.
        version: i64,
        /// The tables whose present rows were made by that name.
        tables: Vec<String>,
    },

    /// A tag that cannot be set or removed.
    #[error(transparent)]
    Tag(#[from] TagError),

    /// A file of the model that the trainer did not write.
    #[error("cannot register `{name}`: the file {} is missing", path.display())]
    MissingFile {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
    },

    /// A file of the registry that cannot be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was being done: `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A file of the registry whose content is not what this program writes.
    #[error("the file {} is damaged: {reason}; restore it from a backup, or move its folder away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The registry was opened without a store to write to.
    #[error("cannot {action}: the registry was opened only to be read")]
    ReadOnly {
        /// What was asked for.
        action: &'static str,
    },

    /// The state store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl RegistryError {
    /// Whether doing the same again can succeed without a change by the user.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::AliasMoved { .. } => true,
            Self::State(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether what was asked for is wrong, rather than the registry or its surroundings.
    pub fn is_wrong_request(&self) -> bool {
        matches!(
            self,
            Self::InvalidUri { .. }
                | Self::InvalidName { .. }
                | Self::UnknownModel { .. }
                | Self::UnknownAlias { .. }
                | Self::UnknownVersion { .. }
                | Self::NoVersionThen { .. }
                | Self::Future { .. }
                | Self::Retired { .. }
                | Self::InUse { .. }
                | Self::AliasInUse { .. }
                | Self::Tag(_)
        )
    }

    /// Whether what was read is not what this program writes.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

fn suggest(nearest: Option<&str>, known: &[String], what: &str) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, []) => format!("; there are no {what} yet"),
        (None, known) => {
            let shown: Vec<String> = known
                .iter()
                .take(8)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = if known.len() > 8 { ", ..." } else { "" };
            format!("; the {what} are {}{more}", shown.join(", "))
        }
    }
}

fn versions_text(known: &[i64]) -> String {
    match known {
        [] => "; it has no versions yet".to_owned(),
        [only] => format!("; its only version is {only}"),
        [first, .., last] if i64::try_from(known.len()) == Ok(last - first + 1) => {
            format!("; its versions are {first} to {last}")
        }
        known => {
            let tail: Vec<String> = known
                .iter()
                .rev()
                .take(8)
                .rev()
                .map(i64::to_string)
                .collect();
            let more = if known.len() > 8 { "..., " } else { "" };
            format!("; its versions are {more}{}", tail.join(", "))
        }
    }
}

fn never_or_removed(first_ms: i64, removed_ms: Option<i64>) -> String {
    match removed_ms {
        Some(removed_ms) => format!("it was removed at {}", moment_text(removed_ms)),
        None => format!("its first move was at {}", moment_text(first_ms)),
    }
}

fn who_applies(tables: &[String]) -> String {
    let verb = if tables.len() == 1 {
        "applies"
    } else {
        "apply"
    };
    format!("{} {verb}", tables.join(" and "))
}

fn or_none(version: Option<i64>) -> String {
    version.map_or_else(
        || "no version".to_owned(),
        |version| format!("version {version}"),
    )
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; make the folder writable, or choose another lakehouse with --lakehouse DIR"
        }
        io::ErrorKind::StorageFull => "; free some space and run again",
        _ => "",
    }
}
