//! Differentiable operations with a backward pass of their own.
//!
//! candle 0.11 cuts gradients without a word in its fused layers (`LayerNorm`,
//! `softmax_last_dim` and others apply their operation without a backward pass), and what
//! it differentiates it differentiates piece by piece, each piece on one thread. The
//! operations here know their derivative. On a CPU they are vectorised, run on rayon's
//! current pool and add up in an order that does not depend on the number of threads; on
//! any other device each is composed of candle's differentiable ones.
//!
//! [`block`] is a layer of the encoder as one such operation, on a CPU. In bfloat16 each
//! operation rounds what it gives and sums in `f32`.
//!
//! Every public function takes and gives tensors; where to look for one: its own module.

mod attention;
mod block;
mod bundle;
mod cross_entropy;
mod dropout;
mod embedding;
mod gelu;
mod half;
mod linear;
mod matrix;
mod norm;
#[cfg(test)]
mod parity;
mod real;
mod rows;

pub use attention::{AttentionShape, attention};
pub use block::{Activation, BlockPlan, BlockWeights, block};
pub use cross_entropy::{ClassLoss, cross_entropy};
pub use dropout::{Keep, dropout};
pub use embedding::embedding;
pub use gelu::gelu;
pub use linear::linear;
pub use norm::layer_norm;

pub(super) use real::{sum, vectorized};

use candle_core::{CpuStorage, DType, Error, Layout, Result, Storage, StorageRef, Tensor};

use real::Real;

/// Runs `$body` with `$real` standing for `f32` or `f64`, whichever `$dtype` is.
macro_rules! by_dtype {
    ($dtype:expr, $name:expr, $real:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $real = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $real = f64;
                $body
            }
            other => Err($crate::deep::op::unsupported(other, $name)),
        }
    };
}
use by_dtype;

/// An operation met a type of number it does not compute with.
fn unsupported(dtype: DType, name: &'static str) -> Error {
    Error::UnsupportedDTypeForOp(dtype, name)
}

/// The values of a contiguous tensor on a CPU.
fn slice<'a, T: Real>(
    storage: &'a CpuStorage,
    layout: &Layout,
    name: &'static str,
) -> Result<&'a [T]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or(Error::RequiresContiguous { op: name })?;
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// A tensor's values on a CPU, locked for reading.
struct Host<'a> {
    storage: StorageRef<'a>,
    layout: Layout,
    name: &'static str,
}

impl<'a> Host<'a> {
    /// Locks `tensor`, which must be contiguous and on a CPU.
    fn of(tensor: &'a Tensor, name: &'static str) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self {
            layout: layout.clone(),
            storage,
            name,
        }
    }

    fn slice<T: Real>(&self) -> Result<&[T]> {
        match &*self.storage {
            Storage::Cpu(storage) => slice(storage, &self.layout, self.name),
            _ => Err(Error::Msg(format!(
                "{} got a tensor off the CPU",
                self.name
            ))),
        }
    }
}

/// Whether a gradient is wanted for `tensor`: it is a variable or computed from one.
fn trains(tensor: &Tensor) -> bool {
    tensor.track_op()
}
