//! Rows of a table by number.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, WithDType};

use super::real::Real;
use super::rows::fill_rows;
use super::{Host, by_dtype, slice};

const NAME: &str = "embedding";

/// The rows `ids` of `table [rows, width]`: `[ids, width]`.
///
/// # Errors
///
/// A number that the table has no row for; numbers other than `f32` and `f64`.
pub fn embedding(table: &Tensor, ids: &Arc<[u32]>) -> Result<Tensor> {
    let (rows, _) = table.dims2()?;
    if let Some(wrong) = ids.iter().find(|&&id| id as usize >= rows) {
        return Err(Error::Msg(format!(
            "embedding: there is no row {wrong} in a table of {rows}"
        )));
    }
    if table.device().is_cpu() {
        let op = Embedding {
            ids: Arc::clone(ids),
        };
        table.contiguous()?.apply_op1(op)
    } else {
        composed(table, ids)
    }
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let ids = Tensor::from_slice(ids, ids.len(), table.device())?;
    table.index_select(&ids, 0)
}

#[derive(Debug)]
struct Embedding {
    ids: Arc<[u32]>,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        by_dtype!(table.dtype(), NAME, T => {
            let table = slice::<T>(table, layout, NAME)?;
            let mut out = vec![T::ZERO; self.ids.len() * width];
            fill_rows(&mut out, width, |first, out| {
                for (row, &id) in out.chunks_exact_mut(width).zip(&self.ids[first..]) {
                    let id = id as usize;
                    row.copy_from_slice(&table[id * width..(id + 1) * width]);
                }
            });
            Ok((T::to_cpu_storage_owned(out), Shape::from((self.ids.len(), width))))
        })
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = table.dims2()?;
        let grad = grad.contiguous()?;
        by_dtype!(table.dtype(), NAME, T => {
            let host = Host::of(&grad, NAME);
            let grad = host.slice::<T>()?;
            let mut sums = vec![T::ZERO; table.elem_count()];
            // In the order of the rows, on one thread: the same row may come twice.
            for (grad, &id) in grad.chunks_exact(width).zip(self.ids.iter()) {
                let id = id as usize;
                let row = &mut sums[id * width..(id + 1) * width];
                for (sum, &grad) in row.iter_mut().zip(grad) {
                    *sum += grad;
                }
            }
            Ok(Some(Tensor::from_vec(sums, table.shape(), table.device())?))
        })
    }
}
