//! What estimators accept, and what they learn.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sluice_learn::estimator::{ESTIMATORS, RoundScore, estimator_names};
use sluice_learn::metric::{METRICS, Metric};
use sluice_learn::{EstimatorSpec, FitOptions, LearnError, Task};

use crate::tables::{Table, fit, noisy_table, params};

fn refusal(estimator: &str, given: Value) -> String {
    let error = EstimatorSpec::parse(estimator, &params(given)).unwrap_err();
    error.to_string()
}

#[test]
fn names_of_scikit_learn_and_xgboost_mean_the_same() {
    let own = json!({
        "rounds": 7, "learning_rate": 0.2, "reg_lambda": 2.0, "reg_alpha": 0.5,
        "min_split_loss": 0.1, "max_leaves": 9, "max_bin": 64, "seed": 4,
    });
    let other = json!({
        "num_boost_round": 7, "eta": 0.2, "lambda": 2.0, "alpha": 0.5,
        "gamma": 0.1, "max_leaf_nodes": 9, "max_bins": 64, "random_state": 4,
    });
    let parse = |given| EstimatorSpec::parse("gradient_boosting", &params(given)).unwrap();
    assert_eq!(parse(own.clone()).params(), parse(other).params());
    assert_eq!(parse(own).params()["max_depth"], 6, "defaults are recorded");
    let forest = EstimatorSpec::parse("random_forest", &params(json!({"num_parallel_tree": 3})));
    assert_eq!(forest.unwrap().params()["n_estimators"], 3);
}

#[test]
fn no_two_parameters_share_a_name() {
    for entry in ESTIMATORS {
        let mut names: Vec<&str> = entry
            .params
            .iter()
            .flat_map(|param| std::iter::once(param.name).chain(param.aliases.iter().copied()))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", entry.name);
    }
}

#[test]
fn everything_wrong_with_the_parameters_is_said_at_once() {
    let message = refusal(
        "gradient_boosting",
        json!({
            "learnig_rate": 0.1,
            "max_depth": 2.5,
            "subsample": 0,
            "eta": 0.1,
            "learning_rate": 0.1,
            "rounds": "many",
            "grow_policy": "widest",
        }),
    );
    for part in [
        "did you mean `learning_rate`?",
        "`max_depth`: must be a whole number from 1 to 10000, or 0 or null for no limit, not 2.5",
        "`subsample`: must be a number above 0 and at most 1, not 0",
        "`learning_rate`: means the same as `eta`, which is given too; keep one",
        "`rounds`: must be a whole number",
        "`grow_policy`: must be one of depthwise, lossguide, not \"widest\"",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(refusal("random_forest", json!({"max_features": 1.5})).contains("a share above 0"));
    assert!(refusal("random_forst", json!({})).contains("did you mean `random_forest`?"));
}

#[test]
fn no_limit_may_be_written_as_null_or_zero() {
    for given in [json!({"max_depth": null}), json!({"max_depth": 0})] {
        let spec = EstimatorSpec::parse("gradient_boosting", &params(given)).unwrap();
        assert!(spec.params()["max_depth"].is_null());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_at_any_thread_count() {
    // Enough rows that the learner works in parallel within a tree.
    let splits = noisy_table(20_000, 9).splits();
    for (estimator, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 4, "subsample": 0.6, "colsample_bynode": 0.7, "seed": 1}),
        ),
        (
            "random_forest",
            json!({"n_estimators": 3, "max_depth": 6, "seed": 1}),
        ),
    ] {
        let bytes = |threads, given: Value| {
            let fitted = fit(estimator, given, &splits, threads);
            fitted.model.model_json().unwrap()
        };
        let one = bytes(1, given.clone());
        assert!(one == bytes(2, given.clone()), "{estimator}, 2 threads");
        assert!(one == bytes(5, given.clone()), "{estimator}, 5 threads");
        let mut other_seed = given;
        other_seed["seed"] = json!(2);
        assert!(one != bytes(2, other_seed), "{estimator}: the seed counts");
    }
}

#[test]
fn early_stopping_keeps_the_best_round() {
    let splits = noisy_table(600, 5).splits();
    let given = json!({"rounds": 400, "early_stopping_rounds": 15, "learning_rate": 0.5});
    let fitted = fit("gradient_boosting", given, &splits, 2);
    let best = fitted.best_iteration.unwrap();
    assert_eq!(fitted.iterations, best + 1);
    assert_eq!(fitted.model.iterations(), best + 1);
    assert_eq!(fitted.history.len(), best + 1 + 15, "15 rounds in vain");
    let top = fitted.history.iter().copied().fold(f64::MIN, f64::max);
    let first_best = fitted.history.iter().position(|&value| value == top);
    assert_eq!(first_best, Some(best));
    let auc = Metric::find("auc").unwrap();
    let scores = fitted.model.predict(&splits.validation).unwrap();
    let ours = auc.compute(Task::Binary, splits.validation.labels(), &scores);
    assert!((ours - top).abs() < 1e-9, "{ours} is not {top}");
}

#[test]
fn every_metric_can_be_watched() {
    let splits = noisy_table(600, 5).splits();
    let given = params(json!({"rounds": 30, "early_stopping_rounds": 5}));
    let spec = EstimatorSpec::parse("gradient_boosting", &given).unwrap();
    let cancel = AtomicBool::new(false);
    for metric in METRICS.iter().filter(|metric| metric.judges(Task::Binary)) {
        let options = FitOptions {
            threads: NonZeroUsize::MIN,
            cancel: &cancel,
            metric,
            on_round: None,
        };
        let fitted = spec
            .fit(&splits.train, Some(&splits.validation), &options)
            .unwrap();
        let best = fitted.history[fitted.best_iteration.unwrap()];
        let beaten = fitted
            .history
            .iter()
            .any(|&value| metric.goal.better(value, best));
        assert!(!beaten, "{}: {best} of {:?}", metric.name, fitted.history);
        let scores = fitted.model.predict(&splits.validation).unwrap();
        let ours = metric.compute(Task::Binary, splits.validation.labels(), &scores);
        assert!(
            (ours - best).abs() < 1e-6,
            "{}: {ours} is not {best}",
            metric.name
        );
    }
}

#[test]
fn early_stopping_needs_a_validation_split() {
    let splits = noisy_table(100, 5).splits();
    let given = params(json!({"early_stopping_rounds": 5}));
    let spec = EstimatorSpec::parse("gradient_boosting", &given).unwrap();
    assert!(spec.needs_validation());
    let cancel = AtomicBool::new(false);
    let options = FitOptions {
        threads: NonZeroUsize::MIN,
        cancel: &cancel,
        metric: Metric::find("auc").unwrap(),
        on_round: None,
    };
    let error = spec.fit(&splits.train, None, &options).unwrap_err();
    assert!(error.to_string().contains("validation split is empty"));
}

#[test]
fn a_fit_can_be_cancelled_between_rounds() {
    let splits = noisy_table(200, 5).splits();
    for estimator in estimator_names() {
        let given = params(json!({"rounds": 5000}));
        let spec = EstimatorSpec::parse(estimator, &given).unwrap();
        let cancel = AtomicBool::new(false);
        let rounds = AtomicUsize::new(0);
        let on_round = |_: RoundScore| {
            if rounds.fetch_add(1, Ordering::Relaxed) == 2 {
                cancel.store(true, Ordering::Relaxed);
            }
            std::ops::ControlFlow::Continue(())
        };
        let options = FitOptions {
            threads: NonZeroUsize::MIN,
            cancel: &cancel,
            metric: Metric::find("auc").unwrap(),
            on_round: Some(&on_round),
        };
        let error = spec.fit(&splits.train, None, &options).unwrap_err();
        assert!(matches!(error, LearnError::Cancelled), "{error}");
        assert_eq!(rounds.load(Ordering::Relaxed), 3, "{estimator}");
    }
}

#[test]
fn importance_finds_the_feature_that_counts() {
    let splits = noisy_table(600, 5).splits();
    for estimator in estimator_names() {
        let fitted = fit(estimator, json!({"rounds": 20}), &splits, 2);
        assert_eq!(fitted.importance.len(), 3);
        assert_eq!(fitted.importance[0].feature, "a", "{estimator}");
        let sum: f64 = fitted.importance.iter().map(|i| i.gain).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert!(fitted.importance[0].splits > 0);
    }
}

/// One feature with the values 0, 1, 2 and the classes' shares 0/4, 1/4 and 4/4.
fn three_groups() -> Table {
    let groups = [
        (0.0, [false; 4]),
        (1.0, [true, false, false, false]),
        (2.0, [true; 4]),
    ];
    let mut table = Table {
        names: vec!["x".to_owned()],
        rows: Vec::new(),
        good: Vec::new(),
        split: Vec::new(),
    };
    for (x, labels) in groups {
        for good in labels {
            table.rows.push(vec![x]);
            table.good.push(good);
            table.split.push("train");
        }
    }
    table
}

#[test]
fn a_tree_of_a_forest_is_a_classification_tree() {
    let splits = three_groups().splits();
    let one_tree = json!({"n_estimators": 1, "bootstrap": false, "max_features": null});
    let mut stump = one_tree.clone();
    stump["max_depth"] = json!(1);
    let full = fit("random_forest", one_tree, &splits, 1).model;
    assert_eq!(
        full.predict_rows(&[0.0, 1.0, 2.0]).unwrap(),
        [0.0, 0.25, 1.0]
    );
    // Gini prefers {0, 1} against {2}: the impurity falls by 70/144 - 14/96 there.
    let stump = fit("random_forest", stump, &splits, 1).model;
    assert_eq!(
        stump.predict_rows(&[0.0, 1.0, 2.0]).unwrap(),
        [0.125, 0.125, 1.0]
    );
    let leaf = json!({
        "n_estimators": 1, "bootstrap": false, "min_samples_leaf": 5, "max_features": 1
    });
    let leaf = fit("random_forest", leaf, &splits, 1).model;
    let scores = leaf.predict_rows(&[0.0, 1.0, 2.0]).unwrap();
    assert_eq!(
        scores,
        [5.0 / 12.0_f32; 3].map(f64::from),
        "no split is left"
    );
}

#[test]
fn a_forest_averages_trees_that_differ() {
    let splits = noisy_table(300, 2).splits();
    let fitted = fit("random_forest", json!({"n_estimators": 25}), &splits, 2);
    assert_eq!(fitted.model.trees(), 25);
    let scores = fitted.model.predict(&splits.test).unwrap();
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
    let between = scores.iter().filter(|&&s| s > 0.1 && s < 0.9).count();
    assert!(between > 0, "trees that are all equal would agree");
}
