//! The figures of an evaluation: of the model, of what it is held against, of each slice.

use std::collections::BTreeMap;

use sluice_learn::features::Label;
use sluice_learn::metric::{Evaluation, Metric, evaluate, evaluate_at};
use sluice_learn::uncertainty::{Bootstrap, Difference, Interval, Predicted, mcnemar, wilson};
use sluice_learn::{LearnError, Task};

use super::rows::{Answering, Looked, OTHER, Pairs, SliceColumn};
use crate::run::evidence::{Evidence, OneClass, Residuals};

/// The seed of resamples: the same rows have the same intervals.
const SEED: u64 = 0;

/// Metrics that are shown first, and have intervals.
pub(crate) fn headline(task: Task) -> &'static [&'static str] {
    match task {
        Task::Binary => &["accuracy", "f1", "auc", "log_loss"],
        Task::Multiclass => &["accuracy", "f1", "log_loss"],
        Task::Regression => &["rmse", "mae", "r2"],
    }
}

/// Something simple that a model should beat.
pub(crate) struct Baseline {
    /// What metrics of it begin with.
    pub(crate) name: &'static str,
    pub(crate) evaluation: Evaluation,
}

/// The other model on the same rows.
pub(crate) struct Compared {
    pub(crate) evaluation: Evaluation,
    pub(crate) pairs: Pairs,
    /// How likely as many rows where only one is right are, if they are equally good.
    pub(crate) mcnemar: Option<f64>,
    /// The metric that differences are tested by, and the difference: of the model less that
    /// of the other.
    pub(crate) difference: Option<(&'static str, Difference)>,
}

/// The rows of each value of a column.
pub(crate) struct Slices {
    pub(crate) column: String,
    /// Value and figures, those of most rows first; nothing when there are too many values.
    pub(crate) values: Vec<(String, Evaluation)>,
}

/// All figures.
pub(crate) struct Figures {
    pub(crate) model: Evaluation,
    pub(crate) intervals: Vec<(&'static str, Interval)>,
    /// Resamples that the intervals of other metrics than accuracy are told from.
    pub(crate) resamples: Option<usize>,
    pub(crate) baselines: Vec<Baseline>,
    pub(crate) compared: Option<Compared>,
    pub(crate) slices: Vec<Slices>,
    pub(crate) curves: Evidence,
    /// The only class that occurs, if it is so.
    pub(crate) only_class: Option<String>,
}

/// Computes them. `part`: what the rows are called. `usual`: the shares of the classes or the
/// mean of the numbers among the training rows.
pub(crate) fn figures(
    part: &str,
    label: &Label,
    models: &[Answering],
    looked: &Looked,
    usual: Option<&[f64]>,
) -> Result<Figures, LearnError> {
    let of = |at: usize| {
        Some(Predicted {
            task: label.task,
            threshold: models.get(at)?.model.settled().threshold,
            labels: &looked.labels,
            scores: looked.scores.get(at)?,
        })
    };
    let own = of(0).unwrap_or(Predicted {
        task: label.task,
        threshold: None,
        labels: &[],
        scores: &[],
    });
    let bootstrap = Bootstrap::for_rows(looked.labels.len(), SEED);
    let model = evaluation(&own);
    let compared = match of(1) {
        Some(other) => Some(compared(looked.pairs, &own, &other, bootstrap)?),
        None => None,
    };
    let mut slices = Vec::new();
    for slice in &looked.slices {
        slices.push(sliced(slice, &own));
    }
    Ok(Figures {
        intervals: intervals(&own, &model, bootstrap)?,
        resamples: bootstrap.map(|bootstrap| bootstrap.resamples()),
        baselines: baselines(label, looked, usual),
        compared,
        slices,
        curves: curves(part, label, looked)?,
        only_class: only_class(label, looked),
        model,
    })
}

fn evaluation(rows: &Predicted<'_>) -> Evaluation {
    evaluate_at(rows.threshold, rows.task, rows.labels, rows.scores)
}

fn intervals(
    rows: &Predicted<'_>,
    evaluation: &Evaluation,
    bootstrap: Option<Bootstrap>,
) -> Result<Vec<(&'static str, Interval)>, LearnError> {
    let mut intervals = Vec::new();
    for name in headline(rows.task) {
        let interval = match (*name, &evaluation.confusion, bootstrap) {
            ("accuracy", Some(confusion), _) => {
                let counts = confusion.counts();
                let right = counts.iter().enumerate().map(|(class, row)| row[class]);
                wilson(right.sum(), evaluation.rows as u64)
            }
            (_, _, Some(bootstrap)) => bootstrap.interval(rows, Metric::find(name)?),
            _ => None,
        };
        intervals.extend(interval.map(|interval| (*name, interval)));
    }
    Ok(intervals)
}

fn compared(
    pairs: Pairs,
    own: &Predicted<'_>,
    other: &Predicted<'_>,
    bootstrap: Option<Bootstrap>,
) -> Result<Compared, LearnError> {
    let metric = Metric::find(own.task.default_metric())?;
    let difference = bootstrap.and_then(|bootstrap| bootstrap.difference(own, other, metric));
    Ok(Compared {
        evaluation: evaluation(other),
        pairs,
        mcnemar: (own.task != Task::Regression)
            .then(|| mcnemar(pairs.only_model, pairs.only_compared)),
        difference: difference.map(|difference| (metric.name, difference)),
    })
}

/// What always says the same, and the bag of words.
fn baselines(label: &Label, looked: &Looked, usual: Option<&[f64]>) -> Vec<Baseline> {
    let rows = looked.labels.len();
    let mut baselines = Vec::new();
    if let Some(usual) = usual {
        let (name, said) = match label.task {
            Task::Regression => ("mean", usual.to_vec()),
            Task::Binary => ("majority", usual.get(1).copied().into_iter().collect()),
            Task::Multiclass => {
                let zeros = std::iter::repeat_n(0.0, looked.unknown);
                ("majority", usual.iter().copied().chain(zeros).collect())
            }
        };
        baselines.push(Baseline {
            name,
            evaluation: evaluate(label.task, &looked.labels, &said.repeat(rows)),
        });
    }
    if let Some(words) = &looked.words {
        baselines.push(Baseline {
            name: "bag_of_words",
            evaluation: evaluate(label.task, &looked.labels, words),
        });
    }
    baselines
}

fn sliced(slice: &SliceColumn, rows: &Predicted<'_>) -> Slices {
    let mut values = Vec::new();
    if !slice.rows.contains(&OTHER) {
        let width = rows.scores.len() / rows.labels.len().max(1);
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); slice.values.len()];
        for (row, value) in slice.rows.iter().enumerate() {
            places[*value as usize].push(row);
        }
        for (value, places) in slice.values.iter().zip(places) {
            let labels: Vec<f32> = places.iter().map(|row| rows.labels[*row]).collect();
            let scores = places.iter();
            let scores = scores.flat_map(|row| &rows.scores[row * width..(row + 1) * width]);
            let scores: Vec<f64> = scores.copied().collect();
            let part = Predicted {
                labels: &labels,
                scores: &scores,
                ..*rows
            };
            let value = value.clone().unwrap_or_else(|| "NULL".to_owned());
            values.push((value, evaluation(&part)));
        }
        values.sort_by(|(a, one), (b, other)| other.rows.cmp(&one.rows).then(a.cmp(b)));
    }
    Slices {
        column: slice.name.clone(),
        values,
    }
}

/// The positive class of two, or each of several; of numbers the errors.
fn curves(part: &str, label: &Label, looked: &Looked) -> Result<Evidence, LearnError> {
    let mut curves = Evidence {
        shap: Vec::new(),
        classes: Vec::new(),
        residuals: Vec::new(),
    };
    let scores = looked.scores.first().map_or(&[][..], Vec::as_slice);
    let width = scores.len() / looked.labels.len().max(1);
    let chosen = match label.task {
        Task::Regression => {
            curves
                .residuals
                .push(Residuals::of(part, &looked.labels, scores));
            0..0
        }
        Task::Binary => 1..2,
        Task::Multiclass => 0..label.classes.len(),
    };
    for class in chosen {
        let is_class = |&code: &f32| f32::from(u8::from(code as usize == class));
        let labels: Vec<f32> = looked.labels.iter().map(is_class).collect();
        let column = if width == 1 { 0 } else { class };
        let rows = scores.chunks_exact(width.max(1));
        let of_class: Vec<f64> = rows.map(|row| row[column]).collect();
        let name = label.classes[class].to_string();
        curves
            .classes
            .push(OneClass::of(part, name, &labels, &of_class)?);
    }
    Ok(curves)
}

fn only_class(label: &Label, looked: &Looked) -> Option<String> {
    let first = *looked.labels.first()?;
    let only = label.task != Task::Regression && looked.labels.iter().all(|code| *code == first);
    only.then(|| looked.classes.get(first as usize).cloned())?
}

impl Figures {
    /// All metrics by name: `test.auc` of the model, `majority.test.auc` of a baseline,
    /// `compared.test.auc` of the other model.
    pub(crate) fn named(&self, part: &str) -> BTreeMap<String, f64> {
        let mut named = BTreeMap::new();
        let mut add = |before: &str, evaluation: &Evaluation| {
            for (name, value) in &evaluation.metrics {
                named.insert(format!("{before}{part}.{name}"), *value);
            }
        };
        add("", &self.model);
        for baseline in &self.baselines {
            add(&format!("{}.", baseline.name), &baseline.evaluation);
        }
        if let Some(compared) = &self.compared {
            add("compared.", &compared.evaluation);
        }
        if let Some(confusion) = &self.model.confusion {
            let report = confusion.report();
            for (kind, mean) in [
                ("macro", report.macro_average),
                ("weighted", report.weighted_average),
            ] {
                for (name, value) in [
                    ("precision", mean.precision),
                    ("recall", mean.recall),
                    ("f1", mean.f1),
                ] {
                    named.insert(format!("{part}.{name}_{kind}"), value);
                }
            }
        }
        named
    }

    /// The interval of a metric.
    pub(crate) fn interval(&self, name: &str) -> Option<Interval> {
        let found = self.intervals.iter().find(|(metric, _)| *metric == name);
        found.map(|(_, interval)| *interval)
    }
}
