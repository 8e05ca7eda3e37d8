//! What each parameter of boosting (and the forest's constraints) changes in what is learned.

use std::fs;

use serde_json::{Value, json};
use sluice_learn::model::MODEL_FILE;
use sluice_learn::{EstimatorSpec, Model, Splits, Task};

use crate::tables::{fit, noisy_table, params};
use crate::tasks::{fruit, splits as fruit_splits};

fn prices() -> Splits {
    fruit_splits(&fruit(), "price", Some(Task::Regression))
}

fn model(given: Value, splits: &Splits) -> Model {
    fit("gradient_boosting", given, splits, 1).model
}

fn figure(model: &Model, splits: &Splits, name: &str) -> f64 {
    model.evaluate(&splits.test).unwrap().get(name).unwrap()
}

/// The trees as Python's xgboost sees them.
fn trees(model: &Model) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&model.model_json().unwrap()).unwrap();
    let booster = &json["learner"]["gradient_booster"];
    let booster = match booster["gbtree"].is_null() {
        true => booster,
        false => &booster["gbtree"],
    };
    booster["model"]["trees"].as_array().unwrap().clone()
}

fn floats(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

/// The features on each path from a tree's root to a leaf.
fn paths(tree: &Value) -> Vec<Vec<u64>> {
    let at = |key: &str, node: usize| tree[key][node].as_i64().unwrap();
    let mut found = Vec::new();
    let mut open = vec![(0_usize, Vec::new())];
    while let Some((node, path)) = open.pop() {
        if at("left_children", node) < 0 {
            found.push(path);
            continue;
        }
        let mut longer = path;
        longer.push(at("split_indices", node) as u64);
        for side in ["left_children", "right_children"] {
            open.push((at(side, node) as usize, longer.clone()));
        }
    }
    found
}

fn leaves(tree: &Value) -> usize {
    paths(tree).len()
}

fn depth(tree: &Value) -> usize {
    paths(tree).iter().map(Vec::len).max().unwrap()
}

fn refusal(estimator: &str, given: Value, splits: &Splits) -> String {
    let spec = EstimatorSpec::parse(estimator, &params(given)).unwrap();
    let plan = splits.train.plan();
    let checked = spec.check(&plan.features, plan.label.target());
    checked.unwrap_err().to_string()
}

#[test]
fn dart_leaves_trees_out_and_its_best_round_is_what_was_watched() {
    let splits = noisy_table(800, 5).splits();
    let plain = model(json!({"rounds": 30}), &splits);
    let undropped = model(json!({"rounds": 30, "booster": "dart"}), &splits);
    let scores = |model: &Model| model.predict(&splits.test).unwrap();
    assert_eq!(
        scores(&plain),
        scores(&undropped),
        "as XGBoost's dart without a rate"
    );
    let dropped = json!({"rounds": 30, "booster": "dart", "rate_drop": 0.3, "seed": 2});
    let dart = model(dropped.clone(), &splits);
    assert_ne!(scores(&plain), scores(&dart));
    let mut always = dropped.clone();
    always["skip_drop"] = json!(1);
    assert_eq!(
        scores(&model(always, &splits)),
        scores(&plain),
        "every dropout is skipped"
    );
    let one = json!({"rounds": 30, "booster": "dart", "one_drop": true, "seed": 2});
    assert_ne!(scores(&model(one, &splits)), scores(&plain));

    // Saved for Python as a dart model, and read again.
    let dir = tempfile::tempdir().unwrap();
    dart.save(dir.path()).unwrap();
    let text = fs::read_to_string(dir.path().join(MODEL_FILE)).unwrap();
    let saved: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(saved["learner"]["gradient_booster"]["name"], "dart");
    assert_eq!(scores(&Model::load(dir.path()).unwrap()), scores(&dart));

    // Later dropouts rescale earlier trees; what is kept is the model as it was.
    let mut stopped = dropped;
    stopped["rounds"] = json!(200);
    stopped["early_stopping_rounds"] = json!(10);
    let fitted = fit("gradient_boosting", stopped.clone(), &splits, 1);
    let best = fitted.best_iteration.unwrap();
    assert!(best + 1 < fitted.history.len());
    let auc = fitted
        .model
        .evaluate(&splits.validation)
        .unwrap()
        .get("auc")
        .unwrap();
    assert!(
        (auc - fitted.history[best]).abs() < 1e-9,
        "{auc} {}",
        fitted.history[best]
    );
    stopped["rounds"] = json!(best + 1);
    stopped["early_stopping_rounds"] = Value::Null;
    let short = model(stopped, &splits);
    assert!(short.model_json().unwrap() == fitted.model.model_json().unwrap());
}

#[test]
fn trees_have_the_size_and_the_order_that_is_asked_for() {
    let splits = noisy_table(2_000, 9).splits();
    let base = json!({"rounds": 2, "max_depth": 4, "min_child_weight": 0});
    let with = |more: Value| {
        let mut given = base.clone();
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        trees(&model(given, &splits))
    };
    let plain = with(json!({}));
    assert!(plain.iter().all(|tree| depth(tree) == 4));
    let best_first = with(json!({"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}));
    let sizes: Vec<(usize, usize)> = best_first
        .iter()
        .map(|tree| (leaves(tree), depth(tree)))
        .collect();
    assert!(
        sizes
            .iter()
            .all(|(leaves, depth)| *leaves == 9 && *depth > 3),
        "{sizes:?}"
    );
    let heavy = with(json!({"min_child_weight": 60}));
    assert!(leaves(&heavy[0]) < leaves(&plain[0]));
    let dear = with(json!({"gamma": 5}));
    assert!(leaves(&dear[0]) < leaves(&plain[0]));
    let forest = with(json!({"num_parallel_tree": 3, "subsample": 0.5}));
    assert_eq!(forest.len(), 6);
    assert_ne!(forest[0], forest[1]);
    let coarse = with(json!({"max_bin": 2}));
    let thresholds = |trees: &[Value]| {
        let mut all: Vec<(u64, u64)> = Vec::new();
        for tree in trees {
            for (node, left) in tree["left_children"].as_array().unwrap().iter().enumerate() {
                if left.as_i64().unwrap() >= 0 {
                    let condition = tree["split_conditions"][node].as_f64().unwrap();
                    all.push((
                        tree["split_indices"][node].as_u64().unwrap(),
                        condition.to_bits(),
                    ));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    assert!(thresholds(&coarse) <= 6, "two cuts a feature at most");
    assert!(thresholds(&plain) > 10);
}

#[test]
fn leaves_are_as_large_as_they_may_be() {
    let splits = noisy_table(600, 9).splits();
    let largest = |more: Value| {
        let mut given = json!({"rounds": 1, "learning_rate": 1.0});
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        let tree = &trees(&model(given, &splits))[0];
        let left = floats(&tree["left_children"]);
        let values = floats(&tree["split_conditions"]);
        let leaves = left.iter().zip(values).filter(|(left, _)| **left < 0.0);
        leaves.map(|(_, value)| value.abs()).fold(0.0_f64, f64::max)
    };
    let plain = largest(json!({}));
    assert!((largest(json!({"max_delta_step": 0.1})) - 0.1).abs() < 1e-6);
    assert_eq!(largest(json!({"max_delta_step": 0})), plain);
    assert!(largest(json!({"reg_lambda": 20})) < 0.7 * plain);
    let (some, more) = (
        largest(json!({"reg_alpha": 5})),
        largest(json!({"reg_alpha": 40})),
    );
    assert!(some < plain && more < 0.8 * plain, "{some} {more} {plain}");
    assert!((largest(json!({"learning_rate": 0.5})) - plain / 2.0).abs() < 1e-6);

    // XGBoost's `count:poisson` has a bound of its own, which 0 takes away.
    let counts = fruit_splits(&fruit(), "stock", Some(Task::Regression));
    let leaf = |given: Value| {
        let model = fit("gradient_boosting", given, &counts, 1).model;
        let tree = &trees(&model)[0];
        floats(&tree["base_weights"])
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()))
    };
    let poisson = |step: Value| {
        leaf(json!({
            "rounds": 1, "objective": "count:poisson", "base_score": 0.01, "learning_rate": 1.0,
            "max_delta_step": step, "reg_lambda": 0, "min_child_weight": 0,
        }))
    };
    let (own, none) = (poisson(Value::Null), poisson(json!(0)));
    assert!(own <= 0.7 + 1e-6, "{own}");
    assert!(none > 1.0, "{none}");
}

#[test]
fn features_meet_only_where_they_may() {
    let splits = noisy_table(2_000, 4).splits();
    let meet = |model: &Model| {
        let trees = trees(model);
        let paths = trees.iter().flat_map(paths);
        paths
            .into_iter()
            .any(|path| path.contains(&0) && path.iter().any(|at| *at != 0))
    };
    let groups = json!([["a"], ["b", "C"]]);
    for (estimator, free) in [
        ("gradient_boosting", json!({"rounds": 20})),
        (
            "random_forest",
            json!({"n_estimators": 20, "max_depth": 4, "max_features": "all"}),
        ),
    ] {
        let mut bound = free.clone();
        bound["interaction_constraints"] = groups.clone();
        assert!(meet(&fit(estimator, free, &splits, 1).model), "{estimator}");
        let bound = fit(estimator, bound, &splits, 1).model;
        assert!(!meet(&bound), "{estimator}");
        assert!(
            figure(&bound, &splits, "auc") > 0.75,
            "{estimator} still learns"
        );
    }
}

#[test]
fn columns_are_drawn_as_often_as_they_weigh() {
    let splits = noisy_table(1_000, 4).splits();
    let used = |weights: Value| {
        let given = json!({
            "rounds": 60, "max_depth": 2, "colsample_bytree": 0.34, "feature_weights": weights, "seed": 1,
        });
        let model = model(given, &splits);
        let mut splits_on: Vec<(String, u64)> = model
            .importance()
            .into_iter()
            .map(|feature| (feature.feature, feature.splits))
            .collect();
        splits_on.sort_unstable();
        splits_on
            .into_iter()
            .map(|(_, splits)| splits)
            .collect::<Vec<_>>()
    };
    let even = used(Value::Null);
    assert!(even.iter().all(|&splits| splits > 20), "{even:?}");
    let only = used(json!({"A": 1000, "b": 0, "c": 0}));
    assert!(only[0] > 100 && only[1] + only[2] == 0, "{only:?}");
    for (given, part) in [
        (
            json!({"feature_weights": {"a": 1}}),
            "goes with `colsample_bytree`",
        ),
        (
            json!({"feature_weights": {"aa": 1}, "colsample_bynode": 0.5}),
            "`aa` is no feature of this model; did you mean `a`?",
        ),
        (
            json!({"feature_weights": {"a": 0, "b": 0, "c": 0}, "colsample_bynode": 0.5}),
            "some weight must be above 0",
        ),
    ] {
        let message = refusal("gradient_boosting", given, &splits);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let spec = EstimatorSpec::parse("gradient_boosting", &params(json!({"feature_weights": 3})));
    assert!(
        spec.unwrap_err()
            .to_string()
            .contains("a map of columns to numbers")
    );
}

#[test]
fn fewer_columns_and_rows_a_tree_make_other_trees() {
    let splits = noisy_table(1_000, 4).splits();
    let roots = |more: Value| {
        let mut given = json!({"rounds": 30, "max_depth": 1, "seed": 3});
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        let model = model(given, &splits);
        let features = trees(&model)
            .iter()
            .filter_map(|tree| paths(tree)[0].first().copied())
            .collect::<std::collections::BTreeSet<_>>();
        (features.len(), model.model_json().unwrap())
    };
    let (_, plain) = roots(json!({"rounds": 3}));
    for share in [
        "subsample",
        "colsample_bytree",
        "colsample_bylevel",
        "colsample_bynode",
    ] {
        let (features, bytes) = roots(json!({ share: 0.34 }));
        assert!(share == "subsample" || features == 3, "{share}: {features}");
        let (_, same) = roots(json!({ share: 1.0, "rounds": 3 }));
        assert!(same == plain && bytes != plain, "{share}");
    }
}

#[test]
fn tree_methods_sampling_and_strategies_learn_the_same_thing_in_their_own_ways() {
    let splits = noisy_table(3_000, 4).splits();
    let of = |more: Value| {
        let mut given = json!({"rounds": 20, "max_depth": 3, "max_bin": 16, "seed": 1});
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        let model = model(given, &splits);
        (figure(&model, &splits, "auc"), trees(&model))
    };
    let (hist, plain) = of(json!({}));
    for (more, what) in [
        (json!({"tree_method": "exact"}), "every value is a cut"),
        (
            json!({"tree_method": "approx"}),
            "cuts by second derivatives",
        ),
        (json!({"subsample": 0.3}), "some rows"),
        (
            json!({"subsample": 0.3, "sampling_method": "gradient_based"}),
            "rows of large gradients",
        ),
    ] {
        let (auc, trees) = of(more);
        assert_ne!(trees, plain, "{what}");
        assert!((auc - hist).abs() < 0.04, "{what}: {auc}, {hist}");
    }
    let (_, uniform) = of(json!({"subsample": 0.3}));
    let (_, by_gradient) = of(json!({"subsample": 0.3, "sampling_method": "gradient_based"}));
    assert_ne!(uniform, by_gradient);

    let kinds = fruit_splits(&fruit(), "kind", None);
    let of = |strategy: &str| {
        let given = json!({"rounds": 10, "max_depth": 3, "multi_strategy": strategy});
        let model = model(given, &kinds);
        (figure(&model, &kinds, "accuracy"), model.trees())
    };
    let (alone, together) = (of("one_output_per_tree"), of("multi_output_tree"));
    assert_eq!(
        (alone.1, together.1),
        (30, 10),
        "a tree for each class, or for all"
    );
    assert!(
        alone.0 > 0.95 && together.0 > 0.95,
        "{alone:?} {together:?}"
    );
}

#[test]
fn losses_and_intercepts_move_predictions_where_they_should() {
    let splits = prices();
    let mean = |given: Value| {
        let scores = model(given, &splits).predict(&splits.test).unwrap();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    let unlearned =
        |score: f64| mean(json!({"rounds": 1, "learning_rate": 1e-9, "base_score": score}));
    assert!((unlearned(3.5) - 3.5).abs() < 1e-5);

    let binary = noisy_table(500, 2).splits();
    let odds = |weight: f64| {
        let given = json!({"rounds": 5, "scale_pos_weight": weight});
        let scores = model(given, &binary).predict(&binary.test).unwrap();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    assert!(odds(4.0) > odds(1.0) + 0.1);
}

#[test]
fn a_share_is_predicted_within_its_bounds() {
    // Prices between 0 and 1.
    let batch = fruit();
    let mut columns = batch.columns().to_vec();
    let prices = columns[3]
        .as_any()
        .downcast_ref::<arrow::array::Float64Array>()
        .unwrap();
    let shares = prices
        .iter()
        .map(|price| (price.unwrap() / 15.0).clamp(0.0, 1.0));
    columns[3] = std::sync::Arc::new(arrow::array::Float64Array::from_iter_values(shares));
    let batch = arrow::array::RecordBatch::try_new(batch.schema(), columns).unwrap();
    let splits = fruit_splits(&batch, "price", Some(Task::Regression));
    let given = json!({"rounds": 80, "objective": "reg:logistic"});
    let model = model(given, &splits);
    assert!(figure(&model, &splits, "r2") > 0.9);
    let wild = model.predict_rows(&[1e6, -100.0, -1e6, 1e6]).unwrap();
    assert!(wild.iter().all(|share| (0.0..=1.0).contains(share)));
    let spec = EstimatorSpec::parse(
        "gradient_boosting",
        &params(json!({"objective": "reg:logistic"})),
    );
    let whole = self::prices();
    let refused = spec.unwrap().fit(&whole.train, None, &options());
    assert!(refused.is_err(), "labels beyond 1");
}

fn options() -> sluice_learn::FitOptions<'static> {
    static CANCEL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    sluice_learn::FitOptions {
        threads: crate::tables::threads(1),
        cancel: &CANCEL,
        metric: sluice_learn::metric::Metric::find("rmse").unwrap(),
        on_round: None,
    }
}

#[test]
fn settings_that_would_do_nothing_or_never_end_are_told_before_the_fit() {
    let binary = noisy_table(100, 2).splits();
    let kinds = fruit_splits(&fruit(), "kind", None);
    for (splits, given, part) in [
        (
            &binary,
            json!({"rate_drop": 0.1}),
            "`rate_drop`: goes with `booster: dart`",
        ),
        (
            &binary,
            json!({"one_drop": true}),
            "`one_drop`: goes with `booster: dart`",
        ),
        (
            &binary,
            json!({"max_leaf_nodes": 8}),
            "`max_leaf_nodes`: goes with `grow_policy: lossguide`",
        ),
        (
            &binary,
            json!({"grow_policy": "lossguide", "max_depth": 0}),
            "`grow_policy`: `lossguide` needs `max_leaves` or `max_depth`",
        ),
        (
            &binary,
            json!({"grow_policy": "lossguide", "max_leaves": 8, "tree_method": "exact"}),
            "`grow_policy`: `lossguide` goes with `tree_method: hist`",
        ),
        (
            &binary,
            json!({"sampling_method": "gradient_based", "subsample": 0.5, "tree_method": "exact"}),
            "`sampling_method`: `gradient_based` goes with",
        ),
        (
            &kinds,
            json!({"multi_strategy": "multi_output_tree", "tree_method": "approx"}),
            "`multi_strategy`: `multi_output_tree` goes with `tree_method: hist`",
        ),
    ] {
        let message = refusal("gradient_boosting", given, splits);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    // Vector leaves have a bound of their own.
    let spec = json!({"multi_strategy": "multi_output_tree", "max_leaves": 4, "rounds": 2});
    let vectors = trees(&model(spec, &kinds));
    assert!(vectors.iter().all(|tree| leaves(tree) <= 4));
}
