//! Layers: weights with the operation that uses them, and what a pass through them knows.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::op::{self, Keep};
use crate::random::SplitMix64;

/// One pass of a batch through a model: it decides what drops out.
#[derive(Debug, Clone)]
pub struct Pass {
    training: Option<SplitMix64>,
    bf16: bool,
}

impl Pass {
    /// A pass that nothing drops out of.
    pub fn evaluation() -> Self {
        Self {
            training: None,
            bf16: false,
        }
    }

    /// Pass number `number` of a training by `seed`. The same two drop the same.
    pub fn training(seed: u64, number: u64) -> Self {
        Self {
            training: Some(SplitMix64::stream(seed ^ 0xd509_0f0d, number)),
            bf16: false,
        }
    }

    /// The same pass, which computes in bfloat16 if `bf16`: what flows between the layers
    /// and what matrices are multiplied from; weights, their gradients, sums and statistics
    /// stay in `f32`.
    pub fn in_bf16(self, bf16: bool) -> Self {
        Self { bf16, ..self }
    }

    /// `x` in the numbers that the layers of this pass compute with.
    ///
    /// # Errors
    ///
    /// A device that knows no bfloat16.
    pub(super) fn enter(&self, x: &Tensor) -> Result<Tensor> {
        if self.bf16 {
            x.to_dtype(DType::BF16)
        } else {
            Ok(x.clone())
        }
    }

    /// What the next dropout keeps; `None` when it keeps everything.
    pub fn keep(&mut self, probability: f64) -> Option<Keep> {
        let random = self.training.as_mut()?;
        // Drawn even if unused, so that one dropout's rate does not change the others.
        let key = random.next_u64();
        (probability > 0.0).then(|| Keep::new(probability, key))
    }

    /// `x` after dropout.
    ///
    /// # Errors
    ///
    /// As [`op::dropout`].
    pub fn dropout(&mut self, x: &Tensor, probability: f64) -> Result<Tensor> {
        match self.keep(probability) {
            Some(keep) => op::dropout(x, keep),
            None => Ok(x.clone()),
        }
    }
}

/// `x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

impl Linear {
    /// `x [.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    ///
    /// As [`op::linear`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        op::linear(x, &self.weight, &self.bias)
    }

    /// Weight and bias.
    pub(super) fn parts(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }
}

/// A table of vectors.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `[rows, width]`.
    pub table: Tensor,
}

impl Embedding {
    /// The rows `ids`: `[ids, width]`.
    ///
    /// # Errors
    ///
    /// As [`op::embedding`].
    pub fn forward(&self, ids: &Arc<[u32]>) -> Result<Tensor> {
        op::embedding(&self.table, ids)
    }
}

/// Layer normalisation.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[width]`.
    pub scale: Tensor,
    /// `[width]`.
    pub shift: Tensor,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Normalises `x [.., width]`, plus `residual` if there is one.
    ///
    /// # Errors
    ///
    /// As [`op::layer_norm`].
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        op::layer_norm(x, residual, &self.scale, &self.shift, self.epsilon)
    }

    /// Scale and shift.
    pub(super) fn parts(&self) -> [&Tensor; 2] {
        [&self.scale, &self.shift]
    }
}
