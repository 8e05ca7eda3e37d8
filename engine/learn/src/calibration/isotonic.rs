//! Isotonic regression, as `sklearn.isotonic.IsotonicRegression(out_of_bounds="clip")`.

use serde::{Deserialize, Serialize};

use super::{Curve, Point};

/// Probabilities nearer to each other than this count as one (scikit-learn's
/// `numpy.finfo(float64).resolution`).
const RESOLUTION: f64 = 1e-15;

/// A rising line through knots, level beyond both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// What the model says, ascending.
    probability: Vec<f64>,
    /// What becomes of it, not descending.
    calibrated: Vec<f64>,
}

impl Isotonic {
    /// The least-squares fit among all curves that never fall, by pooling adjacent violators
    /// (Barlow et al., *Statistical inference under order restrictions*, 1972). At least one
    /// point has a weight above 0.
    pub(super) fn fit(mut points: Vec<Point>) -> Self {
        points.retain(|point| point.weight > 0.0);
        points.sort_unstable_by(|a, b| {
            let by_probability = a.probability.total_cmp(&b.probability);
            by_probability
                .then_with(|| a.is.total_cmp(&b.is))
                .then_with(|| a.weight.total_cmp(&b.weight))
        });
        let points = merged(&points);
        let levels = pooled(&points);
        let last = levels.len() - 1;
        // Within a level stretch only the ends matter.
        let bends = |at: usize| levels[at] != levels[at - 1] || levels[at] != levels[at + 1];
        let kept = (0..=last).filter(|&at| at == 0 || at == last || bends(at));
        let (probability, calibrated) = kept.map(|at| (points[at].probability, levels[at])).unzip();
        Self {
            probability,
            calibrated,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let within = |values: &[f64]| values.iter().all(|value| (0.0..=1.0).contains(value));
        let rising = |pair: &[f64]| pair[0] < pair[1];
        let never_falling = |pair: &[f64]| pair[0] <= pair[1];
        !self.probability.is_empty()
            && self.probability.len() == self.calibrated.len()
            && within(&self.probability)
            && within(&self.calibrated)
            && self.probability.windows(2).all(rising)
            && self.calibrated.windows(2).all(never_falling)
    }
}

impl Curve for Isotonic {
    fn at(&self, probability: f64) -> f64 {
        let (xs, ys) = (&self.probability, &self.calibrated);
        let above = xs.partition_point(|&x| x < probability);
        match (above.checked_sub(1), xs.get(above)) {
            (None, _) => ys[0],
            (Some(last), None) => ys[last],
            (Some(below), Some(&to)) => {
                let slope = (ys[above] - ys[below]) / (to - xs[below]);
                slope * (probability - xs[below]) + ys[below]
            }
        }
    }
}

/// Points of one probability as one: the weighted mean.
fn merged(points: &[Point]) -> Vec<Point> {
    let mut merged: Vec<Point> = Vec::new();
    for point in points {
        match merged.last_mut() {
            Some(last) if point.probability - last.probability < RESOLUTION => {
                last.is += point.is * point.weight;
                last.weight += point.weight;
            }
            _ => merged.push(Point {
                is: point.is * point.weight,
                ..*point
            }),
        }
    }
    for point in &mut merged {
        point.is /= point.weight;
    }
    merged
}

/// The fitted value of each point.
fn pooled(points: &[Point]) -> Vec<f64> {
    struct Block {
        sum: f64,
        weight: f64,
        points: usize,
    }
    let mut blocks: Vec<Block> = Vec::new();
    for point in points {
        let mut block = Block {
            sum: point.is * point.weight,
            weight: point.weight,
            points: 1,
        };
        while let Some(before) = blocks.pop() {
            if before.sum / before.weight < block.sum / block.weight {
                blocks.push(before);
                break;
            }
            block.sum += before.sum;
            block.weight += before.weight;
            block.points += before.points;
        }
        blocks.push(block);
    }
    blocks
        .iter()
        .flat_map(|block| std::iter::repeat_n(block.sum / block.weight, block.points))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(rows: &[(f64, f64)]) -> Isotonic {
        let point = |&(probability, is): &(f64, f64)| Point {
            probability,
            is,
            weight: 1.0,
        };
        Isotonic::fit(rows.iter().map(point).collect())
    }

    #[test]
    fn it_rises_joins_its_knots_and_is_level_beyond_them() {
        let curve = fit(&[(0.2, 0.0), (0.3, 1.0), (0.4, 0.0), (0.6, 1.0)]);
        assert_eq!(curve.probability, [0.2, 0.3, 0.4, 0.6]);
        assert_eq!(curve.calibrated, [0.0, 0.5, 0.5, 1.0]);
        assert_eq!(curve.at(0.0), 0.0);
        assert_eq!(curve.at(0.35), 0.5);
        assert!((curve.at(0.5) - 0.75).abs() < 1e-12);
        assert_eq!(curve.at(1.0), 1.0);
        assert!(curve.is_sound());
    }

    #[test]
    fn level_stretches_keep_their_ends_only() {
        let rows: Vec<(f64, f64)> = (0..100).map(|at| (f64::from(at) / 100.0, 0.0)).collect();
        let curve = fit(&rows);
        assert_eq!(curve.probability, [0.0, 0.99]);
        let one = fit(&[(0.3, 0.0), (0.3, 1.0)]);
        assert_eq!((one.at(0.0), one.at(0.9)), (0.5, 0.5));
    }
}
