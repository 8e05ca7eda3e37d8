//! One trainer for every deep model.
//!
//! [`train`] is the entry: it takes what is to be trained ([`Trainable`]), what it learns
//! from ([`Examples`]) and how ([`TrainingArguments`], by the names of Hugging Face's), and
//! reports [`TrainEvent`]s. It keeps [`checkpoint`]s from which it goes on as if it had
//! never stopped: on a CPU the weights are the same bit for bit, whatever the number of
//! threads, since order, dropout and rates are functions of the seed and of the step.

pub mod arguments;
mod batches;
pub mod checkpoint;
mod event;
mod run;

pub use arguments::{IntervalStrategy, TrainingArguments};
pub use event::{Best, Ended, Evaluated, TrainEvent, TrainOutcome};
pub use run::{TrainRun, train};

use candle_core::Tensor;

use super::error::DeepError;
use super::layer::Pass;
use super::parameters::Parameters;
use crate::metric::Goal;

/// The name of the mean loss among the figures of an evaluation.
pub const LOSS: &str = "loss";

/// Rows to learn from or to be judged by, in memory or wherever a batch of them can be
/// fetched from by number.
pub trait Examples: Sync {
    /// Some rows as the model takes them.
    type Batch: Send;

    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long row `row` is, in tokens or whatever a batch is padded in.
    fn length(&self, row: usize) -> usize;

    /// The rows `rows` as a batch.
    ///
    /// # Errors
    ///
    /// Rows that cannot be fetched.
    fn batch(&self, rows: &[usize]) -> Result<Self::Batch, DeepError>;

    /// What says that these are the same rows as another time.
    fn fingerprint(&self) -> String;
}

/// A model with a loss.
pub trait Trainable: Sync {
    /// Some rows as the model takes them.
    type Batch: Send;

    /// Its weights.
    fn parameters(&self) -> &Parameters;

    /// The mean loss of a batch, a scalar.
    ///
    /// # Errors
    ///
    /// A batch that does not go with the model.
    fn loss(&self, batch: &Self::Batch, pass: &mut Pass) -> Result<Tensor, DeepError>;

    /// Tokens (or whatever is counted) in a batch, without padding.
    fn tokens(&self, batch: &Self::Batch) -> usize;

    /// The figures of an evaluation beside [`LOSS`], and which values of each are better.
    fn metrics(&self) -> Vec<(&'static str, Goal)>;

    /// The figures over all batches, [`LOSS`] among them.
    ///
    /// # Errors
    ///
    /// A batch that does not go with the model.
    fn evaluate(
        &self,
        batches: &mut dyn Iterator<Item = Result<Self::Batch, DeepError>>,
    ) -> Result<Vec<(&'static str, f64)>, DeepError>;
}
