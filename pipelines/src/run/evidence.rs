//! What a fitted model leaves to look at: its curves on the rows that it was not fitted on,
//! and its SHAP importance. They become CSV files of its run ([`Evidence::files`]) and charts
//! of its report ([`super::page`]).

use std::fmt::Write as _;

use sluice_learn::curves::{
    PrecisionRecallPoint, RELIABILITY_BINS, ReliabilityBin, RocPoint, precision_recall,
    reliability, roc, thinned,
};
use sluice_learn::explain::{ShapImportance, shap_importance};
use sluice_learn::features::Label;
use sluice_learn::metric::Metric;
use sluice_learn::validate::FinishedFit;
use sluice_learn::{LearnError, Settled, Split, Splits, Task};

use super::track::quoted;

/// Points of a curve that are kept.
const POINTS: usize = 2_000;
/// Rows of a regression that are shown one by one.
const SHOWN: usize = 1_500;
/// Bins of a histogram of residuals.
const RESIDUAL_BINS: usize = 31;

/// How well the probabilities of one class against the rest do on one split.
pub(crate) struct OneClass {
    /// The rows: `validation`, `test`, or what else they are called.
    pub(crate) split: String,
    pub(crate) class: String,
    pub(crate) auc: f64,
    pub(crate) average_precision: f64,
    pub(crate) brier: f64,
    pub(crate) roc: Vec<RocPoint>,
    pub(crate) precision_recall: Vec<PrecisionRecallPoint>,
    pub(crate) bins: Vec<ReliabilityBin>,
    /// What the trees say, where it is calibrated.
    pub(crate) uncalibrated: Option<Uncalibrated>,
}

/// Probabilities before calibration.
pub(crate) struct Uncalibrated {
    pub(crate) brier: f64,
    pub(crate) bins: Vec<ReliabilityBin>,
}

/// What a regression predicts on one split.
pub(crate) struct Residuals {
    /// The rows, as of a class.
    pub(crate) split: String,
    /// Actual and predicted values of some rows: the first, whose order is that of a hash.
    pub(crate) sample: Vec<(f64, f64)>,
    /// The borders of bins of actual less predicted values, over all rows.
    pub(crate) edges: Vec<f64>,
    /// Rows in each bin.
    pub(crate) counts: Vec<u64>,
}

/// Predictions before calibration for the rows of a split.
pub(crate) struct Scored<'a> {
    pub(crate) split: Split,
    pub(crate) labels: &'a [f32],
    pub(crate) raw: Vec<f64>,
}

/// What there is to look at.
pub(crate) struct Evidence {
    /// Over validation rows; over training rows where there are none.
    pub(crate) shap: Vec<ShapImportance>,
    /// The positive class of two, or each of several, on validation and test rows.
    pub(crate) classes: Vec<OneClass>,
    /// Of a regression, on validation and test rows.
    pub(crate) residuals: Vec<Residuals>,
}

impl Evidence {
    /// Looks at a model's predictions; of validation rows that are folds, at those by the
    /// models that did not see them.
    pub(crate) fn of(fit: &FinishedFit, splits: &Splits) -> Result<Self, LearnError> {
        let model = &fit.fitted.model;
        let folds = fit.cross_validation.as_ref();
        let explained = match splits.validation.is_empty() {
            true => &splits.train,
            false => &splits.validation,
        };
        let shap = shap_importance(model, explained)?;
        let mut scored = Vec::new();
        for split in [Split::Validation, Split::Test] {
            let (data, raw) = match folds.filter(|_| split == Split::Validation) {
                Some(folds) => (&splits.train, folds.out_of_fold.clone()),
                None => {
                    let data = splits.get(split);
                    (data, model.predict_uncalibrated(data)?)
                }
            };
            if !data.is_empty() {
                let labels = data.labels();
                scored.push(Scored { split, labels, raw });
            }
        }
        Self::of_scores(&model.plan().label, model.settled(), shap, scored)
    }

    /// Looks at predictions, on validation and test rows.
    pub(crate) fn of_scores(
        label: &Label,
        settled: &Settled,
        shap: Vec<ShapImportance>,
        scored: Vec<Scored<'_>>,
    ) -> Result<Self, LearnError> {
        let mut evidence = Self {
            shap,
            classes: Vec::new(),
            residuals: Vec::new(),
        };
        for Scored { split, labels, raw } in scored {
            if label.task == Task::Regression {
                let residuals = Residuals::of(split.as_str(), labels, &raw);
                evidence.residuals.push(residuals);
            } else {
                let classes = one_against_rest((label, settled), split, labels, &raw)?;
                evidence.classes.extend(classes);
            }
        }
        Ok(evidence)
    }

    /// The files of the run: name and text.
    pub(crate) fn files(&self, task: Task) -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        if !self.shap.is_empty() {
            files.push(("shap.csv", self.shap_csv()));
        }
        files.extend(self.curve_files(task));
        files
    }

    /// Those of them that hold curves.
    pub(crate) fn curve_files(&self, task: Task) -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        if task != Task::Regression {
            files.push(("roc.csv", self.roc_csv()));
            files.push(("precision_recall.csv", self.precision_recall_csv()));
            files.push(("calibration.csv", self.calibration_csv()));
        }
        files
    }

    fn csv(&self, header: &str, lines: impl Fn(&OneClass) -> Vec<String>) -> String {
        let mut text = format!("split,class,{header}\n");
        for class in &self.classes {
            for line in lines(class) {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{},{},{line}", class.split, quoted(&class.class));
            }
        }
        text
    }

    fn roc_csv(&self) -> String {
        let header = "threshold,false_positive_rate,true_positive_rate";
        self.csv(header, |class| {
            let line = |point: &RocPoint| {
                format!(
                    "{},{},{}",
                    point.threshold, point.false_positive_rate, point.true_positive_rate
                )
            };
            class.roc.iter().map(line).collect()
        })
    }

    fn precision_recall_csv(&self) -> String {
        self.csv("threshold,precision,recall", |class| {
            let line = |point: &PrecisionRecallPoint| {
                let threshold = point.threshold.map_or_else(String::new, |t| t.to_string());
                format!("{threshold},{},{}", point.precision, point.recall)
            };
            class.precision_recall.iter().map(line).collect()
        })
    }

    /// What the model says, and where it is calibrated what its trees say as well.
    fn calibration_csv(&self) -> String {
        self.csv("rows,predicted,actual,calibrated", |class| {
            let lines = |bins: &[ReliabilityBin], calibrated: bool| -> Vec<String> {
                let line = |bin: &ReliabilityBin| {
                    let (predicted, actual) = (bin.predicted, bin.actual);
                    format!("{},{predicted},{actual},{calibrated}", bin.rows)
                };
                bins.iter().map(line).collect()
            };
            match &class.uncalibrated {
                None => lines(&class.bins, false),
                Some(raw) => [lines(&raw.bins, false), lines(&class.bins, true)].concat(),
            }
        })
    }

    fn shap_csv(&self) -> String {
        let mut text = "feature,mean_abs_shap\n".to_owned();
        for feature in &self.shap {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{},{}",
                quoted(&feature.feature),
                feature.mean_abs_shap
            );
        }
        text
    }
}

/// The positive class of two, or each of several, of probabilities before calibration.
fn one_against_rest(
    (label, settled): (&Label, &Settled),
    split: Split,
    codes: &[f32],
    raw: &[f64],
) -> Result<Vec<OneClass>, LearnError> {
    let width = label.outputs();
    let chosen = match label.task {
        Task::Regression => 0..0,
        Task::Binary => 1..2,
        Task::Multiclass => 0..width,
    };
    let is_calibrated = settled.calibration.is_some();
    let calibrated = settled.calibrated(raw.to_vec());
    let one = |class: usize| {
        let is_class = |&code: &f32| f32::from(u8::from(code as usize == class));
        let labels: Vec<f32> = codes.iter().map(is_class).collect();
        let column = if width == 1 { 0 } else { class };
        let of_class = |scores: &[f64]| -> Vec<f64> {
            let rows = scores.chunks_exact(width);
            rows.map(|row| row[column]).collect()
        };
        let mut told = OneClass::of(
            split.as_str(),
            label.classes[class].to_string(),
            &labels,
            &of_class(&calibrated),
        )?;
        if is_calibrated {
            let scores = of_class(raw);
            told.uncalibrated = Some(Uncalibrated {
                brier: Metric::find("brier")?.compute(Task::Binary, &labels, &scores),
                bins: reliability(&labels, &scores, RELIABILITY_BINS),
            });
        }
        Ok(told)
    };
    chosen.map(one).collect()
}

impl OneClass {
    /// Of 0/1 labels `[rows]` and probabilities of the class `[rows]`.
    pub(crate) fn of(
        split: &str,
        class: String,
        labels: &[f32],
        scores: &[f64],
    ) -> Result<Self, LearnError> {
        let figure = |name: &str| {
            let metric = Metric::find(name)?;
            Ok::<f64, LearnError>(metric.compute(Task::Binary, labels, scores))
        };
        Ok(Self {
            split: split.to_owned(),
            class,
            auc: figure("auc")?,
            average_precision: figure("average_precision")?,
            brier: figure("brier")?,
            roc: thinned(&roc(labels, scores), POINTS),
            precision_recall: thinned(&precision_recall(labels, scores), POINTS),
            bins: reliability(labels, scores, RELIABILITY_BINS),
            uncalibrated: None,
        })
    }
}

impl Residuals {
    /// Of actual and predicted values, in an order that is none.
    pub(crate) fn of(split: &str, labels: &[f32], scores: &[f64]) -> Self {
        let pairs = labels.iter().map(|&label| f64::from(label)).zip(scores);
        let pairs = pairs.map(|(actual, &predicted)| (actual, predicted));
        let residual = |(actual, predicted): (f64, f64)| actual - predicted;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for residual in pairs.clone().map(residual) {
            (low, high) = (low.min(residual), high.max(residual));
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let step = (high - low) / RESIDUAL_BINS as f64;
        let mut counts = vec![0_u64; RESIDUAL_BINS];
        for residual in pairs.clone().map(residual) {
            // A float casts to an integer by saturating; NaN counts as the first bin.
            let bin = ((residual - low) / step) as usize;
            counts[bin.min(RESIDUAL_BINS - 1)] += 1;
        }
        let edge = |at: usize| low + at as f64 * step;
        Self {
            split: split.to_owned(),
            sample: pairs.take(SHOWN).collect(),
            edges: (0..=RESIDUAL_BINS).map(edge).collect(),
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_residual_is_in_a_bin() {
        let residuals = Residuals::of("test", &[1.0, 2.0, 4.0], &[1.0, 1.0, 9.0]);
        assert_eq!(residuals.counts.iter().sum::<u64>(), 3);
        assert_eq!((residuals.edges[0], residuals.edges[31]), (-5.0, 1.0));
        assert_eq!((residuals.counts[0], residuals.counts[30]), (1, 1));
        let exact = Residuals::of("test", &[1.0, 2.0], &[1.0, 2.0]);
        assert_eq!(exact.counts.iter().sum::<u64>(), 2);
        assert!(exact.edges[0] < 0.0 && exact.edges[31] > 0.0);
    }
}
