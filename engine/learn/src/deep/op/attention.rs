//! Scaled dot-product attention with a mask over the keys and dropout (Vaswani et al. 2017).
//!
//! One operation from queries, keys and values to their mixture: the scores of one text at
//! a time live in a thread's memory, never those of the batch, and the backward pass
//! computes them again, which costs one small product more.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp3, D, DType, Error, Layout, Result, Shape, Storage, Tensor, WithDType,
};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::by_dtype;
use super::dropout::Keep;
use super::half::is_half;
use super::real::{Real, largest, sum, vectorized};

const NAME: &str = "attention";

/// How `[batch * seq, heads * size]` is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Texts.
    pub batch: usize,
    /// Tokens a text, padding included.
    pub seq: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers a head.
    pub size: usize,
}

impl AttentionShape {
    fn width(self) -> usize {
        self.heads * self.size
    }
}

/// `softmax(q kᵀ / √size) v` for each text and head. `q`, `k` and `v` are
/// `[batch * seq, heads * size]`, as is the result; `mask [batch * seq]` says which keys
/// are looked at. A text without any such key gets zeros. With `keep`, probabilities drop
/// out.
///
/// # Errors
///
/// Shapes that do not go together; numbers other than `f32`, `f64` and `bf16`.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: AttentionShape,
    mask: &Arc<[bool]>,
    keep: Option<Keep>,
) -> Result<Tensor> {
    let expected = [shape.batch * shape.seq, shape.width()];
    if [q, k, v].iter().any(|part| part.dims() != expected) || mask.len() != expected[0] {
        return Err(Error::Msg(format!(
            "attention: {:?}, {:?} and {:?} with a mask of {} are not all {expected:?}",
            q.dims(),
            k.dims(),
            v.dims(),
            mask.len()
        )));
    }
    if !q.device().is_cpu() {
        return composed(q, k, v, shape, mask, keep);
    }
    if is_half(q) {
        let [q, k, v] = [q, k, v].map(|part| part.to_dtype(DType::F32));
        return attention(&q?, &k?, &v?, shape, mask, keep)?.to_dtype(DType::BF16);
    }
    let mask = Arc::clone(mask);
    let op = Attention { shape, mask, keep };
    q.contiguous()?
        .apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

/// The same out of candle's differentiable operations.
pub(super) fn composed(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: AttentionShape,
    mask: &[bool],
    keep: Option<Keep>,
) -> Result<Tensor> {
    let AttentionShape {
        batch,
        seq,
        heads,
        size,
    } = shape;
    let split = |part: &Tensor| {
        part.reshape((batch, seq, heads, size))?
            .transpose(1, 2)?
            .contiguous()
    };
    let wide = if is_half(q) { DType::F32 } else { q.dtype() };
    let scores = split(q)?.matmul(&split(k)?.t()?)?.to_dtype(wide)?;
    let scores = (scores * (1.0 / (size as f64).sqrt()))?;
    let looked_at: Vec<f32> = mask.iter().map(|&kept| f32::from(u8::from(kept))).collect();
    let looked_at = Tensor::from_vec(looked_at, (batch, 1, 1, seq), q.device())?.to_dtype(wide)?;
    // Far below any score, and finite: infinities make NaN of a text without keys.
    let hidden = ((&looked_at - 1.0)? * 1e9)?;
    let scores = scores.broadcast_add(&hidden)?;
    let highest = scores.max_keepdim(D::Minus1)?.detach();
    let powers = scores
        .broadcast_sub(&highest)?
        .exp()?
        .broadcast_mul(&looked_at)?;
    let total = (powers.sum_keepdim(D::Minus1)? + 1e-30)?;
    let mut weights = powers.broadcast_div(&total)?;
    if let Some(keep) = keep {
        weights = super::dropout::composed(&weights, keep)?;
    }
    weights
        .to_dtype(v.dtype())?
        .matmul(&split(v)?)?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch * seq, heads * size))
}

#[derive(Debug)]
struct Attention {
    shape: AttentionShape,
    mask: Arc<[bool]>,
    keep: Option<Keep>,
}

/// A part of the batch's storage: where a text's heads lie in it.
#[derive(Clone, Copy)]
struct Part<'a> {
    storage: &'a CpuStorage,
    offset: usize,
}

impl Attention {
    /// The `[heads, seq, size]` of a text within `[batch * seq, heads * size]`.
    fn heads(&self, part: Part<'_>, text: usize) -> Layout {
        let AttentionShape {
            seq, heads, size, ..
        } = self.shape;
        let width = self.shape.width();
        let offset = part.offset + text * seq * width;
        Layout::new(
            Shape::from((heads, seq, size)),
            vec![size, width, 1],
            offset,
        )
    }

    /// `[heads, seq, seq]` of what this module computed.
    fn square(&self) -> Layout {
        let AttentionShape { seq, heads, .. } = self.shape;
        Layout::contiguous((heads, seq, seq))
    }

    /// The attention weights `[heads, seq, seq]` of a text, before dropout.
    fn weights<T: Real>(&self, q: Part<'_>, k: Part<'_>, text: usize) -> Result<Vec<T>> {
        let AttentionShape {
            seq, heads, size, ..
        } = self.shape;
        let keys = self.heads(k, text).transpose(1, 2)?;
        let queries = self.heads(q, text);
        let scores = q
            .storage
            .matmul(k.storage, (heads, seq, seq, size), &queries, &keys)?;
        let mut scores = T::cpu_storage_data(scores)?;
        let mask = &self.mask[text * seq..(text + 1) * seq];
        let scale = T::from_f64(1.0 / (size as f64).sqrt());
        vectorized(|| masked_softmax(&mut scores, mask, scale));
        Ok(scores)
    }

    /// Multiplies the weights of a text with the factors of dropout.
    fn drop<T: Real>(&self, weights: &mut [T], text: usize) {
        if let Some(keep) = self.keep {
            let first = text * weights.len();
            vectorized(|| multiply(&keep, first, weights));
        }
    }

    /// One text's mixture of values, written to its rows of the result.
    fn forward<T: Real>(&self, [q, k, v]: [Part<'_>; 3], text: usize, out: &mut [T]) -> Result<()> {
        let AttentionShape {
            seq, heads, size, ..
        } = self.shape;
        let mut weights = self.weights::<T>(q, k, text)?;
        self.drop(&mut weights, text);
        let weights = T::to_cpu_storage_owned(weights);
        let mixed = weights.matmul(
            v.storage,
            (heads, seq, size, seq),
            &self.square(),
            &self.heads(v, text),
        )?;
        self.to_rows(&T::cpu_storage_data(mixed)?, out);
        Ok(())
    }

    /// One text's gradients of q, k and v, from that of the result. With A the weights
    /// after dropout and P before: dV = Aᵀ dO; dP = dO Vᵀ times the factors of dropout;
    /// dS = P (dP - sum(dP P)); dQ = dS K / √size; dK = dSᵀ Q / √size.
    fn backward<T: Real>(
        &self,
        [q, k, v, grad]: [Part<'_>; 4],
        text: usize,
        [of_q, of_k, of_v]: [&mut [T]; 3],
    ) -> Result<()> {
        let AttentionShape {
            seq, heads, size, ..
        } = self.shape;
        let square = self.square();
        let flipped = square.transpose(1, 2)?;
        let out = self.heads(grad, text);
        let mix = (heads, seq, size, seq);

        let weights = self.weights::<T>(q, k, text)?;
        let mut dropped = weights.clone();
        self.drop(&mut dropped, text);
        let dropped = T::to_cpu_storage_owned(dropped);
        let values = dropped.matmul(grad.storage, mix, &flipped, &out)?;
        self.to_rows(&T::cpu_storage_data(values)?, of_v);

        let transposed = self.heads(v, text).transpose(1, 2)?;
        let scores = grad
            .storage
            .matmul(v.storage, (heads, seq, seq, size), &out, &transposed)?;
        let mut scores = T::cpu_storage_data(scores)?;
        self.drop(&mut scores, text);
        let scale = T::from_f64(1.0 / (size as f64).sqrt());
        vectorized(|| softmax_backward(&weights, &mut scores, seq, scale));
        let scores = T::to_cpu_storage_owned(scores);
        let queries = scores.matmul(k.storage, mix, &square, &self.heads(k, text))?;
        self.to_rows(&T::cpu_storage_data(queries)?, of_q);
        let keys = scores.matmul(q.storage, mix, &flipped, &self.heads(q, text))?;
        self.to_rows(&T::cpu_storage_data(keys)?, of_k);
        Ok(())
    }

    /// `[heads, seq, size]` as `[seq, heads * size]`.
    fn to_rows<T: Real>(&self, heads: &[T], rows: &mut [T]) {
        let AttentionShape { seq, size, .. } = self.shape;
        for (head, values) in heads.chunks_exact(seq * size).enumerate() {
            for (values, row) in values
                .chunks_exact(size)
                .zip(rows.chunks_exact_mut(self.shape.width()))
            {
                row[head * size..(head + 1) * size].copy_from_slice(values);
            }
        }
    }
}

/// In each row of `scores`, `exp(score * scale)` over the keys that `mask` names, divided
/// by their sum; 0 for the others.
#[inline(always)]
pub(super) fn masked_softmax<T: Real>(scores: &mut [T], mask: &[bool], scale: T) {
    let lowest = T::from_f64(f64::NEG_INFINITY);
    let (hidden, kept): (Vec<T>, Vec<T>) = mask
        .iter()
        .map(|&kept| {
            if kept {
                (T::ZERO, T::ONE)
            } else {
                (lowest, T::ZERO)
            }
        })
        .unzip();
    if !mask.contains(&true) {
        scores.fill(T::ZERO);
        return;
    }
    for row in scores.chunks_exact_mut(mask.len()) {
        let highest = largest(row.len(), lowest, |i| row[i] * scale + hidden[i]);
        for (score, &kept) in row.iter_mut().zip(&kept) {
            *score = (*score * scale - highest).exp() * kept;
        }
        let inverse = T::ONE / sum(row.len(), |i| row[i]);
        for score in row.iter_mut() {
            *score *= inverse;
        }
    }
}

/// Turns the gradients of `weights` into those of the scores before their scaling.
#[inline(always)]
pub(super) fn softmax_backward<T: Real>(weights: &[T], grads: &mut [T], seq: usize, scale: T) {
    for (weights, grads) in weights.chunks_exact(seq).zip(grads.chunks_exact_mut(seq)) {
        let mean = sum(seq, |i| weights[i] * grads[i]);
        for (grad, &weight) in grads.iter_mut().zip(weights) {
            *grad = weight * (*grad - mean) * scale;
        }
    }
}

/// Multiplies `weights`, the first of which is number `first`, with the factors of dropout.
#[inline(always)]
pub(super) fn multiply<T: Real>(keep: &Keep, first: usize, weights: &mut [T]) {
    let scale = keep.scale();
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight *= keep.factor((first + i) as u32, scale);
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let parts = [(q, q_layout), (k, k_layout), (v, v_layout)].map(|(storage, layout)| Part {
            storage,
            offset: layout.start_offset(),
        });
        let shape = q_layout.shape().clone();
        by_dtype!(q.dtype(), NAME, T => {
            let mut out = vec![T::ZERO; shape.elem_count()];
            out.par_chunks_mut(self.shape.seq * self.shape.width())
                .enumerate()
                .try_for_each(|(text, out)| self.forward::<T>(parts, text, out))?;
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let locked = [q, k, v, &grad].map(Tensor::storage_and_layout);
        let mut parts = Vec::with_capacity(locked.len());
        for (storage, layout) in &locked {
            let Storage::Cpu(storage) = &**storage else {
                return Err(Error::Msg("attention got a tensor off the CPU".to_owned()));
            };
            parts.push(Part {
                storage,
                offset: layout.start_offset(),
            });
        }
        let parts = [parts[0], parts[1], parts[2], parts[3]];
        let text_size = self.shape.seq * self.shape.width();
        by_dtype!(q.dtype(), NAME, T => {
            let empty = || vec![T::ZERO; q.elem_count()];
            let (mut of_q, mut of_k, mut of_v) = (empty(), empty(), empty());
            of_q.par_chunks_mut(text_size)
                .zip(of_k.par_chunks_mut(text_size))
                .zip(of_v.par_chunks_mut(text_size))
                .enumerate()
                .try_for_each(|(text, ((of_q, of_k), of_v))| {
                    self.backward::<T>(parts, text, [of_q, of_k, of_v])
                })?;
            let tensor = |values: Vec<T>| Tensor::from_vec(values, q.shape(), q.device());
            Ok((Some(tensor(of_q)?), Some(tensor(of_k)?), Some(tensor(of_v)?)))
        })
    }
}
