//! What the stages of one run share.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::catalog::TableProvider;
use sluice_lake::TableName;
use sluice_lake::catalog::LakeCatalog;
use sluice_lake::session::SessionOptions;
use sluice_lake::state::{RunId, State};
use sluice_learn::ComputeBudget;
use sluice_udfs::models::ModelSet;
use sluice_udfs::session::LakeSession;
use tokio_util::sync::CancellationToken;

use super::error::{StageError, blocking};
use super::turns::Turns;
use crate::check::World;
use crate::events::{Event, EventKind, EventSink};
use crate::plan::Plan;

/// What the stages of one run share.
#[derive(Clone)]
pub(crate) struct RunContext {
    pub(crate) plan: Arc<Plan>,
    pub(crate) world: World,
    pub(crate) state: State,
    /// The project's UUID.
    pub(crate) project: String,
    pub(crate) run_id: RunId,
    /// When the run began, in milliseconds since 1970 UTC: what its rules call now.
    pub(crate) started_ms: i64,
    /// The tables, at the versions that this run sees.
    pub(crate) catalog: LakeCatalog,
    pub(crate) models: Arc<ModelSet>,
    /// Keeps two stages from doing the same training side by side.
    pub(crate) turns: Arc<Turns>,
    pub(crate) sink: EventSink,
    pub(crate) cancel: CancellationToken,
    /// Threads that one query may use.
    pub(crate) threads: NonZeroUsize,
    /// The threads that all fits and sweeps share.
    pub(crate) budget: ComputeBudget,
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    })
}

impl RunContext {
    pub(crate) fn emit(&self, kind: EventKind) {
        (self.sink)(&Event::new(now_ms(), kind));
    }

    pub(crate) fn warn(&self, asset: &str, message: impl Into<String>) {
        self.emit(EventKind::Warning {
            asset: asset.to_owned(),
            message: message.into(),
        });
    }

    /// A file of the lakehouse, spelled as the lakehouse was: events name it so.
    pub(crate) fn spelled(&self, path: &Path) -> String {
        let within = path.strip_prefix(self.world.lakehouse.root());
        let spelled = within.map_or_else(
            |_| path.to_owned(),
            |within| self.plan.lakehouse.join(within),
        );
        spelled.display().to_string()
    }

    /// A session over the lakehouse as this run sees it.
    pub(crate) fn session(&self) -> Result<LakeSession, StageError> {
        self.session_within(None)
    }

    /// The same, whose sorts and joins hold so many bytes at most and spill the rest.
    pub(crate) fn session_within(
        &self,
        memory_limit_bytes: Option<usize>,
    ) -> Result<LakeSession, StageError> {
        self.session_with(memory_limit_bytes, None)
    }

    /// The same, in which SQL reads other rows in place of those of one table.
    pub(crate) fn session_with(
        &self,
        memory_limit_bytes: Option<usize>,
        instead: Option<(&TableName, Arc<dyn TableProvider>)>,
    ) -> Result<LakeSession, StageError> {
        let catalog = self.catalog.clone();
        let catalog = match instead {
            Some((table, rows)) => catalog.with_rows_instead(table, rows),
            None => catalog,
        };
        let options = SessionOptions {
            target_partitions: self.threads.get(),
            memory_limit_bytes,
            ..SessionOptions::default()
        };
        Ok(LakeSession::open(
            &options,
            catalog,
            Some(self.state.clone()),
            self.world.registry.clone(),
            Arc::clone(&self.models),
        )?)
    }

    /// Runs a computation that looks at a flag to be stopped.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> Result<T, StageError> + Send + 'static,
    ) -> Result<T, StageError> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let mut done = Box::pin(blocking(move || work(&seen)));
        tokio::select! {
            result = &mut done => result,
            () = self.cancel.cancelled() => {
                flag.store(true, Ordering::Relaxed);
                done.await
            }
        }
    }
}
