//! Checkpoints: all that a training needs to go on as if it had never stopped.
//!
//! A checkpoint is a folder `checkpoint-STEP` with the weights, the optimizer's means and
//! `trainer_state.json`: the place in the data, the figures so far, and what says that the
//! same training goes on. The learning rate, the order of the rows and what drops out are
//! functions of the arguments, the seed and that place, so no more is kept of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::event::{Best, Evaluated};
use crate::deep::bert::replace_folder;
use crate::deep::error::DeepError;
use crate::deep::optimizer::AdamW;
use crate::deep::parameters::Parameters;

const WEIGHTS: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";
const PREFIX: &str = "checkpoint-";

/// A number that is written so that the same number is read: JSON readers may round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact(pub(super) f64);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// One evaluation, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Figures {
    pub(super) step: u64,
    pub(super) metrics: Vec<(String, Exact)>,
}

/// The best evaluation, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BestFigure {
    pub(super) step: u64,
    pub(super) metric: String,
    pub(super) value: Exact,
}

impl BestFigure {
    pub(super) fn public(&self) -> Best {
        Best {
            step: self.step,
            metric: self.metric.clone(),
            value: self.value.0,
        }
    }
}

impl Figures {
    pub(super) fn public(&self) -> Evaluated {
        let metrics = self.metrics.iter();
        Evaluated {
            step: self.step,
            metrics: metrics
                .map(|(name, value)| (name.clone(), value.0))
                .collect(),
        }
    }
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// What the training is: its arguments and its rows. Another one must not go on here.
    pub(super) identity: Vec<(String, String)>,
    /// Steps done.
    pub(super) step: u64,
    /// Epochs finished.
    pub(super) epoch: u64,
    /// Batches done of the current epoch.
    pub(super) batch: usize,
    /// Tokens learned from.
    pub(super) tokens: u64,
    /// Evaluations since the last one that counted as better.
    pub(super) without_gain: u64,
    pub(super) best: Option<BestFigure>,
    pub(super) history: Vec<Figures>,
}

/// The folder of the checkpoint after `step` steps.
pub(super) fn folder(output_dir: &Path, step: u64) -> PathBuf {
    output_dir.join(format!("{PREFIX}{step}"))
}

/// Writes a checkpoint, whole or not at all.
pub(super) fn write(
    output_dir: &Path,
    state: &State,
    parameters: &Parameters,
    optimizer: &AdamW,
) -> Result<PathBuf, DeepError> {
    fs::create_dir_all(output_dir).map_err(DeepError::io("make", output_dir))?;
    let dir = folder(output_dir, state.step);
    replace_folder(&dir, |dir| {
        parameters.write(&dir.join(WEIGHTS))?;
        optimizer.write(&dir.join(OPTIMIZER))?;
        let path = dir.join(STATE);
        let text = serde_json::to_string_pretty(state).map_err(|source| DeepError::Json {
            path: path.clone(),
            source,
        })?;
        fs::write(&path, text).map_err(DeepError::io("write", path))
    })?;
    Ok(dir)
}

/// Removes every checkpoint but those after the steps `kept`, and what a killed run left
/// half-written.
pub(super) fn keep_only(output_dir: &Path, kept: &[u64]) -> Result<(), DeepError> {
    for (name, dir) in entries(output_dir)? {
        let leftover = name
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(PREFIX));
        let old = step_of(&name).is_some_and(|step| !kept.contains(&step));
        if leftover || old {
            fs::remove_dir_all(&dir).map_err(DeepError::io("remove", dir))?;
        }
    }
    Ok(())
}

/// The steps after which there is a checkpoint, ascending.
pub(super) fn steps(output_dir: &Path) -> Result<Vec<u64>, DeepError> {
    let found = entries(output_dir)?;
    let mut steps: Vec<u64> = found.iter().filter_map(|(name, _)| step_of(name)).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// The newest checkpoint's folder, if there is any.
///
/// # Errors
///
/// A folder that cannot be read.
pub fn newest(output_dir: &Path) -> Result<Option<PathBuf>, DeepError> {
    let found = entries(output_dir)?.into_iter();
    let newest = found
        .filter_map(|(name, dir)| Some((step_of(&name)?, dir)))
        .max_by_key(|(step, _)| *step);
    Ok(newest.map(|(_, dir)| dir))
}

/// The step of a checkpoint's folder called `name`.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Everything in `output_dir` by name; nothing where there is no such folder.
fn entries(output_dir: &Path) -> Result<Vec<(String, PathBuf)>, DeepError> {
    let entries = match fs::read_dir(output_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DeepError::io("read", output_dir)(error)),
    };
    entries
        .map(|entry| {
            let path = entry.map_err(DeepError::io("read", output_dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), path))
        })
        .collect()
}

/// Reads a checkpoint's state and sets weights and optimizer to what they were; `identity`
/// says what training this is.
pub(super) fn restore(
    dir: &Path,
    identity: &[(String, String)],
    parameters: &Parameters,
    optimizer: &mut AdamW,
) -> Result<State, DeepError> {
    let path = dir.join(STATE);
    let text = fs::read(&path).map_err(DeepError::io("read", &path))?;
    let state: State =
        serde_json::from_slice(&text).map_err(|source| DeepError::Json { path, source })?;
    let differing: Vec<&str> = identity
        .iter()
        .filter(|part| !state.identity.contains(part))
        .map(|(key, _)| key.as_str())
        .collect();
    if !differing.is_empty() {
        return Err(DeepError::Checkpoint {
            path: dir.to_owned(),
            reason: format!(
                "it is of a training with other values of {}: restore them, or remove the folder to start again",
                differing.join(", ")
            ),
        });
    }
    restore_weights(dir, parameters)?;
    optimizer.restore(&dir.join(OPTIMIZER), state.step)?;
    Ok(state)
}

/// Sets the weights to those of a checkpoint.
pub(super) fn restore_weights(dir: &Path, parameters: &Parameters) -> Result<(), DeepError> {
    parameters.restore(&dir.join(WEIGHTS))
}

#[cfg(test)]
mod tests {
    use super::Exact;

    #[test]
    fn numbers_come_back_as_they_were() {
        for value in [0.1 + 0.2, f64::MIN_POSITIVE, -0.0, f64::INFINITY, 1e300] {
            let text = serde_json::to_string(&Exact(value)).unwrap();
            let again: Exact = serde_json::from_str(&text).unwrap();
            assert_eq!(again.0.to_bits(), value.to_bits(), "{text}");
        }
        let text = serde_json::to_string(&Exact(f64::NAN)).unwrap();
        assert!(serde_json::from_str::<Exact>(&text).unwrap().0.is_nan());
    }
}
