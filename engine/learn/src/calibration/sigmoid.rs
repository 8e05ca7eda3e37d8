//! Platt scaling, as scikit-learn's `_SigmoidCalibration`.
//!
//! J. Platt, *Probabilistic outputs for support vector machines* (1999), with the Newton
//! iteration of H.-T. Lin, C.-J. Lin and R. C. Weng, *A note on Platt's probabilistic outputs
//! for support vector machines* (2007). scikit-learn finds the same optimum by L-BFGS, to a
//! gradient of 1e-6.

use serde::{Deserialize, Serialize};

use super::{Curve, Point};

/// Steps of Newton's method at most; from its start it takes about ten.
const MOST_STEPS: usize = 100;
/// The gradient, for each unit of weight, at which the optimum is reached.
const FLAT: f64 = 1e-14;
/// The share of the loss that rounding may add or take.
const LEVEL: f64 = 1e-12;
/// What keeps the second derivatives invertible where all probabilities are the same.
const RIDGE: f64 = 1e-12;

/// `1 / (1 + exp(a * probability + b))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sigmoid {
    a: f64,
    b: f64,
}

/// The loss and its derivatives at a place.
struct Place {
    loss: f64,
    gradient: [f64; 2],
    /// `[aa, ab, bb]`
    hessian: [f64; 3],
}

impl Sigmoid {
    /// The curve of least log loss, to targets that are drawn in from 0 and 1 by Platt's
    /// prior: `1 / (negatives + 2)` and `(positives + 1) / (positives + 2)`.
    pub(super) fn fit(points: &[Point]) -> Self {
        let weight = |is: f64| -> f64 {
            let of = points.iter().filter(|point| point.is == is);
            of.map(|point| point.weight).sum()
        };
        let (negatives, positives) = (weight(0.0), weight(1.0));
        let targets = [
            1.0 / (negatives + 2.0),
            (positives + 1.0) / (positives + 2.0),
        ];
        let mut curve = Self {
            a: 0.0,
            b: ((negatives + 1.0) / (positives + 1.0)).ln(),
        };
        let mut here = curve.place(points, targets);
        for _ in 0..MOST_STEPS {
            let [da, db] = here.gradient;
            if da.abs().max(db.abs()) <= FLAT * (negatives + positives) {
                break;
            }
            let Some((next, there)) = curve.step(&here, points, targets) else {
                break;
            };
            (curve, here) = (next, there);
        }
        curve
    }

    /// Newton's step, halved until it goes down; `None` when nothing does.
    fn step(&self, here: &Place, points: &[Point], targets: [f64; 2]) -> Option<(Self, Place)> {
        let [da, db] = here.gradient;
        let [aa, ab, bb] = here.hessian;
        let (aa, bb) = (aa + RIDGE, bb + RIDGE);
        let determinant = aa * bb - ab * ab;
        let (step_a, step_b) = (
            -(bb * da - ab * db) / determinant,
            -(aa * db - ab * da) / determinant,
        );
        let mut share = 1.0;
        while share > 1e-10 {
            let next = Self {
                a: self.a + share * step_a,
                b: self.b + share * step_b,
            };
            let there = next.place(points, targets);
            let steepest = |at: &Place| at.gradient[0].abs().max(at.gradient[1].abs());
            // Near the optimum rounding hides what the loss gains; the slope does not.
            let level = here.loss + LEVEL * here.loss.abs();
            let flatter = steepest(&there) < steepest(here);
            if there.loss < here.loss || (there.loss <= level && flatter) {
                return Some((next, there));
            }
            share /= 2.0;
        }
        None
    }

    fn place(&self, points: &[Point], targets: [f64; 2]) -> Place {
        let mut place = Place {
            loss: 0.0,
            gradient: [0.0; 2],
            hessian: [0.0; 3],
        };
        for point in points {
            let (x, weight) = (point.probability, point.weight);
            let target = targets[usize::from(point.is > 0.5)];
            let margin = -(self.a * x + self.b);
            let p = logistic(margin);
            // ln(1 + exp(margin)) without overflow.
            let log = margin.max(0.0) + (-margin.abs()).exp().ln_1p();
            place.loss += weight * (log - target * margin);
            let slope = weight * (target - p);
            place.gradient[0] += slope * x;
            place.gradient[1] += slope;
            let bend = weight * p * (1.0 - p);
            place.hessian[0] += bend * x * x;
            place.hessian[1] += bend * x;
            place.hessian[2] += bend;
        }
        place
    }

    pub(super) fn is_sound(&self) -> bool {
        self.a.is_finite() && self.b.is_finite()
    }
}

impl Curve for Sigmoid {
    fn at(&self, probability: f64) -> f64 {
        logistic(-(self.a * probability + self.b))
    }
}

fn logistic(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_vanishes_at_the_fit() {
        let points: Vec<Point> = (0..50)
            .map(|at| Point {
                probability: f64::from(at % 10) / 10.0,
                is: f64::from(u8::from(at % 10 + at / 10 > 7)),
                weight: 1.0 + f64::from(at % 3),
            })
            .collect();
        let curve = Sigmoid::fit(&points);
        let weight = |is: f64| -> f64 {
            let of = points.iter().filter(|point| point.is == is);
            of.map(|point| point.weight).sum()
        };
        let (no, yes) = (weight(0.0), weight(1.0));
        let targets = [1.0 / (no + 2.0), (yes + 1.0) / (yes + 2.0)];
        let [da, db] = curve.place(&points, targets).gradient;
        assert!(da.abs() < 1e-10 && db.abs() < 1e-10, "{da} {db}");
        assert!(curve.at(0.1) < curve.at(0.9));
    }

    #[test]
    fn equal_probabilities_become_the_smoothed_share() {
        let points: Vec<Point> = (0..10)
            .map(|at| Point {
                probability: 0.4,
                is: f64::from(u8::from(at < 3)),
                weight: 1.0,
            })
            .collect();
        let expected = 0.7 * (1.0 / 9.0) + 0.3 * (4.0 / 5.0);
        let curve = Sigmoid::fit(&points);
        assert!(
            (curve.at(0.4) - expected).abs() < 1e-9,
            "{} {expected}",
            curve.at(0.4)
        );
    }
}
