//! Events in the words of OpenLineage.

use std::sync::Arc;

use serde_json::Value;
use sluice_pipelines::events::{Event, EventKind};
use sluice_pipelines::openlineage::Translator;
use sluice_pipelines::plan::Plan;

use super::Lines;

/// Translates the events of a run.
pub(super) struct LineageEvents {
    translator: Translator,
    /// When the last event was, in milliseconds since 1970 UTC.
    last_ms: i64,
}

impl LineageEvents {
    pub(super) fn new(plan: Arc<Plan>, namespace: &str) -> Self {
        Self {
            translator: Translator::new(plan, namespace),
            last_ms: 0,
        }
    }
}

impl Lines for LineageEvents {
    fn of(&mut self, event: &Event) -> Vec<String> {
        self.last_ms = event.time_ms;
        let events = self.translator.events(event);
        events.iter().map(Value::to_string).collect()
    }

    fn at_end(&mut self) -> Vec<String> {
        let events = self.translator.break_off(self.last_ms);
        events.iter().map(Value::to_string).collect()
    }

    fn wants(event: &Event) -> bool {
        matches!(
            event.kind,
            EventKind::RunStarted { .. }
                | EventKind::StageStarted { .. }
                | EventKind::StageFinished { .. }
                | EventKind::StageFailed { .. }
                | EventKind::RunFinished { .. }
        )
    }
}
