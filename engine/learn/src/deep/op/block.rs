//! A layer of the encoder as one operation: attention and the feed-forward part, each with
//! its residual and normalisation.
//!
//! Made of single operations, a layer spends as much time on moving its numbers as on
//! multiplying them: each operation writes a tensor of the whole batch, candle's backward
//! pass adds each gradient to zeros, and all threads wait for each other after each. Here a
//! thread takes some texts through the whole layer ([`forward`]) and back ([`backward`])
//! while their numbers are in its cache; only then the weights' gradients are summed over
//! all texts, a part of a weight a thread. Which texts go together and in which order is
//! added up depends on the batch's shape only, never on the number of threads.

mod backward;
mod forward;

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Tensor};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::attention::AttentionShape;
use super::bundle::{Left, bundle};
use super::dropout::Keep;
use super::real::Real;
use super::{Host, by_dtype, slice, trains};
use forward::Saved;

const NAME: &str = "encoder block";

/// Rows (tokens) that a thread takes through the layer at a time, about.
const ROWS: usize = 256;

/// The function between the two halves of a layer's feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Exact GELU.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// What a layer does, beside its weights.
#[derive(Debug, Clone)]
pub struct BlockPlan {
    /// How the rows are to be read.
    pub shape: AttentionShape,
    /// Which keys are looked at, `[batch * seq]`.
    pub mask: std::sync::Arc<[bool]>,
    /// Between the halves of the feed-forward part.
    pub activation: Activation,
    /// Added to the variances.
    pub epsilon: f64,
    /// What stays of the attention weights.
    pub attention_keep: Option<Keep>,
    /// What stays of the attention's output.
    pub mixed_keep: Option<Keep>,
    /// What stays of the feed-forward part's.
    pub outer_keep: Option<Keep>,
}

/// A layer's weights, each with its bias (`[outputs, inputs]` and `[outputs]`; of a
/// normalisation scale and shift, `[width]`).
#[derive(Debug, Clone, Copy)]
pub struct BlockWeights<'a> {
    /// Makes queries.
    pub query: [&'a Tensor; 2],
    /// Makes keys.
    pub key: [&'a Tensor; 2],
    /// Makes values.
    pub value: [&'a Tensor; 2],
    /// Brings the heads' mixtures together.
    pub mixed: [&'a Tensor; 2],
    /// Normalises the attention part.
    pub mixed_norm: [&'a Tensor; 2],
    /// The first half of the feed-forward part.
    pub inner: [&'a Tensor; 2],
    /// The second half.
    pub outer: [&'a Tensor; 2],
    /// Normalises the feed-forward part.
    pub outer_norm: [&'a Tensor; 2],
}

/// The places of the weights in [`BlockWeights::all`].
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;
const MIXED: usize = 3;
const MIXED_NORM: usize = 4;
const INNER: usize = 5;
const OUTER: usize = 6;
const OUTER_NORM: usize = 7;
const COUNT: usize = 8;

impl<'a> BlockWeights<'a> {
    fn all(&self) -> [[&'a Tensor; 2]; COUNT] {
        [
            self.query,
            self.key,
            self.value,
            self.mixed,
            self.mixed_norm,
            self.inner,
            self.outer,
            self.outer_norm,
        ]
    }
}

/// A layer's output for `x [batch * seq, width]`, of the same shape: with h the attention
/// part's output and `n` a normalisation, `y = n(x + h(x))`, then `n(y + f(y))` with f the
/// feed-forward part. On a CPU only.
///
/// # Errors
///
/// Shapes that do not go together; numbers other than `f32` and `f64`; a tensor elsewhere.
pub fn block(x: &Tensor, weights: &BlockWeights<'_>, plan: BlockPlan) -> Result<Tensor> {
    let all = weights.all();
    let width = plan.shape.heads * plan.shape.size;
    let (inner, _) = weights.inner[0].dims2()?;
    let expected = |place: usize| match place {
        MIXED_NORM | OUTER_NORM => (vec![width], width),
        INNER => (vec![inner, width], inner),
        OUTER => (vec![width, inner], width),
        _ => (vec![width, width], width),
    };
    let fits = all.iter().enumerate().all(|(place, [weight, bias])| {
        let (dims, outputs) = expected(place);
        weight.dims() == dims && bias.dims() == [outputs]
    });
    let rows = plan.shape.batch * plan.shape.seq;
    if !fits || x.dims() != [rows, width] || plan.mask.len() != rows {
        return Err(Error::Msg(format!(
            "{NAME}: {:?} does not go with the layer's weights and {:?}",
            x.dims(),
            plan.shape
        )));
    }
    let x = x.contiguous()?;
    let bundled = bundle(all.into_iter())?;
    let weights = all.map(|pair| pair.map(Tensor::detach));
    by_dtype!(x.dtype(), NAME, T => {
        let mut block = Block::<T> {
            wanted: all.map(|pair| pair.map(trains)),
            wants_x: trains(&x),
            weights,
            width,
            inner,
            plan,
            left: Left::default(),
            saved: Mutex::default(),
        };
        if let Some((bundled, left)) = bundled {
            block.left = left;
            return x.apply_op2(&bundled, block);
        }
        if block.wants_x {
            let nothing = Tensor::zeros(1, x.dtype(), x.device())?;
            return x.apply_op2(&nothing, block);
        }
        x.apply_op1_no_bwd(&block)
    })
}

#[derive(Debug)]
struct Block<T> {
    weights: [[Tensor; 2]; COUNT],
    wanted: [[bool; 2]; COUNT],
    wants_x: bool,
    width: usize,
    /// Numbers a token within the feed-forward part.
    inner: usize,
    plan: BlockPlan,
    left: Left,
    /// What the forward pass leaves for the backward pass, some texts each.
    saved: Mutex<Vec<Saved<T>>>,
}

/// The values of a layer's weights.
type Values<'a, T> = [[&'a [T]; 2]; COUNT];

impl<T: Real> Block<T> {
    /// Texts that go together.
    fn texts(&self) -> usize {
        (ROWS / self.plan.shape.seq.max(1)).max(1)
    }

    /// Runs `work` with the weights' values.
    fn with_values<R>(&self, work: impl FnOnce(&Values<'_, T>) -> Result<R>) -> Result<R> {
        let hosts: Vec<Host<'_>> = self
            .weights
            .iter()
            .flatten()
            .map(|weight| Host::of(weight, NAME))
            .collect();
        let mut values: Values<'_, T> = [[&[]; 2]; COUNT];
        for (value, host) in values.iter_mut().flatten().zip(&hosts) {
            *value = host.slice()?;
        }
        work(&values)
    }

    /// The output, and what the backward pass needs if there will be one.
    fn forward(&self, x: &[T], keep: bool) -> Result<(Vec<T>, Vec<Saved<T>>)> {
        let mut out = vec![T::ZERO; x.len()];
        let texts = self.texts();
        let size = texts * self.plan.shape.seq * self.width;
        let saved = self.with_values(|values| {
            let saved = out
                .par_chunks_mut(size.max(1))
                .enumerate()
                .map(|(number, out)| {
                    let x = &x[number * size..number * size + out.len()];
                    let saved = self.forward_texts(values, x, number * texts, out);
                    keep.then_some(saved)
                })
                .collect::<Vec<Option<Saved<T>>>>();
            Ok(saved)
        })?;
        Ok((out, saved.into_iter().flatten().collect()))
    }

    fn apply(&self, x: &CpuStorage, layout: &Layout, keep: bool) -> Result<(CpuStorage, Shape)> {
        let (out, saved) = self.forward(slice::<T>(x, layout, NAME)?, keep)?;
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = saved;
        Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
    }

    /// The gradient of `x`; the weights' are left for their bundle.
    fn backward(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        let hosts = (Host::of(x, NAME), Host::of(&grad, NAME));
        let (values, grads) = (hosts.0.slice::<T>()?, hosts.1.slice::<T>()?);
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = vec![T::ZERO; values.len()];
        let texts = self.texts();
        let size = texts * self.plan.shape.seq * self.width;
        let slopes = self.with_values(|weights| {
            let slopes: Vec<_> = (out.par_chunks_mut(size.max(1)), &*saved)
                .into_par_iter()
                .enumerate()
                .map(|(number, (out, saved))| {
                    let grad = &grads[number * size..number * size + out.len()];
                    self.backward_texts(weights, saved, number * texts, grad, out)
                })
                .collect();
            Ok(slopes)
        })?;
        self.left.put(self.of_weights(values, &saved, &slopes)?);
        Tensor::from_vec(out, x.shape(), x.device())
    }
}

impl<T: Real> CustomOp1 for Block<T> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.apply(x, layout, false)
    }
}

impl<T: Real> CustomOp2 for Block<T> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.apply(x, layout, true)
    }

    fn bwd(
        &self,
        x: &Tensor,
        bundled: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_x = self.backward(x, grad)?;
        let of_bundle = if trains(bundled) {
            Some(bundled.zeros_like()?)
        } else {
            None
        };
        Ok((self.wants_x.then_some(of_x), of_bundle))
    }
}
