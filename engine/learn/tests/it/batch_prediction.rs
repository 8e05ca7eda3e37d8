//! Predictions of many rows are the learner's, to the bit.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use hessboost::model::{BoostedModel, Iterations, ModelFormat};
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_learn::{Dataset, Model, Splits, Task};

use crate::tables::{fit, noisy_table};
use crate::tasks::{fruit, splits as fruit_splits};

/// The model as the learner reads its file.
fn learner(model: &Model) -> BoostedModel {
    let mut document: Value = serde_json::from_slice(&model.model_json().unwrap()).unwrap();
    let intercept = &mut document["learner"]["learner_model_param"]["base_score"];
    let written = intercept.as_str().unwrap().to_owned();
    if !written.starts_with('[') {
        *intercept = format!("[{written}]").into();
    }
    BoostedModel::decode(document.to_string(), ModelFormat::XgboostJson).unwrap()
}

/// The columns of rows of a matrix, NaN as NULL.
fn columns(values: &[f32], width: usize) -> Vec<ArrayRef> {
    let column = |at: usize| {
        let values = values
            .iter()
            .skip(at)
            .step_by(width)
            .map(|&value| (!value.is_nan()).then_some(f64::from(value)));
        Arc::new(Float64Array::from_iter(values)) as ArrayRef
    };
    (0..width).map(column).collect()
}

fn assert_learners(model: &Model, values: &[f32]) {
    let width = model.plan().features.len();
    let expected = learner(model)
        .predict_rows(values, Iterations::Best)
        .unwrap();
    let expected: Vec<f64> = expected.as_slice().iter().map(|&v| f64::from(v)).collect();
    let task = model.plan().label.task;
    for scores in [
        model.predict_rows(values).unwrap(),
        model.predict_columns(&columns(values, width)).unwrap(),
    ] {
        if task == Task::Multiclass {
            // Told with a sum of 1 in `f64`.
            let told = expected
                .chunks(model.plan().label.outputs())
                .flat_map(|row| {
                    let sum: f64 = row.iter().sum();
                    row.iter().map(move |score| score / sum)
                });
            assert!(scores.iter().copied().eq(told));
        } else {
            assert_eq!(scores, expected);
        }
    }
}

/// All rows of a data set, again and again up to `rows`, some of their values taken from
/// elsewhere.
fn many(data: &Dataset, rows: usize) -> Vec<f32> {
    let mut values: Vec<f32> = data
        .values()
        .iter()
        .copied()
        .cycle()
        .take(rows * data.plan().features.len())
        .collect();
    for (at, value) in values.iter_mut().enumerate() {
        *value = match at % 13 {
            3 => f32::NAN,
            5 => -*value,
            7 => *value * 1e30,
            11 => *value + 1e-3,
            _ => *value,
        };
    }
    values
}

fn splits(rows: usize, seed: u64) -> Splits {
    noisy_table(rows, seed).splits()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn of_boosted_trees(
        seed in 0_u64..1000,
        depth in 1_usize..11,
        rounds in 1_usize..40,
        bins in 2_usize..300,
        rows in 1_usize..900,
    ) {
        let splits = splits(500, seed);
        let given = json!({"rounds": rounds, "max_depth": depth, "max_bin": bins});
        let model = fit("gradient_boosting", given, &splits, 1).model;
        assert_learners(&model, &many(&splits.test, rows));
    }
}

#[test]
fn of_forests_of_classes_and_of_numbers() {
    let two = splits(500, 2);
    let fruit = fruit();
    let several = fruit_splits(&fruit, "kind", None);
    let numbers = fruit_splits(&fruit, "price", Some(Task::Regression));
    for (estimator, given, splits) in [
        (
            "random_forest",
            json!({"n_estimators": 20, "max_depth": 6}),
            &two,
        ),
        ("random_forest", json!({"n_estimators": 5}), &two),
        (
            "random_forest",
            json!({"n_estimators": 5, "max_depth": 4}),
            &several,
        ),
        ("gradient_boosting", json!({"rounds": 20}), &several),
        (
            "gradient_boosting",
            json!({"rounds": 20, "max_depth": 3}),
            &numbers,
        ),
        // Nothing to split by: single leaves.
        (
            "gradient_boosting",
            json!({"rounds": 3, "min_split_loss": 1e9}),
            &two,
        ),
    ] {
        let model = fit(estimator, given, splits, 1).model;
        assert_learners(&model, &many(&splits.test, 20_000));
    }
}
