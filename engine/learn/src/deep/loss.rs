//! Losses: what a training makes smaller.

use candle_core::{Result, Tensor};

pub use super::op::{ClassLoss, cross_entropy};

/// The mean binary cross entropy of `logits` with `targets` between 0 and 1, of any one
/// shape: `max(x, 0) - x y + ln(1 + exp(-|x|))`, which no logit overflows.
///
/// # Errors
///
/// Shapes that differ.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let softened = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let linear = (logits.relu()? - logits.mul(targets)?)?;
    (linear + softened)?.mean_all()
}

/// The mean squared difference of `predictions` and `targets`, of any one shape.
///
/// # Errors
///
/// Shapes that differ.
pub fn mean_squared_error(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    (predictions - targets)?.sqr()?.mean_all()
}
