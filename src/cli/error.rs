//! What ends a command, how it is told and with which exit code.

use std::io;

use datafusion::error::DataFusionError;
use sluice_lake::LakeError;
use sluice_lake::hub::HubError;
use sluice_lake::registry::RegistryError;
use sluice_lake::state::StateError;
use sluice_lake::tags::TagError;
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::lineage::UnknownAsset;
use sluice_pipelines::replay::ReplayError;
use sluice_pipelines::run::RunError;
use sluice_pipelines::select::SelectError;
use sluice_udfs::models::ModelError;

use crate::exit::Exit;
use crate::render::screen::{Screen, Tone};
use crate::results::WriteError;

/// Why a command ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The project or the query is wrong as written.
    #[error("{0}")]
    Wrong(Diagnostics),
    /// The lakehouse that the project is checked against cannot be read.
    #[error("{0}")]
    Unreadable(Diagnostics),
    /// The lakehouse cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A selector that is none, or selects nothing.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Lineage of an asset that there is not.
    #[error(transparent)]
    UnknownAsset(#[from] UnknownAsset),
    /// A run could not begin, or not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run cannot be replayed at all.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The memory of runs cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The model registry cannot be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A model of a hub cannot be pulled, or its folder not be read.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A tag cannot be set or removed.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A model version cannot be loaded.
    #[error("{address} cannot be loaded: {source}")]
    Model {
        /// The version's address.
        address: String,
        /// What is wrong with its folder.
        source: ModelError,
    },
    /// A query failed while it ran.
    #[error("the query failed: {}", plainly(.0))]
    Query(#[source] DataFusionError),
    /// A result could not be written.
    #[error(transparent)]
    Result(#[from] WriteError),
    /// A file that was asked for could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is to be told of a run is neither a file nor a server of OpenLineage.
    #[error("--openlineage {to}: {reason}")]
    OpenLineage {
        /// What was written.
        to: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder for a new project has something in it.
    #[error("{} is not empty: it has `{first}`; name a folder that is not there yet, nothing is overwritten", path.display())]
    NotEmpty {
        /// The folder.
        path: std::path::PathBuf,
        /// The first that is in it.
        first: String,
    },
    /// Standard output refused.
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
    /// Standard input could not be read as text.
    #[error("the query cannot be read from standard input: {0}")]
    Input(#[source] io::Error),
    /// The terminal could not be read.
    #[error("the prompt cannot read from the terminal: {0}")]
    Prompt(#[from] rustyline::error::ReadlineError),
    /// The system refused threads.
    #[error("the runtime cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// Ctrl-C.
    #[error("stopped")]
    Cancelled,
}

/// The innermost message, without the names of DataFusion's layers around it.
fn plainly(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::External(error) => error.to_string(),
        DataFusionError::Execution(message) => message.clone(),
        other => other.strip_backtrace(),
    }
}

impl CliError {
    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Wrong(_) | Self::UnknownAsset(_) | Self::NotEmpty { .. } => Exit::Usage,
            Self::OpenLineage { .. } => Exit::Usage,
            Self::Select(SelectError::Unreadable { .. }) => Exit::Environment,
            Self::Select(_) | Self::Run(RunError::NotMade { .. }) => Exit::Usage,
            Self::Run(RunError::Locked(_)) => Exit::Locked,
            Self::Run(RunError::Stopped) => Exit::Cancelled,
            Self::Replay(ReplayError::Stopped) => Exit::Cancelled,
            Self::Replay(error) if error.is_wrong_request() => Exit::Usage,
            Self::Registry(error) if error.is_wrong_request() => Exit::Usage,
            Self::State(error) if error.is_wrong_request() => Exit::Usage,
            Self::Hub(error) if error.is_wrong_request() => Exit::Usage,
            Self::Tag(_) => Exit::Usage,
            Self::Query(_) | Self::Result(WriteError::Value(_)) => Exit::Failed,
            Self::Result(error) if error.is_closed_pipe() => Exit::Ok,
            Self::Cancelled => Exit::Cancelled,
            Self::Unreadable(_)
            | Self::Lake(_)
            | Self::Run(_)
            | Self::Replay(_)
            | Self::State(_)
            | Self::Registry(_)
            | Self::Hub(_)
            | Self::Model { .. }
            | Self::Result(_)
            | Self::Write { .. }
            | Self::Output(_)
            | Self::Input(_)
            | Self::Prompt(_)
            | Self::Runtime(_) => Exit::Environment,
        }
    }

    /// Tells the user on standard error.
    pub(super) fn print(&self) {
        let screen = Screen::stderr();
        let text = match self {
            Self::Wrong(diagnostics) | Self::Unreadable(diagnostics) => shown(diagnostics, screen),
            Self::Result(error) if error.is_closed_pipe() => return,
            other => format!("{}: {other}\n", screen.paint(Tone::Bad, "error")),
        };
        // Nobody is left to be told when standard error is closed.
        let _closed = io::Write::write_all(&mut io::stderr().lock(), text.as_bytes());
    }
}

/// Diagnostics as `screen` can show them.
pub(super) fn shown(diagnostics: &Diagnostics, screen: Screen) -> String {
    if screen.redraws {
        diagnostics.graphical(screen.width, screen.color)
    } else {
        diagnostics.plain()
    }
}
