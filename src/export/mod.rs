//! Where else the events of a run go: a file (`--events`), OpenLineage (`--openlineage`).
//!
//! A run never waits for them: each has a queue of bounded length and a thread of its own, and
//! what does not fit into the queue, or cannot be delivered, is counted and told when the run is
//! over. [`Exports`] are the options, [`Exporting`] is what they come to.

mod openlineage;
mod output;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;

use sluice_pipelines::events::{Event, EventSink};
use sluice_pipelines::openlineage::DEFAULT_NAMESPACE;
use sluice_pipelines::plan::Plan;

use crate::cli::CliError;
use openlineage::LineageEvents;
use output::Output;
use queue::Queue;

/// The options of commands that run something.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Exports {
    /// Adds one event a line, as JSON, to this file; a file that cannot be written to is a
    /// warning, and stops nothing
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Tells OpenLineage of the run: a file that gets one event a line, or the URL of a server,
    /// in place of the pipeline's `openlineage:`
    #[arg(long, value_name = "FILE|URL", env = "OPENLINEAGE_URL")]
    openlineage: Option<String>,
    /// The namespace of OpenLineage's jobs
    #[arg(
        long,
        value_name = "NAME",
        env = "OPENLINEAGE_NAMESPACE",
        default_value = DEFAULT_NAMESPACE
    )]
    openlineage_namespace: String,
}

/// What an event comes to in the words of another.
trait Lines: Send {
    /// The JSON objects of an event.
    fn of(&mut self, event: &Event) -> Vec<String>;

    /// What is left to say when no event comes any more.
    fn at_end(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether an event can come to anything; others are not queued.
    fn wants(event: &Event) -> bool
    where
        Self: Sized;
}

/// Events as they are.
struct AsTheyAre;

impl Lines for AsTheyAre {
    fn of(&mut self, event: &Event) -> Vec<String> {
        serde_json::to_string(event).into_iter().collect()
    }

    fn wants(_event: &Event) -> bool {
        true
    }
}

/// The queues of one run.
#[derive(Default)]
pub(crate) struct Exporting {
    queues: Vec<Queue>,
}

impl Exports {
    /// Opens what is asked for.
    ///
    /// # Errors
    /// A file that cannot be opened; what is neither a file nor the URL of a server. Nothing has
    /// run by then.
    pub(crate) fn start(&self, plan: &Plan) -> Result<Exporting, CliError> {
        let mut queues = Vec::new();
        if let Some(path) = &self.events {
            let output = Output::file(path)?;
            let name = format!("--events {}", path.display());
            queues.push(Queue::start(name, AsTheyAre, output).map_err(CliError::Runtime)?);
        }
        if let Some(to) = self.openlineage.as_ref().or(plan.openlineage.as_ref()) {
            let output = Output::file_or_url(to)?;
            let lines = LineageEvents::new(Arc::new(plan.clone()), &self.openlineage_namespace);
            let name = format!("OpenLineage ({to})");
            queues.push(Queue::start(name, lines, output).map_err(CliError::Runtime)?);
        }
        Ok(Exporting { queues })
    }
}

impl Exporting {
    /// A sink that hands events on to `display` and to the queues.
    pub(crate) fn beside(&self, display: EventSink) -> EventSink {
        if self.queues.is_empty() {
            return display;
        }
        let queues = self.queues.iter().map(Queue::sink);
        sluice_pipelines::events::all(std::iter::once(display).chain(queues).collect())
    }

    /// Waits a few seconds for what is still queued; what was lost, in words.
    pub(crate) fn finish(self) -> Vec<String> {
        self.queues.into_iter().filter_map(Queue::finish).collect()
    }
}
