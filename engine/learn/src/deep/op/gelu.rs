//! GELU, exact: `x * Φ(x)` with the normal distribution's Φ (Hendrycks and Gimpel 2016).

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use super::half::{is_half, widened};
use super::real::{Real, vectorized};
use super::rows::fill_rows;
use super::{by_dtype, slice};

const NAME: &str = "gelu";

/// `x * (1 + erf(x / √2)) / 2`, of any shape.
///
/// # Errors
///
/// Numbers other than `f32`, `f64` and `bf16`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if is_half(x) {
        widened(x, gelu)
    } else if x.device().is_cpu() {
        x.contiguous()?.apply_op1(Gelu)
    } else {
        composed(x)
    }
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(x: &Tensor) -> Result<Tensor> {
    ((x / std::f64::consts::SQRT_2)?.erf()? + 1.0)?.mul(&(x * 0.5)?)
}

#[derive(Debug)]
struct Gelu;

#[inline(always)]
fn value<T: Real>(x: T) -> T {
    let half = T::from_f64(0.5);
    half * x * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// GELU's value and its derivative.
#[inline(always)]
pub(super) fn value_and_slope<T: Real>(x: T) -> (T, T) {
    let half = T::from_f64(0.5);
    let cumulative = half * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf());
    // 1 / sqrt(2 pi)
    let density = T::from_f64(0.398_942_280_401_432_7) * (-half * x * x).exp();
    (x * cumulative, cumulative + x * density)
}

/// GELU of each of `x`.
#[inline(always)]
pub(super) fn values<T: Real>(x: &[T], out: &mut [T]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = value(x);
    }
}

#[inline(always)]
fn gradients<T: Real>(x: &[T], grad: &[T], out: &mut [T]) {
    for ((out, &x), &grad) in out.iter_mut().zip(x).zip(grad) {
        *out = grad * value_and_slope(x).1;
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage.dtype(), NAME, T => {
            let x = slice::<T>(storage, layout, NAME)?;
            let mut out = vec![T::ZERO; x.len()];
            fill_rows(&mut out, 1, |first, out| vectorized(|| values(&x[first..], out)));
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = x.apply_op2_no_bwd(&grad.contiguous()?, &GeluBackward)?;
        Ok(Some(grad))
    }
}

/// The gradient of x, from x and the gradient of GELU's value.
#[derive(Debug)]
struct GeluBackward;

impl CustomOp2 for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x.dtype(), NAME, T => {
            let x = slice::<T>(x, x_layout, NAME)?;
            let grad = slice::<T>(grad, grad_layout, NAME)?;
            let mut out = vec![T::ZERO; x.len()];
            fill_rows(&mut out, 1, |first, out| {
                vectorized(|| gradients(&x[first..], &grad[first..], out));
            });
            Ok((T::to_cpu_storage_owned(out), x_layout.shape().clone()))
        })
    }
}
