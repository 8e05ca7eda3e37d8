//! Cross-validation: how rows are dealt, what is measured, and what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_learn::calibration::CalibrationMethod;
use sluice_learn::metric::{Evaluation, Goal, Metric, evaluate};
use sluice_learn::search::SamplerSpec;
use sluice_learn::sweep::{
    Before, Objective, PrunerSpec, SweepOptions, SweepOutcome, SweepRequest, SweepSpec,
};
use sluice_learn::threshold::{BestThreshold, ThresholdSpec, threshold_metric};
use sluice_learn::validate::{self, FinishedFit};
use sluice_learn::{
    DatasetBuilder, DatasetSpec, EstimatorSpec, Finish, FitOptions, FoldSpec, LearnError, Splits,
    Task,
};

use crate::sweep::{boosting, request, seat};
use crate::tables::{Table, fixture, noisy_table, params, red_wine, threads};

fn spec(count: usize, by: &[&str], seed: u64) -> DatasetSpec {
    DatasetSpec {
        label: "good".to_owned(),
        exclude: by.iter().map(|column| (*column).to_owned()).collect(),
        folds: Some(FoldSpec {
            count,
            by: by.iter().map(|column| (*column).to_owned()).collect(),
            seed,
        }),
        ..DatasetSpec::default()
    }
}

/// The splits of batches of a table, with a column that `by:` can name.
fn build(
    table: &Table,
    order: &[usize],
    size: usize,
    by: Option<(&str, &[i64])>,
    spec: &DatasetSpec,
) -> Result<Splits, LearnError> {
    let batch = |rows: &[usize]| {
        let batch = table.batch(rows);
        let Some((name, values)) = by else {
            return batch;
        };
        let mut columns: Vec<(String, ArrayRef)> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
            .collect();
        let values = rows.iter().map(|&row| values[row]);
        columns.push((
            name.to_owned(),
            Arc::new(Int64Array::from_iter_values(values)),
        ));
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let mut builder = DatasetBuilder::new(&batch(&[]).schema(), spec).unwrap();
    for rows in order.chunks(size) {
        builder.push(&batch(rows))?;
    }
    builder.build(1)
}

fn in_order(table: &Table) -> Vec<usize> {
    (0..table.rows.len()).collect()
}

fn folded(table: &Table, count: usize) -> Splits {
    build(table, &in_order(table), 100, None, &spec(count, &[], 0)).unwrap()
}

fn fit_with(
    estimator: &str,
    given: Value,
    splits: &Splits,
    finish: &Finish,
    count: usize,
) -> Result<FinishedFit, LearnError> {
    let spec = EstimatorSpec::parse(estimator, &params(given)).unwrap();
    let cancel = AtomicBool::new(false);
    let options = FitOptions {
        threads: threads(count),
        cancel: &cancel,
        metric: Metric::find("auc").unwrap(),
        on_round: None,
    };
    validate::fit(&spec, splits, finish, &options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_rows_never_straddle_and_classes_are_shared_out(
        rows in 60_usize..200,
        copies in 1_usize..4,
        count in 2_usize..6,
        seed in 0_u64..1000,
    ) {
        let mut table = noisy_table(rows, seed);
        // Some rows several times over.
        for copy in 1..copies {
            for row in (0..rows).step_by(copy + 2) {
                table.rows.push(table.rows[row].clone());
                table.good.push(table.good[row]);
                table.split.push(table.split[row]);
            }
        }
        let splits = build(&table, &in_order(&table), 50, None, &spec(count, &[], seed)).unwrap();
        prop_assert!(splits.validation.is_empty());
        let folds = splits.folds.as_ref().unwrap();
        let mut fold_of: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut counts = vec![[0_usize; 2]; count];
        for (row, &fold) in folds.of_rows().iter().enumerate() {
            let label = splits.train.labels()[row];
            let values = splits.train.row(row).iter().chain([&label]);
            let content: Vec<u32> = values.map(|value| value.to_bits()).collect();
            prop_assert_eq!(*fold_of.entry(content).or_insert(fold), fold);
            counts[fold as usize][label as usize] += 1;
        }
        // Each class is shared out as evenly as the copies allow.
        for class in 0..2 {
            let of = |pick: fn(usize, usize) -> usize| {
                counts.iter().map(|fold| fold[class]).reduce(pick).unwrap()
            };
            prop_assert!(of(usize::max) - of(usize::min) <= copies, "{:?}", counts);
        }
        // Neither the order of arrival nor the batches matter.
        let mut order = in_order(&table);
        order.reverse();
        let again = build(&table, &order, 7, None, &spec(count, &[], seed)).unwrap();
        prop_assert_eq!(&again.folds, &splits.folds);
        let other = build(&table, &order, 7, None, &spec(count, &[], seed + 1)).unwrap();
        prop_assert_ne!(&other.folds, &splits.folds);
    }

    #[test]
    fn rows_of_one_value_stay_together(groups in 8_i64..40, seed in 0_u64..1000) {
        let table = noisy_table(300, seed);
        let values: Vec<i64> = (0..300).map(|row| row * 7919 % 1009 % groups).collect();
        let by = Some(("grower", &values[..]));
        let spec = spec(4, &["grower"], 0);
        let Ok(splits) = build(&table, &in_order(&table), 50, by, &spec) else {
            // Too few groups of a class, by chance.
            return Ok(());
        };
        // A row's grower is known by its content, as far as that is unique.
        let mut growers: BTreeMap<Vec<u32>, BTreeSet<i64>> = BTreeMap::new();
        for (row, values_of) in table.rows.iter().enumerate() {
            let content = values_of.iter().map(|value| (*value as f32 + 0.0).to_bits());
            growers.entry(content.collect()).or_default().insert(values[row]);
        }
        let mut fold_of: BTreeMap<i64, u32> = BTreeMap::new();
        for (row, &fold) in splits.folds.as_ref().unwrap().of_rows().iter().enumerate() {
            let content: Vec<u32> = splits.train.row(row).iter().map(|v| v.to_bits()).collect();
            let known = growers.get(&content).filter(|growers| growers.len() == 1);
            if let Some(grower) = known.and_then(|growers| growers.first()) {
                prop_assert_eq!(*fold_of.entry(*grower).or_insert(fold), fold);
            }
        }
        prop_assert!(fold_of.len() > 4);
    }
}

/// The folds of `cross_validation.py`.
fn wine_folds(table: &Table) -> Vec<i64> {
    let scaled = |row: &[f64], name: &str, scale: f64| {
        let column = table
            .names
            .iter()
            .position(|column| column == name)
            .unwrap();
        (row[column] * scale).round() as i64
    };
    let folds = table.rows.iter().map(|row| {
        let total = scaled(row, "density", 100_000.0) * 7_919
            + scaled(row, "residual_sugar", 100.0) * 104_729
            + scaled(row, "total_sulfur_dioxide", 10.0) * 1_299_709
            + scaled(row, "volatile_acidity", 1000.0) * 15_485_863
            + scaled(row, "alcohol", 1000.0) * 32_452_843;
        total % 1_000_003 % 100 / 7 % 5
    });
    folds.collect()
}

#[test]
fn means_over_given_folds_are_scikit_learns() {
    let fixture = fixture("cross_validation.json");
    let table = red_wine();
    let folds = wine_folds(&table);
    let by = Some(("fold", &folds[..]));
    let splits = build(&table, &in_order(&table), 500, by, &spec(5, &["fold"], 0)).unwrap();
    let given = json!({
        "rounds": 15, "max_depth": 3, "learning_rate": 0.3, "tree_method": "exact", "base_score": 0.5,
    });
    let fit = fit_with("gradient_boosting", given, &splits, &Finish::default(), 2).unwrap();
    let cross = fit.cross_validation.unwrap();
    let mut rows: Vec<u64> = cross
        .folds
        .iter()
        .map(|fold| fold.evaluation.rows as u64)
        .collect();
    let mut theirs: Vec<u64> = serde_json::from_value(fixture["rows"].clone()).unwrap();
    rows.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(rows, theirs, "the same folds");
    let (mean, deviation) = (cross.mean(), cross.deviation());
    for (name, theirs) in fixture["metrics"].as_object().unwrap() {
        let mut ours: Vec<f64> = cross
            .folds
            .iter()
            .map(|fold| fold.evaluation.get(name).unwrap())
            .collect();
        let mut expected: Vec<f64> = serde_json::from_value(theirs["folds"].clone()).unwrap();
        ours.sort_unstable_by(f64::total_cmp);
        expected.sort_unstable_by(f64::total_cmp);
        let std = deviation
            .iter()
            .find(|(metric, _)| metric == name)
            .unwrap()
            .1;
        let pairs = ours.iter().copied().zip(expected).chain([
            (mean.get(name).unwrap(), theirs["mean"].as_f64().unwrap()),
            (std, theirs["std"].as_f64().unwrap()),
        ]);
        for (ours, theirs) in pairs {
            assert!(
                (ours - theirs).abs() < 1e-6,
                "{name}: {ours} is not {theirs}"
            );
        }
        // From single folds on, to the last digits.
        let mean_of = ours.iter().sum::<f64>() / 5.0;
        let square = ours
            .iter()
            .map(|value| (value - mean_of).powi(2))
            .sum::<f64>();
        assert!((mean_of - mean.get(name).unwrap()).abs() < 1e-12);
        assert!(((square / 5.0).sqrt() - std).abs() < 1e-12);
    }
    assert_eq!(mean.rows, splits.train.rows());
}

#[test]
fn the_model_that_is_kept_is_fitted_to_all_rows_for_the_median_of_the_rounds() {
    let table = noisy_table(900, 5);
    let splits = folded(&table, 5);
    let given = json!({"rounds": 300, "early_stopping_rounds": 10, "seed": 3, "subsample": 0.8});
    let fit = fit_with(
        "gradient_boosting",
        given.clone(),
        &splits,
        &Finish::default(),
        2,
    )
    .unwrap();
    let cross = fit.cross_validation.as_ref().unwrap();
    let mut rounds: Vec<usize> = cross.folds.iter().map(|fold| fold.iterations).collect();
    for fold in &cross.folds {
        assert_eq!(fold.best_iteration, Some(fold.iterations - 1));
    }
    rounds.sort_unstable();
    assert_ne!(rounds[0], rounds[4], "folds stop by themselves");
    assert_eq!(fit.fitted.iterations, rounds[2]);
    assert_eq!(fit.fitted.best_iteration, Some(rounds[2] - 1));
    assert_eq!(fit.fitted.history.len(), rounds[0] + 10);

    // Of all rows: as if it had been asked for so many rounds on them.
    let mut pooled = table.clone();
    for split in &mut pooled.split {
        *split = if *split == "test" { "test" } else { "train" };
    }
    let whole = pooled.splits();
    let bits = |splits: &Splits| -> Vec<u32> {
        splits.train.values().iter().map(|v| v.to_bits()).collect()
    };
    assert!(bits(&whole) == bits(&splits), "the rows, in the same order");
    let exactly = json!({"rounds": rounds[2], "seed": 3, "subsample": 0.8});
    let plain = fit_with("gradient_boosting", exactly, &whole, &Finish::default(), 1).unwrap();
    assert!(plain.cross_validation.is_none());
    let bytes = |fit: &FinishedFit| fit.fitted.model.model_json().unwrap();
    assert!(bytes(&fit) == bytes(&plain));
    // At any number of threads.
    let one = fit_with("gradient_boosting", given, &splits, &Finish::default(), 1).unwrap();
    assert!(bytes(&one) == bytes(&fit));
    assert_eq!(one.cross_validation, fit.cross_validation);
}

#[test]
fn each_row_is_predicted_by_a_model_that_did_not_see_it() {
    // Labels that nothing but the row itself could tell.
    let mut table = noisy_table(400, 8);
    for (row, good) in table.good.iter_mut().enumerate() {
        table.rows[row][1] = row as f64;
        *good = (row * 2_654_435_761) % 97 < 48;
    }
    let splits = folded(&table, 4);
    let given = json!({"n_estimators": 20, "bootstrap": false, "max_features": "all"});
    let fit = fit_with("random_forest", given, &splits, &Finish::default(), 2).unwrap();
    let cross = fit.cross_validation.unwrap();
    let auc = Metric::find("auc").unwrap();
    let of = |scores: &[f64]| auc.compute(splits.train.task(), splits.train.labels(), scores);
    let seen = of(&fit.fitted.model.predict(&splits.train).unwrap());
    assert!(seen > 0.99, "{seen}");
    let unseen = of(&cross.out_of_fold);
    assert!(unseen < 0.65, "{unseen}");
    let mean = cross.mean().get("auc").unwrap();
    assert!((mean - unseen).abs() < 0.05);
}

#[test]
fn a_fold_is_as_if_its_rows_had_been_the_validation_part() {
    let rows = 200;
    // All rows of the rare letter are in one fold: its model does not know the letter.
    let fold = |row: usize| if row < 40 { 0 } else { (row % 4) as i64 };
    let batch = |split: &dyn Fn(usize) -> &'static str| {
        let texts = |of: &dyn Fn(usize) -> &'static str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..rows).map(of)))
        };
        let ints = |of: &dyn Fn(usize) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..rows).map(of)))
        };
        RecordBatch::try_from_iter([
            (
                "letter",
                texts(&|row| {
                    if row < 40 {
                        "rare"
                    } else {
                        ["a", "b"][row % 2]
                    }
                }),
            ),
            ("x", ints(&|row| (row * 7 % 50) as i64)),
            ("good", ints(&|row| i64::from((row * row + row) % 5 < 2))),
            ("weight", ints(&|row| (row % 3) as i64 + 1)),
            ("fold", ints(&fold)),
            ("_split", texts(split)),
        ])
        .unwrap()
    };
    let built = |batch: RecordBatch, folds: bool| {
        let spec = DatasetSpec {
            categorical: vec!["letter".to_owned()],
            weight: Some("weight".to_owned()),
            ..spec(4, &["fold"], 0)
        };
        let spec = DatasetSpec {
            folds: spec.folds.clone().filter(|_| folds),
            ..spec
        };
        let mut builder = DatasetBuilder::new(&batch.schema(), &spec).unwrap();
        builder.push(&batch).unwrap();
        builder.build(0).unwrap()
    };
    let folded = built(batch(&|_| "train"), true);
    let parts = built(
        batch(&|row| {
            if fold(row) == 0 {
                "validation"
            } else {
                "train"
            }
        }),
        false,
    );
    let none = Finish::default();
    for (estimator, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 30, "max_depth": 3, "early_stopping_rounds": 4, "subsample": 0.9}),
        ),
        (
            "gradient_boosting",
            json!({"rounds": 6, "max_depth": 3, "tree_method": "exact"}),
        ),
        (
            "gradient_boosting",
            json!({"rounds": 6, "tree_method": "approx", "class_weight": "balanced"}),
        ),
        ("random_forest", json!({"n_estimators": 5})),
    ] {
        let cross = fit_with(estimator, given.clone(), &folded, &none, 1).unwrap();
        let cross = cross.cross_validation.unwrap();
        let alone = fit_with(estimator, given, &parts, &none, 1).unwrap().fitted;
        let position = folded
            .train
            .plan()
            .names()
            .position(|name| name == "letter")
            .unwrap();
        let rare = |row: &usize| folded.train.row(*row)[position] == 2.0;
        let of_rows = folded.folds.as_ref().unwrap().of_rows();
        let first = of_rows[(0..rows).find(rare).unwrap()];
        let held_out = (0..rows).filter(|row| of_rows[*row] == first);
        let mut ours: Vec<f64> = held_out.map(|row| cross.out_of_fold[row]).collect();
        let mut theirs = alone.model.predict(&parts.validation).unwrap();
        assert_eq!(ours.len(), 80);
        ours.sort_unstable_by(f64::total_cmp);
        theirs.sort_unstable_by(f64::total_cmp);
        assert_eq!(ours, theirs, "{estimator}");
        let figures = &cross.folds[first as usize];
        assert_eq!(figures.iterations, alone.iterations);
        let validated = alone.model.evaluate(&parts.validation).unwrap();
        assert_eq!(figures.evaluation.confusion, validated.confusion);
        for (name, value) in &validated.metrics {
            let ours = figures.evaluation.get(name).unwrap();
            assert!(
                (ours - value).abs() < 1e-12,
                "{name}: {ours} is not {value}"
            );
        }
    }
}

#[test]
fn calibration_and_threshold_are_settled_on_out_of_fold_predictions() {
    let splits = folded(&noisy_table(3_000, 31), 5);
    let finish = Finish {
        calibrate: Some(CalibrationMethod::Sigmoid),
        threshold: Some(ThresholdSpec::Best(BestThreshold {
            maximize: threshold_metric("balanced_accuracy").unwrap(),
            at_least: Vec::new(),
        })),
    };
    let given = json!({"rounds": 60, "max_depth": 8, "learning_rate": 0.5});
    let fit = fit_with("gradient_boosting", given, &splits, &finish, 2).unwrap();
    let (model, cross) = (&fit.fitted.model, fit.cross_validation.as_ref().unwrap());
    let mean = cross.mean();
    let gain = |figures: &Evaluation| {
        figures.get("brier_uncalibrated").unwrap() - figures.get("brier").unwrap()
    };
    assert!(gain(&mean) > 0.003, "{mean:?}");
    let test = model.evaluate(&splits.test).unwrap();
    assert!(gain(&test) > 0.003, "{test:?}");
    // Rows that the kept model was fitted on would have needed no calibration.
    let own = model.predict_uncalibrated(&splits.train).unwrap();
    let own = evaluate(splits.train.task(), splits.train.labels(), &own);
    assert!(own.get("brier").unwrap() < 0.5 * mean.get("brier").unwrap());
    let calibrated = model.settled().calibrated(cross.out_of_fold.clone());
    assert!(calibrated.contains(&model.settled().threshold.unwrap()));
}

#[test]
fn numbers_and_several_classes_have_folds_too() {
    let batch = crate::tasks::fruit();
    let built = |label: &str, task: Option<Task>| {
        let others = ["kind", "price", "stock"].into_iter();
        let spec = DatasetSpec {
            label: label.to_owned(),
            exclude: others
                .filter(|column| *column != label)
                .map(str::to_owned)
                .collect(),
            task,
            ..spec(4, &[], 0)
        };
        let mut builder = DatasetBuilder::new(&batch.schema(), &spec).unwrap();
        builder.push(&batch).unwrap();
        builder.build(0).unwrap()
    };
    let fit = |splits: &Splits, finish: &Finish, watched: &str| {
        let given = params(json!({"rounds": 60, "early_stopping_rounds": 5, "max_depth": 3}));
        let options = FitOptions {
            threads: threads(2),
            cancel: &AtomicBool::new(false),
            metric: Metric::find(watched).unwrap(),
            on_round: None,
        };
        let spec = EstimatorSpec::parse("gradient_boosting", &given).unwrap();
        validate::fit(&spec, splits, finish, &options).unwrap()
    };

    let prices = built("price", Some(Task::Regression));
    let folds = prices.folds.as_ref().unwrap().of_rows();
    let sizes = (0..4).map(|fold| folds.iter().filter(|of| **of == fold).count());
    assert_eq!(sizes.collect::<Vec<_>>(), [120; 4]);
    let cross = fit(&prices, &Finish::default(), "rmse")
        .cross_validation
        .unwrap();
    assert!(cross.mean().get("r2").unwrap() > 0.98);
    assert!(cross.mean().confusion.is_none());

    let kinds = built("kind", None);
    let calibrated = Finish {
        calibrate: Some(CalibrationMethod::Isotonic),
        threshold: None,
    };
    let fit = fit(&kinds, &calibrated, "log_loss");
    let mean = fit.cross_validation.as_ref().unwrap().mean();
    assert!(mean.get("accuracy").unwrap() > 0.95);
    assert!(mean.get("brier").unwrap() <= mean.get("brier_uncalibrated").unwrap());
    let said = fit.fitted.model.predict(&kinds.test).unwrap();
    assert_ne!(
        said,
        fit.fitted.model.predict_uncalibrated(&kinds.test).unwrap()
    );
    assert!(
        said.chunks(3)
            .all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12)
    );
}

#[test]
fn too_few_rows_to_deal_are_told() {
    let told = |table: &Table, count: usize, by: Option<(&str, &[i64])>| {
        let columns: Vec<&str> = by.iter().map(|(name, _)| *name).collect();
        let spec = spec(count, &columns, 0);
        let built = build(table, &in_order(table), 50, by, &spec);
        built.unwrap_err().to_string()
    };
    let table = noisy_table(100, 3);
    let message = told(&table, 500, None);
    assert!(
        message.contains("cannot be dealt into 500 folds"),
        "{message}"
    );
    let two: Vec<i64> = (0..100).map(|row| row % 2).collect();
    let message = told(&table, 5, Some(("grower", &two)));
    assert!(
        message.contains("2 groups of rows cannot be dealt into 5 folds: ask for fewer folds, or for other columns in `by:`"),
        "{message}"
    );
    let mut rare = table;
    for (row, good) in rare.good.iter_mut().enumerate() {
        *good = row % 5 == 0 && row < 15;
    }
    let message = told(&rare, 5, None);
    assert!(
        message.contains("3 groups of rows whose label is true"),
        "{message}"
    );
}

fn swept(splits: &Splits, spec: &SweepSpec, count: usize, before: &Before) -> SweepOutcome {
    let seat = seat(count);
    let options = SweepOptions {
        compute: &seat,
        before,
        cancel: &AtomicBool::new(false),
        on_event: &|_| {},
    };
    sluice_learn::sweep::run(spec, splits, &options).unwrap()
}

fn sweep_spec(finish: Finish) -> SweepSpec {
    let given = params(boosting());
    let spec = SweepSpec::new(&SweepRequest {
        sampler: SamplerSpec::parse("tpe", &params(json!({"seed": 5}))).unwrap(),
        trials: Some(8),
        batch: NonZeroUsize::new(4).unwrap(),
        objective: Objective::parse("validation.f1", Goal::Maximize).unwrap(),
        ..request("gradient_boosting", &given)
    });
    spec.unwrap().finished(finish)
}

#[test]
fn a_sweep_chooses_by_the_mean_over_folds_as_its_models_will_predict() {
    let splits = folded(&noisy_table(500, 7), 3);
    let finish = Finish {
        calibrate: None,
        threshold: Some(ThresholdSpec::Fixed(0.35)),
    };
    let spec = sweep_spec(finish.clone());
    let outcome = swept(&splits, &spec, 1, &Before::default());
    for trial in &outcome.trials {
        let values: Vec<f64> = trial
            .folds
            .iter()
            .map(|fold| fold.evaluation.get("f1").unwrap())
            .collect();
        assert_eq!(values.len(), 3);
        assert_eq!(trial.value, Some(values.iter().sum::<f64>() / 3.0));
    }
    let best = &outcome.trials[outcome.best - 1];
    assert!(outcome.trials.iter().all(|trial| trial.value <= best.value));
    assert_eq!(outcome.winner.model.settled().threshold, Some(0.35));
    let cross = outcome.cross_validation.as_ref().unwrap();
    assert_eq!(cross.mean().get("f1"), best.value);
    assert_eq!(cross.folds, best.folds);
    // A fit of the same parameters is the winner.
    let given = Value::Object(best.params.clone());
    let alone = {
        let spec = EstimatorSpec::parse("gradient_boosting", &params(given)).unwrap();
        let options = FitOptions {
            threads: threads(2),
            cancel: &AtomicBool::new(false),
            metric: Metric::find("f1").unwrap(),
            on_round: None,
        };
        validate::fit(&spec, &splits, &finish, &options).unwrap()
    };
    let bytes = |model: &sluice_learn::Model| model.model_json().unwrap();
    assert!(bytes(&alone.fitted.model) == bytes(&outcome.winner.model));
    // At other parallelism the same, and so when it goes on from what was recorded.
    let other = swept(&splits, &spec, 4, &Before::default());
    assert_eq!(other.best, outcome.best);
    assert!(bytes(&other.winner.model) == bytes(&outcome.winner.model));
    let resumed = swept(&splits, &spec, 2, &recorded(&outcome));
    assert_eq!(resumed.best, outcome.best);
    assert!(bytes(&resumed.winner.model) == bytes(&outcome.winner.model));
    assert_eq!(resumed.cross_validation, outcome.cross_validation);
}

/// All trials, as a run records them.
fn recorded(outcome: &SweepOutcome) -> Before {
    let trials = outcome.trials.iter();
    Before {
        trials: trials
            .map(|trial| (trial.number, crate::sweep_resume::recorded(trial)))
            .collect(),
        ..Before::default()
    }
}

#[test]
fn a_pruner_and_folds_are_refused() {
    let splits = folded(&noisy_table(200, 7), 3);
    let given = params(boosting());
    let spec = SweepSpec::new(&SweepRequest {
        pruner: Some(PrunerSpec::parse("median", &params(json!({}))).unwrap()),
        ..request("gradient_boosting", &given)
    });
    let seat = seat(1);
    let options = SweepOptions {
        compute: &seat,
        before: &Before::default(),
        cancel: &AtomicBool::new(false),
        on_event: &|_| {},
    };
    let refused = sluice_learn::sweep::run(&spec.unwrap(), &splits, &options).unwrap_err();
    assert!(matches!(refused, LearnError::PrunedFolds), "{refused}");
}
