//! A fit, and what it is worth on rows that it did not see.
//!
//! A [`Validator`] holds the matrices that all fits on one table share. It judges an estimator
//! on the validation part, or, where the rows are dealt into folds, on each fold by a model of
//! the others: then a figure is the mean over the folds, and the model that is kept is fitted
//! to all rows once more, with the median of the rounds that the folds found best.
//!
//! Entry points: [`fit`] for one fit, [`Validator::judge`] and [`Validator::conclude`] for many.

use std::num::NonZeroUsize;

use crate::boost::MAX_ROWS;
use crate::dataset::{Dataset, Splits};
use crate::error::LearnError;
use crate::estimator::{EstimatorSpec, FitOptions, Fitted, TrainingSet};
use crate::features::Task;
use crate::finish::{Finish, Settled};
use crate::metric::{ConfusionMatrix, Evaluation, METRICS, evaluate_at};
use crate::parallel::{in_order, thread_pool};

/// The rows that fits are made on and judged by.
#[derive(Debug)]
pub struct Validator<'s> {
    splits: &'s Splits,
    ground: Ground,
}

#[derive(Debug)]
enum Ground {
    /// The train and the validation part.
    Part(TrainingSet),
    /// Each fold by the others; the matrix of all rows.
    Folds(Vec<Fold>, TrainingSet),
}

/// A fold: its own rows for validation, all others to learn from.
#[derive(Debug)]
struct Fold {
    set: TrainingSet,
    /// Its rows' positions among all.
    rows: Vec<usize>,
    held_out: Dataset,
}

/// A fit on all folds but one, judged by that one.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldFigures {
    /// All metrics on the fold's own rows.
    pub evaluation: Evaluation,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the fold's model kept.
    pub iterations: usize,
}

/// An estimator's fit, judged.
#[derive(Debug)]
pub struct Validated {
    /// All metrics on rows that were not fitted on, as the finished model predicts them: of the
    /// validation part, or the mean over the folds with the counts of all of them. `None`
    /// without such rows.
    pub evaluation: Option<Evaluation>,
    /// Fold by fold; nothing without folds.
    pub folds: Vec<FoldFigures>,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model keeps.
    pub iterations: usize,
    /// The watched metric after each round: with folds the mean, for as long as all go on.
    pub history: Vec<f64>,
    settled: Settled,
    /// Of folds each row's prediction by the model that did not see it, before calibration.
    out_of_fold: Vec<f64>,
    /// The model; of folds there is none yet.
    fitted: Option<Fitted>,
}

/// A finished model and how it was validated.
#[derive(Debug)]
pub struct FinishedFit {
    /// The model, with what was settled, and how it came to be.
    pub fitted: Fitted,
    /// How folds did, where there were any.
    pub cross_validation: Option<CrossValidation>,
}

/// How folds did.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// Fold by fold.
    pub folds: Vec<FoldFigures>,
    /// Each train row's prediction by the model that did not see it, before calibration.
    pub out_of_fold: Vec<f64>,
}

impl CrossValidation {
    /// The mean of each metric over the folds, and the counts of all.
    pub fn mean(&self) -> Evaluation {
        mean(&self.folds)
    }

    /// As [`deviation`].
    pub fn deviation(&self) -> Vec<(&'static str, f64)> {
        deviation(&self.folds)
    }
}

/// Fits one estimator on `options.threads` threads, and settles what shall be.
///
/// # Errors
///
/// As [`EstimatorSpec::fit`]; nothing to settle on, or nothing that can be settled.
pub fn fit(
    spec: &EstimatorSpec,
    splits: &Splits,
    finish: &Finish,
    options: &FitOptions<'_>,
) -> Result<FinishedFit, LearnError> {
    let validator = Validator::new(splits)?;
    thread_pool(options.threads)?.install(|| {
        let validated = validator.judge(spec, finish, options)?;
        validator.conclude(spec, validated, options)
    })
}

impl<'s> Validator<'s> {
    /// The matrices of a table's splits. Folds take 4 bytes more for each value of each
    /// feature, for the rows that are held out; those of small tables their rows besides.
    ///
    /// # Errors
    ///
    /// Values that the learner refuses.
    pub fn new(splits: &'s Splits) -> Result<Self, LearnError> {
        let ground = match &splits.folds {
            None => Ground::Part(TrainingSet::new(&splits.train, Some(&splits.validation))?),
            Some(folds) => {
                let whole = TrainingSet::new(&splits.train, None)?;
                let folds = (0..folds.count()).map(|fold| {
                    let (rows, others) = folds.rows(fold);
                    let held_out = splits.train.select(&rows);
                    let held_out = held_out.with_categories_of(&splits.train, &others);
                    let set = if others.len() <= MAX_ROWS {
                        // Small tables have a booster of their own, which wants the rows
                        // side by side.
                        TrainingSet::new(&splits.train.select(&others), Some(&held_out))?
                    } else {
                        whole.of_rows(&others, &held_out)?
                    };
                    Ok(Fold {
                        set,
                        rows,
                        held_out,
                    })
                });
                let folds = folds.collect::<Result<_, LearnError>>()?;
                Ground::Folds(folds, whole)
            }
        };
        Ok(Self { splits, ground })
    }

    /// Whether there are rows to judge by.
    pub(crate) fn has_validation(&self) -> bool {
        match &self.ground {
            Ground::Part(_) => !self.splits.validation.is_empty(),
            Ground::Folds(..) => true,
        }
    }

    /// Fits and judges an estimator: on the validation part on the current rayon pool, on
    /// folds side by side on as many threads as that has.
    ///
    /// # Errors
    ///
    /// As [`EstimatorSpec::fit`]; nothing to settle on, or nothing that can be settled.
    pub fn judge(
        &self,
        spec: &EstimatorSpec,
        finish: &Finish,
        options: &FitOptions<'_>,
    ) -> Result<Validated, LearnError> {
        match &self.ground {
            Ground::Part(set) => self.judge_part(set, spec, finish, options),
            Ground::Folds(folds, _) => self.judge_folds(folds, spec, finish, options),
        }
    }

    fn judge_part(
        &self,
        set: &TrainingSet,
        spec: &EstimatorSpec,
        finish: &Finish,
        options: &FitOptions<'_>,
    ) -> Result<Validated, LearnError> {
        let rows = &self.splits.validation;
        let fitted = spec.fit_shared(set, options)?;
        let (settled, evaluation) = if rows.is_empty() {
            (finish.settle_without_rows()?, None)
        } else {
            let raw = fitted.model.predict_uncalibrated(rows)?;
            let label = &rows.plan().label;
            let settled = finish.settle(label, rows.labels(), &raw, rows.weights())?;
            let evaluation = evaluated(rows, &settled, raw);
            (settled, Some(evaluation))
        };
        Ok(Validated {
            evaluation,
            folds: Vec::new(),
            best_iteration: fitted.best_iteration,
            iterations: fitted.iterations,
            history: fitted.history.clone(),
            settled,
            out_of_fold: Vec::new(),
            fitted: Some(fitted),
        })
    }

    fn judge_folds(
        &self,
        folds: &[Fold],
        spec: &EstimatorSpec,
        finish: &Finish,
        options: &FitOptions<'_>,
    ) -> Result<Validated, LearnError> {
        let made = in_order(current_threads(), folds.len(), |fold| {
            let Fold { set, held_out, .. } = &folds[fold];
            let options = FitOptions {
                threads: current_threads(),
                ..*options
            };
            let fitted = spec.fit_shared(set, &options)?;
            let raw = fitted.model.predict_uncalibrated(held_out)?;
            Ok((fitted, raw))
        })?;
        let made = made.into_iter().collect::<Result<Vec<_>, LearnError>>()?;
        let rows = &self.splits.train;
        let label = &rows.plan().label;
        let width = label.outputs();
        let mut out_of_fold = vec![f64::NAN; rows.rows() * width];
        for (fold, (_, raw)) in folds.iter().zip(&made) {
            for (&row, scores) in fold.rows.iter().zip(raw.chunks_exact(width)) {
                out_of_fold[row * width..(row + 1) * width].copy_from_slice(scores);
            }
        }
        let settled = finish.settle(label, rows.labels(), &out_of_fold, rows.weights())?;
        let histories: Vec<&[f64]> = made.iter().map(|(fit, _)| &fit.history[..]).collect();
        let history = mean_history(&histories);
        let figures = folds
            .iter()
            .zip(made)
            .map(|(fold, (fitted, raw))| FoldFigures {
                evaluation: evaluated(&fold.held_out, &settled, raw),
                best_iteration: fitted.best_iteration,
                iterations: fitted.iterations,
            });
        let figures: Vec<FoldFigures> = figures.collect();
        let iterations = median(figures.iter().map(|fold| fold.iterations).collect());
        let stopped = figures.iter().all(|fold| fold.best_iteration.is_some());
        Ok(Validated {
            evaluation: Some(mean(&figures)),
            folds: figures,
            best_iteration: stopped.then(|| iterations.saturating_sub(1)),
            iterations,
            history,
            settled,
            out_of_fold,
            fitted: None,
        })
    }

    /// The finished model of a fit that [`Self::judge`] judged: after folds it is fitted now,
    /// to all of their rows, on the current rayon pool.
    ///
    /// # Errors
    ///
    /// As [`EstimatorSpec::fit`].
    pub fn conclude(
        &self,
        spec: &EstimatorSpec,
        validated: Validated,
        options: &FitOptions<'_>,
    ) -> Result<FinishedFit, LearnError> {
        let Validated {
            folds,
            best_iteration,
            iterations,
            history,
            settled,
            out_of_fold,
            fitted,
            ..
        } = validated;
        let fitted = match (fitted, &self.ground) {
            (Some(fitted), _) => fitted,
            (None, Ground::Part(set) | Ground::Folds(_, set)) => {
                spec.fit_rounds_shared(set, iterations, options)?
            }
        };
        let cross_validation =
            (!folds.is_empty()).then_some(CrossValidation { folds, out_of_fold });
        Ok(FinishedFit {
            fitted: Fitted {
                model: fitted.model.with_settled(settled),
                best_iteration,
                history,
                ..fitted
            },
            cross_validation,
        })
    }
}

/// The metrics of probabilities, which are told of those before calibration too.
const UNCALIBRATED: [(&str, &str); 2] = [
    ("log_loss", "log_loss_uncalibrated"),
    ("brier", "brier_uncalibrated"),
];

/// All metrics of predictions for rows as a finished model gives them, from the predictions
/// before calibration. Where there is one, also what log loss and Brier score were before.
pub(crate) fn evaluated(rows: &Dataset, settled: &Settled, raw: Vec<f64>) -> Evaluation {
    evaluated_labels(rows.task(), rows.labels(), settled, raw)
}

/// The same of labels `[rows]`.
pub fn evaluated_labels(
    task: Task,
    labels: &[f32],
    settled: &Settled,
    raw: Vec<f64>,
) -> Evaluation {
    let before = settled.calibration.as_ref().map(|_| raw.clone());
    let scores = settled.calibrated(raw);
    let mut evaluation = evaluate_at(settled.threshold, task, labels, &scores);
    if let Some(before) = before {
        for (name, uncalibrated) in UNCALIBRATED {
            let metric = METRICS.iter().find(|metric| metric.name == name);
            let value = metric.map(|metric| metric.compute(task, labels, &before));
            let value = value.unwrap_or(f64::NAN);
            evaluation.metrics.push((uncalibrated, value));
        }
    }
    evaluation
}

fn current_threads() -> NonZeroUsize {
    NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN)
}

/// The middle one, of two middle ones the larger; 0 of none.
fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// The mean of each round, up to the last that all have.
fn mean_history(histories: &[&[f64]]) -> Vec<f64> {
    let rounds = histories.iter().map(|history| history.len()).min();
    let mean = |round: usize| {
        let sum: f64 = histories.iter().map(|history| history[round]).sum();
        sum / histories.len() as f64
    };
    (0..rounds.unwrap_or(0)).map(mean).collect()
}

/// The values of each metric of the task, fold by fold.
fn by_metric(folds: &[FoldFigures]) -> Vec<(&'static str, Vec<f64>)> {
    let Some(first) = folds.first() else {
        return Vec::new();
    };
    let metrics = first.evaluation.metrics.iter().enumerate();
    metrics
        .map(|(at, (name, _))| {
            let values = folds.iter().map(|fold| fold.evaluation.metrics[at].1);
            (*name, values.collect())
        })
        .collect()
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean of each metric over folds; rows and counts are those of all folds together.
fn mean(folds: &[FoldFigures]) -> Evaluation {
    let metrics = by_metric(folds).into_iter();
    let confusions = folds.iter().map(|fold| fold.evaluation.confusion.as_ref());
    Evaluation {
        rows: folds.iter().map(|fold| fold.evaluation.rows).sum(),
        metrics: metrics
            .map(|(name, values)| (name, mean_of(&values)))
            .collect(),
        confusion: confusions
            .collect::<Option<Vec<_>>>()
            .and_then(|all| ConfusionMatrix::sum(&all)),
    }
}

/// The standard deviation of each metric over folds (of the folds themselves, as numpy's `std`
/// and scikit-learn's `std_test_score`); nothing without folds.
pub fn deviation(folds: &[FoldFigures]) -> Vec<(&'static str, f64)> {
    let metrics = by_metric(folds).into_iter();
    metrics
        .map(|(name, values)| {
            let mean = mean_of(&values);
            let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
            (name, mean_of(&squares).sqrt())
        })
        .collect()
}
