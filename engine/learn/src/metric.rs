//! Metrics of binary classification, with scikit-learn's definitions.
//!
//! Adding a metric is one function and one line in [`METRICS`].

mod ranking;
mod threshold;

use serde::{Deserialize, Serialize};

pub use threshold::Confusion;

use crate::error::LearnError;
use crate::nearest::nearest;

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Larger is better.
    Maximize,
    /// Smaller is better.
    Minimize,
}

impl Goal {
    /// The key in a pipeline file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }

    /// Whether `value` is better than `other`. NaN is never better, and everything but
    /// NaN is better than NaN.
    pub fn better(self, value: f64, other: f64) -> bool {
        match (value.is_nan(), other.is_nan()) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => match self {
                Self::Maximize => value > other,
                Self::Minimize => value < other,
            },
        }
    }
}

/// A figure that compares probabilities of the positive class with 0/1 labels.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as after the dot of `validation.auc`.
    pub name: &'static str,
    /// Which values are better.
    pub goal: Goal,
    compute: fn(&[f32], &[f64]) -> f64,
}

/// All metrics.
pub static METRICS: &[Metric] = &[
    metric("auc", Goal::Maximize, ranking::auc),
    metric(
        "average_precision",
        Goal::Maximize,
        ranking::average_precision,
    ),
    metric("log_loss", Goal::Minimize, threshold::log_loss),
    metric("accuracy", Goal::Maximize, threshold::accuracy),
    metric("precision", Goal::Maximize, threshold::precision),
    metric("recall", Goal::Maximize, threshold::recall),
    metric("f1", Goal::Maximize, threshold::f1),
];

const fn metric(name: &'static str, goal: Goal, compute: fn(&[f32], &[f64]) -> f64) -> Metric {
    Metric {
        name,
        goal,
        compute,
    }
}

impl Metric {
    /// The metric called `name`.
    ///
    /// # Errors
    ///
    /// An unknown name, with the nearest one.
    pub fn find(name: &str) -> Result<&'static Self, LearnError> {
        METRICS
            .iter()
            .find(|metric| metric.name == name)
            .ok_or_else(|| LearnError::UnknownMetric {
                name: name.to_owned(),
                nearest: nearest(name, metric_names()),
                known: metric_names().collect(),
            })
    }

    /// The metric over 0/1 labels `[rows]` and probabilities of the positive class
    /// `[rows]`. NaN where it is not defined: no row, a NaN among the scores, or one class
    /// where two are needed.
    pub fn compute(&self, labels: &[f32], scores: &[f64]) -> f64 {
        if labels.is_empty()
            || labels.len() != scores.len()
            || scores.iter().any(|score| score.is_nan())
        {
            return f64::NAN;
        }
        (self.compute)(labels, scores)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The names of all metrics.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.name)
}

/// All metrics of one split, and the confusion matrix at probability 0.5.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows that were looked at.
    pub rows: usize,
    /// Each metric by name, in the registry's order.
    pub metrics: Vec<(&'static str, f64)>,
    /// Counts of predicted against actual classes.
    pub confusion: Confusion,
}

impl Evaluation {
    /// The value of the metric called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(metric, _)| *metric == name);
        found.map(|(_, value)| *value)
    }
}

/// All metrics over 0/1 labels `[rows]` and probabilities of the positive class `[rows]`.
pub fn evaluate(labels: &[f32], scores: &[f64]) -> Evaluation {
    Evaluation {
        rows: labels.len(),
        metrics: METRICS
            .iter()
            .map(|metric| (metric.name, metric.compute(labels, scores)))
            .collect(),
        confusion: Confusion::of(labels, scores),
    }
}

#[cfg(test)]
mod tests {
    use super::{Goal, METRICS, Metric, evaluate};

    #[test]
    fn undefined_is_nan_and_never_better() {
        for metric in METRICS {
            assert!(metric.compute(&[], &[]).is_nan(), "{}", metric.name);
            assert!(metric.compute(&[1.0, 0.0], &[f64::NAN, 0.5]).is_nan());
        }
        let auc = Metric::find("auc").unwrap();
        assert!(auc.compute(&[1.0, 1.0], &[0.1, 0.2]).is_nan(), "one class");
        assert!(!Goal::Maximize.better(f64::NAN, 0.1));
        assert!(Goal::Maximize.better(0.1, f64::NAN));
        assert!(Goal::Minimize.better(0.1, 0.2));
        assert!(!Goal::Minimize.better(0.2, 0.2), "a tie is not better");
    }

    #[test]
    fn an_unknown_metric_names_the_nearest() {
        let error = Metric::find("acuracy").unwrap_err().to_string();
        assert!(error.contains("did you mean `accuracy`?"), "{error}");
    }

    #[test]
    fn a_probability_of_one_half_is_negative() {
        let evaluation = evaluate(&[1.0, 0.0], &[0.5, 0.5]);
        assert_eq!(evaluation.confusion.true_negatives, 1);
        assert_eq!(evaluation.confusion.false_negatives, 1);
        assert_eq!(evaluation.get("precision"), Some(0.0));
    }
}
