//! What a training tells while it goes, and what it came to.

use std::path::PathBuf;

/// The figures of one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Steps done.
    pub step: u64,
    /// Each figure by name, `loss` first.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluated {
    /// The figure called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(metric, _)| metric == name);
        found.map(|(_, value)| *value)
    }
}

/// The best evaluation so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Steps done then.
    pub step: u64,
    /// The figure's name.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

/// Something that happened in a training.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// It starts or goes on.
    Started {
        /// Steps done before, by an earlier run.
        step: u64,
        /// Steps of the whole training.
        total_steps: u64,
        /// Rows an epoch.
        examples: usize,
        /// Numbers in the model.
        parameters: usize,
        /// Those of them that train.
        trainable: usize,
    },
    /// Some steps were taken; the figures are of those since the last such event.
    Logged {
        /// Steps done.
        step: u64,
        /// Steps of the whole training.
        total_steps: u64,
        /// Epochs done, with the part of the current one.
        epoch: f64,
        /// The mean loss.
        loss: f64,
        /// The rate of the last step.
        learning_rate: f64,
        /// The gradients' norm of the last step, before it was cut.
        grad_norm: f64,
        /// Tokens learned from a second, padding not counted.
        tokens_per_second: f64,
    },
    /// The model was judged.
    Evaluated {
        /// The figures.
        figures: Evaluated,
        /// Whether they are the best so far.
        best: bool,
    },
    /// A checkpoint is about to be written.
    Saving {
        /// Steps done.
        step: u64,
    },
    /// A checkpoint was written, and those that are not kept are about to be removed.
    Saved {
        /// Steps done.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
}

/// Why a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// All steps were taken.
    Finished,
    /// The figures stopped becoming better.
    EarlyStopped,
    /// It was told to stop, and goes on from this checkpoint.
    Interrupted(PathBuf),
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOutcome {
    /// Why it ended.
    pub ended: Ended,
    /// Steps done, over all runs.
    pub steps: u64,
    /// Tokens learned from, over all runs, padding not counted.
    pub tokens: u64,
    /// Every evaluation, over all runs.
    pub history: Vec<Evaluated>,
    /// The best of them, if there was any with a number.
    pub best: Option<Best>,
}
