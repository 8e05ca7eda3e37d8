//! Computing in bfloat16 (`bf16`) with weights in `f32`.
//!
//! What flows between the operations and what matrices are multiplied from is rounded to
//! bfloat16; sums, statistics of normalisations, softmax and the weights' gradients are in
//! `f32`. A GPU multiplies bfloat16 itself and gives the weights' gradients rounded. A CPU
//! rounds the factors and multiplies in `f32`: the same numbers, at no gain of speed.

use candle_core::{CpuStorage, CustomOp1, DType, Error, Layout, Result, Shape, Tensor};
use half::bf16;

use super::real::vectorized;
use super::rows::fill_rows;
use super::slice;

const NAME: &str = "round to bf16";

/// Whether `x` is of numbers in bfloat16.
pub(super) fn is_half(x: &Tensor) -> bool {
    x.dtype() == DType::BF16
}

/// `op` of `x` computed in `f32`, in bfloat16 again.
pub(super) fn widened(x: &Tensor, op: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    op(&x.to_dtype(DType::F32)?)?.to_dtype(DType::BF16)
}

/// `x` of `f32` on a CPU, rounded to what bfloat16 can hold; its gradient is not rounded.
pub(super) fn rounded(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Round)
}

#[derive(Debug)]
struct Round;

#[inline(always)]
fn round(x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = bf16::from_f32(x).to_f32();
    }
}

impl CustomOp1 for Round {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        if !matches!(storage, CpuStorage::F32(_)) {
            return Err(Error::Msg(format!("{NAME}: only f32 can be rounded")));
        }
        let x = slice::<f32>(storage, layout, NAME)?;
        let mut out = vec![0.0; x.len()];
        fill_rows(&mut out, 1, |first, out| {
            vectorized(|| round(&x[first..], out));
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.clone()))
    }
}
