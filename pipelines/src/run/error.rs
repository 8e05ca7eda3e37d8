//! Why a run or a stage ended early.

use sluice_lake::LakeError;
use sluice_lake::registry::RegistryError;
use sluice_lake::sql::SqlError;
use sluice_lake::state::StateError;
use sluice_learn::LearnError;
use sluice_udfs::session::QueryError;

use crate::check::error_chain;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another run has the project.
    #[error("{}", error_chain(.0))]
    Locked(#[source] LakeError),
    /// It was stopped while it waited for another run of the project.
    #[error("stopped while waiting for another run of the pipeline")]
    Stopped,
    /// The lakehouse cannot be used.
    #[error("{}", error_chain(.0))]
    Lake(#[source] LakeError),
    /// The run state cannot be used.
    #[error("{}", error_chain(.0))]
    State(#[from] StateError),
    /// The registry cannot be used.
    #[error("{}", error_chain(.0))]
    Registry(#[from] RegistryError),
    /// A selected asset needs one that is not selected and was never made.
    #[error(
        "`{asset}` needs `{needs}`, which was never made and is not selected; select it, too: `+{asset}`"
    )]
    NotMade {
        /// The selected asset.
        asset: String,
        /// What it needs.
        needs: String,
    },
    /// The SQL session cannot be made.
    #[error("{}", error_chain(.0))]
    Session(#[from] datafusion::error::DataFusionError),
    /// What belongs to no asset could not be done.
    #[error("{}", error_chain(.0.as_ref()))]
    Work(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<LakeError> for RunError {
    fn from(error: LakeError) -> Self {
        match error {
            locked @ LakeError::Locked { .. } => Self::Locked(locked),
            other => Self::Lake(other),
        }
    }
}

impl From<StageError> for RunError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Lake(error) => error.into(),
            StageError::State(error) => Self::State(error),
            StageError::Registry(error) => Self::Registry(error),
            StageError::Cancelled => Self::Stopped,
            other => Self::Work(Box::new(other)),
        }
    }
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("stopped")]
    Cancelled,
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{}", located(.0))]
    Sql(#[from] SqlError),
    #[error(transparent)]
    DataFusion(#[from] datafusion::error::DataFusionError),
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    #[error(transparent)]
    Evaluate(#[from] super::evaluate::EvaluateError),
    #[error(transparent)]
    Ingest(#[from] sluice_lake::ingest::IngestError),
    #[error(transparent)]
    Unread(sluice_lake::ingest::IngestError),
    #[error("it needs {0}, whose files could not be read when the run began")]
    NeedsUnread(String),
    #[error(transparent)]
    Learn(LearnError),
    #[error(transparent)]
    Profile(#[from] sluice_report::profile::ProfileError),
    #[error(
        "expectation `{name}` failed: {failed} of {rows} rows break it, so nothing was written; {hint}"
    )]
    Expectation {
        name: String,
        failed: u64,
        rows: u64,
        hint: String,
    },
    #[error("expectation `{name}` failed: {what}, so nothing was written")]
    TableRule { name: String, what: String },
    #[error("expectation `{name}` failed: {what}; the table is as it was")]
    Aged { name: String, what: String },
    #[error("{model} cannot score the rows of {table}")]
    Unfit {
        model: String,
        table: String,
        #[source]
        source: sluice_learn::error::BindError,
    },
    #[error(transparent)]
    Changes(#[from] sluice_lake::delta::ChangesError),
    #[error("the mode `{0}` tells no rows apart by keys")]
    NoKeys(&'static str),
    #[error("the table {0} is gone: was its folder removed while the run was under way?")]
    TableGone(String),
    #[error("{address} cannot be loaded")]
    Model {
        address: String,
        #[source]
        source: sluice_udfs::models::ModelError,
    },
    #[error("{0} was changed while the run was under way: run again to take what it is now")]
    FileChanged(String),
    #[error(transparent)]
    Tokenizer(#[from] sluice_learn::deep::DeepError),
    #[error("cannot write {path}")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "it took longer than {} and was stopped, without a commit: give it a longer `timeout:`, or find out what takes so long", seconds(*limit_seconds)
    )]
    TimedOut { limit_seconds: u64 },
    #[error("{reason}, so nothing was written; {help}")]
    Refused {
        /// Why the table cannot be brought up to date.
        reason: String,
        /// What to do.
        help: String,
    },
    #[error("the work broke off unexpectedly; please report this with the log")]
    Panicked,
}

impl StageError {
    /// The rule that was broken, if that is why.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Self::Expectation { name, .. }
            | Self::TableRule { name, .. }
            | Self::Aged { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl From<LearnError> for StageError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Cancelled => Self::Cancelled,
            other => Self::Learn(other),
        }
    }
}

impl From<QueryError> for StageError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Sql(error) => Self::Sql(error),
            QueryError::Registry(error) => Self::Registry(error),
            QueryError::Model { address, source } => Self::Model { address, source },
        }
    }
}

/// Seconds as they are written in a project: `1h30m`.
fn seconds(seconds: u64) -> String {
    crate::spec::Length(std::time::Duration::from_secs(seconds)).to_string()
}

fn located(error: &SqlError) -> String {
    let place = error.span.map_or_else(String::new, |span| {
        format!(" (line {}, column {} of the SQL)", span.line, span.column)
    });
    let help = error
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!("; {help}"));
    format!("{}{place}{help}", error.message)
}

/// Runs work that computes or blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StageError> + Send + 'static,
) -> Result<T, StageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StageError::Panicked),
    }
}
