//! A table's rows into its Delta table, exactly once.
//!
//! The intent goes to the state store first, then the Delta commit, which carries the
//! transaction's number and all that the store needs to be told again; then the store is
//! told. A process that ends in between leaves an open intent, which the next run settles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_lake::TableName;
use sluice_lake::delta::{CommitInfo, RowParts, WriteMode, Written};
use sluice_lake::state::{AppliedModel, CommitRecord, FileRecord};

use super::context::{RunContext, now_ms};
use super::error::StageError;
use crate::events::EventKind;
use crate::plan::Asset;
use crate::plan::fingerprint::{COLUMN_COMMENTS_KEY, COMMENT_KEY, Fingerprint, METADATA_KEY};

/// How often a writing stage says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Writes rows as one commit.
pub(crate) async fn commit(
    run: &RunContext,
    asset: &Asset,
    table: &TableName,
    mode: WriteMode,
    rows: RowParts,
    fingerprint: &Fingerprint,
    (files, outcome): (Vec<FileRecord>, serde_json::Map<String, serde_json::Value>),
) -> Result<Written, StageError> {
    let mut record = CommitRecord {
        // A report's table is known by its own name, not the report's.
        asset: table.to_string(),
        overwrite: mode.replaces_all(),
        files,
        ..record(run, asset, fingerprint)
    };
    record.outcome.extend(outcome);
    let app_id = record.app_id();
    let last = run.world.lakehouse.last_txn(table, &app_id).await?;
    let since_ms = now_ms();
    let txn = run.state.next_txn(&record, last).await?;
    let written = Arc::new(AtomicU64::new(0));
    let info = CommitInfo {
        app_id: app_id.clone(),
        txn_version: txn,
        metadata: record.to_metadata(),
        description: asset.comment.clone(),
        rows: Arc::clone(&written),
    };
    let write = run.world.lakehouse.write_parts(table, mode, rows, info);
    let written = tokio::select! {
        written = write => written,
        () = run.cancel.cancelled() => return Err(StageError::Cancelled),
        () = report_progress(run, &asset.name, &written) => return Err(StageError::Panicked),
    };
    match written {
        Ok(written) => {
            let version = i64::try_from(written.version).unwrap_or(i64::MAX);
            let rows = i64::try_from(written.rows).ok();
            run.state.confirm_txn(&app_id, txn, version, rows).await?;
            run.catalog.pins().set(table, written.version);
            Ok(written)
        }
        Err(error) => {
            // Tables beside it may be another stage's: of those only a run that begins removes
            // files.
            let lakehouse = &run.world.lakehouse;
            lakehouse.remove_leftovers(table, &app_id, since_ms).await?;
            run.state.abandon_txn(&app_id, txn).await?;
            Err(error.into())
        }
    }
}

/// What a commit says about an asset that is made from `fingerprint`.
pub(crate) fn record(run: &RunContext, asset: &Asset, fingerprint: &Fingerprint) -> CommitRecord {
    let comments = asset.rows().map(|rows| &rows.contract.comments);
    let comments = comments.filter(|comments| !comments.is_empty());
    let comments = comments.and_then(|comments| serde_json::to_value(comments).ok());
    let comments = comments.map(|comments| (COLUMN_COMMENTS_KEY.to_owned(), comments));
    CommitRecord {
        project: run.project.clone(),
        run_id: run.run_id.clone(),
        asset: asset.name.clone(),
        key: fingerprint.key(),
        semantics: i64::from(asset.semantics()),
        overwrite: false,
        files: Vec::new(),
        models: applied(asset, fingerprint),
        outcome: [
            (
                METADATA_KEY.to_owned(),
                serde_json::to_value(fingerprint).unwrap_or_default(),
            ),
            (COMMENT_KEY.to_owned(), asset.comment.clone().into()),
        ]
        .into_iter()
        .chain(comments)
        .collect(),
    }
}

/// The versions of models and tokenizers that make the rows of a table.
fn applied(asset: &Asset, fingerprint: &Fingerprint) -> Vec<AppliedModel> {
    let versions = fingerprint.model_versions();
    let applied = asset.uses().filter_map(|applied| {
        Some(AppliedModel {
            address: applied.written.clone(),
            name: applied.uri.name.clone(),
            version: *versions.get(&applied.written)?,
        })
    });
    applied.collect()
}

/// Tells the rows that have been written, again and again; never ends.
async fn report_progress(run: &RunContext, asset: &str, rows: &AtomicU64) {
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let mut told = 0;
    loop {
        ticks.tick().await;
        let done = rows.load(Ordering::Relaxed);
        if done != told {
            told = done;
            run.emit(EventKind::StageProgress {
                asset: asset.to_owned(),
                done,
                total: None,
                unit: "rows",
            });
        }
    }
}
