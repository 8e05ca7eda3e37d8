//! Looks at what of a model is settled on its validation rows: `validate:`, `calibrate:` and
//! `threshold:`.

use serde_json::{Map, Value, json};
use sluice_learn::threshold::{BestThreshold, ThresholdSpec, threshold_metric};
use sluice_learn::{Finish, FoldSpec, LearnError, Task};

use super::Checker;
use super::world::error_chain;
use crate::diagnostic::Diagnostic;
use crate::spec::{ModelBody, ModelSpec, Threshold, ThresholdMetric, TrainingData};

/// What is to be settled. `None` after having reported what does not go with the task.
pub(super) fn finish(checker: &mut Checker<'_>, data: &TrainingData, task: Task) -> Option<Finish> {
    let mut goes = true;
    if let Some(calibrate) = data.calibrate
        && task == Task::Regression
    {
        goes = false;
        let message = "`calibrate` goes with classes, and this model predicts a number";
        checker.error(
            Diagnostic::error("conflicting_keys", message)
                .help("leave it out, or write `task: binary` or `task: multiclass`"),
            calibrate.span,
        );
    }
    if let Some(threshold) = &data.threshold
        && task != Task::Binary
    {
        goes = false;
        let why = match task {
            Task::Regression => "this model predicts a number",
            Task::Binary | Task::Multiclass => "of several classes the most probable is predicted",
        };
        let message = format!("`threshold` goes with `task: binary`: {why}");
        checker.error(
            Diagnostic::error("conflicting_keys", message),
            threshold.span,
        );
    }
    let threshold = data
        .threshold
        .as_ref()
        .map(|threshold| spec(&threshold.value));
    goes.then_some(Finish {
        calibrate: data.calibrate.map(|calibrate| calibrate.value),
        threshold: match threshold {
            None => None,
            Some(spec) => Some(spec?),
        },
    })
}

fn spec(threshold: &Threshold) -> Option<ThresholdSpec> {
    Some(match threshold {
        Threshold::Fixed(threshold) => ThresholdSpec::Fixed(threshold.value),
        Threshold::Best(best) => {
            // The names were checked when they were read.
            let metric = |metric: ThresholdMetric| threshold_metric(metric.0).ok();
            let at_least = best.at_least.0.iter();
            ThresholdSpec::Best(BestThreshold {
                maximize: metric(best.maximize.value)?,
                at_least: at_least
                    .map(|(name, least)| Some((metric(*name)?, least.value)))
                    .collect::<Option<_>>()?,
            })
        }
    })
}

/// Whether a sweep's pruner and its folds do not get in each other's way.
pub(super) fn can_prune(checker: &mut Checker<'_>, model: &ModelSpec) -> bool {
    let ModelBody::Sweep(sweep) = &model.body else {
        return true;
    };
    let (Some(pruner), Some(_)) = (&sweep.pruner, &sweep.data.validate) else {
        return true;
    };
    let message = error_chain(&LearnError::PrunedFolds);
    checker.error(
        Diagnostic::error("conflicting_keys", message),
        pruner.name.span,
    );
    false
}

/// How the rows are dealt into folds.
pub(super) fn folds(data: &TrainingData) -> Option<FoldSpec> {
    let validate = data.validate.as_ref()?;
    Some(FoldSpec {
        count: usize::try_from(validate.folds.value).unwrap_or(usize::MAX),
        by: validate
            .by
            .iter()
            .map(|column| column.value.clone())
            .collect(),
        seed: validate.seed.map_or(0, |seed| seed.value),
    })
}

/// Adds what identifies these keys to a model's definition: only those that are written, so
/// that definitions of before them keep their identity.
pub(super) fn identify(data: &TrainingData, definition: &mut Map<String, Value>) {
    if let Some(validate) = &data.validate {
        let by: Vec<String> = validate.by.iter().map(|by| by.to_lowercase()).collect();
        let mut folds = json!({"folds": validate.folds.value, "by": by});
        if let Some(seed) = validate.seed {
            folds["seed"] = seed.value.into();
        }
        definition.insert("validate".to_owned(), folds);
    }
    if let Some(calibrate) = data.calibrate {
        definition.insert("calibrate".to_owned(), calibrate.value.as_str().into());
    }
    if let Some(threshold) = &data.threshold {
        let threshold = match &threshold.value {
            Threshold::Fixed(threshold) => json!(threshold.value),
            Threshold::Best(best) => {
                let mut chosen = json!({"maximize": best.maximize.value.0});
                for (metric, least) in &best.at_least.0 {
                    chosen["at_least"][metric.0] = least.value.into();
                }
                chosen
            }
        };
        definition.insert("threshold".to_owned(), threshold);
    }
}
