//! The state store of a lakehouse: runs, tracking in MLflow's data model, file
//! ledgers, transaction counters and the registry's rows, in `state.db`.
//!
//! Start at [`State::open`]. Each file beside this one holds the part of
//! [`State`] that its name says. Several processes may use one store at once:
//! SQLite in WAL mode, a time-out for locks, and BEGIN IMMEDIATE around every
//! write. A commit survives the end of the process at any moment; after a power
//! cut the last commits may be missing, and [`State::reconcile`] and
//! [`Registry`](crate::registry::Registry) tell them again from the lakehouse.

mod asset_keys;
mod commit_record;
mod connection;
mod error;
mod events;
mod file_memory;
mod files;
mod intervals;
mod leases;
mod logged;
mod made_from;
mod maintenance;
mod migrations;
mod rebuild;
pub(crate) mod registered;
mod retention;
mod run_tags;
mod run_view;
mod runs;
mod side_tables;
mod stages;
mod table_versions;
mod ticks;
mod tracking;
mod txns;

pub use asset_keys::AssetKey;
pub use commit_record::{AppliedModel, CommitRecord, DESCRIBES_KEY, FileRecord, LATEST_KEY};
pub use connection::State;
pub(crate) use connection::WriteTx;
pub use error::StateError;
pub use events::StoredEvent;
pub use files::LedgerFile;
pub use intervals::INTERVALS_KEY;
pub use leases::{Claimant, LEASE, Lease, LeaseHolder, RENEW_EVERY};
pub use logged::LoggedRun;
pub use maintenance::{Maintained, Operation};
pub use rebuild::Rebuilt;
pub use retention::{ForgottenRuns, Retained};
pub use runs::{NewRun, Run, RunId, RunKind, RunStatus};
pub use side_tables::SideRecord;
pub use stages::{ExpectationResult, Fault, NewStage, Stage, StageEnd, StageStatus};
pub use ticks::Tick;
pub use tracking::{Artifact, DatasetUse, FinishedRun, Metric};
pub use txns::{PendingTxn, TxnState};

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC, as every time in the store.
pub fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
