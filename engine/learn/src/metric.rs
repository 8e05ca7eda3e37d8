//! Metrics of classes and of numbers, with scikit-learn's definitions.
//!
//! Adding a metric is one function and one line in [`METRICS`].

mod multiclass;
mod ranking;
mod regression;
mod report;
mod threshold;

use serde::{Deserialize, Serialize};

use multiclass::ClassScores;
pub(crate) use multiclass::most_probable;
pub(crate) use ranking::{Auc, cumulative_counts};
pub use report::{ClassFigures, ClassReport, ReportedClass};
pub use threshold::Confusion;
pub(crate) use threshold::is_positive;

use crate::error::LearnError;
use crate::features::Task;
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

/// Of labels `[rows]` and one score a row.
type OfRows = fn(&[f32], &[f64]) -> f64;
/// Of how many rows of each of two classes are predicted right and wrong.
type OfCounts = fn(&Confusion) -> f64;
/// Of labels `[rows]` and a score for each class.
type OfClasses = fn(&[f32], ClassScores<'_>) -> f64;

/// A figure that compares predictions with labels. What it takes depends on the task: the
/// probabilities of the positive class, of each class (row-major), or numbers.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as after the dot of `validation.auc`.
    pub name: &'static str,
    /// Which values are better.
    pub goal: Goal,
    binary: Option<OfRows>,
    /// For two classes, where nothing but the predicted class counts.
    counted: Option<OfCounts>,
    multiclass: Option<OfClasses>,
    regression: Option<OfRows>,
}

/// All metrics.
pub static METRICS: &[Metric] = &[
    larger("auc")
        .binary(ranking::auc)
        .multiclass(multiclass::auc),
    larger("average_precision").binary(ranking::average_precision),
    smaller("log_loss")
        .binary(threshold::log_loss)
        .multiclass(multiclass::log_loss),
    larger("accuracy")
        .counted(threshold::accuracy)
        .multiclass(multiclass::accuracy),
    larger("precision")
        .counted(threshold::precision)
        .multiclass(multiclass::precision),
    larger("recall")
        .counted(threshold::recall)
        .multiclass(multiclass::recall),
    larger("f1")
        .counted(threshold::f1)
        .multiclass(multiclass::f1),
    larger("f1_weighted").multiclass(multiclass::f1_weighted),
    larger("balanced_accuracy")
        .counted(threshold::balanced_accuracy)
        .multiclass(multiclass::balanced_accuracy),
    larger("mcc")
        .counted(threshold::mcc)
        .multiclass(multiclass::mcc),
    smaller("brier")
        .binary(threshold::brier)
        .multiclass(multiclass::brier),
    smaller("rmse").regression(regression::rmse),
    smaller("mae").regression(regression::mae),
    larger("r2").regression(regression::r2),
    smaller("mape").regression(regression::mape),
    smaller("median_absolute_error").regression(regression::median_absolute_error),
    smaller("max_error").regression(regression::max_error),
    larger("explained_variance").regression(regression::explained_variance),
];

const fn larger(name: &'static str) -> Metric {
    Metric {
        name,
        goal: Goal::Maximize,
        binary: None,
        counted: None,
        multiclass: None,
        regression: None,
    }
}

const fn smaller(name: &'static str) -> Metric {
    Metric {
        goal: Goal::Minimize,
        ..larger(name)
    }
}

impl Metric {
    const fn binary(self, compute: OfRows) -> Self {
        Self {
            binary: Some(compute),
            ..self
        }
    }

    const fn counted(self, compute: OfCounts) -> Self {
        Self {
            counted: Some(compute),
            ..self
        }
    }

    const fn multiclass(self, compute: OfClasses) -> Self {
        Self {
            multiclass: Some(compute),
            ..self
        }
    }

    const fn regression(self, compute: OfRows) -> Self {
        Self {
            regression: Some(compute),
            ..self
        }
    }

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

    /// The metric of two classes whose rows are counted so; `None` where it depends on more
    /// than the predicted class.
    pub fn of_counts(&self, counts: &Confusion) -> Option<f64> {
        self.counted.map(|compute| compute(counts))
    }

    /// Whether a threshold decides about it: only the predicted class of two counts.
    pub fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Whether the metric is defined for a task.
    pub fn judges(&self, task: Task) -> bool {
        match task {
            Task::Binary => self.binary.is_some() || self.counted.is_some(),
            Task::Multiclass => self.multiclass.is_some(),
            Task::Regression => self.regression.is_some(),
        }
    }

    /// The metric over labels `[rows]` and predictions `[rows]`, or `[rows, classes]`
    /// row-major for several classes. NaN where it is not defined: for another task, no
    /// row, a NaN among the predictions, or one class where more are needed.
    pub fn compute(&self, task: Task, labels: &[f32], scores: &[f64]) -> f64 {
        self.compute_at(None, task, labels, scores)
    }

    /// The same, with a row of two classes predicted positive from a probability of
    /// `threshold` on; without one above 0.5.
    pub fn compute_at(
        &self,
        threshold: Option<f64>,
        task: Task,
        labels: &[f32],
        scores: &[f64],
    ) -> f64 {
        let width = scores.len().checked_div(labels.len()).unwrap_or(0);
        if width == 0
            || scores.len() != labels.len() * width
            || (task != Task::Multiclass && width != 1)
            || scores.iter().any(|score| score.is_nan())
        {
            return f64::NAN;
        }
        let value = match task {
            Task::Binary => match self.counted {
                Some(compute) => Some(compute(&Confusion::of(labels, scores, threshold))),
                None => self.binary.map(|compute| compute(labels, scores)),
            },
            Task::Multiclass => self
                .multiclass
                .map(|compute| compute(labels, ClassScores::new(scores, width))),
            Task::Regression => self.regression.map(|compute| compute(labels, scores)),
        };
        value.unwrap_or(f64::NAN)
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

/// The names of the metrics of a task.
pub fn metrics_of(task: Task) -> impl Iterator<Item = &'static str> {
    METRICS
        .iter()
        .filter(move |metric| metric.judges(task))
        .map(|metric| metric.name)
}

/// Counts of predicted against actual classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConfusionMatrix {
    /// Of two classes.
    Binary(Confusion),
    /// Of several: a row of counts for each actual class, a count for each predicted one.
    Classes(Vec<Vec<u64>>),
}

impl ConfusionMatrix {
    /// The counts of several matrices of the same classes together; `None` of none.
    pub(crate) fn sum(all: &[&Self]) -> Option<Self> {
        let (first, rest) = all.split_first()?;
        let mut sum = (*first).clone();
        for other in rest {
            match (&mut sum, other) {
                (Self::Binary(sum), Self::Binary(other)) => sum.add(other),
                (Self::Classes(sum), Self::Classes(other)) => {
                    let counts = sum.iter_mut().flatten().zip(other.iter().flatten());
                    counts.for_each(|(sum, count)| *sum += count);
                }
                _ => return None,
            }
        }
        Some(sum)
    }
}

/// All metrics of one split, and the confusion matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows that were looked at.
    pub rows: usize,
    /// Each metric of the task by name, in the registry's order.
    pub metrics: Vec<(&'static str, f64)>,
    /// Counts of predicted against actual classes; none for a regression.
    pub confusion: Option<ConfusionMatrix>,
}

impl Evaluation {
    /// The value of the metric called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(metric, _)| *metric == name);
        found.map(|(_, value)| *value)
    }
}

/// All metrics of a task over labels `[rows]` and predictions as [`Metric::compute`] takes
/// them. Rows count alike, whatever weight they had in the fit.
pub fn evaluate(task: Task, labels: &[f32], scores: &[f64]) -> Evaluation {
    evaluate_at(None, task, labels, scores)
}

/// The same, with a threshold as [`Metric::compute_at`] takes it.
pub fn evaluate_at(
    threshold: Option<f64>,
    task: Task,
    labels: &[f32],
    scores: &[f64],
) -> Evaluation {
    let width = scores.len().checked_div(labels.len()).unwrap_or(0);
    Evaluation {
        rows: labels.len(),
        metrics: METRICS
            .iter()
            .filter(|metric| metric.judges(task))
            .map(|metric| {
                let value = metric.compute_at(threshold, task, labels, scores);
                (metric.name, value)
            })
            .collect(),
        confusion: match task {
            Task::Binary => {
                let counts = Confusion::of(labels, scores, threshold);
                Some(ConfusionMatrix::Binary(counts))
            }
            Task::Multiclass => Some(ConfusionMatrix::Classes(
                ClassScores::new(scores, width.max(1)).confusion(labels),
            )),
            Task::Regression => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfusionMatrix, Goal, METRICS, Metric, Task, evaluate};

    #[test]
    fn undefined_is_nan_and_never_better() {
        for metric in METRICS {
            for task in Task::ALL {
                assert!(metric.compute(task, &[], &[]).is_nan(), "{}", metric.name);
                let scores = [f64::NAN, 0.5];
                assert!(metric.compute(task, &[1.0, 0.0], &scores).is_nan());
                assert!(metric.compute(task, &[1.0, 0.0], &[0.5; 3]).is_nan());
            }
        }
        let auc = Metric::find("auc").unwrap();
        let one_class = auc.compute(Task::Binary, &[1.0, 1.0], &[0.1, 0.2]);
        assert!(one_class.is_nan());
        let other_task = auc.compute(Task::Regression, &[1.0, 0.0], &[0.1, 0.2]);
        assert!(other_task.is_nan());
        assert!(!Goal::Maximize.better(f64::NAN, 0.1));
        assert!(Goal::Maximize.better(0.1, f64::NAN));
        assert!(Goal::Minimize.better(0.1, 0.2));
        assert!(!Goal::Minimize.better(0.2, 0.2), "a tie is not better");
    }

    #[test]
    fn every_task_has_its_default_metric() {
        for task in Task::ALL {
            let metric = Metric::find(task.default_metric()).unwrap();
            assert!(metric.judges(task), "{task}");
        }
    }

    #[test]
    fn an_unknown_metric_names_the_nearest() {
        let error = Metric::find("acuracy").unwrap_err().to_string();
        assert!(error.contains("did you mean `accuracy`?"), "{error}");
    }

    #[test]
    fn a_probability_of_one_half_is_negative() {
        let evaluation = evaluate(Task::Binary, &[1.0, 0.0], &[0.5, 0.5]);
        let Some(ConfusionMatrix::Binary(confusion)) = evaluation.confusion else {
            panic!("{evaluation:?}");
        };
        assert_eq!(confusion.true_negatives, 1);
        assert_eq!(confusion.false_negatives, 1);
        assert_eq!(evaluation.get("precision"), Some(0.0));
    }
}
