//! Metrics of classes and of the probabilities themselves.

use serde::{Deserialize, Serialize};

/// Counts of predicted against actual classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Negative rows predicted negative.
    pub true_negatives: u64,
    /// Negative rows predicted positive.
    pub false_positives: u64,
    /// Positive rows predicted negative.
    pub false_negatives: u64,
    /// Positive rows predicted positive.
    pub true_positives: u64,
}

/// Whether a row of this probability is predicted positive: from the threshold on, as
/// scikit-learn's `FixedThresholdClassifier` has it; without one above 0.5 (at 0.5 it is
/// negative, as with `argmax`).
pub(crate) fn is_positive(score: f64, threshold: Option<f64>) -> bool {
    threshold.map_or(score > 0.5, |threshold| score >= threshold)
}

impl Confusion {
    /// The confusion matrix of 0/1 labels `[rows]` and probabilities `[rows]`, which are
    /// positive from `threshold` on; without one above 0.5.
    pub fn of(labels: &[f32], scores: &[f64], threshold: Option<f64>) -> Self {
        let mut counts = Self::default();
        for (&label, &score) in labels.iter().zip(scores) {
            let count = match (label == 1.0, is_positive(score, threshold)) {
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_positives,
                (true, false) => &mut counts.false_negatives,
                (true, true) => &mut counts.true_positives,
            };
            *count += 1;
        }
        counts
    }

    /// Adds the counts of other rows.
    pub(super) fn add(&mut self, other: &Self) {
        self.true_negatives += other.true_negatives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
        self.true_positives += other.true_positives;
    }
}

/// `part / whole`, or 0 when the whole is 0 (scikit-learn's `zero_division`).
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The share of rows whose class is predicted right.
pub(super) fn accuracy(counts: &Confusion) -> f64 {
    let right = counts.true_positives + counts.true_negatives;
    let wrong = counts.false_positives + counts.false_negatives;
    ratio(right, right + wrong)
}

/// The share of rows predicted positive that are; 0 when none is.
pub(super) fn precision(counts: &Confusion) -> f64 {
    ratio(
        counts.true_positives,
        counts.true_positives + counts.false_positives,
    )
}

/// The share of positive rows that are predicted positive; 0 when there are none.
pub(super) fn recall(counts: &Confusion) -> f64 {
    ratio(
        counts.true_positives,
        counts.true_positives + counts.false_negatives,
    )
}

/// The harmonic mean of precision and recall.
pub(super) fn f1(counts: &Confusion) -> f64 {
    let twice = 2 * counts.true_positives;
    ratio(
        twice,
        twice + counts.false_positives + counts.false_negatives,
    )
}

/// The mean negative log-likelihood, with probabilities clipped to
/// `[f64::EPSILON, 1 - f64::EPSILON]` (`sklearn.metrics.log_loss`).
pub(super) fn log_loss(labels: &[f32], scores: &[f64]) -> f64 {
    let sum: f64 = labels
        .iter()
        .zip(scores)
        .map(|(&label, &score)| {
            let score = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            -(if label == 1.0 { score } else { 1.0 - score }).ln()
        })
        .sum();
    sum / labels.len() as f64
}

/// The mean of the recalls of the classes that occur.
pub(super) fn balanced_accuracy(counts: &Confusion) -> f64 {
    let positives = counts.true_positives + counts.false_negatives;
    let negatives = counts.true_negatives + counts.false_positives;
    let mut sum = 0.0;
    let mut classes = 0.0;
    for (right, all) in [
        (counts.true_positives, positives),
        (counts.true_negatives, negatives),
    ] {
        if all > 0 {
            sum += ratio(right, all);
            classes += 1.0;
        }
    }
    sum / classes
}

/// Matthews' correlation coefficient; 0 when a class is never there or never predicted.
pub(super) fn mcc(counts: &Confusion) -> f64 {
    super::multiclass::correlation(&[
        vec![counts.true_negatives, counts.false_positives],
        vec![counts.false_negatives, counts.true_positives],
    ])
}

/// The mean squared distance of the probability from the label (`brier_score_loss`).
pub(super) fn brier(labels: &[f32], scores: &[f64]) -> f64 {
    let pairs = labels.iter().zip(scores);
    let sum: f64 = pairs
        .map(|(&label, &score)| (score - f64::from(label)).powi(2))
        .sum();
    sum / labels.len() as f64
}
