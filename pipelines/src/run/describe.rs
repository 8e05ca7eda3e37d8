//! A table whose rows are up to date, and whose comment changed: its description follows, in a
//! commit that leaves the rows, and what reads them, alone.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sluice_lake::delta::CommitInfo;
use sluice_lake::state::{DESCRIBES_KEY, INTERVALS_KEY};

use super::commit::record;
use super::context::RunContext;
use super::error::StageError;
use crate::plan::Asset;
use crate::plan::freshness::Freshness;

/// Brings the description of a table up to date; whether there was anything to do. `version`:
/// the one that was made, and that the run goes on reading.
pub(crate) async fn describe(
    run: &RunContext,
    asset: &Asset,
    freshness: &Freshness,
    version: Option<i64>,
) -> Result<bool, StageError> {
    let (Some(table), Some(description)) = (asset.table(), freshness.new_description(asset)) else {
        return Ok(false);
    };
    let mut record = record(run, asset, &freshness.fingerprint);
    let made = (DESCRIBES_KEY.to_owned(), version.into());
    record.outcome.extend([made]);
    if !freshness.intervals.is_empty() {
        let ledger = serde_json::to_value(&freshness.intervals).unwrap_or_default();
        record.outcome.insert(INTERVALS_KEY.to_owned(), ledger);
    }
    let app_id = record.app_id();
    let lakehouse = &run.world.lakehouse;
    let last = lakehouse.last_txn(table, &app_id).await?;
    let txn = run.state.next_txn(&record, last).await?;
    let info = CommitInfo {
        app_id: app_id.clone(),
        txn_version: txn,
        metadata: record.to_metadata(),
        description: None,
        rows: Arc::new(AtomicU64::new(0)),
    };
    let (words, columns) = (description.table, description.columns);
    let changed = lakehouse.change_description(table, words, columns, info);
    match changed.await {
        Ok(Some(latest)) => {
            let latest = i64::try_from(latest).unwrap_or(i64::MAX);
            run.state.confirm_txn(&app_id, txn, latest, None).await?;
            Ok(true)
        }
        Ok(None) => {
            run.state.abandon_txn(&app_id, txn).await?;
            Ok(false)
        }
        Err(error) => {
            run.state.abandon_txn(&app_id, txn).await?;
            Err(error.into())
        }
    }
}
