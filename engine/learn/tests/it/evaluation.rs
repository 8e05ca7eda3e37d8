//! Classification reports, intervals and tests against scikit-learn's and scipy's.

use serde_json::Value;
use sluice_learn::Task;
use sluice_learn::metric::{ClassFigures, Confusion, ConfusionMatrix, Metric};
use sluice_learn::uncertainty::{Bootstrap, Predicted, mcnemar, wilson};

use crate::tables::fixture;

fn close(ours: f64, theirs: &Value) -> bool {
    let theirs = theirs.as_f64().unwrap();
    (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0)
}

fn same(ours: &ClassFigures, theirs: &Value, what: &str) {
    for (name, ours) in [
        ("precision", ours.precision),
        ("recall", ours.recall),
        ("f1", ours.f1),
    ] {
        assert!(close(ours, &theirs[name]), "{what}: {name} is {ours}");
    }
}

#[test]
fn class_reports_are_scikit_learns() {
    let fixture = fixture("evaluation.json");
    let cases = fixture["reports"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let counts: Vec<Vec<u64>> = serde_json::from_value(case["confusion"].clone()).unwrap();
        let (name, theirs) = (case["name"].as_str().unwrap(), &case["report"]);
        let mut matrices = vec![ConfusionMatrix::Classes(counts.clone())];
        if let [[tn, fp], [fnn, tp]] = [&counts[0][..], &counts[1][..]] {
            matrices.push(ConfusionMatrix::Binary(Confusion {
                true_negatives: *tn,
                false_positives: *fp,
                false_negatives: *fnn,
                true_positives: *tp,
            }));
        }
        for matrix in matrices {
            assert_eq!(matrix.counts(), counts);
            let ours = matrix.report();
            same(&ours.macro_average, &theirs["macro avg"], name);
            same(&ours.weighted_average, &theirs["weighted avg"], name);
            for (class, ours) in ours.classes.iter().enumerate() {
                // scikit-learn leaves out a class that neither occurs nor is predicted.
                let Some(theirs) = theirs.get(class.to_string()) else {
                    assert_eq!((ours.rows, ours.predicted), (0, 0), "{name}: {class}");
                    continue;
                };
                same(&ours.figures, theirs, name);
                assert_eq!(theirs["rows"], ours.rows, "{name}: {class}");
            }
        }
    }
}

#[test]
fn shares_and_pairs_are_judged_as_scipy_judges_them() {
    let fixture = fixture("evaluation.json");
    for case in fixture["wilson"].as_array().unwrap() {
        let (hits, rows) = (case["hits"].as_u64(), case["rows"].as_u64());
        let ours = wilson(hits.unwrap(), rows.unwrap()).unwrap();
        assert!(close(ours.low, &case["low"]), "{case}: {ours:?}");
        assert!(close(ours.high, &case["high"]), "{case}: {ours:?}");
    }
    assert_eq!(wilson(0, 0), None);
    for case in fixture["mcnemar"].as_array().unwrap() {
        let count = |name: &str| case[name].as_u64().unwrap();
        let (one, other) = (count("only_one"), count("only_other"));
        let ours = mcnemar(one, other);
        assert!(close(ours, &case["p_value"]), "{case}: {ours}");
        assert_eq!(ours, mcnemar(other, one));
    }
}

/// Labels and scores of 2,000 rows, the scores right by `skill`.
fn rows(skill: f64) -> (Vec<f32>, Vec<f64>) {
    let mut state = 9_u64;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let rows = 0..2_000;
    rows.map(|_| {
        let label = f64::from(u8::from(draw() < 0.5));
        (
            label as f32,
            (skill * label + (1.0 - skill) * draw()).min(1.0),
        )
    })
    .unzip()
}

#[test]
fn a_bootstrap_is_as_wide_as_theory_says_and_one_for_a_seed() {
    let (labels, scores) = rows(0.3);
    let predicted = Predicted {
        task: Task::Binary,
        threshold: None,
        labels: &labels,
        scores: &scores,
    };
    let accuracy = Metric::find("accuracy").unwrap();
    let bootstrap = Bootstrap::for_rows(labels.len(), 7).unwrap();
    assert_eq!(bootstrap.resamples(), 1_000);
    let interval = bootstrap.interval(&predicted, accuracy).unwrap();
    let share = predicted.figure(accuracy);
    let exact = wilson((share * 2_000.0).round() as u64, 2_000).unwrap();
    assert!((interval.low - exact.low).abs() < 0.004, "{interval:?}");
    assert!((interval.high - exact.high).abs() < 0.004, "{interval:?}");
    assert_eq!(bootstrap.interval(&predicted, accuracy), Some(interval));
    let other = Bootstrap::for_rows(labels.len(), 8).unwrap();
    assert_ne!(other.interval(&predicted, accuracy), Some(interval));
    // Few resamples of many rows, none of very many.
    assert_eq!(Bootstrap::for_rows(100_000, 0).unwrap().resamples(), 200);
    assert!(Bootstrap::for_rows(1_000_000, 0).is_none());
    assert!(Bootstrap::for_rows(1, 0).is_none());
}

#[test]
fn a_difference_is_told_from_chance() {
    let (labels, good) = rows(0.3);
    let (_, better) = rows(0.35);
    let (_, other) = rows(0.25);
    let of = |scores| Predicted {
        task: Task::Binary,
        threshold: None,
        labels: &labels,
        scores,
    };
    let auc = Metric::find("auc").unwrap();
    let bootstrap = Bootstrap::for_rows(labels.len(), 7).unwrap();
    let difference = |a, b| bootstrap.difference(&of(a), &of(b), auc).unwrap();
    let sure = difference(&better, &other);
    assert!(sure.value > 0.0 && sure.interval.low > 0.0, "{sure:?}");
    assert_eq!(sure.p_value, 0.001, "the least that so many resamples tell");
    let none = difference(&good, &good);
    assert_eq!((none.value, none.p_value), (0.0, 1.0));
    // One class has no AUC, and neither has any resample of it.
    let ones = vec![1.0; labels.len()];
    let one_class = Predicted {
        labels: &ones,
        ..of(&good)
    };
    assert!(bootstrap.interval(&one_class, auc).is_none());
}
