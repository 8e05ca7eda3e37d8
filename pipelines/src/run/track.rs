//! What a fit leaves in the tracking store and among the artifacts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use sluice_lake::state::{Artifact, FinishedRun, Metric, NewRun, RunId, RunKind, RunStatus};
use sluice_learn::Fitted;
use sluice_learn::search::param_text;
use sluice_learn::sweep::{ParameterImportance, Trial};

use super::context::{RunContext, now_ms};
use super::error::{StageError, blocking};
use super::figures;
use super::resume::{BEST_ITERATION_TAG, ITERATIONS_TAG, KEY_TAG, NUMBER_TAG, STATE_TAG};
use crate::check::error_chain;
use crate::plan::Asset;

/// What the names of metrics after each round start with.
const ROUNDS_PREFIX: &str = "rounds.";

/// Starts the run of a model asset, below the run of the project.
pub(crate) async fn start(
    run: &RunContext,
    asset: &Asset,
    kind: RunKind,
) -> Result<RunId, StageError> {
    let new = NewRun {
        project: run.project.clone(),
        pipeline: run.plan.pipeline.clone(),
        kind,
        name: asset.name.clone(),
        parent: Some(run.run_id.clone()),
        definitions: None,
    };
    Ok(run.state.start_run(new).await?)
}

/// Ends the run of an asset as its work did.
pub(crate) async fn finish<T>(
    run: &RunContext,
    run_id: &RunId,
    outcome: &Result<T, StageError>,
) -> Result<(), StageError> {
    let (status, error) = match outcome {
        Ok(_) => (RunStatus::Finished, None),
        Err(StageError::Cancelled) => (RunStatus::Killed, Some("stopped".to_owned())),
        Err(error) => (RunStatus::Failed, Some(error_chain(error))),
    };
    let ended = run.state.finish_run(run_id, status, error.as_deref());
    Ok(ended.await?)
}

/// Parameters as the store keeps them: texts without quotes.
pub(crate) fn params(map: &Map<String, Value>) -> Vec<(String, String)> {
    map.iter()
        .map(|(key, value)| (key.clone(), param_text(value)))
        .collect()
}

/// The metrics of a fitted model, and the watched one after each round as
/// `rounds.<metric>` with the round (from 0) as its step.
pub(crate) fn metrics(
    figures: &BTreeMap<String, f64>,
    history: &[f64],
    watched: &str,
) -> Vec<Metric> {
    let timestamp_ms = now_ms();
    let single = figures.iter().map(|(key, value)| Metric {
        key: key.clone(),
        value: *value,
        step: 0,
        timestamp_ms,
    });
    let rounds = history.iter().zip(0_i64..).map(|(value, step)| Metric {
        key: format!("{ROUNDS_PREFIX}{watched}"),
        value: *value,
        step,
        timestamp_ms,
    });
    single.chain(rounds).collect()
}

/// A trial as a run of its own below its sweep, with all that it takes to go on from it
/// ([`super::resume`]).
pub(crate) fn trial(
    run: &RunContext,
    sweep: &RunId,
    run_id: &RunId,
    key: &str,
    (trial, end_time_ms): (&Trial, i64),
    objective: &str,
) -> FinishedRun {
    let figures: BTreeMap<String, f64> = trial
        .evaluation
        .iter()
        .flat_map(|evaluation| &evaluation.metrics)
        .map(|(name, value)| (format!("validation.{name}"), *value))
        .chain(figures::deviations(&trial.folds))
        .collect();
    let mut tags = vec![
        (KEY_TAG.to_owned(), key.to_owned()),
        (NUMBER_TAG.to_owned(), trial.number.to_string()),
        (STATE_TAG.to_owned(), trial.state().to_owned()),
        (ITERATIONS_TAG.to_owned(), trial.iterations.to_string()),
    ];
    tags.extend(
        trial
            .best_iteration
            .map(|best| (BEST_ITERATION_TAG.to_owned(), best.to_string())),
    );
    FinishedRun {
        run_id: run_id.clone(),
        run: NewRun {
            project: run.project.clone(),
            pipeline: run.plan.pipeline.clone(),
            kind: RunKind::Trial,
            name: format!("trial {}", trial.number),
            parent: Some(sweep.clone()),
            definitions: None,
        },
        status: match trial.error {
            Some(_) => RunStatus::Failed,
            None => RunStatus::Finished,
        },
        error: trial.error.clone(),
        start_time_ms: end_time_ms - (trial.seconds * 1000.0) as i64,
        end_time_ms,
        params: params(&trial.params),
        metrics: metrics(&figures, &trial.history, objective),
        tags,
    }
}

/// Keeps text files as artifacts of a run, and records them.
pub(crate) async fn artifacts(
    run: &RunContext,
    run_id: &RunId,
    files: Vec<(&'static str, String)>,
) -> Result<(), StageError> {
    let (lakehouse, id) = (run.world.lakehouse.clone(), run_id.clone());
    let recorded = blocking(move || {
        let kept = files.iter().map(|(name, text)| {
            let kept = lakehouse.put_artifact(id.as_str(), name, text.as_bytes())?;
            Ok(Artifact {
                path: (*name).to_owned(),
                hash: kept,
                bytes: text.len() as u64,
            })
        });
        kept.collect::<Result<Vec<_>, StageError>>()
    })
    .await?;
    Ok(run.state.log_artifacts(run_id, &recorded).await?)
}

/// Feature importance as CSV, the most important first.
pub(crate) fn importance_csv(fitted: &Fitted) -> String {
    let mut text = "feature,gain,splits\n".to_owned();
    for feature in &fitted.importance {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{},{},{}",
            quoted(&feature.feature),
            feature.gain,
            feature.splits
        );
    }
    text
}

/// The importance of the searched parameters as CSV: each alone, then each pair beyond what
/// its two explain alone; the most important first.
pub(crate) fn parameter_importance_csv(importance: &ParameterImportance) -> String {
    let mut text = "parameter,with,importance\n".to_owned();
    for (parameter, part) in &importance.parameters {
        let _ = writeln!(text, "{},,{part}", quoted(parameter));
    }
    for ((parameter, with), part) in &importance.pairs {
        let _ = writeln!(text, "{},{},{part}", quoted(parameter), quoted(with));
    }
    text
}

/// Trials as CSV, the best first.
pub(crate) fn leaderboard_csv(trials: &[&Trial], objective: &str) -> String {
    let columns: Vec<&String> = trials
        .first()
        .map_or_else(Vec::new, |t| t.chosen.keys().collect());
    let mut text = format!("rank,trial,state,{objective},rounds");
    for column in &columns {
        text.push(',');
        text.push_str(&quoted(column));
    }
    text.push('\n');
    for (rank, trial) in trials.iter().enumerate() {
        let value = trial
            .value
            .map_or_else(String::new, |value| value.to_string());
        let _ = write!(
            text,
            "{},{},{},{value},{}",
            rank + 1,
            trial.number,
            trial.state(),
            trial.iterations
        );
        for column in &columns {
            let value = trial.chosen.get(*column).unwrap_or(&Value::Null);
            text.push(',');
            text.push_str(&quoted(&param_text(value)));
        }
        text.push('\n');
    }
    text
}

/// A field of a CSV line.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
