//! What can go wrong with the state store.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::{error::LakeError, tags::TagError};

use super::RunId;

/// A failure of the state store. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The database file cannot be opened or created.
    #[error(
        "cannot open the state store {}: {source}; check that the folder can be written, \
         or choose another lakehouse with --lakehouse DIR",
        path.display()
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },

    /// The tables of the store cannot be brought up to date.
    #[error("cannot prepare the state store {}: {source}", path.display())]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// What the migration said.
        source: MigrateError,
    },

    /// The store was written by another release, whose tables are not known.
    #[error(
        "the state store {} was written by another release of sluice (its migration {version} {difference}): \
         use that release or a newer one",
        path.display()
    )]
    OtherRelease {
        /// The database file.
        path: PathBuf,
        /// The migration that differs.
        version: i64,
        /// How it differs, in words.
        difference: &'static str,
    },

    /// The store is older than this release and was opened only to be read.
    #[error(
        "the state store {} was written by an older release of sluice: `sluice run` brings it up to date",
        path.display()
    )]
    Outdated {
        /// The database file.
        path: PathBuf,
    },

    /// The store was opened only to be read.
    #[error("cannot {action}: the state store {} was opened only to be read", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
        /// What was asked for.
        action: &'static str,
    },

    /// SQLite refused a statement.
    #[error("the state store {}: cannot {action}: {source}{}", path.display(), advice(source))]
    Query {
        /// The database file.
        path: PathBuf,
        /// What was being done: `start a run`.
        action: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },

    /// A run that is not in the store.
    #[error("there is no run {run} in the state store {}", path.display())]
    UnknownRun {
        /// The database file.
        path: PathBuf,
        /// The run that was named.
        run: RunId,
    },

    /// No run whose identifier begins so.
    #[error("there is no run `{text}` in the state store {}: {reason}", path.display())]
    NoSuchRun {
        /// The database file.
        path: PathBuf,
        /// What was written.
        text: String,
        /// What would be right.
        reason: &'static str,
    },

    /// Several runs whose identifiers begin so.
    #[error("`{text}` begins the identifiers of {count} runs: {}; write more of it", listed(some, *count))]
    SeveralRuns {
        /// What was written.
        text: String,
        /// How many they are.
        count: usize,
        /// The first of them.
        some: Vec<String>,
    },

    /// A tag that cannot be set or removed.
    #[error(transparent)]
    Tag(#[from] TagError),

    /// A stage that its run did not start.
    #[error("the run {run} has started no stage `{asset}`")]
    UnknownStage {
        /// The run that was named.
        run: RunId,
        /// The asset that was named.
        asset: String,
    },

    /// A parameter of a run is logged once; it does not change afterwards.
    #[error("the parameter `{key}` of the run {run} is {old:?} already and cannot become {new:?}")]
    ParamChanged {
        /// The run whose parameter it is.
        run: RunId,
        /// The parameter.
        key: String,
        /// The value in the store.
        old: String,
        /// The value that was logged now.
        new: String,
    },

    /// Another run has taken the lease that the writes of this one need.
    #[error(
        "another run has taken over this project{}, since this one did not renew its lease (number {token}) in time: was the process or its machine stopped? Nothing more is written",
        taken_by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default()
    )]
    LeaseLost {
        /// The token of the lease that was lost.
        token: i64,
        /// Who took it over, if that run is under way.
        taken_by: Option<String>,
    },

    /// No intent was recorded for this transaction.
    #[error("the transaction {version} of {app_id} was never begun")]
    UnknownTxn {
        /// The transaction's application identifier, `<project>/<table>`.
        app_id: String,
        /// The transaction's version.
        version: i64,
    },

    /// A text in the store is not what this program writes there.
    #[error("the state store {} is damaged: {what} reads {text:?}; move the file away and run again: \
             it is rebuilt from the tables and models", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// Which value.
        what: &'static str,
        /// The text found.
        text: String,
    },

    /// The lakehouse could not be read while the store was rebuilt from it.
    #[error("cannot rebuild the state store from the tables: {0}")]
    Lake(#[from] LakeError),
}

impl StateError {
    /// Whether doing the same again can succeed without a change by the user.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Query { source, .. } | Self::Open { source, .. } => is_busy(source),
            _ => false,
        }
    }

    /// Whether what was asked for is wrong, rather than the store or its surroundings.
    pub fn is_wrong_request(&self) -> bool {
        matches!(
            self,
            Self::NoSuchRun { .. } | Self::SeveralRuns { .. } | Self::Tag(_)
        )
    }
}

fn listed(some: &[String], count: usize) -> String {
    let more = if some.len() < count { ", ..." } else { "" };
    format!("{}{more}", some.join(", "))
}

/// Whether another process held the database for longer than the time-out.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY is 5, SQLITE_LOCKED 6; extended codes keep them in the low byte.
    primary_code(error).is_some_and(|code| matches!(code, 5 | 6))
}

/// Whether SQLite could not make the files that readers of a WAL share:
/// SQLITE_CANTOPEN, or SQLITE_READONLY of the folder.
pub(super) fn is_unshareable(error: &sqlx::Error) -> bool {
    primary_code(error).is_some_and(|code| matches!(code, 8 | 14))
}

fn primary_code(error: &sqlx::Error) -> Option<i64> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i64>().ok().map(|code| code & 0xff)
}

fn advice(error: &sqlx::Error) -> &'static str {
    match primary_code(error) {
        Some(5 | 6) => "; another process holds it: run again when that has ended",
        Some(8) => "; the file or its folder cannot be written",
        Some(11 | 26) => {
            "; the file is damaged: move it away and run again, it is rebuilt from the tables and models"
        }
        Some(13) => "; the disk is full",
        _ => "",
    }
}
