//! Curves over thresholds and probabilities, with scikit-learn's definitions, of 0/1 labels
//! `[rows]` and probabilities of the positive class `[rows]`.

use crate::metric::cumulative_counts;

/// Bins of a reliability curve.
pub const RELIABILITY_BINS: usize = 10;

/// A point of a ROC curve: what predicting "positive" from a probability on gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// The probability; infinite for the first point, where nothing is positive.
    pub threshold: f64,
    /// The share of the negative rows that are predicted positive.
    pub false_positive_rate: f64,
    /// The share of the positive rows that are predicted positive.
    pub true_positive_rate: f64,
}

/// A point of a precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecallPoint {
    /// The probability; `None` for the last point, which is precision 1 at recall 0.
    pub threshold: Option<f64>,
    /// The share of the rows predicted positive that are.
    pub precision: f64,
    /// The share of the positive rows that are predicted positive.
    pub recall: f64,
}

/// A bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Rows in the bin.
    pub rows: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that are positive.
    pub actual: f64,
}

/// The ROC curve from the highest threshold down, without points within straight lines
/// (`sklearn.metrics.roc_curve`). Nothing with one class.
pub fn roc(labels: &[f32], scores: &[f64]) -> Vec<RocPoint> {
    let counts = cumulative_counts(labels, scores);
    let Some(&(_, positives, negatives)) = counts.last() else {
        return Vec::new();
    };
    if positives == 0.0 || negatives == 0.0 {
        return Vec::new();
    }
    let bends = |at: usize| {
        let (before, here, after) = (counts[at - 1], counts[at], counts[at + 1]);
        after.1 - here.1 != here.1 - before.1 || after.2 - here.2 != here.2 - before.2
    };
    let last = counts.len() - 1;
    let start = RocPoint {
        threshold: f64::INFINITY,
        false_positive_rate: 0.0,
        true_positive_rate: 0.0,
    };
    let kept = (0..=last).filter(|&at| at == 0 || at == last || bends(at));
    let points = kept.map(|at| {
        let (threshold, hits, misses) = counts[at];
        RocPoint {
            threshold,
            false_positive_rate: misses / negatives,
            true_positive_rate: hits / positives,
        }
    });
    std::iter::once(start).chain(points).collect()
}

/// The precision-recall curve from the lowest threshold up
/// (`sklearn.metrics.precision_recall_curve`). Nothing without a positive row.
pub fn precision_recall(labels: &[f32], scores: &[f64]) -> Vec<PrecisionRecallPoint> {
    let counts = cumulative_counts(labels, scores);
    let Some(&(_, positives, _)) = counts.last().filter(|(_, hits, _)| *hits > 0.0) else {
        return Vec::new();
    };
    let end = PrecisionRecallPoint {
        threshold: None,
        precision: 1.0,
        recall: 0.0,
    };
    let points = counts.iter().rev();
    points
        .map(|&(threshold, hits, misses)| PrecisionRecallPoint {
            threshold: Some(threshold),
            precision: hits / (hits + misses),
            recall: hits / positives,
        })
        .chain(std::iter::once(end))
        .collect()
}

/// How often rows of a probability are positive, in bins of equal width that hold any row
/// (`sklearn.calibration.calibration_curve`). A probability on an edge belongs to the bin
/// below.
pub fn reliability(labels: &[f32], scores: &[f64], bins: usize) -> Vec<ReliabilityBin> {
    // numpy.linspace(0, 1, bins + 1) without its ends.
    let step = 1.0 / bins as f64;
    let edges: Vec<f64> = (1..bins).map(|edge| edge as f64 * step).collect();
    let mut sums = vec![(0_usize, 0.0, 0.0); bins];
    for (&label, &score) in labels.iter().zip(scores) {
        let (rows, predicted, actual) = &mut sums[edges.partition_point(|&edge| edge < score)];
        *rows += 1;
        *predicted += score;
        *actual += f64::from(label);
    }
    let filled = sums.into_iter().filter(|(rows, ..)| *rows > 0);
    filled
        .map(|(rows, predicted, actual)| ReliabilityBin {
            rows,
            predicted: predicted / rows as f64,
            actual: actual / rows as f64,
        })
        .collect()
}

/// At most `most` of the points, evenly spaced, both ends kept.
pub fn thinned<P: Copy>(points: &[P], most: usize) -> Vec<P> {
    if points.len() <= most || most < 2 {
        return points.to_vec();
    }
    let last = points.len() - 1;
    let place = |at: usize| points[at * last / (most - 1)];
    (0..most).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::thinned;

    #[test]
    fn thinning_keeps_the_ends() {
        let points: Vec<usize> = (0..1000).collect();
        let thin = thinned(&points, 7);
        assert_eq!(thin.len(), 7);
        assert_eq!((thin[0], thin[6]), (0, 999));
        assert_eq!(thinned(&points[..5], 7), points[..5]);
    }
}
