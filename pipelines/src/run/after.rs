//! The end of a run, told to the pipeline's hooks.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sluice_lake::registry::moment_text;
use tokio_util::sync::CancellationToken;

use super::context::now_ms;
use super::error::RunError;
use super::{RunStatus, RunSummary};
use crate::check::error_chain;
use crate::events::{Event, EventKind, EventSink};
use crate::hooks::{FailedAsset, Hooks, MOST_ERRORS, NOTICE_VERSION, Notice, cut};
use crate::plan::Plan;

/// Notes what failed in a run, and tells the hooks when it has ended.
pub(super) struct After {
    hooks: Hooks,
    pipeline: String,
    lakehouse: String,
    started_ms: i64,
    started: Instant,
    failed: Arc<Mutex<Vec<FailedAsset>>>,
    sink: EventSink,
}

impl After {
    pub(super) fn new(plan: &Plan, sink: EventSink) -> Self {
        Self::of(plan.hooks.clone(), &plan.pipeline, &plan.lakehouse, sink)
    }

    pub(super) fn of(hooks: Hooks, pipeline: &str, lakehouse: &Path, sink: EventSink) -> Self {
        let absolute = std::path::absolute(lakehouse);
        Self {
            hooks,
            pipeline: pipeline.to_owned(),
            lakehouse: absolute
                .unwrap_or_else(|_| lakehouse.to_owned())
                .display()
                .to_string(),
            started_ms: now_ms(),
            started: Instant::now(),
            failed: Arc::default(),
            sink,
        }
    }

    /// Where the run is to send its events.
    pub(super) fn sink(&self) -> EventSink {
        if self.hooks.is_empty() {
            return Arc::clone(&self.sink);
        }
        let (sink, failed) = (Arc::clone(&self.sink), Arc::clone(&self.failed));
        Arc::new(move |event: &Event| {
            if let EventKind::StageFailed { asset, error, .. } = &event.kind {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.len() < MOST_ERRORS {
                    failed.push(FailedAsset {
                        asset: asset.clone(),
                        error: cut(error),
                    });
                }
            }
            sink(event);
        })
    }

    /// Tells the hooks of the end. A run that was stopped, or had no turn, has none to tell.
    pub(super) async fn tell(
        self,
        outcome: &Result<RunSummary, RunError>,
        cancel: &CancellationToken,
    ) {
        let notice = match outcome {
            Ok(summary) => match summary.status {
                RunStatus::Finished => self.notice("finished", Some(summary), None),
                RunStatus::Failed => self.notice("failed", Some(summary), None),
                RunStatus::Cancelled => return,
            },
            Err(RunError::Locked(_) | RunError::Stopped | RunError::NotMade { .. }) => return,
            Err(error) => self.notice("failed", None, Some(error_chain(error))),
        };
        self.send(&notice, cancel).await;
    }

    /// Tells the hooks that a run could not begin.
    pub(super) async fn tell_wrong(self, words: &str, cancel: &CancellationToken) {
        let notice = self.notice("failed", None, Some(words.to_owned()));
        self.send(&notice, cancel).await;
    }

    async fn send(&self, notice: &Notice, cancel: &CancellationToken) {
        for message in self.hooks.tell(notice, cancel).await {
            let kind = EventKind::Warning {
                asset: self.pipeline.clone(),
                message,
            };
            (self.sink)(&Event {
                run: notice.run_id.clone().unwrap_or_default(),
                ..Event::new(now_ms(), kind)
            });
        }
    }

    fn notice(
        &self,
        status: &'static str,
        summary: Option<&RunSummary>,
        error: Option<String>,
    ) -> Notice {
        let count = |counted: fn(&RunSummary) -> u64| summary.map_or(0, counted);
        Notice {
            version: NOTICE_VERSION,
            event: match status {
                "finished" => "run_finished",
                _ => "run_failed",
            },
            pipeline: self.pipeline.clone(),
            run_id: summary.map(|summary| summary.run_id.clone()),
            status,
            lakehouse: self.lakehouse.clone(),
            started_at: moment_text(self.started_ms),
            finished_at: moment_text(now_ms()),
            seconds: self.started.elapsed().as_secs_f64(),
            made: count(|summary| summary.made),
            skipped: count(|summary| summary.skipped),
            failed: count(|summary| summary.failed),
            error: error.map(|error| cut(&error)),
            errors: self
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}
