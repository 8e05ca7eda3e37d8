//! Models, tokenizers, reports and decisions of the run and of the replay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_lake::registry::{AliasDecision, ModelVersion, Registry, TrainedAs, model_files};
use sluice_lake::state::RunId;

use super::outcome::ReplayVerdict;
use crate::check::World;
use crate::plan::ModelAsset;
use crate::plan::fingerprint::Fingerprint;
use crate::run::error::{StageError, blocking};

/// Differences that are told of one kind.
const TOLD: usize = 5;

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) verdict: ReplayVerdict,
    pub(super) words: Vec<String>,
}

impl Found {
    fn gone(words: String) -> Self {
        Self {
            verdict: ReplayVerdict::NotReplayable,
            words: vec![words],
        }
    }

    fn of(differences: Vec<String>, equal: String) -> Self {
        match differences.is_empty() {
            true => Self {
                verdict: ReplayVerdict::Equal,
                words: vec![equal],
            },
            false => Self {
                verdict: ReplayVerdict::Differs,
                words: differences,
            },
        }
    }
}

/// A lakehouse with the run in it, or its replay, and the version that a stage made there.
pub(super) struct Side<'a> {
    pub(super) world: &'a World,
    pub(super) run: &'a RunId,
    pub(super) version: Option<i64>,
}

/// A model, wherever it was put.
struct Fitted {
    path: PathBuf,
    metrics: BTreeMap<String, f64>,
    version: Option<ModelVersion>,
}

/// Compares a model's files, its metrics, and what was decided about its alias.
pub(super) async fn of_model(
    model: &ModelAsset,
    fingerprint: &Fingerprint,
    run: Side<'_>,
    replay: Side<'_>,
) -> Result<Found, StageError> {
    let name = model
        .register
        .as_ref()
        .map(|register| register.name.as_str());
    let Some(before) = fitted(name, fingerprint, &run).await? else {
        return Ok(Found::gone(gone_model(name, run.version)));
    };
    let Some(now) = fitted(name, fingerprint, &replay).await? else {
        return Ok(Found::of(
            vec!["the replay kept no model".to_owned()],
            String::new(),
        ));
    };
    let mut differences = files_differ(&before.path, &now.path).await?;
    differences.extend(metrics_differ(&before.metrics, &now.metrics));
    let decided = (
        decision(&run, &before).await?,
        decision(&replay, &now).await?,
    );
    differences.extend(decisions_differ(decided.0.as_ref(), decided.1.as_ref()));
    let figures = before.metrics.len();
    Ok(Found::of(
        differences,
        format!("files and {figures} metrics are equal"),
    ))
}

/// Compares the files of a tokenizer.
pub(super) async fn of_tokenizer(
    name: &str,
    run: Side<'_>,
    replay: Side<'_>,
) -> Result<Found, StageError> {
    let before = version(&run.world.registry, name, run.version).await?;
    let Some(before) = before else {
        return Ok(Found::gone(gone_model(Some(name), run.version)));
    };
    let Some(now) = version(&replay.world.registry, name, replay.version).await? else {
        return Ok(Found::of(
            vec!["the replay kept no tokenizer".to_owned()],
            String::new(),
        ));
    };
    let differences = files_differ(&before.path, &now.path).await?;
    Ok(Found::of(differences, "its files are equal".to_owned()))
}

/// Compares the figures that a report was drawn from.
pub(super) async fn of_report(
    name: &str,
    run: Side<'_>,
    replay: Side<'_>,
) -> Result<Found, StageError> {
    let figures = |side: &Side<'_>| {
        let folder = side.world.lakehouse.artifacts_path(side.run.as_str());
        folder.join("reports").join(format!("{name}.json"))
    };
    let (before, now) = (figures(&run), figures(&replay));
    blocking(move || {
        let read = |path: &Path| -> Option<Value> {
            serde_json::from_slice(&std::fs::read(path).ok()?).ok()
        };
        let (Some(old), Some(new)) = (read(&before), read(&now)) else {
            let gone = if before.is_file() { now } else { before };
            return Ok(Found::gone(format!(
                "its figures are gone: {} cannot be read",
                gone.display()
            )));
        };
        let mut differences = Vec::new();
        values_differ("", &old, &new, &mut differences);
        Ok(Found::of(
            cut(differences, "figures"),
            "its figures are equal".to_owned(),
        ))
    })
    .await
}

fn gone_model(name: Option<&str>, version: Option<i64>) -> String {
    match (name, version) {
        (Some(name), Some(version)) => format!("models:/{name}/{version} was deleted"),
        _ => "the model that the run kept is gone".to_owned(),
    }
}

async fn version(
    registry: &Registry,
    name: &str,
    number: Option<i64>,
) -> Result<Option<ModelVersion>, StageError> {
    let versions = registry.versions(name).await?;
    Ok(versions
        .into_iter()
        .find(|found| Some(found.version) == number))
}

async fn fitted(
    name: Option<&str>,
    fingerprint: &Fingerprint,
    side: &Side<'_>,
) -> Result<Option<Fitted>, StageError> {
    let registry = &side.world.registry;
    if let Some(name) = name {
        let found = version(registry, name, side.version).await?;
        return Ok(found.map(|found| Fitted {
            path: found.path.clone(),
            metrics: found.metrics.clone(),
            version: Some(found),
        }));
    }
    let wanted = TrainedAs::Key(fingerprint.training_key());
    let mut kept = registry.kept_models(&side.world.lakehouse, wanted).await?;
    // The run's own, where it did not take over that of another.
    let mut own = None;
    if let Some(state) = &side.world.state {
        for (at, model) in kept.iter().enumerate() {
            let trained = state.run(&model.run_id).await?;
            if trained.and_then(|run| run.parent).as_ref() == Some(side.run) {
                own = Some(at);
            }
        }
    }
    let kept = match own {
        Some(at) => Some(kept.swap_remove(at)),
        None => kept.pop(),
    };
    Ok(kept.map(|kept| Fitted {
        path: kept.path,
        metrics: kept.metrics,
        version: None,
    }))
}

async fn files_differ(run: &Path, replay: &Path) -> Result<Vec<String>, StageError> {
    let (run, replay) = (run.to_owned(), replay.to_owned());
    let (before, now) = blocking(move || Ok((model_files(&run)?, model_files(&replay)?))).await?;
    let mut words = Vec::new();
    for (file, hash) in &before {
        match now.get(file) {
            None => words.push(format!("the replay has no {file}")),
            Some(other) if other != hash => words.push(format!("{file} differs")),
            Some(_) => {}
        }
    }
    let only = now.keys().filter(|file| !before.contains_key(*file));
    words.extend(only.map(|file| format!("only the replay has {file}")));
    Ok(words)
}

fn metrics_differ(run: &BTreeMap<String, f64>, replay: &BTreeMap<String, f64>) -> Vec<String> {
    let mut words = Vec::new();
    let names = run
        .keys()
        .chain(replay.keys().filter(|name| !run.contains_key(*name)));
    for name in names {
        match (run.get(name), replay.get(name)) {
            (Some(old), Some(new)) if same(*old, *new) => {}
            (Some(old), Some(new)) => {
                words.push(format!("{name} is {new} in the replay, {old} in the run"));
            }
            (Some(_), None) => words.push(format!("the replay has no {name}")),
            (None, _) => words.push(format!("only the replay has {name}")),
        }
    }
    cut(words, "metrics")
}

/// NaN is as good as NaN.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// What the run decided about a version, if it did.
async fn decision(side: &Side<'_>, fitted: &Fitted) -> Result<Option<AliasDecision>, StageError> {
    let Some(version) = &fitted.version else {
        return Ok(None);
    };
    let all = side.world.registry.decisions(version).await?;
    Ok(all.into_iter().find(|found| found.run_id == *side.run))
}

fn decisions_differ(run: Option<&AliasDecision>, replay: Option<&AliasDecision>) -> Option<String> {
    let (run, replay) = (run?, replay?);
    let word = |moved: bool| if moved { "moves" } else { "does not move" };
    (run.moved != replay.moved).then(|| {
        format!(
            "the alias {} {} in the replay ({}), and {} in the run ({})",
            run.alias,
            word(replay.moved),
            replay.reason,
            word(run.moved),
            run.reason
        )
    })
}

/// The first few, and how many more there are.
fn cut(mut words: Vec<String>, what: &str) -> Vec<String> {
    if words.len() > TOLD {
        let more = words.len() - TOLD;
        words.truncate(TOLD);
        words.push(format!("{more} more {what} differ"));
    }
    words
}

/// Where two JSON values differ.
fn values_differ(path: &str, run: &Value, replay: &Value, words: &mut Vec<String>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (run, replay) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                match new.get(key) {
                    Some(other) => values_differ(&below(key), value, other, words),
                    None => words.push(format!("the replay has no {}", below(key))),
                }
            }
            let only = new.keys().filter(|key| !old.contains_key(*key));
            words.extend(only.map(|key| format!("only the replay has {}", below(key))));
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (at, (value, other)) in old.iter().zip(new).enumerate() {
                values_differ(&below(&at.to_string()), value, other, words);
            }
        }
        (old, new) if old == new => {}
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => {
            words.push(format!("{path} differs"));
        }
        (old, new) => words.push(format!("{path} is {new} in the replay, {old} in the run")),
    }
}
