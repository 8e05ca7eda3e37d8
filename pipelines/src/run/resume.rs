//! What earlier runs of a sweep left for the next one.
//!
//! A sweep's run and its trials' runs carry the tag [`KEY_TAG`]: the identity of the search,
//! which is the asset's definition without what only says how long to search and where the
//! winner goes, and the digest of the rows. Runs with one key try the same points in the same order, so whatever of them
//! was finished, in whichever of them, need not be made again. Each attempt is a run of its
//! own; a trial stays below the attempt that made it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sluice_lake::state::{LoggedRun, RunId, RunKind, RunStatus, State};
use sluice_learn::metric::Goal;
use sluice_learn::search::Point;
use sluice_learn::sweep::{Before, EarlierTrial, SweepSpec};

use super::error::StageError;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::upkeep::Pinned;
use crate::plan::{Asset, Fit, ModelAsset};

/// The tag with the identity of a search.
pub(crate) const KEY_TAG: &str = "sweep.key";
/// The tag of a sweep's run with the identity of the search without its rows.
const SPEC_TAG: &str = "sweep.spec";
/// The tag of a sweep's run with the table that it read, as its identity and version.
const TABLE_TAG: &str = "sweep.table";
/// The tag of a sweep's run with the identity of the search whose best points it began with.
pub(crate) const WARM_TAG: &str = "sweep.warm_start";
/// The tag of a trial's run with its number, from 1.
pub(crate) const NUMBER_TAG: &str = "trial.number";
/// The tag of a trial's run with its state.
pub(crate) const STATE_TAG: &str = "trial.state";
/// The tag of a trial's run with the rounds that its model keeps.
pub(crate) const ITERATIONS_TAG: &str = "trial.iterations";
/// The tag of a trial's run with its best round, where early stopping chose one.
pub(crate) const BEST_ITERATION_TAG: &str = "trial.best_iteration";

/// A trial of an earlier run, and the run that it was.
pub(crate) struct Stored {
    pub(crate) run_id: RunId,
    pub(crate) trial: EarlierTrial,
}

/// What a sweep goes on from.
pub(crate) struct Resumed {
    pub(crate) before: Before,
    /// The runs of the trials in `before`, by number.
    pub(crate) runs: BTreeMap<usize, RunId>,
    /// The search that the first points come from.
    pub(crate) warm_key: Option<String>,
}

/// What identifies a search.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What is searched, in which rows.
    pub(crate) key: String,
    /// What is searched.
    pub(crate) spec: String,
    /// The table that the rows come from, as its identity and version.
    pub(crate) table: String,
}

impl Identity {
    /// The search that a fingerprint describes, in rows with this digest.
    pub(crate) fn new(model: &ModelAsset, fingerprint: &Fingerprint, digest: &str) -> Self {
        let spec = spec_key(model, fingerprint);
        let key = blake3::hash(format!("{spec} {digest}").as_bytes());
        Self {
            key: key.to_hex()[..32].to_owned(),
            spec,
            table: table(model, fingerprint),
        }
    }

    /// The tags by which later runs find it.
    pub(crate) fn tags(&self) -> [(String, String); 3] {
        [
            (KEY_TAG.to_owned(), self.key.clone()),
            (SPEC_TAG.to_owned(), self.spec.clone()),
            (TABLE_TAG.to_owned(), self.table.clone()),
        ]
    }
}

/// The identity of a search without its rows.
fn spec_key(model: &ModelAsset, fingerprint: &Fingerprint) -> String {
    let mut definition = model.definition.clone();
    if let Some(definition) = definition.as_object_mut() {
        definition.remove("register");
        if let Some(Value::Object(sweep)) = definition.get_mut("sweep") {
            sweep.remove("trials");
            sweep.remove("timeout");
        }
        // Trials of two releases may differ in their last bits.
        definition.insert("release".to_owned(), env!("CARGO_PKG_VERSION").into());
    }
    let definition = blake3::hash(definition.to_string().as_bytes());
    Fingerprint {
        definition: definition.to_hex().to_string(),
        ..fingerprint.clone()
    }
    .spec_key()
}

fn table(model: &ModelAsset, fingerprint: &Fingerprint) -> String {
    let tables = &fingerprint.tables;
    let table = tables.get(&model.from.to_string());
    table.cloned().unwrap_or_default()
}

/// How far earlier runs got with a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) done: usize,
    total: usize,
    /// The version of the table whose rows were searched, if it is not the present one.
    version: Option<String>,
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} trials are done", self.done, self.total)?;
        match &self.version {
            Some(version) => write!(out, ", if its rows are still those of version {version}"),
            None => Ok(()),
        }
    }
}

/// How far earlier runs got with a sweep; `None` for what is no sweep, or was not begun. The
/// rows are not read: an attempt on the present version of the table is the one to go on
/// from, else the latest one may be.
pub(crate) async fn progress(
    state: &State,
    project: &str,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Option<Progress>, StageError> {
    let Fit::Sweep(spec) = &model.fit else {
        return Ok(None);
    };
    let (present, wanted) = (table(model, fingerprint), spec_key(model, fingerprint));
    let runs = state.tagged_runs(project, RunKind::Sweep, SPEC_TAG, &wanted);
    let mut latest = None;
    for run in runs.await?.iter().rev() {
        let mut tags = state.tags(&run.run_id).await?;
        let (Some(key), Some(seen)) = (tags.remove(KEY_TAG), tags.remove(TABLE_TAG)) else {
            continue;
        };
        let is_present = seen == present;
        if is_present || latest.is_none() {
            latest = Some((key, seen));
        }
        if is_present {
            break;
        }
    }
    let Some((key, seen)) = latest else {
        return Ok(None);
    };
    let stored = trials(state, project, &key, spec).await?;
    let version = (seen != present).then(|| match Pinned::parse(&seen) {
        Some(pinned) => pinned.version.to_string(),
        None => seen.clone(),
    });
    Ok(Some(Progress {
        done: stored.range(..=spec.trials()).count(),
        total: spec.trials(),
        version,
    }))
}

/// What there is for a sweep with this key.
pub(crate) async fn find(
    state: &State,
    project: &str,
    asset: &Asset,
    spec: &SweepSpec,
    key: &str,
) -> Result<Resumed, StageError> {
    let stored = trials(state, project, key, spec).await?;
    let warm_key = warm_key(state, project, asset, spec, key).await?;
    let first = match &warm_key {
        Some(warm_key) => best_points(state, project, spec, warm_key).await?,
        None => Vec::new(),
    };
    let (mut trials, mut runs) = (BTreeMap::new(), BTreeMap::new());
    for (number, stored) in stored {
        trials.insert(number, stored.trial);
        runs.insert(number, stored.run_id);
    }
    let before = Before {
        trials,
        spent: spent(state, project, key).await?,
        first,
    };
    Ok(Resumed {
        before,
        runs,
        warm_key,
    })
}

/// The finished trials of a search, by number; the latest of each.
async fn trials(
    state: &State,
    project: &str,
    key: &str,
    spec: &SweepSpec,
) -> Result<BTreeMap<usize, Stored>, StageError> {
    let objective = spec.objective().name();
    let mut stored = BTreeMap::new();
    for attempt in attempts(state, project, key).await? {
        for run in state.logged_children(&attempt).await? {
            let number = run.tags.get(NUMBER_TAG).and_then(|text| text.parse().ok());
            // One that failed, perhaps for want of memory, is tried again.
            if let (Some(number), RunStatus::Finished) = (number, run.run.status) {
                stored.insert(number, read(run, &objective));
            }
        }
    }
    Ok(stored)
}

async fn attempts(state: &State, project: &str, key: &str) -> Result<Vec<RunId>, StageError> {
    let runs = state
        .tagged_runs(project, RunKind::Sweep, KEY_TAG, key)
        .await?;
    Ok(runs.into_iter().map(|run| run.run_id).collect())
}

/// A trial as [`super::track::trial`] records it.
fn read(run: LoggedRun, objective: &str) -> Stored {
    let rounds = format!("rounds.{objective}");
    let value = run.metrics.iter().find(|metric| metric.key == objective);
    let history = run.metrics.iter().filter(|metric| metric.key == rounds);
    let number = |tag: &str| run.tags.get(tag).and_then(|text| text.parse().ok());
    let took_ms = run.run.end_time_ms.unwrap_or(run.run.start_time_ms) - run.run.start_time_ms;
    Stored {
        trial: EarlierTrial {
            value: value
                .map(|metric| metric.value)
                .filter(|value| !value.is_nan()),
            best_iteration: number(BEST_ITERATION_TAG),
            iterations: number(ITERATIONS_TAG).unwrap_or(0),
            history: history.map(|metric| metric.value).collect(),
            seconds: took_ms as f64 / 1000.0,
            pruned: run
                .tags
                .get(STATE_TAG)
                .is_some_and(|state| state == "pruned"),
            params: run.params.into_iter().collect(),
        },
        run_id: run.run.run_id,
    }
}

/// The time that a search has taken so far: of each attempt, until its last trial.
async fn spent(state: &State, project: &str, key: &str) -> Result<Duration, StageError> {
    let attempts = state.tagged_runs(project, RunKind::Sweep, KEY_TAG, key);
    let mut spent_ms = 0;
    for attempt in attempts.await? {
        let trials = state.logged_children(&attempt.run_id).await?;
        let last = trials
            .iter()
            .filter_map(|trial| trial.run.end_time_ms)
            .max();
        spent_ms += last.map_or(0, |last| last - attempt.start_time_ms).max(0);
    }
    Ok(Duration::from_millis(spent_ms.unsigned_abs()))
}

/// The search whose best points are tried first: the one that an earlier attempt began with,
/// else the latest of this asset that ended well.
async fn warm_key(
    state: &State,
    project: &str,
    asset: &Asset,
    spec: &SweepSpec,
    key: &str,
) -> Result<Option<String>, StageError> {
    if spec.warm_start() == 0 {
        return Ok(None);
    }
    if let Some(first) = attempts(state, project, key).await?.first() {
        return Ok(state.tags(first).await?.remove(WARM_TAG));
    }
    let earlier = state
        .named_runs(project, RunKind::Sweep, &asset.name)
        .await?;
    let ended_well = earlier
        .iter()
        .rev()
        .find(|run| run.status == RunStatus::Finished);
    Ok(match ended_well {
        Some(run) => state.tags(&run.run_id).await?.remove(KEY_TAG),
        None => None,
    })
}

/// The best points of another search that this one could try as well.
async fn best_points(
    state: &State,
    project: &str,
    spec: &SweepSpec,
    key: &str,
) -> Result<Vec<Point>, StageError> {
    let goal = spec.objective().metric.goal;
    let stored = trials(state, project, key, spec).await?;
    let mut ranked: Vec<(f64, EarlierTrial)> = stored
        .into_values()
        .filter(|stored| !stored.trial.pruned)
        .filter_map(|stored| Some((stored.trial.value?, stored.trial)))
        .collect();
    // Stable: the earlier first among equals.
    ranked.sort_by(|(a, _), (b, _)| match goal {
        Goal::Maximize => b.total_cmp(a),
        Goal::Minimize => a.total_cmp(b),
    });
    let points = ranked.iter().filter_map(|(_, trial)| {
        let text = |name: &str| trial.params.get(name).map(String::as_str);
        spec.point(text)
    });
    Ok(points.take(spec.warm_start().min(spec.trials())).collect())
}
