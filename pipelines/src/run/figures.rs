//! The figures of a fitted model on all parts of its rows, the only look at the test rows: the
//! metrics that are logged and registered, and `evaluation.json` with the confusion matrices.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sluice_lake::state::Metric;
use sluice_learn::features::Label;
use sluice_learn::metric::Evaluation;
use sluice_learn::validate::{CrossValidation, FinishedFit, FoldFigures, deviation};
use sluice_learn::{LearnError, Settled, Split, Splits, Task};

use super::context::now_ms;
use crate::plan::ModelAsset;

/// What the names of metrics of single folds start with.
const FOLDS_PREFIX: &str = "folds.";

/// The figures of a fit.
pub(crate) struct Figures {
    /// All metrics by name, as `test.auc`.
    pub(crate) named: BTreeMap<String, f64>,
    /// The figures of each part that has rows; of folds the mean.
    pub(crate) parts: Vec<(Split, Evaluation)>,
    /// `evaluation.json`.
    pub(crate) json: String,
}

/// Computes the figures.
pub(crate) fn figures(fit: &FinishedFit, splits: &Splits) -> Result<Figures, LearnError> {
    let model = &fit.fitted.model;
    let folds = fit.cross_validation.as_ref();
    let mut parts = Vec::new();
    for split in Split::ALL {
        let data = splits.get(split);
        match folds.filter(|_| split == Split::Validation) {
            Some(folds) => parts.push((split, folds.mean())),
            None if data.is_empty() => {}
            None => parts.push((split, model.evaluate(data)?)),
        }
    }
    Ok(of_parts(&model.plan().label, model.settled(), parts, folds))
}

/// The figures of a model whose parts are judged.
pub(crate) fn of_parts(
    label: &Label,
    settled: &Settled,
    parts: Vec<(Split, Evaluation)>,
    folds: Option<&CrossValidation>,
) -> Figures {
    let (mut figures, mut report) = (BTreeMap::new(), Map::new());
    for (split, evaluation) in &parts {
        let mut part = part(evaluation);
        if label.task == Task::Multiclass {
            part["classes"] = json!(label.classes);
        }
        if let Some(folds) = folds.filter(|_| *split == Split::Validation) {
            let deviation = folds.deviation();
            part["metrics_std"] = deviation.iter().copied().collect();
            part["folds"] = folds.folds.iter().map(fold).collect();
            figures.extend(with_std(&deviation));
        }
        report.insert(split.to_string(), part);
        for (name, value) in &evaluation.metrics {
            figures.insert(format!("{split}.{name}"), *value);
        }
    }
    if let Some(threshold) = settled.threshold {
        figures.insert("threshold".to_owned(), threshold);
        report.insert("threshold".to_owned(), threshold.into());
    }
    if let Some(calibration) = &settled.calibration {
        let method = calibration.method().as_str();
        report.insert("calibration".to_owned(), method.into());
    }
    Figures {
        named: figures,
        parts,
        json: format!("{:#}\n", Value::Object(report)),
    }
}

fn part(evaluation: &Evaluation) -> Value {
    let mut part = json!({
        "rows": evaluation.rows,
        "metrics": evaluation.metrics.iter().copied().collect::<BTreeMap<_, _>>(),
    });
    if let Some(confusion) = &evaluation.confusion {
        part["confusion_matrix"] = json!(confusion);
    }
    part
}

fn fold(fold: &FoldFigures) -> Value {
    let mut one = part(&fold.evaluation);
    one["iterations"] = fold.iterations.into();
    one
}

/// The standard deviations over folds by name: `validation.auc_std`.
fn with_std(deviation: &[(&'static str, f64)]) -> impl Iterator<Item = (String, f64)> {
    let named = |(name, value): &(&'static str, f64)| (format!("validation.{name}_std"), *value);
    deviation.iter().map(named)
}

/// The standard deviations of a trial over its folds by name; none without folds.
pub(crate) fn deviations(folds: &[FoldFigures]) -> impl Iterator<Item = (String, f64)> {
    with_std(&deviation(folds)).collect::<Vec<_>>().into_iter()
}

/// Each metric of each fold, as `folds.validation.<metric>` with the fold (from 0) as its step.
pub(crate) fn of_folds(folds: Option<&CrossValidation>) -> Vec<Metric> {
    let timestamp_ms = now_ms();
    let folds = folds.map_or(&[][..], |folds| &folds.folds);
    let steps = folds.iter().zip(0_i64..);
    steps
        .flat_map(|(fold, step)| {
            let metrics = fold.evaluation.metrics.iter();
            metrics.map(move |(name, value)| Metric {
                key: format!("{FOLDS_PREFIX}validation.{name}"),
                value: *value,
                step,
                timestamp_ms,
            })
        })
        .collect()
}

/// What the model's run is told of how it is validated and settled: texts as they are written.
pub(crate) fn params(model: &ModelAsset) -> Vec<(String, String)> {
    let definition = &model.definition;
    ["validate", "calibrate", "threshold"]
        .into_iter()
        .filter_map(|key| {
            let value = definition.get(key)?;
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Some((key.to_owned(), text))
        })
        .collect()
}
