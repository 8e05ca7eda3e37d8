//! Calibrated probabilities and chosen thresholds against scikit-learn's.

use std::fs;

use serde_json::{Value, json};
use sluice_learn::calibration::{Calibration, CalibrationMethod};
use sluice_learn::curves::{RELIABILITY_BINS, reliability};
use sluice_learn::features::{Class, Label, LabelType};
use sluice_learn::judged::Judged;
use sluice_learn::metric::{ConfusionMatrix, Metric, evaluate};
use sluice_learn::model::FEATURES_FILE;
use sluice_learn::threshold::{BestThreshold, ThresholdSpec, threshold_metric};
use sluice_learn::validate::{self, FinishedFit};
use sluice_learn::{EstimatorSpec, Finish, FitOptions, LearnError, Model, Splits, Task};

use crate::tables::{fixture, noisy_table, params, threads};

const METHODS: [CalibrationMethod; 2] = [CalibrationMethod::Isotonic, CalibrationMethod::Sigmoid];

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn floats(values: &Value) -> Vec<f32> {
    numbers(values).iter().map(|&value| value as f32).collect()
}

fn assert_close(ours: &[f64], theirs: &Value, within: f64, what: &str) {
    let theirs = numbers(theirs);
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            (ours - theirs).abs() <= within,
            "{what}, {at}: {ours} is not {theirs}"
        );
    }
}

fn label(width: usize) -> Label {
    let (task, classes) = match width {
        1 => (
            Task::Binary,
            vec![Class::Boolean(false), Class::Boolean(true)],
        ),
        _ => {
            let classes = (0..width).map(|class| Class::Number(class as f64));
            (Task::Multiclass, classes.collect())
        }
    };
    Label {
        name: "kind".to_owned(),
        task,
        label_type: LabelType::Boolean,
        classes,
    }
}

#[test]
fn calibrated_probabilities_are_scikit_learns() {
    let fixture = fixture("calibration.json");
    for case in fixture["cases"].as_array().unwrap() {
        let width = case["width"].as_u64().unwrap() as usize;
        let label = label(width);
        let (labels, scores) = (floats(&case["labels"]), numbers(&case["scores"]));
        let weights = (!case["weights"].is_null()).then(|| floats(&case["weights"]));
        for method in METHODS {
            let theirs = &case[method.as_str()];
            let what = format!("{} {}", case["name"], method.as_str());
            let fitted =
                Calibration::fit(method, &label, &labels, &scores, weights.as_deref()).unwrap();
            assert_eq!(fitted.method(), method);
            let mut said = numbers(&case["ask"]);
            fitted.apply(&mut said);
            assert_close(&said, &theirs["calibrated"], 1e-9, &what);
            if method == CalibrationMethod::Sigmoid {
                // scikit-learn stops a little before the optimum.
                assert_close(&said, &theirs["as_stopped"], 1e-7, &what);
            }
            let own = &said[..labels.len() * width];
            let evaluation = evaluate(label.task, &labels, own);
            for metric in ["brier", "log_loss"] {
                let (ours, theirs) = (evaluation.get(metric).unwrap(), &theirs[metric]);
                assert_close(&[ours], &json!([theirs]), 1e-9, &format!("{what} {metric}"));
            }
            if width == 1 {
                let bins = reliability(&labels, own, RELIABILITY_BINS);
                let curve = &theirs["reliability"];
                let predicted: Vec<f64> = bins.iter().map(|bin| bin.predicted).collect();
                assert_close(&predicted, &curve["predicted"], 1e-9, &what);
                let actual: Vec<f64> = bins.iter().map(|bin| bin.actual).collect();
                assert_close(&actual, &curve["actual"], 1e-9, &what);
            }
        }
    }
}

fn best(maximize: &str, at_least: &Value) -> ThresholdSpec {
    let at_least = at_least.as_object().unwrap().iter();
    ThresholdSpec::Best(BestThreshold {
        maximize: threshold_metric(maximize).unwrap(),
        at_least: at_least
            .map(|(name, least)| (threshold_metric(name).unwrap(), least.as_f64().unwrap()))
            .collect(),
    })
}

#[test]
fn chosen_thresholds_are_scikit_learns() {
    let fixture = fixture("calibration.json");
    for case in fixture["thresholds"].as_array().unwrap() {
        let (labels, scores) = (floats(&case["labels"]), numbers(&case["scores"]));
        for chosen in case["chosen"].as_array().unwrap() {
            let spec = best(chosen["maximize"].as_str().unwrap(), &chosen["at_least"]);
            let threshold = spec.settle(&labels, &scores).unwrap();
            let what = format!("{} {}", case["name"], chosen["maximize"]);
            assert_eq!(Some(threshold), chosen["threshold"].as_f64(), "{what}");
            for (name, theirs) in chosen["figures"].as_object().unwrap() {
                let metric = Metric::find(name).unwrap();
                let ours = metric.compute_at(Some(threshold), Task::Binary, &labels, &scores);
                assert_close(&[ours], &json!([theirs]), 1e-9, &format!("{what}: {name}"));
            }
        }
    }
}

fn finished(given: Value, splits: &Splits, finish: &Finish) -> Result<FinishedFit, LearnError> {
    let spec = EstimatorSpec::parse("gradient_boosting", &params(given)).unwrap();
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let options = FitOptions {
        threads: threads(2),
        cancel: &cancel,
        metric: Metric::find("auc").unwrap(),
        on_round: None,
    };
    validate::fit(&spec, splits, finish, &options)
}

fn overfitted(finish: &Finish) -> (Splits, Model) {
    let splits = noisy_table(4_000, 31).splits();
    let given = json!({"rounds": 100, "max_depth": 8, "learning_rate": 0.5});
    let fit = finished(given, &splits, finish).unwrap();
    (splits, fit.fitted.model)
}

#[test]
fn a_model_that_is_too_sure_is_right_more_honestly_once_it_is_calibrated() {
    for method in METHODS {
        let finish = Finish {
            calibrate: Some(method),
            threshold: None,
        };
        let (splits, model) = overfitted(&finish);
        let figures = model.evaluate(&splits.test).unwrap();
        let figure = |name: &str| figures.get(name).unwrap();
        // The test rows decided about nothing. (Isotonic steps reach 0 and 1, where one row
        // costs a log loss of 36.)
        let gain = figure("brier_uncalibrated") - figure("brier");
        assert!(gain > 0.003, "{figures:?}");
        if method == CalibrationMethod::Sigmoid {
            assert!(
                figure("log_loss") < figure("log_loss_uncalibrated"),
                "{figures:?}"
            );
        }
        let raw = model.predict_uncalibrated(&splits.test).unwrap();
        let said = model.predict(&splits.test).unwrap();
        assert_ne!(raw, said);
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path()).unwrap();
        let loaded = Model::load(dir.path()).unwrap();
        assert_eq!(loaded.settled(), model.settled());
        assert_eq!(
            loaded.predict(&splits.test).unwrap(),
            said,
            "to the last bit"
        );
    }
}

#[test]
fn a_threshold_decides_about_classes_figures_and_champions() {
    let finish = |threshold| Finish {
        calibrate: None,
        threshold,
    };
    let (splits, plain) = overfitted(&Finish::default());
    let at = |threshold: f64| overfitted(&finish(Some(ThresholdSpec::Fixed(threshold)))).1;
    let (low, high) = (at(0.02), at(0.98));
    let scores = plain.predict(&splits.test).unwrap();
    assert_eq!(low.predict(&splits.test).unwrap(), scores, "scores stay");
    let positives = |model: &Model| model.classes_of(&scores).iter().sum::<usize>();
    assert!(positives(&low) > positives(&plain) && positives(&plain) > positives(&high));
    let figure =
        |model: &Model, name: &str| model.evaluate(&splits.test).unwrap().get(name).unwrap();
    assert!(figure(&low, "recall") > figure(&plain, "recall"));
    assert!(figure(&high, "precision") > figure(&plain, "precision"));
    assert_eq!(figure(&low, "auc"), figure(&high, "auc"));
    let Some(ConfusionMatrix::Binary(counts)) = low.evaluate(&splits.test).unwrap().confusion
    else {
        panic!("no counts");
    };
    let said = counts.true_positives + counts.false_positives;
    assert_eq!(said as usize, positives(&low));

    // As a champion it is judged with its own threshold.
    let table = noisy_table(4_000, 31);
    let rows: Vec<usize> = (0..4_000)
        .filter(|row| table.split[*row] == "test")
        .collect();
    let champion = low.clone().into();
    let mut judged = Judged::new(&champion);
    judged.push(&table.batch(&rows), "good").unwrap();
    for name in ["recall", "accuracy", "auc"] {
        let ours = judged.figure(Metric::find(name).unwrap());
        assert!((ours - figure(&low, name)).abs() < 1e-12, "{name}");
    }
}

#[test]
fn the_best_threshold_is_settled_on_calibrated_validation_rows() {
    let finish = Finish {
        calibrate: Some(CalibrationMethod::Isotonic),
        threshold: Some(best("recall", &json!({"precision": 0.8}))),
    };
    let (splits, model) = overfitted(&finish);
    let threshold = model.settled().threshold.unwrap();
    let said = model.predict(&splits.validation).unwrap();
    assert!(said.contains(&threshold), "a probability that occurs");
    let figures = model.evaluate(&splits.validation).unwrap();
    assert!(figures.get("precision").unwrap() >= 0.8);
    let impossible = Finish {
        calibrate: None,
        threshold: Some(best("f1", &json!({"accuracy": 0.999}))),
    };
    let error = finished(json!({"rounds": 5}), &splits, &impossible).unwrap_err();
    assert!(
        error.to_string().contains("accuracy at least 0.999"),
        "{error}"
    );
}

#[test]
fn without_validation_rows_nothing_is_settled_but_a_given_threshold() {
    let mut table = noisy_table(200, 3);
    for split in &mut table.split {
        *split = "train";
    }
    let splits = table.splits();
    let finish = |calibrate, threshold| Finish {
        calibrate,
        threshold,
    };
    let given = json!({"rounds": 3});
    let fixed = finish(None, Some(ThresholdSpec::Fixed(0.3)));
    let model = finished(given.clone(), &splits, &fixed)
        .unwrap()
        .fitted
        .model;
    assert_eq!(model.settled().threshold, Some(0.3));
    for needs in [
        finish(Some(CalibrationMethod::Sigmoid), None),
        finish(None, Some(best("f1", &json!({})))),
    ] {
        let error = finished(given.clone(), &splits, &needs)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the validation split is empty"), "{error}");
        assert!(error.contains("validate: {folds: 5}"), "{error}");
    }
}

#[test]
fn a_class_without_a_validation_row_cannot_be_calibrated() {
    let mut table = noisy_table(300, 3);
    for (good, split) in table.good.iter_mut().zip(&table.split) {
        *good = *good && *split != "validation";
    }
    let finish = Finish {
        calibrate: Some(CalibrationMethod::Isotonic),
        threshold: None,
    };
    let error = finished(json!({"rounds": 3}), &table.splits(), &finish).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`good` is true in no validation row"),
        "{error}"
    );
}

#[test]
fn a_features_file_with_an_unsound_calibration_is_refused() {
    let finish = Finish {
        calibrate: Some(CalibrationMethod::Isotonic),
        threshold: Some(ThresholdSpec::Fixed(0.4)),
    };
    let (_, model) = overfitted(&finish);
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let path = dir.path().join(FEATURES_FILE);
    let sound: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(sound["format"], 3);
    assert_eq!(sound["calibration"]["method"], "isotonic");
    let refused = |change: fn(&mut Value)| {
        let mut file = sound.clone();
        change(&mut file);
        fs::write(&path, file.to_string()).unwrap();
        Model::load(dir.path()).unwrap_err().to_string()
    };
    for (change, part) in [
        (
            (|file| file["threshold"] = json!(1.5)) as fn(&mut Value),
            "its threshold is no probability",
        ),
        (
            |file| file["calibration"]["curves"] = json!([]),
            "its calibration does not go with its label",
        ),
        (
            |file| file["calibration"]["curves"][0]["calibrated"][0] = json!(7),
            "its calibration does not go with its label",
        ),
        (
            |file| {
                file["calibration"] = json!({"method": "sigmoid", "curves": [{"a": 1.0}]});
            },
            "missing field `b`",
        ),
    ] {
        let message = refused(change);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}
