//! Layer normalisation (Ba, Kiros, Hinton 2016), of a sum with a residual where there is one.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, WithDType};

use super::half::{is_half, widened};
use super::real::{Real, sum, vectorized};
use super::rows::{fill_rows, sum_rows};
use super::{Host, by_dtype, slice};

const NAME: &str = "layer norm";

/// `(h - mean(h)) / sqrt(variance(h) + epsilon) * scale + shift` over the last dimension,
/// where `h` is `x [.., width]` plus `residual`, if any; `scale` and `shift` are `[width]`, in
/// `f32` where x is in `bf16`.
///
/// # Errors
///
/// Shapes that do not go together; numbers other than `f32`, `f64` and `bf16`.
pub fn layer_norm(
    x: &Tensor,
    residual: Option<&Tensor>,
    scale: &Tensor,
    shift: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    if is_half(x) {
        let residual = residual.map(|other| other.to_dtype(scale.dtype()));
        let residual = residual.transpose()?;
        return widened(x, |x| {
            layer_norm(x, residual.as_ref(), scale, shift, epsilon)
        });
    }
    if !x.device().is_cpu() {
        return composed(x, residual, scale, shift, epsilon);
    }
    let x = x.contiguous()?;
    let affine = Tensor::stack(&[scale, shift], 0)?.contiguous()?;
    let width = affine.dim(1)?;
    if x.dim(D::Minus1)? != width || residual.is_some_and(|other| other.dims() != x.dims()) {
        return Err(candle_core::Error::Msg(format!(
            "layer norm: {:?} does not go with a scale of [{width}] and a residual of {:?}",
            x.dims(),
            residual.map(Tensor::dims),
        )));
    }
    let norm = Norm { epsilon };
    match residual {
        Some(residual) => x.apply_op3(&residual.contiguous()?, &affine, norm),
        None => x.apply_op2(&affine, norm),
    }
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(
    x: &Tensor,
    residual: Option<&Tensor>,
    scale: &Tensor,
    shift: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    let h = match residual {
        Some(residual) => x.add(residual)?,
        None => x.clone(),
    };
    let centred = h.broadcast_sub(&h.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normal = centred.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
    normal.broadcast_mul(scale)?.broadcast_add(shift)
}

/// Normalises a row and returns 1 / its standard deviation.
#[inline(always)]
pub(super) fn normalise<T: Real>(row: &mut [T], epsilon: T) -> T {
    let count = T::from_f64(row.len() as f64);
    let mean = sum(row.len(), |i| row[i]) / count;
    for value in row.iter_mut() {
        *value -= mean;
    }
    let variance = sum(row.len(), |i| row[i] * row[i]) / count;
    let inverse = T::ONE / (variance + epsilon).sqrt();
    for value in row.iter_mut() {
        *value *= inverse;
    }
    inverse
}

/// The gradient of a row before it was normalised: with n the normalised row and d the
/// gradient times the scale, `(d - mean(d) - n mean(d n)) / deviation`.
#[inline(always)]
pub(super) fn slope<T: Real>(normal: &[T], inverse: T, scale: &[T], grad: &[T], out: &mut [T]) {
    let width = out.len();
    let count = T::from_f64(width as f64);
    for ((out, &grad), &scale) in out.iter_mut().zip(grad).zip(scale) {
        *out = grad * scale;
    }
    let mean = sum(width, |i| out[i]) / count;
    let slope = sum(width, |i| out[i] * normal[i]) / count;
    for (out, &normal) in out.iter_mut().zip(normal) {
        *out = (*out - mean - normal * slope) * inverse;
    }
}

/// With `[2, width]`: the scale, then the shift.
#[derive(Debug, Clone, Copy)]
struct Norm {
    epsilon: f64,
}

/// The rows of x, and those of the residual.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    x: &'a [T],
    residual: Option<&'a [T]>,
    width: usize,
    epsilon: T,
}

impl<T: Real> Rows<'_, T> {
    /// Writes row `number`, normalised, to `out` and returns 1 / its standard deviation.
    #[inline(always)]
    fn normalise(&self, number: usize, out: &mut [T]) -> T {
        let range = number * self.width..(number + 1) * self.width;
        out.copy_from_slice(&self.x[range.clone()]);
        if let Some(residual) = self.residual {
            for (out, &other) in out.iter_mut().zip(&residual[range]) {
                *out += other;
            }
        }
        normalise(out, self.epsilon)
    }

    #[inline(always)]
    fn forward(&self, first: usize, affine: &[T], out: &mut [T]) {
        let (scale, shift) = affine.split_at(self.width);
        for (row, out) in out.chunks_exact_mut(self.width).enumerate() {
            self.normalise(first + row, out);
            for ((out, &scale), &shift) in out.iter_mut().zip(scale).zip(shift) {
                *out = *out * scale + shift;
            }
        }
    }

    /// The gradient of the sum that was normalised.
    #[inline(always)]
    fn backward(&self, first: usize, scale: &[T], grad: &[T], out: &mut [T]) {
        let mut normal = vec![T::ZERO; self.width];
        for (row, out) in out.chunks_exact_mut(self.width).enumerate() {
            let number = first + row;
            let inverse = self.normalise(number, &mut normal);
            let grad = &grad[number * self.width..(number + 1) * self.width];
            slope(&normal, inverse, scale, grad, out);
        }
    }

    /// Adds the gradients of scale and shift of some rows to `sums [2 * width]`.
    #[inline(always)]
    fn backward_affine(&self, from: usize, to: usize, grad: &[T], sums: &mut [T]) {
        let mut normal = vec![T::ZERO; self.width];
        let (scale, shift) = sums.split_at_mut(self.width);
        for number in from..to {
            self.normalise(number, &mut normal);
            let grad = &grad[number * self.width..(number + 1) * self.width];
            for i in 0..self.width {
                scale[i] += grad[i] * normal[i];
                shift[i] += grad[i];
            }
        }
    }
}

impl Norm {
    fn forward(
        self,
        x: (&CpuStorage, &Layout),
        residual: Option<(&CpuStorage, &Layout)>,
        affine: (&CpuStorage, &Layout),
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(x.0.dtype(), NAME, T => {
            let affine = slice::<T>(affine.0, affine.1, NAME)?;
            let residual = match residual {
                Some((storage, layout)) => Some(slice::<T>(storage, layout, NAME)?),
                None => None,
            };
            let rows = Rows {
                x: slice::<T>(x.0, x.1, NAME)?,
                residual,
                width: affine.len() / 2,
                epsilon: T::from_f64(self.epsilon),
            };
            let mut out = vec![T::ZERO; rows.x.len()];
            fill_rows(&mut out, rows.width, |first, out| {
                vectorized(|| rows.forward(first, affine, out));
            });
            Ok((T::to_cpu_storage_owned(out), x.1.shape().clone()))
        })
    }

    /// The gradients of the sum that was normalised and of `affine`.
    fn backward(
        self,
        x: &Tensor,
        residual: Option<&Tensor>,
        affine: &Tensor,
        grad: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let grad = grad.contiguous()?;
        by_dtype!(x.dtype(), NAME, T => {
            let hosts = (Host::of(x, NAME), Host::of(affine, NAME), Host::of(&grad, NAME));
            let other = residual.map(|residual| Host::of(residual, NAME));
            let affine_values = hosts.1.slice::<T>()?;
            let grad = hosts.2.slice::<T>()?;
            let rows = Rows {
                x: hosts.0.slice::<T>()?,
                residual: other.as_ref().map(Host::slice::<T>).transpose()?,
                width: affine_values.len() / 2,
                epsilon: T::from_f64(self.epsilon),
            };
            let scale = &affine_values[..rows.width];
            let mut out = vec![T::ZERO; rows.x.len()];
            fill_rows(&mut out, rows.width, |first, out| {
                vectorized(|| rows.backward(first, scale, grad, out));
            });
            let count = rows.x.len() / rows.width;
            let sums = sum_rows(count, 2 * rows.width, |from, to, sums: &mut [T]| {
                vectorized(|| rows.backward_affine(from, to, grad, sums));
            });
            Ok((
                Tensor::from_vec(out, x.shape(), x.device())?,
                Tensor::from_vec(sums, affine.shape(), x.device())?,
            ))
        })
    }
}

impl CustomOp2 for Norm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), None, (affine, affine_layout))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_affine) = self.backward(x, None, affine, grad)?;
        Ok((Some(of_x), Some(of_affine)))
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let residual = Some((residual, residual_layout));
        self.forward((x, x_layout), residual, (affine, affine_layout))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        affine: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_sum, of_affine) = self.backward(x, Some(residual), affine, grad)?;
        Ok((Some(of_sum.clone()), Some(of_sum), Some(of_affine)))
    }
}
