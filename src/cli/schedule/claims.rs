//! Which ticks were claimed: asked of the lakehouse's store, which may be replaced while a
//! daemon waits, and so is opened for each question.

use std::path::PathBuf;

use jiff::Timestamp;
use sluice_lake::Lakehouse;
use sluice_lake::state::{RunId, State, Tick};
use sluice_pipelines::plan::Plan;

use crate::cli::error::CliError;

/// The store of one project.
pub(super) struct Claims {
    state: State,
    project: String,
}

impl Claims {
    /// # Errors
    /// A lakehouse that cannot be written.
    pub(super) async fn open(plan: &Plan) -> Result<Self, CliError> {
        let lakehouse = Lakehouse::create(PathBuf::from(&plan.lakehouse))?;
        let project = lakehouse.project_uuid(&plan.pipeline)?.to_string();
        let state = State::open(lakehouse.state_path()).await?;
        Ok(Self { state, project })
    }

    /// The latest time by the clock that was claimed.
    pub(super) async fn last(plan: &Plan) -> Result<Option<Timestamp>, CliError> {
        let store = Self::open(plan).await?;
        let last = store.state.last_tick(&store.project).await;
        store.state.close().await;
        Ok(last?.and_then(|last| Timestamp::from_millisecond(last).ok()))
    }

    /// Claims what has come; `None` when it was claimed before.
    pub(super) async fn claim(
        plan: &Plan,
        cause: &'static str,
        name: String,
        time: Timestamp,
    ) -> Result<Option<Tick>, CliError> {
        let store = Self::open(plan).await?;
        let tick = Tick {
            project: store.project,
            cause,
            name,
            time_ms: time.as_millisecond(),
        };
        let claimed = store.state.claim_tick(&tick).await;
        store.state.close().await;
        Ok(claimed?.then_some(tick))
    }

    /// Records what came of a tick, or gives it back where nothing did.
    pub(super) async fn settle(
        plan: &Plan,
        tick: &Tick,
        outcome: Option<&str>,
        run: Option<&RunId>,
    ) -> Result<(), CliError> {
        let store = Self::open(plan).await?;
        let done = match outcome {
            Some(outcome) => store.state.finish_tick(tick, outcome, run).await,
            None => store.state.release_tick(tick).await,
        };
        store.state.close().await;
        Ok(done?)
    }
}
