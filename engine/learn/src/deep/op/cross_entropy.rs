//! Cross entropy of classes, with class weights and label smoothing as PyTorch defines them.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, Error, Layout, Result, Shape, Tensor, WithDType};

use super::real::{Real, largest, sum, vectorized};
use super::rows::fill_costly_rows;
use super::{Host, by_dtype, slice};

const NAME: &str = "cross entropy";

/// What the rows should have been, and how much an error counts.
#[derive(Debug, Clone)]
pub struct ClassLoss {
    /// The class of each row, `[rows]`.
    pub targets: Arc<[u32]>,
    /// The weight of each class, `[classes]`; all 1 without.
    pub class_weights: Option<Arc<[f64]>>,
    /// The share of each target that is spread over all classes, from 0 to below 1.
    pub smoothing: f64,
}

impl ClassLoss {
    fn weight(&self, class: usize) -> f64 {
        self.class_weights
            .as_ref()
            .map_or(1.0, |weights| weights[class])
    }

    /// The sum of the weights of all targets, which the loss is divided by.
    fn total_weight(&self) -> f64 {
        let targets = self.targets.iter();
        targets.map(|&class| self.weight(class as usize)).sum()
    }

    /// What each class of a row is expected to be: `[classes]`, summing to the row's mass.
    #[inline(always)]
    fn expected<T: Real>(&self, target: usize, out: &mut [T]) -> T {
        let spread = self.smoothing / out.len() as f64;
        let mut mass = 0.0;
        for (class, out) in out.iter_mut().enumerate() {
            let mut share = spread * self.weight(class);
            if class == target {
                share += (1.0 - self.smoothing) * self.weight(class);
            }
            mass += share;
            *out = T::from_f64(share);
        }
        T::from_f64(mass)
    }
}

/// The mean loss of `logits [rows, classes]`, a scalar: with w the weights, y the targets
/// and s the smoothing, `sum((1 - s) w[y] nll(y) + s / classes * sum(w[c] nll(c)))` over
/// the rows, divided by `sum(w[y])`.
///
/// # Errors
///
/// Targets that are no class, or of another number than the rows; numbers other than `f32`
/// and `f64`.
pub fn cross_entropy(logits: &Tensor, loss: ClassLoss) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let weights = loss.class_weights.as_ref().map_or(classes, |w| w.len());
    let wrong = loss.targets.iter().find(|&&y| y as usize >= classes);
    if loss.targets.len() != rows || weights != classes || wrong.is_some() {
        return Err(Error::Msg(format!(
            "cross entropy: {} targets{} with {weights} class weights do not go with logits of {:?}",
            loss.targets.len(),
            wrong.map_or_else(String::new, |class| format!(" (one is class {class})")),
            logits.dims()
        )));
    }
    if logits.device().is_cpu() {
        return logits.contiguous()?.apply_op1(CrossEntropy(loss));
    }
    composed(logits, &loss)
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(logits: &Tensor, loss: &ClassLoss) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let highest = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&highest)?;
    let logarithm = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let surprise = shifted.broadcast_sub(&logarithm)?.neg()?;
    let mut expected = vec![0.0_f64; rows * classes];
    for (row, &target) in expected.chunks_exact_mut(classes).zip(loss.targets.iter()) {
        loss.expected(target as usize, row);
    }
    let expected = Tensor::from_vec(expected, (rows, classes), &candle_core::Device::Cpu)?
        .to_dtype(logits.dtype())?
        .to_device(logits.device())?;
    surprise.mul(&expected)?.sum_all()? * (1.0 / loss.total_weight())
}

#[derive(Debug)]
struct CrossEntropy(ClassLoss);

impl CrossEntropy {
    /// The loss of each row of `logits`.
    #[inline(always)]
    fn losses<T: Real>(&self, first: usize, logits: &[T], classes: usize, out: &mut [T]) {
        let mut expected = vec![T::ZERO; classes];
        for (number, out) in out.iter_mut().enumerate() {
            let row = &logits[(first + number) * classes..(first + number + 1) * classes];
            let target = self.0.targets[first + number] as usize;
            self.0.expected(target, &mut expected);
            let highest = largest(classes, row[0], |i| row[i]);
            let total = sum(classes, |i| (row[i] - highest).exp());
            let logarithm = highest + total.ln();
            *out = sum(classes, |i| expected[i] * (logarithm - row[i]));
        }
    }

    /// The gradients of each row of logits: `p * mass - expected`, times `factor`.
    #[inline(always)]
    fn gradients<T: Real>(
        &self,
        first: usize,
        logits: &[T],
        classes: usize,
        factor: T,
        out: &mut [T],
    ) {
        let mut expected = vec![T::ZERO; classes];
        for (number, out) in out.chunks_exact_mut(classes).enumerate() {
            let row = &logits[(first + number) * classes..(first + number + 1) * classes];
            let target = self.0.targets[first + number] as usize;
            let mass = self.0.expected(target, &mut expected);
            let highest = largest(classes, row[0], |i| row[i]);
            for (out, &logit) in out.iter_mut().zip(row) {
                *out = (logit - highest).exp();
            }
            let share = mass / sum(classes, |i| out[i]);
            for (out, &expected) in out.iter_mut().zip(&expected) {
                *out = (*out * share - expected) * factor;
            }
        }
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, classes) = layout.shape().dims2()?;
        by_dtype!(storage.dtype(), NAME, T => {
            let logits = slice::<T>(storage, layout, NAME)?;
            let mut losses = vec![T::ZERO; rows];
            fill_costly_rows(&mut losses, 1, classes, |first, out| {
                vectorized(|| self.losses(first, logits, classes, out));
            });
            let total = sum(rows, |i| losses[i]) / T::from_f64(self.0.total_weight());
            Ok((T::to_cpu_storage_owned(vec![total]), Shape::from(())))
        })
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, classes) = logits.dims2()?;
        by_dtype!(logits.dtype(), NAME, T => {
            let host = Host::of(logits, NAME);
            let values = host.slice::<T>()?;
            let factor = grad.to_scalar::<T>()? / T::from_f64(self.0.total_weight());
            let mut out = vec![T::ZERO; values.len()];
            fill_costly_rows(&mut out, classes, classes, |first, out| {
                vectorized(|| self.gradients(first, values, classes, factor, out));
            });
            Ok(Some(Tensor::from_vec(out, logits.shape(), logits.device())?))
        })
    }
}
