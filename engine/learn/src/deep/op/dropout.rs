//! Dropout (Srivastava et al. 2014) that drops, the same everywhere and every time.
//!
//! Whether a number is kept is a hash of a key and of the number's place, so the backward
//! pass needs no stored mask, threads do not matter, and a resumed training drops what the
//! interrupted one would have dropped.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use super::half::{is_half, widened};
use super::real::{Real, vectorized};
use super::rows::fill_rows;
use super::{by_dtype, slice};

const NAME: &str = "dropout";

/// Which numbers stay, and what they are multiplied with so that the expectation stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keep {
    key: [u32; 2],
    /// A place is dropped when its hash is below.
    below: u32,
    scale: f64,
}

impl Keep {
    /// Drops with `probability`, from 0 to below 1, by `key`.
    pub fn new(probability: f64, key: u64) -> Self {
        Self {
            key: [key as u32, (key >> 32) as u32],
            below: (probability * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - probability),
        }
    }

    /// What kept numbers are multiplied with.
    pub(super) fn scale<T: Real>(&self) -> T {
        T::from_f64(self.scale)
    }

    /// 0 for a place that is dropped, else `scale`, which is [`scale`](Self::scale) taken
    /// out of the caller's loop.
    #[inline(always)]
    pub(super) fn factor<T: Real>(&self, place: u32, scale: T) -> T {
        // Wellons' `lowbias32`, keyed.
        let mut hash = place.wrapping_mul(0x9e37_79b9) ^ self.key[0];
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d) ^ self.key[1];
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
        hash ^= hash >> 16;
        if hash < self.below { T::ZERO } else { scale }
    }
}

/// `x` with some of its numbers set to 0 and the others scaled up.
///
/// # Errors
///
/// Numbers other than `f32`, `f64` and `bf16`.
pub fn dropout(x: &Tensor, keep: Keep) -> Result<Tensor> {
    if is_half(x) {
        widened(x, |x| dropout(x, keep))
    } else if x.device().is_cpu() {
        x.contiguous()?.apply_op1(Dropout(keep))
    } else {
        composed(x, keep)
    }
}

/// The same out of candle's differentiable operations: devices that do not hash get the
/// factors made here.
pub(super) fn composed(x: &Tensor, keep: Keep) -> Result<Tensor> {
    by_dtype!(x.dtype(), NAME, T => {
        let count = x.elem_count();
        let scale = keep.scale::<T>();
        let factors: Vec<T> = (0..count)
            .map(|place| keep.factor(place as u32, scale))
            .collect();
        x.mul(&Tensor::from_vec(factors, x.shape(), x.device())?)
    })
}

#[derive(Debug)]
struct Dropout(Keep);

#[inline(always)]
fn apply<T: Real>(keep: &Keep, first: usize, x: &[T], out: &mut [T]) {
    let scale = keep.scale();
    for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
        *out = x * keep.factor((first + i) as u32, scale);
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage.dtype(), NAME, T => {
            let x = slice::<T>(storage, layout, NAME)?;
            let mut out = vec![T::ZERO; x.len()];
            fill_rows(&mut out, 1, |first, out| {
                vectorized(|| apply(&self.0, first, &x[first..], out));
            });
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&Self(self.0))?))
    }
}
