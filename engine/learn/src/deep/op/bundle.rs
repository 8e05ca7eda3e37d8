//! Many weights as one input of an operation.
//!
//! candle's operations take three inputs at most. A bundle is a number that depends on any
//! number of weights: the operation that takes it as its input leaves the weights' gradients
//! in [`Left`] during its backward pass, and the bundle, whose turn comes after, hands them on.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::real::Real;
use super::{by_dtype, trains};

/// Gradients on their way from an operation to its weights, by the weights' numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Arc<Mutex<Vec<Option<Tensor>>>>);

impl Left {
    pub(super) fn put(&self, gradients: Vec<Option<Tensor>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gradients;
    }

    fn take(&self, number: usize) -> Option<Tensor> {
        let mut gradients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gradients.get_mut(number)?.take()
    }
}

/// A tensor that depends on all of `weights` that train, and where their gradients are to be
/// left; `None` when none does.
pub(super) fn bundle<'a>(
    weights: impl Iterator<Item = [&'a Tensor; 2]>,
) -> Result<Option<(Tensor, Left)>> {
    let left = Left::default();
    let mut bundled: Option<Tensor> = None;
    for (pair, [a, b]) in weights.enumerate() {
        if !trains(a) && !trains(b) {
            continue;
        }
        let bundle = Bundle {
            numbers: [2 * pair, 2 * pair + 1],
            more: bundled.is_some(),
            left: left.clone(),
        };
        let others = match bundled {
            Some(others) => others,
            None => Tensor::zeros(1, a.dtype(), a.device())?,
        };
        bundled = Some(others.apply_op3(a, b, bundle)?);
    }
    Ok(bundled.map(|bundled| (bundled, left)))
}

#[derive(Debug)]
struct Bundle {
    numbers: [usize; 2],
    /// Whether the first input is a bundle too.
    more: bool,
    left: Left,
}

impl CustomOp3 for Bundle {
    fn name(&self) -> &'static str {
        "bundle"
    }

    fn cpu_fwd(
        &self,
        others: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        by_dtype!(others.dtype(), "bundle", T => {
            Ok((T::to_cpu_storage_owned(vec![T::ZERO]), Shape::from(1)))
        })
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.numbers.map(|number| self.left.take(number));
        Ok((self.more.then(|| grad.clone()), a, b))
    }
}
