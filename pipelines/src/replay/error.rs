//! Why a run cannot be replayed at all.

use std::path::PathBuf;

use sluice_lake::LakeError;
use sluice_lake::registry::RegistryError;
use sluice_lake::state::{RunKind, StateError};

use crate::check::error_chain;
use crate::diagnostic::Diagnostics;

/// Why a run cannot be replayed at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing ran here.
    #[error("nothing has run in this lakehouse yet")]
    NoHistory,
    /// It is a training, a search, a trial or an evaluation.
    #[error("run {run} is of the kind `{kind}`, a part of another run: replay {}", part_of(parent.as_deref()))]
    NoProjectRun {
        /// The run.
        run: String,
        /// What it is.
        kind: RunKind,
        /// The run that it is part of.
        parent: Option<String>,
    },
    /// An older release ran it.
    #[error(
        "run {run} did not keep its definitions: a release that did not yet know `sluice replay` ran it"
    )]
    NothingKept {
        /// The run.
        run: String,
    },
    /// Somebody removed them.
    #[error(
        "the definitions of run {run} are gone: there is no {hash}.json in _sluice/definitions of the lakehouse; restore it from a backup"
    )]
    DefinitionsGone {
        /// The run.
        run: String,
        /// What they are called by.
        hash: String,
    },
    /// The run did not keep values that may be secret.
    #[error(
        "the run used values that it did not keep, since they go where secrets go, too: give {}",
        names.join(" and ")
    )]
    Withheld {
        /// How to give each.
        names: Vec<String>,
    },
    /// A variable is what it was.
    #[error("--set {name}: a replay takes the variables as the run had them")]
    NotWithheld {
        /// The variable.
        name: String,
    },
    /// This release does not take what the run ran.
    #[error("the definitions of the run do not hold any more:\n{}", .0.plain())]
    Wrong(Diagnostics),
    /// There is something in the folder.
    #[error("{} is not empty: give a folder that is not there yet, nothing is overwritten", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// It was stopped.
    #[error("stopped")]
    Stopped,
    /// A lakehouse cannot be used.
    #[error("{}", error_chain(.0))]
    Lake(#[from] LakeError),
    /// A state store cannot be used.
    #[error("{}", error_chain(.0))]
    State(#[from] StateError),
    /// A registry cannot be used.
    #[error("{}", error_chain(.0))]
    Registry(#[from] RegistryError),
}

impl ReplayError {
    /// Whether something else has to be asked for, rather than a lakehouse to be mended.
    #[must_use]
    pub fn is_wrong_request(&self) -> bool {
        match self {
            Self::NoHistory
            | Self::NoProjectRun { .. }
            | Self::NothingKept { .. }
            | Self::Withheld { .. }
            | Self::NotWithheld { .. }
            | Self::Wrong(_)
            | Self::NotEmpty { .. } => true,
            Self::DefinitionsGone { .. }
            | Self::Stopped
            | Self::Lake(_)
            | Self::State(_)
            | Self::Registry(_) => false,
        }
    }
}

fn part_of(parent: Option<&str>) -> String {
    match parent {
        Some(parent) => format!("run {parent}"),
        None => "the run that it is part of".to_owned(),
    }
}
