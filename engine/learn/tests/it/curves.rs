//! Our curves against scikit-learn's, and SHAP values against what they must sum to.

use serde_json::{Value, json};
use sluice_learn::curves::{RELIABILITY_BINS, precision_recall, reliability, roc};
use sluice_learn::explain::shap_importance;

use crate::tables::{fit, fixture, noisy_table};

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn assert_close(ours: &[f64], theirs: &Value, what: &str) {
    let theirs = numbers(theirs);
    assert_eq!(ours.len(), theirs.len(), "{what}: {ours:?} {theirs:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            (ours - theirs).abs() <= 1e-9,
            "{what}: {ours} is not {theirs}"
        );
    }
}

#[test]
fn every_curve_is_scikit_learns() {
    let fixture = fixture("curves.json");
    for case in fixture["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let labels: Vec<f32> = numbers(&case["labels"]).iter().map(|&v| v as f32).collect();
        let scores = numbers(&case["scores"]);
        let curve = roc(&labels, &scores);
        assert_eq!(curve[0].threshold, f64::INFINITY);
        let column = |of: fn(&sluice_learn::curves::RocPoint) -> f64| -> Vec<f64> {
            curve.iter().map(of).collect()
        };
        let theirs = &case["roc"];
        assert_close(&column(|p| p.threshold)[1..], &theirs["thresholds"], name);
        assert_close(
            &column(|p| p.false_positive_rate),
            &theirs["false_positive_rates"],
            name,
        );
        assert_close(
            &column(|p| p.true_positive_rate),
            &theirs["true_positive_rates"],
            name,
        );

        let curve = precision_recall(&labels, &scores);
        let theirs = &case["precision_recall"];
        let thresholds: Vec<f64> = curve.iter().filter_map(|p| p.threshold).collect();
        assert_close(&thresholds, &theirs["thresholds"], name);
        let precision: Vec<f64> = curve.iter().map(|p| p.precision).collect();
        assert_close(&precision, &theirs["precision"], name);
        let recall: Vec<f64> = curve.iter().map(|p| p.recall).collect();
        assert_close(&recall, &theirs["recall"], name);

        let bins = reliability(&labels, &scores, RELIABILITY_BINS);
        assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), labels.len());
        let predicted: Vec<f64> = bins.iter().map(|bin| bin.predicted).collect();
        assert_close(&predicted, &case["reliability"]["predicted"], name);
        let actual: Vec<f64> = bins.iter().map(|bin| bin.actual).collect();
        assert_close(&actual, &case["reliability"]["actual"], name);
    }
}

#[test]
fn curves_of_one_class_have_no_points() {
    assert!(roc(&[1.0, 1.0], &[0.1, 0.2]).is_empty());
    assert!(roc(&[], &[]).is_empty());
    assert!(precision_recall(&[0.0, 0.0], &[0.1, 0.2]).is_empty());
    assert!(reliability(&[], &[], 10).is_empty());
}

#[test]
fn the_feature_that_decides_moves_predictions_most() {
    let binary = noisy_table(400, 8).splits();
    let several = crate::tasks::splits(&crate::tasks::fruit(), "kind", None);
    for (splits, first) in [(&binary, "a"), (&several, "weight")] {
        for (estimator, given) in [
            ("gradient_boosting", json!({"rounds": 10, "max_depth": 3})),
            ("random_forest", json!({"n_estimators": 10, "max_depth": 4})),
        ] {
            let model = fit(estimator, given, splits, 1).model;
            let importance = shap_importance(&model, &splits.validation).unwrap();
            assert_eq!(importance[0].feature, first, "{estimator}: {importance:?}");
            let [first, second] = [0, 1].map(|rank: usize| importance[rank].mean_abs_shap);
            assert!(first > 1.5 * second, "{estimator}: {importance:?}");
        }
    }
}
