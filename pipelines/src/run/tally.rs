//! How the stages of a run ended, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Made,
    Skipped,
    Failed,
    Cancelled,
}

/// Counts of ended stages.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    made: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

impl Tally {
    fn counter(&self, ended: Ended) -> &AtomicU64 {
        match ended {
            Ended::Made => &self.made,
            Ended::Skipped => &self.skipped,
            Ended::Failed => &self.failed,
            Ended::Cancelled => &self.cancelled,
        }
    }

    pub(crate) fn add(&self, ended: Ended) {
        self.counter(ended).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, ended: Ended) -> u64 {
        self.counter(ended).load(Ordering::Relaxed)
    }
}
