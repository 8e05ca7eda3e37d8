//! Some texts through a layer, on one thread.

use super::super::attention::{masked_softmax, multiply as multiply_kept};
use super::super::dropout::Keep;
use super::super::gelu;
use super::super::matrix::{Matrix, multiply};
use super::super::norm::normalise;
use super::super::real::{Real, vectorized};
use super::{
    Activation, Block, INNER, KEY, MIXED, MIXED_NORM, OUTER, OUTER_NORM, QUERY, VALUE, Values,
};

/// What the backward pass needs of some texts.
#[derive(Debug)]
pub(super) struct Saved<T> {
    /// Queries, keys and values side by side, `[rows, 3 * width]`.
    pub(super) heads: Vec<T>,
    /// The heads' mixtures of values, `[rows, width]`.
    pub(super) context: Vec<T>,
    /// The attention part, normalised.
    pub(super) attended: Normalised<T>,
    /// Its output after scale and shift, `[rows, width]`.
    pub(super) between: Vec<T>,
    /// Before the activation, `[rows, inner]`.
    pub(super) inner: Vec<T>,
    /// The feed-forward part, normalised.
    pub(super) fed: Normalised<T>,
}

/// Rows of mean 0 and variance 1.
#[derive(Debug)]
pub(super) struct Normalised<T> {
    /// `[rows, width]`.
    pub(super) rows: Vec<T>,
    /// 1 / the deviation that each had.
    pub(super) inverses: Vec<T>,
}

impl<T: Real> Normalised<T> {
    /// Normalises `rows` and writes them, scaled and shifted, to `out`.
    fn of(mut rows: Vec<T>, epsilon: f64, [scale, shift]: [&[T]; 2], out: &mut [T]) -> Self {
        let mut inverses = Vec::with_capacity(rows.len() / scale.len());
        vectorized(|| {
            let pairs = rows.chunks_exact_mut(scale.len());
            for (row, out) in pairs.zip(out.chunks_exact_mut(scale.len())) {
                inverses.push(normalise(row, T::from_f64(epsilon)));
                let numbers = out.iter_mut().zip(row.iter());
                for ((out, &value), (&scale, &shift)) in numbers.zip(scale.iter().zip(shift)) {
                    *out = value * scale + shift;
                }
            }
        });
        Self { rows, inverses }
    }
}

/// Where a layer's part of the batch begins, for dropout.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its first text.
    pub(super) text: usize,
    /// Its rows.
    pub(super) rows: usize,
}

impl<T: Real> Block<T> {
    /// Takes the texts from `first` on, whose rows are `x`, through the layer to `out`.
    pub(super) fn forward_texts(
        &self,
        values: &Values<'_, T>,
        x: &[T],
        first: usize,
        out: &mut [T],
    ) -> Saved<T> {
        let place = Place {
            text: first,
            rows: x.len() / self.width,
        };
        let mut heads = vec![T::ZERO; 3 * x.len()];
        for (number, part) in [QUERY, KEY, VALUE].into_iter().enumerate() {
            let to = &mut heads[number * self.width..];
            affine(x, place.rows, values[part], to, 3 * self.width);
        }
        let context = self.attend(&heads, place);
        let mut sum = vec![T::ZERO; x.len()];
        affine(&context, place.rows, values[MIXED], &mut sum, self.width);
        let dropped = self.first_number(place);
        vectorized(|| add_kept(self.plan.mixed_keep, dropped, x, &mut sum));
        let mut between = vec![T::ZERO; x.len()];
        let epsilon = self.plan.epsilon;
        let attended = Normalised::of(sum, epsilon, values[MIXED_NORM], &mut between);
        let mut inner = vec![T::ZERO; place.rows * self.inner];
        affine(&between, place.rows, values[INNER], &mut inner, self.inner);
        let mut active = vec![T::ZERO; inner.len()];
        vectorized(|| activate(self.plan.activation, &inner, &mut active));
        let mut sum = vec![T::ZERO; x.len()];
        affine(&active, place.rows, values[OUTER], &mut sum, self.width);
        vectorized(|| add_kept(self.plan.outer_keep, dropped, &between, &mut sum));
        let fed = Normalised::of(sum, epsilon, values[OUTER_NORM], out);
        Saved {
            heads,
            context,
            attended,
            between,
            inner,
            fed,
        }
    }

    /// The number within `[batch * seq, width]` that a part of the batch begins with.
    pub(super) fn first_number(&self, place: Place) -> usize {
        place.text * self.plan.shape.seq * self.width
    }

    /// Each head's mixture of values, `[rows, width]`.
    fn attend(&self, heads: &[T], place: Place) -> Vec<T> {
        let shape = self.plan.shape;
        let mut context = vec![T::ZERO; place.rows * self.width];
        let mut weights = vec![T::ZERO; shape.seq * shape.seq];
        let text_size = shape.seq * self.width;
        for (text, out) in context.chunks_exact_mut(text_size.max(1)).enumerate() {
            let heads = &heads[text * 3 * text_size..(text + 1) * 3 * text_size];
            for head in 0..shape.heads {
                let [_, _, value] = self.head(heads, head);
                self.attention_weights(heads, place.text + text, head, &mut weights);
                self.drop_weights(place.text + text, head, &mut weights);
                let weights = Matrix::of(&weights, shape.seq, shape.seq, shape.seq);
                let out = &mut out[head * shape.size..];
                multiply(weights, value, out, self.width, false);
            }
        }
        context
    }

    /// Query, key and value `[seq, size]` of a head, of one text's `[seq, 3 * width]`.
    pub(super) fn head<'a>(&self, heads: &'a [T], head: usize) -> [Matrix<'a, T>; 3] {
        let shape = self.plan.shape;
        [0, 1, 2].map(|part| {
            let from = part * self.width + head * shape.size;
            Matrix::of(&heads[from..], shape.seq, shape.size, 3 * self.width)
        })
    }

    /// One head's attention weights `[seq, seq]` in a text, before dropout.
    pub(super) fn attention_weights(&self, heads: &[T], text: usize, head: usize, out: &mut [T]) {
        let shape = self.plan.shape;
        let [query, key, _] = self.head(heads, head);
        multiply(query, key.transposed(), out, shape.seq, false);
        let mask = &self.plan.mask[text * shape.seq..(text + 1) * shape.seq];
        let scale = T::from_f64(1.0 / (shape.size as f64).sqrt());
        vectorized(|| masked_softmax(out, mask, scale));
    }

    /// Multiplies attention weights, or their gradients, with the factors of dropout.
    pub(super) fn drop_weights(&self, text: usize, head: usize, weights: &mut [T]) {
        if let Some(keep) = self.plan.attention_keep {
            let first = (text * self.plan.shape.heads + head) * weights.len();
            vectorized(|| multiply_kept(&keep, first, weights));
        }
    }
}

/// Writes `x Wᵀ + b` to the first columns of `out`, whose rows begin every `step` numbers.
fn affine<T: Real>(x: &[T], rows: usize, [weight, bias]: [&[T]; 2], out: &mut [T], step: usize) {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    for row in out.chunks_mut(step).take(rows) {
        row[..outputs].copy_from_slice(bias);
    }
    let weight = Matrix::of(weight, outputs, inputs, inputs).transposed();
    multiply(Matrix::of(x, rows, inputs, inputs), weight, out, step, true);
}

/// Drops out of `sum`, whose first number is number `first` of the batch, and adds `x`.
#[inline(always)]
fn add_kept<T: Real>(keep: Option<Keep>, first: usize, x: &[T], sum: &mut [T]) {
    match keep {
        None => {
            for (sum, &x) in sum.iter_mut().zip(x) {
                *sum += x;
            }
        }
        Some(keep) => {
            let scale = keep.scale();
            for (i, (sum, &x)) in sum.iter_mut().zip(x).enumerate() {
                *sum = *sum * keep.factor((first + i) as u32, scale) + x;
            }
        }
    }
}

#[inline(always)]
fn activate<T: Real>(activation: Activation, x: &[T], out: &mut [T]) {
    match activation {
        Activation::Gelu => gelu::values(x, out),
        Activation::Relu => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = if x > T::ZERO { x } else { T::ZERO };
            }
        }
    }
}
