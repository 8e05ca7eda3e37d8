//! Checkpoints among the artifacts of runs, and which run may go on from which.
//!
//! A training's run carries the tag [`KEY_TAG`]: the identity of its definition, its rows and
//! this release. Where an earlier attempt of that key left checkpoints, the folder moves to the
//! new attempt, so that there is never more than one of them.

use std::fs;
use std::path::{Path, PathBuf};

use sluice_lake::state::{Metric, RunId, RunKind};
use sluice_learn::deep::trainer::checkpoint;

use super::super::context::RunContext;
use super::super::error::{StageError, blocking};
use super::super::rows::Identity;
use super::progress::PREFIX;

/// The tag with the identity of a training.
const KEY_TAG: &str = "train.key";
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
    run.world
        .lakehouse
        .artifacts_path(run_id.as_str())
        .join(FOLDER)
}

/// Marks a training, and takes over the newest checkpoints of an earlier attempt.
pub(super) async fn take_over(
    run: &RunContext,
    run_id: &RunId,
    identity: &Identity,
) -> Result<Earlier, StageError> {
    let key = key_of(identity);
    let attempts = run
        .state
        .tagged_runs(&run.project, RunKind::Train, KEY_TAG, &key)
        .await?;
    run.state.set_tag(run_id, KEY_TAG, &key).await?;
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
    blocking(move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(unwritable(&folder)(error))
        }
        _ => Ok(()),
    })
    .await
}

fn key_of(identity: &Identity) -> String {
    let digest = identity.digest.as_deref().unwrap_or_default();
    // Steps of two releases may differ in their last bits.
    let text = format!("{} {digest} {}", identity.spec, env!("CARGO_PKG_VERSION"));
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
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
    fs::rename(old, new).map_err(unwritable(new))
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> StageError {
    let path = path.display().to_string();
    move |source| StageError::Write {
        path: path.clone(),
        source,
    }
}
