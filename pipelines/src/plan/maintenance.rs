//! How tables and the memory of runs are looked after, resolved: what `maintain:` comes to.
//!
//! But for the columns that a table is partitioned by, it does not say what an asset is, and so
//! is no part of its key.

use std::num::NonZeroU64;
use std::time::Duration;

/// How a table is looked after; nothing where nobody says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// The columns by whose values the data files lie in folders, as the table spells them.
    pub partition_by: Vec<String>,
    /// Small data files are written together.
    pub optimize: Option<OptimizePlan>,
    /// All rows are sorted along a curve through these columns, as the table spells them.
    pub zorder_by: Vec<String>,
    /// Old data files are removed.
    pub vacuum: Option<VacuumPlan>,
    /// A checkpoint is written after so many commits; at least 1.
    pub checkpoint: Option<u64>,
}

impl Maintenance {
    /// Whether nothing is to be done, ever.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.optimize.is_none() && self.vacuum.is_none() && self.checkpoint.is_none()
    }
}

/// When small data files are written together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptimizePlan {
    /// How large a data file shall be, in bytes.
    pub target_bytes: NonZeroU64,
    /// When there are so many small ones.
    pub small_files: u64,
    /// When there are some, and this has passed since the last time.
    pub every: Option<Duration>,
}

/// How large a data file shall be when nobody says, in bytes.
const TARGET_BYTES: NonZeroU64 = NonZeroU64::new(256_000_000).expect("it is more than 0");

impl Default for OptimizePlan {
    fn default() -> Self {
        Self {
            target_bytes: TARGET_BYTES,
            small_files: 10,
            every: None,
        }
    }
}

/// When and which old data files are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumPlan {
    /// How long they stay after they went out of use.
    pub retain: Duration,
    /// When this has passed since the last time.
    pub every: Duration,
}

/// How long the memory of runs is kept; for ever where nobody says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs, after their end.
    pub runs: Option<Duration>,
    /// Artifacts of runs, after the end of the run.
    pub artifacts: Option<Duration>,
}

impl Retention {
    /// Whether all is kept for ever.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
