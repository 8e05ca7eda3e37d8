//! From which probability on a row of two classes is predicted positive.
//!
//! A [`ThresholdSpec`] is what a user writes: a number, or what the threshold shall achieve on
//! the validation rows. It is settled once a model is fitted and travels inside the model.

use crate::error::LearnError;
use crate::metric::{Confusion, METRICS, Metric, cumulative_counts};
use crate::nearest::nearest;

/// A threshold as a user asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum ThresholdSpec {
    /// This one.
    Fixed(f64),
    /// The best one on the validation rows.
    Best(BestThreshold),
}

/// What a threshold shall achieve on the validation rows.
#[derive(Debug, Clone, PartialEq)]
pub struct BestThreshold {
    /// What is largest at it.
    pub maximize: &'static Metric,
    /// Metrics that must reach a value.
    pub at_least: Vec<(&'static Metric, f64)>,
}

/// The metrics about which a threshold decides.
pub fn threshold_metrics() -> impl Iterator<Item = &'static str> {
    let counted = METRICS.iter().filter(|metric| metric.is_counted());
    counted.map(|metric| metric.name)
}

/// The metric called `name`, if a threshold decides about it.
///
/// # Errors
///
/// Any other name, with the nearest one.
pub fn threshold_metric(name: &str) -> Result<&'static Metric, LearnError> {
    let found = METRICS.iter().find(|metric| metric.name == name);
    match found {
        Some(metric) if metric.is_counted() => Ok(metric),
        other => Err(LearnError::NoThresholdMetric {
            name: name.to_owned(),
            known: other.is_some(),
            nearest: match other {
                Some(_) => None,
                None => nearest(name, threshold_metrics()),
            },
            usable: threshold_metrics().collect(),
        }),
    }
}

impl ThresholdSpec {
    /// Whether it is chosen on validation rows.
    pub fn needs_validation(&self) -> bool {
        matches!(self, Self::Best(_))
    }

    /// The threshold, for 0/1 labels `[rows]` and probabilities `[rows]` of validation rows.
    ///
    /// # Errors
    ///
    /// No threshold reaches what it must.
    pub fn settle(&self, labels: &[f32], scores: &[f64]) -> Result<f64, LearnError> {
        match self {
            Self::Fixed(threshold) => Ok(*threshold),
            Self::Best(best) => best.settle(labels, scores),
        }
    }
}

impl BestThreshold {
    /// Among all thresholds that make a difference, which are the probabilities that occur
    /// (those of `sklearn.metrics.precision_recall_curve`), the best; the lowest among equals.
    fn settle(&self, labels: &[f32], scores: &[f64]) -> Result<f64, LearnError> {
        let counts = cumulative_counts(labels, scores);
        let (positives, negatives) = counts
            .last()
            .map_or((0.0, 0.0), |&(_, hits, misses)| (hits, misses));
        let value =
            |metric: &Metric, counts: &Confusion| metric.of_counts(counts).unwrap_or(f64::NAN);
        let mut best: Option<(f64, f64)> = None;
        let mut most = vec![f64::NEG_INFINITY; self.at_least.len()];
        for (threshold, hits, misses) in counts {
            let counts = Confusion {
                true_positives: hits as u64,
                false_positives: misses as u64,
                false_negatives: (positives - hits) as u64,
                true_negatives: (negatives - misses) as u64,
            };
            let mut reached = true;
            for ((metric, least), most) in self.at_least.iter().zip(&mut most) {
                let value = value(metric, &counts);
                *most = most.max(value);
                reached &= value >= *least;
            }
            let value = value(self.maximize, &counts);
            if reached && best.is_none_or(|(_, so_far)| value >= so_far) {
                best = Some((threshold, value));
            }
        }
        match best {
            Some((threshold, _)) => Ok(threshold),
            None => Err(LearnError::NoThreshold {
                wanted: self
                    .at_least
                    .iter()
                    .zip(most)
                    .map(|((metric, least), most)| (metric.name, *least, most))
                    .collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [f32; 6] = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
    const SCORES: [f64; 6] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

    fn best(maximize: &str, at_least: &[(&str, f64)]) -> Result<f64, LearnError> {
        let at_least = at_least.iter();
        let best = BestThreshold {
            maximize: threshold_metric(maximize).unwrap(),
            at_least: at_least
                .map(|(name, least)| (threshold_metric(name).unwrap(), *least))
                .collect(),
        };
        ThresholdSpec::Best(best).settle(&LABELS, &SCORES)
    }

    #[test]
    fn the_best_threshold_is_found_within_its_bounds() {
        // At 0.3 f1 is 6/7, at 0.5 it is 4/5; the accuracies are equal.
        assert_eq!(best("f1", &[]).unwrap(), 0.3);
        assert_eq!(best("accuracy", &[]).unwrap(), 0.3, "the lowest of equals");
        assert_eq!(best("f1", &[("precision", 0.9)]).unwrap(), 0.5);
        assert_eq!(best("precision", &[("recall", 1.0)]).unwrap(), 0.3);
    }

    #[test]
    fn what_cannot_be_reached_is_an_error_that_says_how_far_it_goes() {
        let error = best("f1", &[("accuracy", 0.95)]).unwrap_err().to_string();
        assert!(
            error.contains("accuracy at least 0.95 (at most 0.83"),
            "{error}"
        );
        let error = threshold_metric("auc").unwrap_err().to_string();
        assert!(error.contains("balanced_accuracy"), "{error}");
        let error = threshold_metric("f_1").unwrap_err().to_string();
        assert!(error.contains("did you mean `f1`?"), "{error}");
    }
}
