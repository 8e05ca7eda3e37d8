//! What a fit leaves in the tracking store and among the artifacts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value};
use sluice_lake::state::{
    Artifact, DatasetUse, FinishedRun, Metric, NewRun, RunId, RunKind, RunStatus,
};
use sluice_learn::Fitted;
use sluice_learn::sweep::Trial;

use super::context::{RunContext, now_ms};
use super::error::{StageError, blocking};
use crate::plan::{Asset, ModelAsset};

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
    };
    Ok(run.state.start_run(new).await?)
}

/// The table that a model learns from, at the version that this run sees.
pub(crate) fn dataset(run: &RunContext, model: &ModelAsset) -> DatasetUse {
    let version = run.catalog.pins().get(&model.from).unwrap_or(0);
    DatasetUse {
        name: model.from.to_string(),
        version: i64::try_from(version).unwrap_or(i64::MAX),
        context: "training".to_owned(),
    }
}

/// Parameters as the store keeps them: texts without quotes.
pub(crate) fn params(map: &Map<String, Value>) -> Vec<(String, String)> {
    map.iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key.clone(), text.clone()),
            other => (key.clone(), other.to_string()),
        })
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
        key: format!("rounds.{watched}"),
        value: *value,
        step,
        timestamp_ms,
    });
    single.chain(rounds).collect()
}

/// A trial as a run of its own below its sweep.
pub(crate) fn trial(run: &RunContext, sweep: &RunId, run_id: RunId, trial: &Trial) -> FinishedRun {
    let end_time_ms = now_ms();
    let figures = trial
        .evaluation
        .iter()
        .flat_map(|evaluation| &evaluation.metrics);
    FinishedRun {
        run_id,
        run: NewRun {
            project: run.project.clone(),
            pipeline: run.plan.pipeline.clone(),
            kind: RunKind::Trial,
            name: format!("trial {}", trial.number),
            parent: Some(sweep.clone()),
        },
        status: match trial.error {
            Some(_) => RunStatus::Failed,
            None => RunStatus::Finished,
        },
        error: trial.error.clone(),
        start_time_ms: end_time_ms - (trial.seconds * 1000.0) as i64,
        end_time_ms,
        params: params(&trial.params),
        metrics: figures
            .map(|(name, value)| Metric {
                key: format!("validation.{name}"),
                value: *value,
                step: 0,
                timestamp_ms: end_time_ms,
            })
            .collect(),
        tags: vec![
            ("trial.number".to_owned(), trial.number.to_string()),
            ("trial.iterations".to_owned(), trial.iterations.to_string()),
        ],
    }
}

/// Writes text files into a run's artifact folder and records them.
pub(crate) async fn artifacts(
    run: &RunContext,
    run_id: &RunId,
    files: Vec<(&'static str, String)>,
) -> Result<(), StageError> {
    let folder: PathBuf = run.world.lakehouse.artifacts_path(run_id.as_str());
    let recorded = blocking(move || {
        let failed = |path: &std::path::Path, source| StageError::Write {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let mut recorded = Vec::with_capacity(files.len());
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::write(&path, &text).map_err(|error| failed(&path, error))?;
            recorded.push(Artifact {
                path: name.to_owned(),
                hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
                bytes: text.len() as u64,
            });
        }
        Ok(recorded)
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

/// Trials as CSV, the best first.
pub(crate) fn leaderboard_csv(trials: &[&Trial], objective: &str) -> String {
    let columns: Vec<&String> = trials
        .first()
        .map_or_else(Vec::new, |t| t.chosen.keys().collect());
    let mut text = format!("rank,trial,{objective}");
    for column in &columns {
        text.push(',');
        text.push_str(&quoted(column));
    }
    text.push('\n');
    for (rank, trial) in trials.iter().enumerate() {
        let value = trial
            .value
            .map_or_else(String::new, |value| value.to_string());
        let _ = write!(text, "{},{},{value}", rank + 1, trial.number);
        for column in &columns {
            let value = trial.chosen.get(*column).unwrap_or(&Value::Null);
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            text.push(',');
            text.push_str(&quoted(&shown));
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
