//! From Arrow batches to splits.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::Schema;
use proptest::prelude::*;
use serde_json::json;
use sluice_learn::features::{Class, FeatureKind};
use sluice_learn::{DatasetBuilder, DatasetSpec, LearnError, Splits, Task};

use crate::tables::{fit, noisy_table};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn flags(values: &[bool]) -> ArrayRef {
    Arc::new(BooleanArray::from(values.to_vec()))
}

fn spec(label: &str) -> DatasetSpec {
    DatasetSpec {
        label: label.to_owned(),
        ..DatasetSpec::default()
    }
}

fn build(batch: &RecordBatch, spec: &DatasetSpec) -> Result<Splits, LearnError> {
    let mut builder = DatasetBuilder::new(&batch.schema(), spec).unwrap();
    builder.push(batch)?;
    builder.build(7)
}

/// The messages of everything that is wrong with a spec.
fn refusals(schema: &Schema, spec: &DatasetSpec) -> Vec<String> {
    let errors = DatasetBuilder::new(schema, spec).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

fn bits(splits: &Splits) -> Vec<u32> {
    [&splits.train, &splits.validation, &splits.test]
        .iter()
        .flat_map(|data| data.values().iter().chain(data.labels()))
        .map(|value| value.to_bits())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Neither the order of the rows nor their partitioning changes what learners see.
    #[test]
    fn rows_come_out_in_the_order_of_their_content(
        order in Just((0..120).collect::<Vec<usize>>()).prop_shuffle(),
        size in 1_usize..130,
        seed in 0_u64..4,
    ) {
        let mut table = noisy_table(60, seed);
        // Every row twice, so that equal hashes occur.
        table.rows.extend(table.rows.clone());
        table.good.extend(table.good.clone());
        table.split.extend(table.split.clone());
        let straight: Vec<usize> = (0..120).collect();
        let expected = table.splits_of(&straight, 120);
        let shuffled = table.splits_of(&order, size);
        prop_assert_eq!(bits(&expected), bits(&shuffled));
    }
}

#[test]
fn a_shuffled_table_gives_the_same_model_bytes() {
    let table = noisy_table(400, 3);
    let straight: Vec<usize> = (0..400).collect();
    let reversed: Vec<usize> = (0..400).rev().collect();
    for (estimator, given) in [
        ("gradient_boosting", json!({"rounds": 10, "subsample": 0.7})),
        ("random_forest", json!({"n_estimators": 5, "seed": 3})),
    ] {
        let one = fit(
            estimator,
            given.clone(),
            &table.splits_of(&straight, 400),
            2,
        );
        let other = fit(estimator, given, &table.splits_of(&reversed, 33), 2);
        assert_eq!(
            one.model.model_json().unwrap(),
            other.model.model_json().unwrap(),
            "{estimator}"
        );
    }
}

#[test]
fn the_seed_changes_the_order_and_nothing_else() {
    let table = noisy_table(100, 1);
    let rows: Vec<usize> = (0..100).collect();
    let build = |seed| {
        let mut builder = DatasetBuilder::new(&table.schema(), &spec("good")).unwrap();
        builder.push(&table.batch(&rows)).unwrap();
        builder.build(seed).unwrap().train
    };
    let (one, other) = (build(1), build(2));
    assert_ne!(one.row(0), other.row(0));
    let sorted = |data: &sluice_learn::Dataset| {
        let mut rows: Vec<Vec<u32>> = (0..data.rows())
            .map(|row| data.row(row).iter().map(|v| v.to_bits()).collect())
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(sorted(&one), sorted(&other));
}

#[test]
fn features_are_the_numbers_and_booleans_and_nothing_hidden() {
    let batch = batch(vec![
        ("_row", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("_split", text(&["train", "train", "test"])),
        ("Alcohol", floats(&[9.5, -0.0, f64::NAN])),
        ("label", Arc::new(Int64Array::from(vec![2, 5, 5]))),
        (
            "sweet",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        ("p_good", floats(&[0.1, 0.2, 0.3])),
        ("note", text(&["x", "y", "z"])),
    ]);
    let spec = DatasetSpec {
        label: "LABEL".to_owned(),
        exclude: vec!["NOTE".to_owned()],
        outputs: vec!["p_good".to_owned()],
        ..DatasetSpec::default()
    };
    let splits = build(&batch, &spec).unwrap();
    let plan = splits.train.plan();
    assert_eq!(plan.names().collect::<Vec<_>>(), ["Alcohol", "sweet"]);
    assert_eq!(plan.label.name, "label");
    assert_eq!(
        plan.label.classes,
        [Class::Number(2.0), Class::Number(5.0)],
        "the larger number is positive"
    );
    assert_eq!(splits.test.labels(), [1.0]);
    assert_eq!(splits.train.positives(), 1);
    let test = splits.test.row(0);
    assert!(test[0].is_nan() && test[1] == 0.0);
    let dry = (0..2)
        .map(|row| splits.train.row(row))
        .find(|row| row[0] == 0.0)
        .unwrap();
    assert!(dry[0].is_sign_positive(), "-0 has one spelling");
    assert!(dry[1].is_nan(), "NULL is missing");
    assert!(splits.validation.is_empty());
}

#[test]
fn categories_are_those_of_the_train_split() {
    let batch = batch(vec![
        (
            "_split",
            text(&["train", "train", "train", "validation", "test"]),
        ),
        (
            "grape",
            text(&["syrah", "merlot", "syrah", "malbec", "merlot"]),
        ),
        ("vat", Arc::new(Int64Array::from(vec![7, 12, 7, 7, 99]))),
        ("good", flags(&[true, false, true, false, true])),
    ]);
    let spec = DatasetSpec {
        categorical: vec!["grape".to_owned(), "vat".to_owned()],
        ..spec("good")
    };
    let splits = build(&batch, &spec).unwrap();
    let FeatureKind::Category { values } = &splits.train.plan().features[0].kind else {
        panic!("not a category")
    };
    assert_eq!(values, &["merlot", "syrah"]);
    assert!(splits.validation.row(0)[0].is_nan(), "malbec is unknown");
    assert_eq!(splits.validation.row(0)[1], 1.0, "\"12\" < \"7\"");
    assert_eq!(splits.test.row(0)[0], 0.0);
    assert!(splits.test.row(0)[1].is_nan());
}

#[test]
fn rows_that_straddle_are_counted() {
    let batch = batch(vec![
        (
            "_split",
            text(&["train", "train", "validation", "test", "test"]),
        ),
        ("x", floats(&[1.0, 2.0, 1.0, 2.0, 1.0])),
        ("good", flags(&[true, false, true, false, false])),
    ]);
    let straddling = build(&batch, &spec("good")).unwrap().straddling;
    assert_eq!((straddling.validation, straddling.test), (1, 1));
}

#[test]
fn everything_wrong_with_the_columns_is_said_at_once() {
    let batch = batch(vec![
        ("alcohol", floats(&[1.0])),
        ("note", text(&["x"])),
        ("bottled", Arc::new(Date32Array::from(vec![1]))),
        ("good", text(&["yes"])),
    ]);
    let spec = DatasetSpec {
        label: "good".to_owned(),
        exclude: vec!["alcohl".to_owned()],
        categorical: vec!["bottled".to_owned()],
        task: Some(Task::Binary),
        ..DatasetSpec::default()
    };
    let messages = refusals(&batch.schema(), &spec).join("\n");
    for part in [
        "did you mean `alcohol`?",
        "label `good` is of type VARCHAR",
        "no column `_split`",
        "`note` of type VARCHAR cannot be a feature: name it in `exclude:`",
        "or in `categorical:`",
        "`bottled` of type DATE: only text and integers",
    ] {
        assert!(messages.contains(part), "{part:?} is not in:\n{messages}");
    }
    let none = DatasetSpec {
        exclude: vec!["alcohol".to_owned()],
        ..DatasetSpec::default()
    };
    let schema = Schema::new(vec![
        arrow::datatypes::Field::new("alcohol", arrow::datatypes::DataType::Float64, true),
        arrow::datatypes::Field::new("good", arrow::datatypes::DataType::Boolean, true),
        arrow::datatypes::Field::new("_split", arrow::datatypes::DataType::Utf8, true),
    ]);
    let none = DatasetSpec {
        label: "good".to_owned(),
        ..none
    };
    assert!(refusals(&schema, &none)[0].contains("no column is left to learn from"));
}

/// The message with which a table of one feature `x` is refused.
fn refusal(split: &[&str], x: &[f64], label: ArrayRef) -> String {
    let batch = batch(vec![
        ("_split", text(split)),
        ("x", floats(x)),
        ("good", label),
    ]);
    build(&batch, &spec("good")).unwrap_err().to_string()
}

#[test]
fn bad_rows_are_refused_with_a_way_out() {
    let train = ["train", "train", "train"];
    let x = [1.0, 2.0, 3.0];
    let good = flags(&[true, false, true]);
    for (message, part) in [
        (
            refusal(&["train", "trian", "test"], &x, Arc::clone(&good)),
            "holds 'trian': it must be 'train', 'validation' or 'test' (did you mean `train`?)",
        ),
        (
            refusal(&train, &[1.0, f64::INFINITY, 2.0], Arc::clone(&good)),
            "`x` holds inf",
        ),
        (
            refusal(&train, &x, floats(&[1.0, 2.0, 3.0])),
            "more than 2 values (1, 2, 3, ...): write `task: multiclass` or `task: regression`",
        ),
        (
            refusal(&train, &x, flags(&[true, true, true])),
            "one class in the table: every row is true",
        ),
        (
            refusal(
                &["train", "train", "test"],
                &x,
                flags(&[false, false, true]),
            ),
            "one class in the train split: every row is false",
        ),
        (
            refusal(&["test", "test", "test"], &x, good),
            "the train split is empty",
        ),
        (
            refusal(
                &train,
                &x,
                Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            ),
            "NULL or NaN in 1 of 3 rows",
        ),
        (refusal(&[], &[], flags(&[])), "no rows at all"),
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn only_the_columns_that_are_read_need_be_fetched() {
    let table = noisy_table(50, 1);
    let rows: Vec<usize> = (0..50).collect();
    let spec = DatasetSpec {
        exclude: vec!["b".to_owned()],
        ..spec("good")
    };
    let all = table.batch(&rows);
    let mut whole = DatasetBuilder::new(&all.schema(), &spec).unwrap();
    whole.push(&all).unwrap();
    let mut partial = DatasetBuilder::new(&all.schema(), &spec).unwrap();
    assert_eq!(
        partial.columns().collect::<Vec<_>>(),
        ["a", "c", "good", "_split"]
    );
    partial.push(&all.project(&[4, 2, 0, 3]).unwrap()).unwrap();
    assert_eq!(
        bits(&whole.build(1).unwrap()),
        bits(&partial.build(1).unwrap())
    );
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let table = noisy_table(10, 1);
    let mut builder = DatasetBuilder::new(&table.schema(), &spec("good")).unwrap();
    let other = batch(vec![
        ("a", flags(&[true])),
        ("b", floats(&[1.0])),
        ("c", floats(&[1.0])),
        ("good", flags(&[true])),
        ("_split", text(&["train"])),
    ]);
    let message = builder.push(&other).unwrap_err().to_string();
    assert!(
        message.contains("column `a` of type DOUBLE was announced, but a batch has type BOOLEAN"),
        "{message}"
    );
}
