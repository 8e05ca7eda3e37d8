//! The trees of small tables are grown by our own code: they are the learner's.
//!
//! The booster `dart` is the learner's, and drops nothing without a rate: with it the same
//! parameters give the learner's trees.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_learn::{Fitted, Splits, Task};

use crate::tables::{fit, noisy_table, params};
use crate::tasks::{fruit, splits as fruit_splits};

/// Fits by our trees and by the learner's.
fn both(given: &Value, splits: &Splits) -> [Fitted; 2] {
    let mut given = params(given.clone());
    let ours = fit("gradient_boosting", given.clone().into(), splits, 1);
    // Without a rate nothing is dropped, and dart is the learner's.
    given.insert("booster".to_owned(), json!("dart"));
    let theirs = fit("gradient_boosting", given.into(), splits, 1);
    [ours, theirs]
}

/// Asserts that both predict the same for the rows that they learned from, and were as good
/// after each round. Of equally good splits, which differ for other rows only, sums in
/// another order may prefer another one: that may happen, but hardly ever.
fn assert_same(given: &Value, splits: &Splits) -> Result<(), TestCaseError> {
    let [ours, theirs] = both(given, splits);
    let predict = |fitted: &Fitted| fitted.model.predict(&splits.train).unwrap();
    let (own, learners) = (predict(&ours), predict(&theirs));
    prop_assert_eq!(ours.model.trees(), theirs.model.trees());
    let far = own.iter().zip(&learners).map(|(a, b)| (a - b).abs());
    let far = far.fold(0.0, f64::max);
    prop_assert!(far < 1e-4, "predictions are {far} apart with {given}");
    prop_assert_eq!(ours.history.len(), theirs.history.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn they_are_the_learners_for_two_classes(
        rows in 30_usize..700,
        seed in 0_u64..1000,
        depth in 1_usize..12,
        eta in 0.1_f64..1.0,
        lambda in 0.0_f64..2.0,
        alpha in prop_oneof![Just(0.0), 0.0..1.0_f64],
        weight in prop_oneof![Just(0.0), 0.1..3.0_f64],
        gamma in prop_oneof![Just(0.0), 0.0..0.5_f64],
    ) {
        let given = json!({
            "rounds": 8, "max_depth": depth, "learning_rate": eta, "reg_lambda": lambda,
            "reg_alpha": alpha, "min_child_weight": weight, "min_split_loss": gamma,
        });
        assert_same(&given, &noisy_table(rows, seed).splits())?;
    }
}

#[test]
fn they_are_the_learners_for_other_tasks_and_settings() {
    let fruit = fruit();
    let several = fruit_splits(&fruit, "kind", None);
    let numbers = fruit_splits(&fruit, "price", Some(Task::Regression));
    // Fewer values than bins: weights have no say in our cuts, but in the learner's.
    let two = noisy_table(420, 3).splits();
    for (given, splits) in [
        (json!({"rounds": 6, "max_depth": 3}), &several),
        (json!({"rounds": 20, "max_depth": 5}), &numbers),
        (
            json!({"rounds": 6, "objective": "reg:absoluteerror"}),
            &numbers,
        ),
        (json!({"rounds": 6, "objective": "reg:gamma"}), &numbers),
        (json!({"rounds": 6, "max_delta_step": 0.3}), &two),
        (json!({"rounds": 6, "class_weight": "balanced"}), &two),
        (json!({"rounds": 6, "base_score": 0.3}), &two),
        (json!({"rounds": 6, "scale_pos_weight": 3.0}), &two),
        (json!({"rounds": 6, "max_depth": null}), &two),
    ] {
        assert_same(&given, splits).unwrap_or_else(|error| panic!("{given}: {error}"));
    }
}

#[test]
fn early_stopping_keeps_the_learners_round() {
    let splits = noisy_table(700, 5).splits();
    let given = json!({"rounds": 200, "early_stopping_rounds": 10, "max_depth": 4});
    let [ours, theirs] = both(&given, &splits);
    assert_eq!(ours.best_iteration, theirs.best_iteration);
    assert_eq!(ours.iterations, theirs.iterations);
    assert_eq!(ours.history.len(), theirs.history.len());
    for (own, learners) in ours.history.iter().zip(&theirs.history) {
        assert!((own - learners).abs() < 1e-6, "{own} and {learners}");
    }
    let gains = |fitted: &Fitted| fitted.importance[0].clone();
    let (own, learners) = (gains(&ours), gains(&theirs));
    assert_eq!(
        (&own.feature, own.splits),
        (&learners.feature, learners.splits)
    );
    assert!((own.gain - learners.gain).abs() < 1e-4);
}

#[test]
fn more_values_than_bins_share_them() {
    let splits = noisy_table(3000, 4).splits();
    for bins in [2, 16, 64] {
        let given = json!({"rounds": 30, "max_depth": 4, "max_bin": bins, "learning_rate": 0.2});
        let [ours, theirs] = both(&given, &splits);
        let last = |fitted: &Fitted| *fitted.history.last().unwrap();
        let (own, learners) = (last(&ours), last(&theirs));
        assert!(
            (own - learners).abs() < 0.02,
            "{bins} bins: {own} and {learners}"
        );
    }
}
