//! The quality gates: as good as scikit-learn's forests and Python's xgboost on the same
//! rows (`benches/fixtures` says how the figures were made).

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use sluice_learn::estimator::TrainingSet;
use sluice_learn::metric::{Metric, evaluate};
use sluice_learn::{Dataset, EstimatorSpec, FitOptions, Model, Splits};

use crate::tables::{Table, fixture, params, red_and_white_wine, red_wine};

/// How far an AUC may be from the one of the fixture.
const TOLERANCE: f64 = 0.01;

fn auc(model: &Model, data: &Dataset) -> f64 {
    let scores = model.predict(data).unwrap();
    evaluate(data.task(), data.labels(), &scores)
        .get("auc")
        .unwrap()
}

/// The fixture's part for a table, after checking that both sides see the same rows.
fn expected(name: &str, table: &str, splits: &Splits) -> Value {
    let fixture = fixture(name);
    let part = fixture["tables"][table].clone();
    for (split, data) in [
        ("train", &splits.train),
        ("validation", &splits.validation),
        ("test", &splits.test),
    ] {
        let ours = json!({"rows": data.rows(), "positives": data.positives()});
        assert_eq!(ours, part["splits"][split], "{table}, {split}");
    }
    assert_eq!(splits.straddling.test, 0, "equal rows stay together");
    assert_eq!(splits.straddling.validation, 0, "equal rows stay together");
    part
}

fn forests_are_as_good_as_scikit_learns(name: &str, table: &Table) {
    let splits = table.splits();
    let expected = expected("wine_forest.json", name, &splits);
    let cancel = AtomicBool::new(false);
    for trees in [10, 100] {
        let seeds = expected["forests"][trees.to_string()]["test_auc"]
            .as_array()
            .unwrap()
            .len();
        let sum: f64 = (0..seeds)
            .map(|seed| {
                let given = params(json!({"n_estimators": trees, "random_state": seed}));
                let spec = EstimatorSpec::parse("random_forest", &given).unwrap();
                let fitted = spec.fit(&splits.train, None, &options(&cancel)).unwrap();
                auc(&fitted.model, &splits.test)
            })
            .sum();
        let ours = sum / seeds as f64;
        let theirs = expected["forests"][trees.to_string()]["mean"]
            .as_f64()
            .unwrap();
        println!("{name}, {trees} trees: {ours:.4}, scikit-learn {theirs:.4}");
        assert!(
            (ours - theirs).abs() <= TOLERANCE,
            "{name}, {trees} trees: test AUC {ours:.4}, scikit-learn's is {theirs:.4}"
        );
    }
}

fn boosting_is_as_good_as_pythons(name: &str, table: &Table) {
    let splits = table.splits();
    let expected = expected("wine_boosting.json", name, &splits);
    let fixture = fixture("wine_boosting.json");
    let data = TrainingSet::new(&splits.train, Some(&splits.validation)).unwrap();
    let cancel = AtomicBool::new(false);
    let sets = fixture["parameter_sets"].as_array().unwrap();
    assert_eq!(sets.len(), 96);
    let mut best = f64::NEG_INFINITY;
    let mut sum = 0.0;
    for set in sets {
        let mut given = params(set.clone());
        for key in ["rounds", "early_stopping_rounds"] {
            given.insert(key.to_owned(), fixture[key].clone());
        }
        let spec = EstimatorSpec::parse("gradient_boosting", &given).unwrap();
        let fitted = spec.fit_shared(&data, &options(&cancel)).unwrap();
        let score = auc(&fitted.model, &splits.validation);
        best = best.max(score);
        sum += score;
    }
    let theirs = expected["best"].as_f64().unwrap();
    println!(
        "{name}: best of 96 {best:.4}, xgboost {theirs:.4}; mean {:.4}",
        sum / 96.0
    );
    assert!(
        (best - theirs).abs() <= TOLERANCE,
        "{name}: best validation AUC {best:.4}, Python xgboost's is {theirs:.4}"
    );
}

fn options(cancel: &AtomicBool) -> FitOptions<'_> {
    FitOptions {
        threads: NonZeroUsize::new(2).unwrap(),
        cancel,
        metric: Metric::find("auc").unwrap(),
        on_round: None,
    }
}

#[test]
fn forests_on_red_wine() {
    forests_are_as_good_as_scikit_learns("red", &red_wine());
}

#[test]
fn forests_on_red_and_white_wine() {
    if let Some(table) = red_and_white_wine() {
        forests_are_as_good_as_scikit_learns("red_and_white", &table);
    }
}

#[test]
fn boosting_on_red_wine() {
    boosting_is_as_good_as_pythons("red", &red_wine());
}

#[test]
fn boosting_on_red_and_white_wine() {
    if let Some(table) = red_and_white_wine() {
        boosting_is_as_good_as_pythons("red_and_white", &table);
    }
}
