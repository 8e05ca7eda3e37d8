//! What a fitted model leaves to look at: its curves on the rows that it was not fitted on,
//! and its SHAP importance, as CSV files of its run.

use std::fmt::Write as _;

use sluice_learn::curves::{RELIABILITY_BINS, precision_recall, reliability, roc, thinned};
use sluice_learn::explain::shap_importance;
use sluice_learn::validate::FinishedFit;
use sluice_learn::{LearnError, Model, Split, Splits, Task};

use super::track::quoted;

/// Points of a curve that are kept.
const POINTS: usize = 2_000;

/// Probabilities of one class against the rest.
struct OneClass {
    split: Split,
    class: String,
    labels: Vec<f32>,
    scores: Vec<f64>,
    /// The probabilities before calibration; `None` where there is none.
    uncalibrated: Option<Vec<f64>>,
}

/// The files: name and text.
pub(crate) fn files(
    fit: &FinishedFit,
    splits: &Splits,
) -> Result<Vec<(&'static str, String)>, LearnError> {
    let model = &fit.fitted.model;
    let mut files = vec![("shap.csv", shap_csv(model, splits)?)];
    let mut classes = Vec::new();
    for split in [Split::Validation, Split::Test] {
        classes.extend(one_against_rest(fit, splits, split)?);
    }
    if model.plan().label.task != Task::Regression {
        files.push(("roc.csv", roc_csv(&classes)));
        files.push(("precision_recall.csv", precision_recall_csv(&classes)));
        files.push(("calibration.csv", calibration_csv(&classes)));
    }
    Ok(files)
}

/// The positive class of two, or each of several; the validation rows of folds as the models
/// that did not see them predict them.
fn one_against_rest(
    fit: &FinishedFit,
    splits: &Splits,
    split: Split,
) -> Result<Vec<OneClass>, LearnError> {
    let model = &fit.fitted.model;
    let label = &model.plan().label;
    let folds = fit.cross_validation.as_ref();
    let (data, raw) = match folds.filter(|_| split == Split::Validation) {
        Some(folds) => (&splits.train, folds.out_of_fold.clone()),
        None => {
            let data = splits.get(split);
            (data, model.predict_uncalibrated(data)?)
        }
    };
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let width = label.outputs();
    let chosen = match label.task {
        Task::Regression => 0..0,
        Task::Binary => 1..2,
        Task::Multiclass => 0..width,
    };
    let of_class = |scores: &[f64], class: usize| -> Vec<f64> {
        let rows = scores.chunks_exact(width);
        rows.map(|row| row[if width == 1 { 0 } else { class }])
            .collect()
    };
    let calibrated = model.settled().calibrated(raw.clone());
    let is_calibrated = model.settled().calibration.is_some();
    Ok(chosen
        .map(|class| OneClass {
            split,
            class: label.classes[class].to_string(),
            labels: data
                .labels()
                .iter()
                .map(|&code| f32::from(u8::from(code as usize == class)))
                .collect(),
            scores: of_class(&calibrated, class),
            uncalibrated: is_calibrated.then(|| of_class(&raw, class)),
        })
        .collect())
}

fn csv(header: &str, classes: &[OneClass], lines: impl Fn(&OneClass) -> Vec<String>) -> String {
    let mut text = format!("split,class,{header}\n");
    for class in classes {
        for line in lines(class) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{},{},{line}", class.split, quoted(&class.class));
        }
    }
    text
}

fn roc_csv(classes: &[OneClass]) -> String {
    let header = "threshold,false_positive_rate,true_positive_rate";
    csv(header, classes, |class| {
        let points = thinned(&roc(&class.labels, &class.scores), POINTS);
        let line = |point: &sluice_learn::curves::RocPoint| {
            format!(
                "{},{},{}",
                point.threshold, point.false_positive_rate, point.true_positive_rate
            )
        };
        points.iter().map(line).collect()
    })
}

fn precision_recall_csv(classes: &[OneClass]) -> String {
    csv("threshold,precision,recall", classes, |class| {
        let points = thinned(&precision_recall(&class.labels, &class.scores), POINTS);
        let line = |point: &sluice_learn::curves::PrecisionRecallPoint| {
            let threshold = point.threshold.map_or_else(String::new, |t| t.to_string());
            format!("{threshold},{},{}", point.precision, point.recall)
        };
        points.iter().map(line).collect()
    })
}

/// What the model says, and where it is calibrated what its trees say as well.
fn calibration_csv(classes: &[OneClass]) -> String {
    csv("rows,predicted,actual,calibrated", classes, |class| {
        let lines = |scores: &[f64], calibrated: bool| -> Vec<String> {
            let bins = reliability(&class.labels, scores, RELIABILITY_BINS);
            let line = |bin: &sluice_learn::curves::ReliabilityBin| {
                let (predicted, actual) = (bin.predicted, bin.actual);
                format!("{},{predicted},{actual},{calibrated}", bin.rows)
            };
            bins.iter().map(line).collect()
        };
        match &class.uncalibrated {
            None => lines(&class.scores, false),
            Some(raw) => [lines(raw, false), lines(&class.scores, true)].concat(),
        }
    })
}

/// Over validation rows; over training rows where there are none.
fn shap_csv(model: &Model, splits: &Splits) -> Result<String, LearnError> {
    let data = if splits.validation.is_empty() {
        &splits.train
    } else {
        &splits.validation
    };
    let mut text = "feature,mean_abs_shap\n".to_owned();
    for feature in shap_importance(model, data)? {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{},{}",
            quoted(&feature.feature),
            feature.mean_abs_shap
        );
    }
    Ok(text)
}
