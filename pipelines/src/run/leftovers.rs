//! Files that a process which ended early left in the lakehouse, and that nothing will ever
//! name: data files without a commit, artifacts that were not recorded, pages without a name.
//!
//! The state store tells where to look, so that a run after one that ended well looks at no
//! folder. What a lost store cannot tell stays until the tables are vacuumed.

use std::collections::BTreeSet;

use sluice_lake::state::State;
use sluice_lake::{LakeError, Lakehouse, TableName};

use super::error::RunError;
use crate::plan::Plan;

/// Removes them. The caller holds the pipeline's lock, its run has not begun, and nothing was
/// recovered yet: what is under way in the store is what ended early.
pub(super) async fn remove(
    plan: &Plan,
    lakehouse: &Lakehouse,
    state: &State,
    project: &str,
) -> Result<(), RunError> {
    for txn in state.pending_txns(project).await? {
        if let Ok(table) = txn.record.asset.parse::<TableName>() {
            of_commit(lakehouse, project, &table, txn.time_ms).await?;
        }
    }
    // The run of a training may have ended when its report was still to say what came of it.
    let runs = state.running_families(project).await?;
    if runs.is_empty() {
        return Ok(());
    }
    let mut recorded = Vec::with_capacity(runs.len());
    for run in runs {
        let artifacts = state.artifacts(&run).await?;
        recorded.push((run, artifacts));
    }
    let (lakehouse, pipeline) = (lakehouse.clone(), plan.pipeline.clone());
    let removed = tokio::task::spawn_blocking(move || {
        lakehouse.remove_unfinished_reports(&pipeline)?;
        let mut replaced = Vec::new();
        for (run, artifacts) in recorded {
            let paths = artifacts.iter().map(|artifact| artifact.path.clone());
            lakehouse.remove_unrecorded(run.as_str(), &paths.collect::<BTreeSet<_>>())?;
            let again = lakehouse.replaced_artifacts(run.as_str(), &artifacts)?;
            if !again.is_empty() {
                replaced.push((run, again));
            }
        }
        Ok::<_, LakeError>(replaced)
    });
    let replaced = match removed.await {
        Ok(replaced) => replaced?,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody will look at the outcome.
            Err(_) => return Ok(()),
        },
    };
    for (run, artifacts) in replaced {
        state.log_artifacts(&run, &artifacts).await?;
    }
    Ok(())
}

/// Removes the data files of a commit that was begun at `since_ms` (milliseconds since 1970
/// UTC) and not made, and those of the tables beside its own.
async fn of_commit(
    lakehouse: &Lakehouse,
    project: &str,
    table: &TableName,
    since_ms: i64,
) -> Result<(), LakeError> {
    let beside = lakehouse.tables_beside(table)?;
    for table in std::iter::once(table.clone()).chain(beside) {
        let app_id = format!("{project}/{table}");
        lakehouse
            .remove_leftovers(&table, &app_id, since_ms)
            .await?;
    }
    Ok(())
}
