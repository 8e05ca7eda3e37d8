//! One asset being made: is it up to date, make it, record it, tell it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sluice_lake::LakeError;
use sluice_lake::ingest::SourceFile;
use sluice_lake::sql::plain_words;
use sluice_lake::state::{AssetKey, NewStage, StageEnd as StoredEnd, StageStatus};

use super::context::{RunContext, now_ms};
use super::error::StageError;
use super::incremental::{self, Intervals, Outcome};
use super::pool::StageEnd;
use super::tally::{Ended, Tally};
use super::{
    attempts, audit, describe, file_rows, files, keyed, model, rejects, report, scored, table,
    tokenizer,
};
use crate::check::error_chain;
use crate::events::EventKind;
use crate::plan::fingerprint::METADATA_KEY;
use crate::plan::freshness::{Freshness, Lookup, Verdict};
use crate::plan::mode::Mode;
use crate::plan::{Asset, AssetBody};
use crate::replay::made_from::{Before, MadeFrom};

/// What a stage came to.
struct Made {
    rows: Option<u64>,
    version: Option<i64>,
    metrics: BTreeMap<String, f64>,
    /// What became clear only while it was made, and belongs to the reason.
    note: Option<String>,
}

/// Makes an asset, or finds it up to date.
pub(crate) async fn run(run: Arc<RunContext>, tally: Arc<Tally>, position: usize) -> StageEnd {
    let asset = Arc::clone(&run.plan.assets[position]);
    let started = Instant::now();
    let tries = AtomicU32::new(0);
    let (outcome, attempts) = attempts::persist(&run, &asset, |run| {
        let (asset, tally) = (Arc::clone(&asset), Arc::clone(&tally));
        let number = tries.fetch_add(1, Ordering::Relaxed) + 1;
        async move { attempt(&run, &asset, &tally, number).await }
    })
    .await;
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => StageEnd::Done,
        Err(error) => {
            fail(&run, &asset, &tally, &error, (attempts, seconds)).await;
            match error {
                StageError::Cancelled => StageEnd::Stopped,
                _ => StageEnd::Failed,
            }
        }
    }
}

async fn attempt(
    run: &RunContext,
    asset: &Asset,
    tally: &Tally,
    number: u32,
) -> Result<(), StageError> {
    let started = Instant::now();
    settle(run, asset).await?;
    can_be_read(asset)?;
    let mut freshness = lookup(run).freshness(asset).await?;
    if run.plan.is_refreshed(&asset.name) {
        freshness.refresh(asset, run.plan.event_time);
    }
    remember(run, asset, &freshness).await?;
    let key = freshness.fingerprint.key();
    if let Verdict::Fresh { version, reason } = &freshness.verdict {
        let described = describe::describe(run, asset, &freshness, *version).await?;
        let reason = match described {
            true => format!("{reason}; its comment is new"),
            false => reason.clone(),
        };
        return skip(run, asset, tally, key, *version, reason).await;
    }
    let reason = match &freshness.verdict {
        Verdict::Stale { reason, .. } => Some(reason.clone()),
        Verdict::Rekey { version, reason } => {
            rekey(run, asset, &freshness).await?;
            return skip(run, asset, tally, key, *version, reason.clone()).await;
        }
        Verdict::Refused { reason, help } => {
            return Err(StageError::Refused {
                reason: reason.clone(),
                help: help.clone(),
            });
        }
        Verdict::Fresh { .. } => None,
    };
    let stage = NewStage {
        made_from: made_from(run, asset, &freshness).await?,
        ..new_stage(asset, Some(key))
    };
    run.state.start_stage(&run.run_id, &stage).await?;
    run.emit(EventKind::StageStarted {
        asset: asset.name.clone(),
        kind: asset.kind(),
        reason: reason.clone(),
    });
    let made = make(run, asset, freshness).await?;
    let reason = match (reason, made.note) {
        (Some(reason), Some(note)) => Some(format!("{reason}; {note}")),
        (reason, note) => reason.or(note),
    };
    let end = StoredEnd {
        reason,
        rows: made.rows.and_then(|rows| i64::try_from(rows).ok()),
        version: made.version,
        attempts: i64::from(number),
        ..StoredEnd::new(StageStatus::Success)
    };
    run.state
        .finish_stage(&run.run_id, &asset.name, &end)
        .await?;
    run.emit(EventKind::StageFinished {
        asset: asset.name.clone(),
        kind: asset.kind(),
        rows: made.rows,
        version: made.version,
        seconds: started.elapsed().as_secs_f64(),
        metrics: made.metrics,
    });
    tally.add(Ended::Made);
    Ok(())
}

/// Records that an asset is left as it is.
async fn skip(
    run: &RunContext,
    asset: &Asset,
    tally: &Tally,
    key: String,
    version: Option<i64>,
    reason: String,
) -> Result<(), StageError> {
    pin(run, asset, version).await?;
    audit::look_again(run, asset).await?;
    let stage = new_stage(asset, Some(key));
    let end = StoredEnd {
        reason: Some(reason.clone()),
        version,
        ..StoredEnd::new(StageStatus::Skipped)
    };
    run.state
        .record_stages(&run.run_id, &[(stage, end)])
        .await?;
    run.emit(EventKind::StageSkipped {
        asset: asset.name.clone(),
        reason,
    });
    tally.add(Ended::Skipped);
    Ok(())
}

/// Lets a table that is left as it is count as made from what there is now. The commit that
/// made it goes on saying what it said: a store that is told again from it finds the same
/// changes once more, and comes to the same.
async fn rekey(run: &RunContext, asset: &Asset, freshness: &Freshness) -> Result<(), StageError> {
    let Some(stored) = run.state.asset_key(&run.project, &asset.name).await? else {
        return Ok(());
    };
    let mut outcome = stored.outcome.clone();
    outcome[METADATA_KEY] = serde_json::to_value(&freshness.fingerprint).unwrap_or_default();
    let key = AssetKey {
        key: freshness.fingerprint.key(),
        outcome,
        ..stored
    };
    Ok(run
        .state
        .put_asset_key(&run.project, &asset.name, &key)
        .await?)
}

/// Refuses an asset that files kept from being looked into when the project was checked.
fn can_be_read(asset: &Asset) -> Result<(), StageError> {
    match &asset.body {
        AssetBody::Ingest(ingest) => match &ingest.unread {
            Some(error) => Err(StageError::Unread(error.clone())),
            None => Ok(()),
        },
        AssetBody::Unread(unread) => Err(StageError::NeedsUnread(unread.needs.clone())),
        _ => Ok(()),
    }
}

/// Tells the store what it does not know of a table, besides what its commits say: it was
/// lost, or a process ended before it could tell.
async fn settle(run: &RunContext, asset: &Asset) -> Result<(), StageError> {
    let (lakehouse, state) = (&run.world.lakehouse, &run.state);
    if let AssetBody::Ingest(ingest) = &asset.body {
        file_rows::recount(lakehouse, state, &run.project, &ingest.table).await?;
        let rejected = rejects::table_of(&ingest.table)?;
        state.reconcile_side_table(lakehouse, &rejected).await?;
    }
    if let Some(quarantine) = asset.rows().and_then(|rows| rows.quarantine.as_ref()) {
        state.reconcile_side_table(lakehouse, quarantine).await?;
    }
    Ok(())
}

/// Remembers the files that had to be read, so that they need not be the next time.
async fn remember(
    run: &RunContext,
    asset: &Asset,
    freshness: &Freshness,
) -> Result<(), StageError> {
    let AssetBody::Ingest(ingest) = &asset.body else {
        return Ok(());
    };
    let known = |file: &&SourceFile| {
        let known = ingest.memory.get(&file.found_as);
        known.is_none_or(|known| known.seen != file.seen)
    };
    let news: Vec<&SourceFile> = freshness.files.iter().filter(known).collect();
    if !news.is_empty() {
        let read_as = ingest.options.identity();
        run.state
            .remember_files(&run.project, &asset.name, &read_as, &news)
            .await?;
    }
    Ok(())
}

fn new_stage(asset: &Asset, key: Option<String>) -> NewStage {
    NewStage {
        asset: asset.name.clone(),
        kind: asset.kind().to_owned(),
        key,
        made_from: None,
    }
}

/// What it takes to make an asset again as it is made now.
async fn made_from(
    run: &RunContext,
    asset: &Asset,
    freshness: &Freshness,
) -> Result<Option<String>, StageError> {
    let before = run.state.asset_key(&run.project, &asset.name).await?;
    let now = run.plan.event_time.now;
    let mut rule_tables = BTreeMap::new();
    for table in asset.rule_reads() {
        if let Some(found) = run.catalog.table(table).await? {
            let identity = format!("{}@{}", found.table_id, found.version);
            rule_tables.insert(table.to_string(), identity);
        }
    }
    let made_from = MadeFrom {
        fingerprint: freshness.fingerprint.clone(),
        rule_tables,
        anew: matches!(freshness.verdict, Verdict::Stale { anew: true, .. }),
        now_ms: now.map_or_else(now_ms, |now| now.0),
        before: before.map(Before::from),
    };
    Ok(serde_json::to_string(&made_from).ok())
}

/// What reads a table in this run shall read the rows that were found up to date.
async fn pin(run: &RunContext, asset: &Asset, version: Option<i64>) -> Result<(), StageError> {
    if let (Some(table), Some(version)) = (asset.table(), version) {
        let version = lookup(run).version_to_read(table, version).await?;
        run.catalog.pins().set(table, version);
    }
    Ok(())
}

fn lookup(run: &RunContext) -> Lookup<'_> {
    Lookup {
        catalog: &run.catalog,
        registry: &run.world.registry,
        state: Some(&run.state),
        project: Some(&run.project),
        event_time: run.plan.event_time,
    }
}

async fn make(run: &RunContext, asset: &Asset, freshness: Freshness) -> Result<Made, StageError> {
    let anew = matches!(freshness.verdict, Verdict::Stale { anew: true, .. });
    let written = match &asset.body {
        AssetBody::Ingest(ingest) => files::from_files(run, asset, ingest, freshness, anew).await?,
        AssetBody::Sql(sql) => match (&sql.upkeep.mode, &freshness.earlier) {
            (Mode::Interval(mode), earlier) => {
                let now = &freshness.fingerprint;
                let intervals = Intervals {
                    run,
                    asset,
                    sql,
                    mode,
                    fingerprint: now,
                    ledger: &freshness.intervals,
                    anew,
                    inputs_changed: earlier
                        .as_ref()
                        .is_none_or(|earlier| earlier.key() != now.key()),
                };
                intervals.make().await?
            }
            (_, Some(earlier)) if !anew => {
                let now = &freshness.fingerprint;
                match incremental::bring_up_to_date(run, asset, sql, now, earlier).await? {
                    Outcome::Written(written) => written,
                    Outcome::Nothing(note) => {
                        rekey(run, asset, &freshness).await?;
                        return Ok(Made {
                            rows: Some(0),
                            version: freshness.version,
                            metrics: BTreeMap::new(),
                            note: Some(note),
                        });
                    }
                }
            }
            (mode, _) if mode.has_keys() => {
                keyed::stage::whole(run, asset, sql, &freshness.fingerprint).await?
            }
            _ => table::from_query(run, asset, sql, &freshness.fingerprint).await?,
        },
        AssetBody::Scored(rows) => {
            scored::from_model(run, asset, rows, &freshness.fingerprint, anew).await?
        }
        AssetBody::Tokenizer(source) => {
            let made = tokenizer::make(run, asset, source, &freshness.fingerprint).await?;
            return Ok(Made {
                rows: None,
                version: Some(made.version),
                metrics: BTreeMap::new(),
                note: made.note,
            });
        }
        AssetBody::Model(model) => {
            let made = model::make(run, asset, model, &freshness.fingerprint).await?;
            return Ok(Made {
                rows: None,
                version: made.version,
                metrics: made.metrics,
                note: made.note,
            });
        }
        AssetBody::Unread(unread) => return Err(StageError::NeedsUnread(unread.needs.clone())),
        AssetBody::Report(page) => {
            let metrics = report::make(run, asset, page, &freshness.fingerprint).await?;
            return Ok(Made {
                rows: None,
                version: None,
                metrics,
                note: None,
            });
        }
    };
    Ok(Made {
        rows: Some(written.rows),
        version: i64::try_from(written.version).ok(),
        metrics: BTreeMap::new(),
        note: None,
    })
}

async fn fail(
    run: &RunContext,
    asset: &Asset,
    tally: &Tally,
    error: &StageError,
    (attempts, seconds): (u32, f64),
) {
    let words = in_words(error);
    let (status, ended) = match error {
        StageError::Cancelled => (StageStatus::Cancelled, Ended::Cancelled),
        _ => (StageStatus::Failed, Ended::Failed),
    };
    let end = match error {
        StageError::Cancelled => StoredEnd {
            reason: Some("the run was stopped".to_owned()),
            attempts: i64::from(attempts),
            ..StoredEnd::new(status)
        },
        _ => StoredEnd {
            error: Some(words.clone()),
            attempts: i64::from(attempts),
            fault: Some(error.fault()),
            transient: Some(error.is_transient()),
            ..StoredEnd::new(status)
        },
    };
    let recorded = run
        .state
        .record_stages(&run.run_id, &[(new_stage(asset, None), end)])
        .await;
    if let Err(error) = recorded {
        let words = error_chain(&error);
        run.warn(
            &asset.name,
            format!("the end of this stage was not recorded: {words}"),
        );
    }
    tally.add(ended);
    if ended == Ended::Failed {
        run.emit(EventKind::StageFailed {
            asset: asset.name.clone(),
            kind: asset.kind(),
            error: words,
            fault: error.fault(),
            transient: error.is_transient(),
            attempts,
            seconds,
        });
    }
}

/// An error and its causes, without the names of the engine's insides.
pub(crate) fn in_words(error: &StageError) -> String {
    let engine = match error {
        StageError::DataFusion(source) => source,
        StageError::Lake(LakeError::Rows { source, .. }) => source.as_ref(),
        other => return error_chain(other),
    };
    plain_words(&engine.strip_backtrace())
}
