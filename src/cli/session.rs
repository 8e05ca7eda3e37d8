//! A lakehouse that can be asked: its tables, `system.*`, and `predict`.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use sluice_lake::registry::Registry;
use sluice_lake::session::SessionOptions;
use sluice_lake::sql::{self, SqlError, Statement};
use sluice_lake::state::State;
use sluice_lake::{LakeCatalog, Lakehouse, Pins};
use sluice_pipelines::diagnostic::{Diagnostic, Diagnostics};
use sluice_pipelines::source::{SourceFile, Span};
use sluice_udfs::models::ModelSet;
use sluice_udfs::session::{LakeSession, QueryError};

use super::error::CliError;

/// What a query is called in messages about it.
const QUERY_NAME: &str = "query";

/// A lakehouse, opened for reading.
pub(super) struct Session {
    lakehouse: Lakehouse,
    models: Arc<ModelSet>,
}

impl Session {
    /// Opens the lakehouse in a folder; nothing is written, and a folder that is not there
    /// looks empty.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn open(root: &Path) -> Result<Self, CliError> {
        Ok(Self {
            lakehouse: Lakehouse::open(root)?,
            models: Arc::default(),
        })
    }

    /// Makes what is being predicted for a query give up.
    pub(super) fn stop(&self) {
        self.models.stop(true);
    }

    /// The lakehouse's folder.
    pub(super) fn root(&self) -> &Path {
        self.lakehouse.root()
    }

    /// The statements of a text.
    ///
    /// # Errors
    /// What is wrong with the text, with its place.
    pub(super) fn parse(text: &str) -> Result<Vec<Statement>, CliError> {
        sql::parse(text).map_err(|error| wrong(text, error))
    }

    /// Starts to answer a statement, at the newest version of each table it reads.
    ///
    /// # Errors
    /// SQL that does not fit the tables and models, or that only asks for what cannot be
    /// given; the rows themselves can fail too.
    pub(super) async fn query(
        &self,
        statement: &Statement,
    ) -> Result<SendableRecordBatchStream, CliError> {
        // Only questions are worth resolving models for.
        let text = statement.text().to_owned();
        sql::read_only(statement).map_err(|error| wrong(&text, error))?;
        let state = State::open_read_only(self.lakehouse.state_path()).await?;
        let registry = Registry::new(self.lakehouse.models_path(), state.clone());
        // Tables are pinned when they are first read.
        let catalog = LakeCatalog::new(self.lakehouse.clone(), Pins::new());
        let options = SessionOptions::default();
        let models = Arc::clone(&self.models);
        models.stop(false);
        let session = LakeSession::open(&options, catalog, state, registry, models);
        let session = session.map_err(CliError::Query)?;
        let plan = session.plan(statement.clone()).await;
        let plan = plan.map_err(|error| match error {
            QueryError::Sql(error) => wrong(&text, error),
            QueryError::Registry(error) => CliError::Registry(error),
            QueryError::Model { address, source } => CliError::Model { address, source },
        })?;
        let rows = session.context().execute_logical_plan(plan).await;
        rows.map_err(CliError::Query)?
            .execute_stream()
            .await
            .map_err(CliError::Query)
    }
}

/// A mistake in SQL as a diagnostic that shows its place.
pub(super) fn wrong(text: &str, error: SqlError) -> CliError {
    let source = Arc::new(SourceFile::new(QUERY_NAME, text));
    let mut diagnostic = Diagnostic::error("sql", error.message.clone()).maybe_help(error.help);
    if let Some(place) = error.span {
        let span = Span::new(place.start, place.start + place.len);
        diagnostic = diagnostic.at(&source, span);
    }
    CliError::Wrong(Diagnostics::from(diagnostic))
}
