//! Logistic regression with an L2 penalty over sparse rows: scikit-learn's
//! `LogisticRegression(C=1.0)`, one sigmoid for two classes and a softmax for more, whose
//! intercepts are not penalised.
//!
//! The objective is `(sum of the log losses) / n + |weights|^2 / (2 C n)`. It is strictly
//! convex in the weights, so the minimum does not depend on how it is found: here by L-BFGS
//! (Nocedal and Wright, *Numerical Optimization*, 2006, algorithm 7.4) with steps that
//! fulfil Armijo's condition.

use std::collections::VecDeque;

use super::words::SparseRows;

/// Steps that the curvature is told from.
const MEMORY: usize = 10;
/// Steps at most; a thousand texts take some thirty.
const MAX_STEPS: usize = 1_000;
/// No entry of the gradient is larger when it is done (scikit-learn's default is 1e-4).
const TOLERANCE: f64 = 1e-8;
/// The share of the promised decrease that a step must bring.
const ARMIJO: f64 = 1e-4;
/// A step is halved so often before there is nothing to gain.
const MAX_HALVINGS: usize = 40;

/// A fitted model: of two classes one output, of several one a class.
#[derive(Debug, Clone)]
pub(super) struct Logistic {
    outputs: usize,
    /// `[columns, outputs]`, row-major.
    weights: Vec<f64>,
    /// `[outputs]`
    intercepts: Vec<f64>,
}

/// What is minimised, over weights and intercepts in one vector.
struct Objective<'r> {
    rows: &'r SparseRows,
    codes: &'r [u32],
    outputs: usize,
    /// `1 / (C n)`
    penalty: f64,
}

impl Logistic {
    /// Fits it to rows of `columns` columns with the codes of their classes.
    pub(super) fn fit(
        rows: &SparseRows,
        columns: usize,
        codes: &[u32],
        classes: usize,
        c: f64,
    ) -> Self {
        let outputs = if classes == 2 { 1 } else { classes };
        let objective = Objective {
            rows,
            codes,
            outputs,
            penalty: 1.0 / (c * rows.len() as f64),
        };
        let mut weights = minimise(&objective, vec![0.0; (columns + 1) * outputs]);
        let intercepts = weights.split_off(columns * outputs);
        Self {
            outputs,
            weights,
            intercepts,
        }
    }

    pub(super) fn weights(&self, column: usize) -> Vec<f64> {
        self.weights[column * self.outputs..(column + 1) * self.outputs].to_vec()
    }

    pub(super) fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// Probabilities, `[rows]` of two classes and `[rows, classes]` of more.
    pub(super) fn predict(&self, rows: &SparseRows) -> Vec<f64> {
        let mut scores = Vec::with_capacity(rows.len() * self.outputs);
        for row in rows.iter() {
            let start = scores.len();
            scores.extend_from_slice(&self.intercepts);
            let margins = &mut scores[start..];
            add_products(row, &self.weights, margins);
            match margins {
                [margin] => *margin = sigmoid(*margin),
                margins => {
                    softmax(margins);
                }
            }
        }
        scores
    }
}

/// Adds a row times the weights to its margins.
fn add_products(row: impl Iterator<Item = (usize, f64)>, weights: &[f64], margins: &mut [f64]) {
    let outputs = margins.len();
    for (column, value) in row {
        let weights = &weights[column * outputs..(column + 1) * outputs];
        for (margin, weight) in margins.iter_mut().zip(weights) {
            *margin += value * weight;
        }
    }
}

fn sigmoid(margin: f64) -> f64 {
    if margin >= 0.0 {
        1.0 / (1.0 + (-margin).exp())
    } else {
        let power = margin.exp();
        power / (1.0 + power)
    }
}

/// Turns margins into probabilities; gives the logarithm of what they were divided by.
fn softmax(margins: &mut [f64]) -> f64 {
    let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for margin in margins.iter_mut() {
        *margin = (*margin - largest).exp();
        sum += *margin;
    }
    margins.iter_mut().for_each(|margin| *margin /= sum);
    largest + sum.ln()
}

impl Objective<'_> {
    /// The value at `at`; its gradient goes to `gradient`.
    fn value(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let (outputs, rows) = (self.outputs, self.codes.len() as f64);
        let (weights, intercepts) = at.split_at(at.len() - outputs);
        gradient.fill(0.0);
        let (slopes, base) = gradient.split_at_mut(weights.len());
        let mut margins = vec![0.0; outputs];
        let mut loss = 0.0;
        for (row, &code) in self.rows.iter().zip(self.codes) {
            margins.copy_from_slice(intercepts);
            add_products(row.clone(), weights, &mut margins);
            loss += loss_and_slope(&mut margins, code as usize);
            for (base, slope) in base.iter_mut().zip(&margins) {
                *base += slope;
            }
            for (column, value) in row {
                let slopes = &mut slopes[column * outputs..(column + 1) * outputs];
                for (sum, slope) in slopes.iter_mut().zip(&margins) {
                    *sum += value * slope;
                }
            }
        }
        for (slope, weight) in slopes.iter_mut().zip(weights) {
            *slope = *slope / rows + self.penalty * weight;
        }
        base.iter_mut().for_each(|slope| *slope /= rows);
        loss / rows + 0.5 * self.penalty * dot(weights, weights)
    }
}

/// The log loss of a row; its margins become the loss's slopes along them.
fn loss_and_slope(margins: &mut [f64], code: usize) -> f64 {
    if let [margin] = margins {
        let label = if code == 1 { 1.0 } else { 0.0 };
        // ln(1 + e^m) - y m, without an overflow.
        let loss = margin.max(0.0) + (-margin.abs()).exp().ln_1p() - label * *margin;
        *margin = sigmoid(*margin) - label;
        return loss;
    }
    let own = margins[code];
    let loss = softmax(margins) - own;
    margins[code] -= 1.0;
    loss
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// A step that was taken, and by how much the gradient changed along it.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    /// `1 / (moved . turned)`
    scale: f64,
}

/// The place where an objective is least, from `at` on.
fn minimise(objective: &Objective<'_>, mut at: Vec<f64>) -> Vec<f64> {
    let mut gradient = vec![0.0; at.len()];
    let mut value = objective.value(&at, &mut gradient);
    let mut steps: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    let (mut next, mut next_gradient) = (at.clone(), gradient.clone());
    for _ in 0..MAX_STEPS {
        if gradient.iter().all(|slope| slope.abs() <= TOLERANCE) {
            break;
        }
        let direction = direction(&gradient, &steps);
        let slope = dot(&direction, &gradient);
        let mut length = match steps.is_empty() {
            true => 1.0 / dot(&gradient, &gradient).sqrt().max(1.0),
            false => 1.0,
        };
        let mut reached = None;
        for _ in 0..MAX_HALVINGS {
            for ((next, at), along) in next.iter_mut().zip(&at).zip(&direction) {
                *next = at + length * along;
            }
            let there = objective.value(&next, &mut next_gradient);
            if there <= value + ARMIJO * length * slope {
                reached = Some(there);
                break;
            }
            length *= 0.5;
        }
        // No step lowers it any more: what is left are rounding errors.
        let Some(reached) = reached else { break };
        let moved: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let turned = next_gradient.iter().zip(&gradient);
        let turned: Vec<f64> = turned.map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 0.0 {
            if steps.len() == MEMORY {
                steps.pop_front();
            }
            steps.push_back(Step {
                moved,
                turned,
                scale: 1.0 / curvature,
            });
        }
        std::mem::swap(&mut at, &mut next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = reached;
    }
    at
}

/// Where to go: minus the gradient times the inverse curvature that the last steps tell.
fn direction(gradient: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut along: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let share = step.scale * dot(&step.moved, &along);
        for (along, turned) in along.iter_mut().zip(&step.turned) {
            *along -= share * turned;
        }
        shares.push(share);
    }
    if let Some(last) = steps.back() {
        let scale = 1.0 / (last.scale * dot(&last.turned, &last.turned));
        along.iter_mut().for_each(|along| *along *= scale);
    }
    for (step, share) in steps.iter().zip(shares.into_iter().rev()) {
        let back = step.scale * dot(&step.turned, &along);
        for (along, moved) in along.iter_mut().zip(&step.moved) {
            *along += (share - back) * moved;
        }
    }
    along
}
