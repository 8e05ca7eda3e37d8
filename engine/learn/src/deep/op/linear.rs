//! The affine map `x Wᵀ + b`.
//!
//! candle's own `Linear` transposes and adds in operations of their own, each of which
//! writes its gradient once more, and its backward pass multiplies out the gradient of a
//! frozen weight only to drop it. Here nothing is computed that nobody asks for.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor, WithDType};

use super::half::{is_half, rounded, widened};
use super::real::{Real, vectorized};
use super::rows::{fill_rows, sum_rows};
use super::{Host, by_dtype, slice, trains};

const NAME: &str = "linear";

/// `x [.., inputs]` times the transpose of `weight [outputs, inputs]`, plus
/// `bias [outputs]`: `[.., outputs]`. Where x is in `bf16`, weight and bias are in `f32`.
///
/// # Errors
///
/// Shapes that do not go together; numbers other than `f32`, `f64` and `bf16`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    match shape.last_mut() {
        Some(last) if *last == inputs && bias.dims() == [outputs] => *last = outputs,
        _ => {
            return Err(Error::Msg(format!(
                "linear: {:?} does not go with a weight of {:?} and a bias of {:?}",
                x.dims(),
                weight.dims(),
                bias.dims()
            )));
        }
    }
    let rows = x.elem_count() / inputs.max(1);
    let x = x.contiguous()?.reshape((rows, inputs))?;
    let y = if is_half(&x) && x.device().is_cpu() {
        widened(&x, |x| linear(x, &rounded(weight)?, bias))?
    } else if x.device().is_cpu() {
        let wanted = Wanted {
            x: trains(&x),
            weight: trains(weight),
            bias: trains(bias),
        };
        x.apply_op3(
            &weight.contiguous()?,
            &bias.contiguous()?,
            Linear { wanted },
        )?
    } else {
        composed(&x, weight, bias)?
    };
    y.reshape(shape)
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let like = |part: &Tensor| part.to_dtype(x.dtype());
    x.matmul(&like(weight)?.t()?)?.broadcast_add(&like(bias)?)
}

/// Which gradients anybody asks for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    x: bool,
    weight: bool,
    bias: bool,
}

#[derive(Debug)]
struct Linear {
    wanted: Wanted,
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = x_layout.shape().dims2()?;
        let outputs = weight_layout.dims()[0];
        let transposed = weight_layout.transpose(0, 1)?;
        let product = x.matmul(weight, (1, rows, outputs, inputs), x_layout, &transposed)?;
        by_dtype!(x.dtype(), NAME, T => {
            let bias = slice::<T>(bias, bias_layout, NAME)?;
            let mut out = T::cpu_storage_data(product)?;
            fill_rows(&mut out, outputs, |_, rows| vectorized(|| add_to_rows(rows, bias)));
            Ok((T::to_cpu_storage_owned(out), Shape::from((rows, outputs))))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        // Both are detached: what they came from must not be differentiated again.
        let of_x = if self.wanted.x {
            Some(grad.matmul(&weight.detach())?)
        } else {
            None
        };
        let of_weight = if self.wanted.weight {
            Some(grad.t()?.matmul(&x.detach())?)
        } else {
            None
        };
        let of_bias = if self.wanted.bias {
            Some(column_sums(&grad)?)
        } else {
            None
        };
        Ok((of_x, of_weight, of_bias))
    }
}

#[inline(always)]
fn add_to_rows<T: Real>(rows: &mut [T], bias: &[T]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, &bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

/// The sum of each column of `grad [rows, columns]`.
fn column_sums(grad: &Tensor) -> Result<Tensor> {
    let (rows, columns) = grad.dims2()?;
    by_dtype!(grad.dtype(), NAME, T => {
        let host = Host::of(grad, NAME);
        let values = host.slice::<T>()?;
        let sums = sum_rows(rows, columns, |from, to, sums: &mut [T]| {
            vectorized(|| add_rows(&values[from * columns..], columns, to - from, sums));
        });
        Tensor::from_vec(sums, columns, grad.device())
    })
}

/// Adds the first numbers of `count` rows, which begin every `step` numbers, to `sums`.
#[inline(always)]
pub(super) fn add_rows<T: Real>(rows: &[T], step: usize, count: usize, sums: &mut [T]) {
    for row in rows.chunks(step).take(count) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}
