//! Some texts back through a layer, on one thread, and then the weights' gradients.

use candle_core::{Result, Tensor};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::attention::softmax_backward;
use super::super::dropout::Keep;
use super::super::gelu;
use super::super::linear::add_rows;
use super::super::matrix::{Matrix, multiply};
use super::super::norm::slope;
use super::super::real::{Real, vectorized};
use super::forward::{Normalised, Place, Saved};
use super::{
    Activation, Block, COUNT, INNER, KEY, MIXED, MIXED_NORM, OUTER, OUTER_NORM, QUERY, VALUE,
    Values,
};

/// Rows of a weight whose gradient one thread sums up at a time.
const OUTPUTS: usize = 192;

/// The gradients of some texts that the weights' are made of.
#[derive(Debug)]
pub(super) struct Slopes<T> {
    /// Of queries, keys and values, `[rows, 3 * width]`.
    heads: Vec<T>,
    /// Of the attention's output before dropout, `[rows, width]`.
    mixed: Vec<T>,
    /// Before the activation, `[rows, inner]`.
    inner: Vec<T>,
    /// Not a gradient: the activation's values again, `[rows, inner]`.
    active: Vec<T>,
    /// Of the feed-forward part's output before dropout, `[rows, width]`.
    outer: Vec<T>,
    /// Of scale and shift of each normalisation, `[2, width]`.
    norms: [Vec<T>; 2],
}

impl<T: Real> Block<T> {
    /// From the gradient `grad` of the output of the texts from `first` on to that of their
    /// input, written to `out`.
    pub(super) fn backward_texts(
        &self,
        values: &Values<'_, T>,
        saved: &Saved<T>,
        first: usize,
        grad: &[T],
        out: &mut [T],
    ) -> Slopes<T> {
        let (width, inner_width) = (self.width, self.inner);
        let rows = grad.len() / width;
        let place = Place { text: first, rows };
        let number = self.first_number(place);
        // `out` first holds the gradient of the sum before the last normalisation.
        let of_fed = saved.fed.backward(values[OUTER_NORM][0], grad, out);
        let outer = kept(self.plan.outer_keep, number, out);
        let mut inner = vec![T::ZERO; saved.inner.len()];
        let weight = |part: usize, outputs: usize, inputs: usize| {
            Matrix::of(values[part][0], outputs, inputs, inputs)
        };
        let slopes = Matrix::of(&outer, rows, width, width);
        multiply(
            slopes,
            weight(OUTER, width, inner_width),
            &mut inner,
            inner_width,
            false,
        );
        let mut active = vec![T::ZERO; inner.len()];
        let activation = self.plan.activation;
        vectorized(|| deactivate(activation, &saved.inner, &mut inner, &mut active));
        let slopes = Matrix::of(&inner, rows, inner_width, inner_width);
        multiply(slopes, weight(INNER, inner_width, width), out, width, true);
        // Now `out` holds the gradient of the first normalisation's output.
        let between = out.to_vec();
        let of_attended = saved
            .attended
            .backward(values[MIXED_NORM][0], &between, out);
        let mixed = kept(self.plan.mixed_keep, number, out);
        let mut context = between;
        let slopes = Matrix::of(&mixed, rows, width, width);
        multiply(
            slopes,
            weight(MIXED, width, width),
            &mut context,
            width,
            false,
        );
        let heads = self.attend_backward(&saved.heads, &context, place);
        for (number, part) in [QUERY, KEY, VALUE].into_iter().enumerate() {
            let slopes = Matrix::of(&heads[number * width..], rows, width, 3 * width);
            multiply(slopes, weight(part, width, width), out, width, true);
        }
        Slopes {
            heads,
            mixed,
            inner,
            active,
            outer,
            norms: [of_attended, of_fed],
        }
    }

    /// From the gradient of the heads' mixtures to those of queries, keys and values.
    fn attend_backward(&self, heads: &[T], context: &[T], place: Place) -> Vec<T> {
        let shape = self.plan.shape;
        let (seq, size, width) = (shape.seq, shape.size, self.width);
        let scale = T::from_f64(1.0 / (size as f64).sqrt());
        let mut out = vec![T::ZERO; heads.len()];
        let mut weights = vec![T::ZERO; seq * seq];
        let mut dropped = weights.clone();
        let mut slopes = weights.clone();
        for (number, out) in out.chunks_exact_mut((3 * seq * width).max(1)).enumerate() {
            let text = place.text + number;
            let heads = &heads[number * out.len()..(number + 1) * out.len()];
            let context = &context[number * seq * width..(number + 1) * seq * width];
            for head in 0..shape.heads {
                let [query, key, value] = self.head(heads, head);
                self.attention_weights(heads, text, head, &mut weights);
                dropped.copy_from_slice(&weights);
                self.drop_weights(text, head, &mut dropped);
                let square = |values| Matrix::of(values, seq, seq, seq);
                let mixture = Matrix::of(&context[head * size..], seq, size, width);
                let mut to = |part: usize, a: Matrix<'_, T>, b: Matrix<'_, T>| {
                    let out = &mut out[part * width + head * size..];
                    multiply(a, b, out, 3 * width, false);
                };
                to(2, square(&dropped).transposed(), mixture);
                multiply(mixture, value.transposed(), &mut slopes, seq, false);
                self.drop_weights(text, head, &mut slopes);
                vectorized(|| softmax_backward(&weights, &mut slopes, seq, scale));
                to(0, square(&slopes), key);
                to(1, square(&slopes).transposed(), query);
            }
        }
        out
    }

    /// The gradients of all weights that train, from those of all texts.
    pub(super) fn of_weights(
        &self,
        x: &[T],
        saved: &[Saved<T>],
        slopes: &[Slopes<T>],
    ) -> Result<Vec<Option<Tensor>>> {
        let size = self.texts() * self.plan.shape.seq * self.width;
        let mut sums: Vec<[Vec<T>; 2]> = (0..COUNT)
            .map(|part| [0, 1].map(|side| self.empty(part, side)))
            .collect();
        let tasks: Vec<Task<'_, T>> = sums
            .iter_mut()
            .enumerate()
            .filter(|(part, _)| !matches!(*part, MIXED_NORM | OUTER_NORM))
            .flat_map(|(part, [weight, bias])| self.tasks(part, weight, bias))
            .collect();
        tasks.into_par_iter().for_each(|mut task| {
            for (number, (slopes, saved)) in slopes.iter().zip(saved).enumerate() {
                let x = &x[number * size..];
                self.sum_up(&mut task, slopes, saved, x, number > 0);
            }
        });
        for (norm, part) in [MIXED_NORM, OUTER_NORM].into_iter().enumerate() {
            for slopes in slopes {
                let (scale, shift) = slopes.norms[norm].split_at(self.width);
                for (sums, part) in sums[part].iter_mut().zip([scale, shift]) {
                    for (sum, &part) in sums.iter_mut().zip(part) {
                        *sum += part;
                    }
                }
            }
        }
        let all = sums.into_iter().zip(&self.weights).zip(&self.wanted);
        all.flat_map(|((sums, weights), wanted)| {
            let pairs = sums.into_iter().zip(weights).zip(wanted);
            pairs.map(|((sums, weight), &wanted)| {
                wanted
                    .then(|| Tensor::from_vec(sums, weight.shape(), weight.device()))
                    .transpose()
            })
        })
        .collect()
    }

    /// Zeros for the gradient of a weight that is wanted, else nothing.
    fn empty(&self, part: usize, side: usize) -> Vec<T> {
        if self.wanted[part][side] {
            vec![T::ZERO; self.weights[part][side].elem_count()]
        } else {
            Vec::new()
        }
    }

    /// The pieces of work for the gradients of one weight and its bias.
    fn tasks<'a>(&self, part: usize, weight: &'a mut [T], bias: &'a mut [T]) -> Vec<Task<'a, T>> {
        let (outputs, inputs) = match part {
            INNER => (self.inner, self.width),
            OUTER => (self.width, self.inner),
            _ => (self.width, self.width),
        };
        let mut weights = weight.chunks_mut(OUTPUTS * inputs);
        let mut biases = bias.chunks_mut(OUTPUTS);
        (0..outputs)
            .step_by(OUTPUTS)
            .map(|first| Task {
                part,
                first,
                outputs: OUTPUTS.min(outputs - first),
                inputs,
                weight: weights.next(),
                bias: biases.next(),
            })
            .filter(|task| task.weight.is_some() || task.bias.is_some())
            .collect()
    }

    /// Adds what some texts contribute; the first ones overwrite what is there.
    fn sum_up(
        &self,
        task: &mut Task<'_, T>,
        slopes: &Slopes<T>,
        saved: &Saved<T>,
        x: &[T],
        add: bool,
    ) {
        let width = self.width;
        let (slopes, step, input): (&[T], usize, &[T]) = match task.part {
            QUERY => (&slopes.heads, 3 * width, x),
            KEY => (&slopes.heads[width..], 3 * width, x),
            VALUE => (&slopes.heads[2 * width..], 3 * width, x),
            MIXED => (&slopes.mixed, width, &saved.context),
            INNER => (&slopes.inner, self.inner, &saved.between),
            _ => (&slopes.outer, width, &slopes.active),
        };
        let rows = saved.between.len() / width;
        let slopes = &slopes[task.first..];
        if let Some(weight) = &mut task.weight {
            let slopes = Matrix::of(slopes, rows, task.outputs, step).transposed();
            let input = Matrix::of(input, rows, task.inputs, task.inputs);
            multiply(slopes, input, weight, task.inputs, add);
        }
        if let Some(bias) = &mut task.bias {
            vectorized(|| add_rows(slopes, step, rows, bias));
        }
    }
}

/// Some rows of a weight's gradient, to be summed up.
struct Task<'a, T> {
    part: usize,
    first: usize,
    outputs: usize,
    inputs: usize,
    weight: Option<&'a mut [T]>,
    bias: Option<&'a mut [T]>,
}

impl<T: Real> Normalised<T> {
    /// Writes the gradient of the rows before they were normalised to `out`, and returns
    /// those of scale and shift, `[2, width]`.
    fn backward(&self, scale: &[T], grad: &[T], out: &mut [T]) -> Vec<T> {
        let width = scale.len();
        let mut sums = vec![T::ZERO; 2 * width];
        vectorized(|| {
            let (of_scale, of_shift) = sums.split_at_mut(width);
            for (number, &inverse) in self.inverses.iter().enumerate() {
                let row = number * width..(number + 1) * width;
                let (normal, grad) = (&self.rows[row.clone()], &grad[row.clone()]);
                slope(normal, inverse, scale, grad, &mut out[row]);
                for i in 0..width {
                    of_scale[i] += grad[i] * normal[i];
                    of_shift[i] += grad[i];
                }
            }
        });
        sums
    }
}

/// `grad`, whose first number is number `first` of the batch, after dropout.
fn kept<T: Real>(keep: Option<Keep>, first: usize, grad: &[T]) -> Vec<T> {
    let mut out = grad.to_vec();
    if let Some(keep) = keep {
        vectorized(|| super::super::attention::multiply(&keep, first, &mut out));
    }
    out
}

/// Turns the gradients of the activation's values into those of `x`, and writes the values
/// themselves to `values`.
#[inline(always)]
fn deactivate<T: Real>(activation: Activation, x: &[T], grads: &mut [T], values: &mut [T]) {
    let numbers = grads.iter_mut().zip(values).zip(x);
    match activation {
        Activation::Gelu => {
            for ((grad, value), &x) in numbers {
                let (at, slope) = gelu::value_and_slope(x);
                *value = at;
                *grad *= slope;
            }
        }
        Activation::Relu => {
            for ((grad, value), &x) in numbers {
                let on = if x > T::ZERO { T::ONE } else { T::ZERO };
                *value = x * on;
                *grad *= on;
            }
        }
    }
}
