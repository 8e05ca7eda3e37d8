//! What can go wrong with a deep model, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use super::device::DeviceChoice;
use crate::error::ParamError;

/// A tensor of a file that is not what the model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorProblem {
    /// Its name in the file, or the first of the names it could have there.
    pub name: String,
    /// The shape that the model needs.
    pub needed: Vec<usize>,
    /// The shape that the file has; `None` when there is no such tensor.
    pub found: Option<Vec<usize>>,
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => write!(out, "`{}` of {:?} is missing", self.name, self.needed),
            Some(found) => write!(
                out,
                "`{}` is {found:?} where the configuration needs {:?}",
                self.name, self.needed
            ),
        }
    }
}

/// Some of the problems, and how many more there are.
fn first_few<T: fmt::Display>(problems: &[T]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = problems.iter().take(SHOWN).map(T::to_string).collect();
    let more = problems.len().saturating_sub(SHOWN);
    let rest = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    shown.join("; ") + &rest
}

/// Anything that can stop a tokenizer, a deep model or its training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeepError {
    /// An operation on tensors failed.
    #[error("a computation of the model failed")]
    Compute(#[from] candle_core::Error),
    /// A GPU was asked for in a build that knows none.
    #[error(
        "`device: {device}` needs a build with CUDA, and this is one without: build Sluice with `--features cuda` (`scripts/cuda-toolkit` gets what that takes), or set `device: cpu`"
    )]
    NoCuda {
        /// The device that was asked for.
        device: DeviceChoice,
    },
    /// A GPU cannot be used.
    #[error("`device: {device}` cannot be opened; `device: auto` takes what is there")]
    Device {
        /// The device that was asked for.
        device: DeviceChoice,
        /// CUDA's words.
        #[source]
        source: candle_core::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A file that should hold JSON does not.
    #[error("{} is not the JSON that it should be", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A model's configuration cannot be.
    #[error("{} describes no model that can be built: {}", path.display(), first_few(problems))]
    Config {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// A file of weights ends too early.
    #[error(
        "{} is cut off: its header announces {needed_bytes} bytes, and there are {found_bytes}; copy or download it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How long it should be.
        needed_bytes: u64,
        /// How long it is.
        found_bytes: u64,
    },
    /// A file of weights is not in the format.
    #[error("{} is no safetensors file", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The format's words.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A file of weights does not go with the configuration.
    #[error("{} does not go with the model's config.json: {}", path.display(), first_few(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Every tensor that is missing or of another shape.
        problems: Vec<TensorProblem>,
    },
    /// A tokenizer knows more tokens than the model has embeddings for.
    #[error(
        "the tokenizer has {tokens} tokens (the last id is {last_id}), but the model's vocabulary has {vocab_size}: use the tokenizer that the model was trained with, or train the model from scratch"
    )]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Its largest id.
        last_id: u32,
        /// Rows of the model's table of embeddings.
        vocab_size: usize,
    },
    /// A text is longer than the model can look at.
    #[error(
        "`max_length: {max_length}` is more than the model's {positions} positions: lower it to {positions} or less"
    )]
    TooLong {
        /// The length that was asked for, in tokens.
        max_length: usize,
        /// The most that the model has positions for.
        positions: usize,
    },
    /// A tokenizer could not be read, trained or applied.
    #[error("the tokenizer could not {action}")]
    Tokenizer {
        /// What it was doing: `be read from x`, ...
        action: String,
        /// Its own words.
        #[source]
        source: tokenizers::Error,
    },
    /// A tokenizer that is to be trained has nothing to learn from or no room to.
    #[error("a tokenizer cannot be trained: {reason}")]
    TokenizerTraining {
        /// Why, and what would do.
        reason: String,
    },
    /// The labels do not go with the model's head.
    #[error("the labels do not go with the model: {reason}")]
    Labels {
        /// Why, and what would do.
        reason: String,
    },
    /// Parameters that cannot be used; all of them at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Params(Vec<ParamError>),
    /// There is nothing to train on, or nothing that trains.
    #[error("there is nothing to train: {reason}")]
    NothingToTrain {
        /// Why, and what would do.
        reason: &'static str,
    },
    /// The training left the numbers.
    #[error(
        "training diverged at step {step} (epoch {epoch}, batch {batch}): the {what} is {value}; lower `learning_rate`, set `max_grad_norm`, or use a longer warm-up"
    )]
    Diverged {
        /// The optimizer step, from 1.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// The batch within the epoch, from 1.
        batch: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// `NaN`, `inf`, ...
        value: f64,
    },
    /// The device's memory does not hold a batch.
    #[error(
        "the device ran out of memory: weights, gradients and the optimizer take about {weights}, and a batch of [{rows}, {seq}] tokens about {activations}; lower `per_device_train_batch_size` (and raise `gradient_accumulation_steps` as much), or `max_length`"
    )]
    OutOfMemory {
        /// Rows a batch.
        rows: usize,
        /// Tokens of the longest row.
        seq: usize,
        /// What the weights and all that belongs to them take.
        weights: String,
        /// What a batch takes.
        activations: String,
        /// The device's words.
        #[source]
        source: Box<candle_core::Error>,
    },
    /// A checkpoint cannot be gone on from.
    #[error("{} cannot be resumed: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Why, and what would do.
        reason: String,
    },
    /// Threads could not be started.
    #[error(transparent)]
    Learn(#[from] crate::error::LearnError),
}

impl DeepError {
    /// An error of the file system.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
