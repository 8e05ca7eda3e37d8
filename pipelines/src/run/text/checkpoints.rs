//! Checkpoints among the artifacts of runs, and which run may go on from which.
//!
//! A training's run carries the tag [`KEY_TAG`]: the identity of its definition, its rows and
//! this release. Where an earlier attempt of that key left checkpoints, the folder moves to the
//! new attempt, so that there is never more than one of them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use sluice_lake::Lakehouse;
use sluice_lake::fail_points::{self, Moment};
use sluice_lake::state::{Metric, RunId, RunKind, State};
use sluice_learn::deep::trainer::checkpoint;

use super::super::context::RunContext;
use super::super::error::{StageError, blocking};
use super::super::rows::Identity;
use super::progress::PREFIX;
use crate::plan::ModelAsset;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::forecast::STEPS;

/// The tag with the identity of a training.
const KEY_TAG: &str = "train.key";
/// The tag with the identity of a training without its rows.
const SPEC_TAG: &str = "train.spec";
/// The tag with the table that it read, as its identity and version.
const TABLE_TAG: &str = "train.table";
/// The folder of checkpoints among a run's artifacts.
const FOLDER: &str = "checkpoints";

/// What an earlier attempt left.
#[derive(Default)]
pub(super) struct Earlier {
    /// Its metrics up to the checkpoint.
    pub(super) before: Vec<Metric>,
}

/// The folder of a run's checkpoints.
pub(super) fn folder(run: &RunContext, run_id: &RunId) -> PathBuf {
    folder_in(&run.world.lakehouse, run_id)
}

fn folder_in(lakehouse: &Lakehouse, run_id: &RunId) -> PathBuf {
    lakehouse.artifacts_path(run_id.as_str()).join(FOLDER)
}

/// How far an earlier run got with a training.
pub(crate) struct Progress {
    step: u64,
    /// Steps in all, as they were foreseen.
    total: Option<u64>,
    /// Whether its table is as it was.
    is_same_table: bool,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a checkpoint stands at step {}", self.step)?;
        if let Some(total) = self.total {
            write!(f, " of {total}")?;
        }
        f.write_str(", and the run goes on from it")?;
        match self.is_same_table {
            true => Ok(()),
            false => f.write_str(" if the rows are the same"),
        }
    }
}

/// How far earlier runs got with a training that was not finished.
pub(crate) async fn progress(
    (state, lakehouse): (&State, &Lakehouse),
    project: &str,
    model: &ModelAsset,
    fingerprint: &Fingerprint,
) -> Result<Option<Progress>, StageError> {
    let spec = spec_tag(&fingerprint.spec_key());
    let attempts = state.tagged_runs(project, RunKind::Train, SPEC_TAG, &spec);
    let mut newest: Option<(u64, RunId)> = None;
    for attempt in attempts.await? {
        let folder = folder_in(lakehouse, &attempt.run_id);
        let step = blocking(move || newest_step(&folder)).await?;
        if let Some(step) = step
            && newest.as_ref().is_none_or(|(best, _)| step >= *best)
        {
            newest = Some((step, attempt.run_id));
        }
    }
    let Some((step, run_id)) = newest else {
        return Ok(None);
    };
    let seen = state.tags(&run_id).await?.remove(TABLE_TAG);
    let figures = state.metrics(&run_id).await?;
    let total = figures.iter().find(|metric| metric.key == STEPS);
    Ok(Some(Progress {
        step,
        total: total.map(|metric| metric.value as u64),
        is_same_table: seen == Some(table_tag(model, fingerprint)),
    }))
}

/// Marks a training, and takes over the newest checkpoints of an earlier attempt.
pub(super) async fn take_over(
    run: &RunContext,
    run_id: &RunId,
    identity: &Identity,
    (model, fingerprint): (&ModelAsset, &Fingerprint),
) -> Result<Earlier, StageError> {
    let key = key_of(identity);
    let attempts = run
        .state
        .tagged_runs(&run.project, RunKind::Train, KEY_TAG, &key)
        .await?;
    let tags = [
        (KEY_TAG.to_owned(), key),
        (SPEC_TAG.to_owned(), spec_tag(&identity.spec)),
        (TABLE_TAG.to_owned(), table_tag(model, fingerprint)),
    ];
    run.state.set_tags(run_id, &tags).await?;
    let mut newest: Option<(u64, RunId)> = None;
    for attempt in &attempts {
        let folder = folder(run, &attempt.run_id);
        let step = blocking(move || newest_step(&folder)).await?;
        if let Some(step) = step
            && newest.as_ref().is_none_or(|(best, _)| step >= *best)
        {
            newest = Some((step, attempt.run_id.clone()));
        }
    }
    // What is not gone on from never will be, such as one that was cut off while it was written.
    for attempt in attempts {
        if newest
            .as_ref()
            .is_none_or(|(_, best)| *best != attempt.run_id)
        {
            remove(run, &attempt.run_id).await?;
        }
    }
    let Some((step, from)) = newest else {
        return Ok(Earlier::default());
    };
    let (old, new) = (folder(run, &from), folder(run, run_id));
    blocking(move || moved(&old, &new)).await?;
    let logged = run.state.metrics(&from).await?;
    let last = i64::try_from(step).unwrap_or(i64::MAX);
    let before: Vec<Metric> = logged
        .into_iter()
        .filter(|metric| metric.key.starts_with(PREFIX) && metric.step <= last)
        .collect();
    run.state.log_metrics(run_id, &before).await?;
    Ok(Earlier { before })
}

/// Removes a run's checkpoints.
pub(super) async fn remove(run: &RunContext, run_id: &RunId) -> Result<(), StageError> {
    let folder = folder(run, run_id);
    blocking(move || {
        fail_points::pass(Moment::Before, "remove checkpoints");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unwritable(&folder)(error));
            }
            _ => fail_points::pass(Moment::After, "remove checkpoints"),
        }
        Ok(())
    })
    .await
}

fn key_of(identity: &Identity) -> String {
    let digest = identity.digest.as_deref().unwrap_or_default();
    // Steps of two releases may differ in their last bits.
    let text = format!("{} {digest} {}", identity.spec, env!("CARGO_PKG_VERSION"));
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// The identity of a training without its rows, in this release.
fn spec_tag(spec: &str) -> String {
    let text = format!("{spec} {}", env!("CARGO_PKG_VERSION"));
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

fn table_tag(model: &ModelAsset, fingerprint: &Fingerprint) -> String {
    let table = fingerprint.tables.get(&model.from.to_string());
    table.cloned().unwrap_or_default()
}

/// The step of the newest checkpoint in a folder.
fn newest_step(folder: &Path) -> Result<Option<u64>, StageError> {
    let newest = checkpoint::newest(folder).map_err(sluice_learn::LearnError::from)?;
    Ok(newest.and_then(|path| {
        let name = path.file_name()?.to_str()?;
        name.rsplit('-').next()?.parse().ok()
    }))
}

fn moved(old: &Path, new: &Path) -> Result<(), StageError> {
    let parent = new.parent().unwrap_or(new);
    fs::create_dir_all(parent).map_err(unwritable(parent))?;
    fail_points::pass(Moment::Before, "move checkpoints");
    fs::rename(old, new).map_err(unwritable(new))?;
    fail_points::pass(Moment::After, "move checkpoints");
    Ok(())
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> StageError {
    let path = path.display().to_string();
    move |source| StageError::Write {
        path: path.clone(),
        source,
    }
}
