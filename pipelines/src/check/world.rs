//! What exists already: the tables and models of the lakehouse.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sluice_lake::registry::Registry;
use sluice_lake::state::{State, StateError};
use sluice_lake::{Lakehouse, TableName};

use crate::diagnostic::Diagnostic;

/// The code of the diagnostic that an older release wrote the state store: a command that
/// writes brings it up to date.
pub const OUTDATED_STATE: &str = "outdated_state";

/// The lakehouse that a project is checked against, for reading only.
#[derive(Debug, Clone)]
pub struct World {
    /// The tables.
    pub lakehouse: Lakehouse,
    /// The run state; absent before the first run.
    pub state: Option<State>,
    /// The models.
    pub registry: Registry,
    /// The files that count of those that the globs of an ingest name; all where a table is not
    /// there.
    pub only_files: Arc<OnlyFiles>,
}

/// Files by the tables that are made of them: the path at which a file lies, to the name by which
/// the table knows it.
pub type OnlyFiles = BTreeMap<TableName, Arc<BTreeMap<String, String>>>;

impl World {
    /// Opens what is there, and makes nothing.
    ///
    /// # Errors
    /// A lakehouse or a state store that cannot be read.
    pub async fn open(lakehouse: &Path) -> Result<Self, Box<Diagnostic>> {
        let broken = |error: &dyn std::error::Error| {
            Box::new(Diagnostic::error(
                "unreadable_lakehouse",
                error_chain(error),
            ))
        };
        let lakehouse = Lakehouse::open(lakehouse).map_err(|error| broken(&error))?;
        let state = State::open_read_only(lakehouse.state_path()).await;
        let state = state.map_err(|error| match error {
            StateError::Outdated { .. } => {
                Box::new(Diagnostic::error(OUTDATED_STATE, error_chain(&error)))
            }
            other => broken(&other),
        })?;
        let registry = Registry::new(lakehouse.models_path(), state.clone());
        Ok(Self {
            lakehouse,
            state,
            registry,
            only_files: Arc::default(),
        })
    }
}

/// The first line of a backtrace, which some errors carry in their words.
const BACKTRACE: &str = "\n   0: ";

/// An error and its causes, in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    if let Some(at) = text.find(BACKTRACE) {
        text.truncate(at);
    }
    text
}
