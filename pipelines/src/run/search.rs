//! Runs a sweep: goes on from what is done, records each trial, tells the leaderboard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sluice_lake::state::RunId;
use sluice_learn::metric::Goal;
use sluice_learn::sweep::{self, SweepEvent, SweepOptions, SweepOutcome, SweepSpec, Trial};
use sluice_learn::validate::FinishedFit;
use sluice_learn::{Seat, Splits};
use tokio::sync::mpsc::Receiver;

use super::context::{RunContext, now_ms};
use super::error::StageError;
use super::page::Search;
use super::resume::{self, WARM_TAG};
use super::track;
use crate::events::{EventKind, LeaderboardRow};
use crate::plan::Asset;

/// Trials that may wait to be recorded, which are then recorded together: more short trials
/// end than there can be transactions. Beyond that the sweep waits for the store rather than
/// run ahead of it, so that little is lost when it is killed, and a stop comes in time.
const WAITING: usize = 4;

/// Lines of a leaderboard that are shown.
const LEADERBOARD_ROWS: usize = 10;

/// Runs a sweep. Each trial that ends becomes a run below the sweep's, and an event. Returns
/// the winner, and the search for the report.
pub(crate) async fn search(
    run: &RunContext,
    asset: &Asset,
    spec: &SweepSpec,
    identity: &resume::Identity,
    splits: &Arc<Splits>,
    seat: Seat,
    run_id: &RunId,
) -> Result<(FinishedFit, Search), StageError> {
    let key = &identity.key;
    let resumed = resume::find(&run.state, &run.project, asset, spec, key).await?;
    let mut tags = vec![
        ("estimator".to_owned(), spec.estimator().to_owned()),
        ("objective".to_owned(), spec.objective().name()),
    ];
    tags.extend(identity.tags());
    tags.extend(resumed.warm_key.map(|key| (WARM_TAG.to_owned(), key)));
    run.state.set_tags(run_id, &tags).await?;
    let done = resumed.before.trials.range(..=spec.trials()).count();
    if done > 0 {
        run.emit(EventKind::SweepResumed {
            asset: asset.name.clone(),
            done: done as u64,
            total: spec.trials() as u64,
        });
    }
    let (sender, ended) = tokio::sync::mpsc::channel(WAITING);
    let (worker, splits, before) = (spec.clone(), Arc::clone(splits), resumed.before);
    let sweep = run.compute(move |cancel: &AtomicBool| {
        let on_event = |event: SweepEvent<'_>| {
            // Without a receiver the recording has failed, and the stage with it.
            let _ = match event {
                SweepEvent::Started { .. } => Ok(()),
                SweepEvent::Finished(trial) => {
                    sender.blocking_send((trial.clone(), Some(now_ms())))
                }
                SweepEvent::Resumed(trial) => sender.blocking_send((trial.clone(), None)),
            };
        };
        let options = SweepOptions {
            compute: &seat,
            before: &before,
            cancel,
            on_event: &on_event,
        };
        Ok(sweep::run(&worker, &splits, &options)?)
    });
    let record = record(run, asset, spec, key, run_id, resumed.runs, ended);
    let (outcome, ids) = tokio::join!(sweep, record);
    let (outcome, ids) = (outcome?, ids?);
    tell(run, asset, spec, run_id, &outcome, &ids).await?;
    let goal = spec.objective().metric.goal;
    let search = Search {
        objective: spec.objective().name(),
        goal,
        dimensions: spec.space().dimensions.clone(),
        ranked: outcome.ranked(goal).iter().map(|t| t.number).collect(),
        best: outcome.best,
        importance: outcome.importance,
        trials: outcome.trials,
    };
    let winner = FinishedFit {
        fitted: outcome.winner,
        cross_validation: outcome.cross_validation,
    };
    Ok((winner, search))
}

/// Records trials as they end, until there are no more. Returns the runs of all. With each
/// comes when it ended, in milliseconds since 1970 UTC, which may be before its turn to be
/// recorded; an earlier run's trial has none.
async fn record(
    run: &RunContext,
    asset: &Asset,
    spec: &SweepSpec,
    key: &str,
    run_id: &RunId,
    mut ids: BTreeMap<usize, RunId>,
    mut ended: Receiver<(Trial, Option<i64>)>,
) -> Result<BTreeMap<usize, RunId>, StageError> {
    let goal = spec.objective().metric.goal;
    let objective = spec.objective().name();
    let mut best: Option<f64> = None;
    let mut waiting = Vec::with_capacity(WAITING);
    while ended.recv_many(&mut waiting, WAITING).await > 0 {
        let (mut finished, mut events) = (Vec::new(), Vec::new());
        for (trial, end_time_ms) in waiting.drain(..) {
            best = match (best, trial.value.filter(|_| !trial.pruned)) {
                (Some(best), Some(value)) if !goal.better(value, best) => Some(best),
                (best, value) => value.or(best),
            };
            let Some(end_time_ms) = end_time_ms else {
                continue;
            };
            let id = RunId::generate();
            let ended = (&trial, end_time_ms);
            finished.push(track::trial(run, run_id, &id, key, ended, &objective));
            events.push(EventKind::Trial {
                asset: asset.name.clone(),
                number: trial.number as u64,
                total: spec.trials() as u64,
                run_id: id.to_string(),
                params: trial.chosen.clone().into_iter().collect(),
                value: trial.value,
                pruned: trial.pruned,
                best,
            });
            ids.insert(trial.number, id);
        }
        if !finished.is_empty() {
            run.state.record_runs(&finished).await?;
        }
        events.into_iter().for_each(|event| run.emit(event));
    }
    Ok(ids)
}

/// Records what the sweep found, and shows it.
async fn tell(
    run: &RunContext,
    asset: &Asset,
    spec: &SweepSpec,
    run_id: &RunId,
    outcome: &SweepOutcome,
    ids: &BTreeMap<usize, RunId>,
) -> Result<(), StageError> {
    let goal = spec.objective().metric.goal;
    let objective = spec.objective().name();
    let ranked = outcome.ranked(goal);
    let best = &outcome.trials[outcome.best - 1];
    run.state
        .log_params(run_id, &track::params(&best.params))
        .await?;
    run.state
        .set_tag(run_id, "best_trial", &best.number.to_string())
        .await?;
    let files = vec![
        (
            "leaderboard.csv",
            track::leaderboard_csv(&ranked, &objective),
        ),
        (
            "parameter_importance.csv",
            track::parameter_importance_csv(&outcome.importance),
        ),
    ];
    track::artifacts(run, run_id, files).await?;
    let rows = ranked
        .iter()
        .filter(|trial| !trial.pruned)
        .filter_map(|trial| {
            Some(LeaderboardRow {
                number: trial.number as u64,
                run_id: ids.get(&trial.number)?.to_string(),
                value: trial.value?,
                params: trial.chosen.clone().into_iter().collect(),
            })
        });
    run.emit(EventKind::Leaderboard {
        asset: asset.name.clone(),
        metric: objective,
        maximize: goal == Goal::Maximize,
        trials: outcome.trials.len() as u64,
        pruned: outcome.trials.iter().filter(|trial| trial.pruned).count() as u64,
        rows: rows.take(LEADERBOARD_ROWS).collect(),
        importance: outcome.importance.parameters.clone(),
    });
    Ok(())
}
