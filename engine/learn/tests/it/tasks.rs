//! Several classes, numbers, weights and constraints: what is learned.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use sluice_learn::features::{Class, Label, LabelType};
use sluice_learn::judged::Judged;
use sluice_learn::metric::{Metric, evaluate};
use sluice_learn::model::FEATURES_FILE;
use sluice_learn::{DatasetBuilder, DatasetSpec, EstimatorSpec, LearnError, Model, Splits, Task};

use crate::tables::{fit, params};

/// Fruit of three kinds, told apart by weight and sweetness; the price falls with age.
pub(crate) fn fruit() -> RecordBatch {
    let rows = 600_u32;
    let noise = |row: u32, salt: u32| {
        let mixed = (row.wrapping_mul(2_654_435_761) ^ salt).wrapping_mul(0x9e37_79b9);
        f64::from(mixed >> 8) / f64::from(1_u32 << 24)
    };
    let kinds = ["apple", "cherry", "melon"];
    let kind = |row: u32| kinds[(row % 7 % 3) as usize];
    let weight = |row: u32| {
        let typical = match kind(row) {
            "apple" => 150.0,
            "cherry" => 10.0,
            _ => 1500.0,
        };
        typical * (0.5 + noise(row, 1))
    };
    let age = |row: u32| noise(row, 3) * 10.0;
    let price = |row: u32| 3.0 + weight(row) / 200.0 - age(row) / 4.0 + noise(row, 4) * 0.2;
    let floats = |of: &dyn Fn(u32) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values((0..rows).map(of)))
    };
    let texts = |of: &dyn Fn(u32) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows).map(of)))
    };
    let parts = ["train", "train", "train", "validation", "test"];
    RecordBatch::try_from_iter([
        ("weight", floats(&weight)),
        ("age", floats(&age)),
        ("kind", texts(&kind)),
        ("price", floats(&price)),
        ("stock", floats(&|row| f64::from(row % 4))),
        ("_split", texts(&|row| parts[(row % 5) as usize])),
    ])
    .unwrap()
}

fn spec(label: &str, task: Option<Task>) -> DatasetSpec {
    let excluded = ["kind", "price", "stock"].into_iter();
    DatasetSpec {
        label: label.to_owned(),
        exclude: excluded
            .filter(|column| *column != label)
            .map(str::to_owned)
            .collect(),
        task,
        ..DatasetSpec::default()
    }
}

fn built(batch: &RecordBatch, spec: &DatasetSpec) -> Result<Splits, LearnError> {
    let mut builder = DatasetBuilder::new(&batch.schema(), spec).unwrap();
    builder.push(batch)?;
    builder.build(1)
}

pub(crate) fn splits(batch: &RecordBatch, label: &str, task: Option<Task>) -> Splits {
    built(batch, &spec(label, task)).unwrap()
}

fn test_metric(model: &Model, splits: &Splits, name: &str) -> f64 {
    let test = &splits.test;
    let evaluation = evaluate(test.task(), test.labels(), &model.predict(test).unwrap());
    evaluation.get(name).unwrap()
}

#[test]
fn several_classes_are_told_apart_by_both_estimators() {
    let splits = splits(&fruit(), "kind", None);
    let label = &splits.train.plan().label;
    let class = |text: &str| Class::Text(text.to_owned());
    assert_eq!(
        *label,
        Label {
            name: "kind".to_owned(),
            task: Task::Multiclass,
            label_type: LabelType::Text,
            classes: ["apple", "cherry", "melon"].map(class).to_vec(),
        }
    );
    for (estimator, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 200, "early_stopping_rounds": 5}),
        ),
        ("random_forest", json!({"n_estimators": 20})),
    ] {
        let fitted = fit(estimator, given, &splits, 2);
        let accuracy = test_metric(&fitted.model, &splits, "accuracy");
        assert!(accuracy > 0.95, "{estimator}: {accuracy}");
        assert!(test_metric(&fitted.model, &splits, "auc") > 0.97);
        let scores = fitted.model.predict(&splits.test).unwrap();
        assert!(
            scores
                .chunks(3)
                .all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12)
        );
        if estimator == "gradient_boosting" {
            let (first, last) = (fitted.history.first(), fitted.history.last());
            assert!(last < first, "log_loss is watched: {:?}", fitted.history);
        }
    }
}

#[test]
fn numbers_are_predicted_by_both_estimators() {
    let splits = splits(&fruit(), "price", Some(Task::Regression));
    assert!(splits.train.plan().label.classes.is_empty());
    for (estimator, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 200, "early_stopping_rounds": 5}),
        ),
        ("random_forest", json!({"n_estimators": 30})),
    ] {
        let model = fit(estimator, given, &splits, 2).model;
        let r2 = test_metric(&model, &splits, "r2");
        assert!(r2 > 0.98, "{estimator}: {r2}");
        let scores = model.predict(&splits.test).unwrap();
        assert!(
            scores.iter().any(|&price| price > 5.0),
            "no clamp to [0, 1]"
        );
    }
}

#[test]
fn a_forest_of_classes_is_the_binary_forest_where_there_are_two() {
    let table = crate::tables::noisy_table(400, 5);
    let rows: Vec<usize> = (0..400).collect();
    let batch = table.batch(&rows);
    let of = |task| {
        let spec = DatasetSpec {
            label: "good".to_owned(),
            task: Some(task),
            ..DatasetSpec::default()
        };
        let splits = built(&batch, &spec).unwrap();
        let given = json!({"n_estimators": 10, "seed": 4});
        let model = fit("random_forest", given, &splits, 1).model;
        model.predict(&splits.test).unwrap()
    };
    let binary = of(Task::Binary);
    let several = of(Task::Multiclass);
    // Splits of equal gain may be decided otherwise: the gains are rounded elsewhere.
    let pairs = binary.iter().zip(several.chunks(2));
    let gaps: Vec<f64> = pairs.map(|(one, row)| (one - row[1]).abs()).collect();
    let same = gaps.iter().filter(|gap| **gap < 1e-6).count();
    assert!(same * 10 > gaps.len() * 7, "{same} of {}", gaps.len());
    assert!(gaps.iter().all(|gap| *gap < 0.2), "{gaps:?}");
}

#[test]
fn each_loss_learns_and_a_quantile_is_one() {
    let splits = splits(&fruit(), "price", Some(Task::Regression));
    let above = |given: Value| {
        let model = fit("gradient_boosting", given, &splits, 1).model;
        let scores = model.predict(&splits.train).unwrap();
        let pairs = splits.train.labels().iter().zip(&scores);
        let above = pairs.filter(|(label, score)| f64::from(**label) <= **score);
        above.count() as f64 / scores.len() as f64
    };
    for alpha in [0.1, 0.9] {
        let given = json!({"rounds": 50, "max_depth": 3, "objective": "reg:quantileerror", "quantile_alpha": alpha});
        let share = above(given);
        assert!(
            (share - alpha).abs() < 0.15,
            "{share} of rows are below {alpha}"
        );
    }
    for objective in [
        "reg:squarederror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:gamma",
        "reg:tweedie",
        "count:poisson",
        "reg:squaredlogerror",
    ] {
        let mut given = json!({"rounds": 60, "objective": objective});
        if objective == "reg:pseudohubererror" {
            // At the default of 1 nearly all rows are in the flat part.
            given["huber_slope"] = json!(10);
        }
        let model = fit("gradient_boosting", given, &splits, 1).model;
        let r2 = test_metric(&model, &splits, "r2");
        assert!(r2 > 0.8, "{objective}: {r2}");
    }
}

#[test]
fn a_constraint_holds_everywhere() {
    let splits = splits(&fruit(), "price", Some(Task::Regression));
    let falls = |given: Value| {
        let model = fit("gradient_boosting", given, &splits, 1).model;
        (0..40).all(|weight| {
            let rows: Vec<f32> = (0..100)
                .flat_map(|age| [weight as f32 * 50.0, age as f32 / 10.0])
                .collect();
            let prices = model.predict_rows(&rows).unwrap();
            prices.windows(2).all(|pair| pair[1] <= pair[0])
        })
    };
    assert!(!falls(json!({"rounds": 40})), "free trees follow the noise");
    assert!(falls(
        json!({"rounds": 40, "monotone_constraints": {"AGE": -1}})
    ));
    assert!(falls(
        json!({"rounds": 40, "monotone_constraints": {"age": "decreasing"}})
    ));
}

#[test]
fn rows_of_weight_zero_are_as_if_they_were_not_there() {
    let batch = fruit();
    let weighted = DatasetSpec {
        weight: Some("stock".to_owned()),
        ..spec("price", Some(Task::Regression))
    };
    let all = built(&batch, &weighted).unwrap();
    assert_eq!(
        all.train.plan().names().collect::<Vec<_>>(),
        ["weight", "age"]
    );
    let weights = all.train.weights().unwrap();
    assert!(weights.contains(&0.0) && weights.contains(&3.0));
    // A tree that may not split predicts the weighted mean.
    let given = json!({"n_estimators": 1, "bootstrap": false, "min_samples_leaf": 300});
    let stump = fit("random_forest", given, &all, 1).model;
    let pairs = || all.train.labels().iter().zip(weights);
    let sum: f64 = pairs().map(|(&l, &w)| f64::from(l) * f64::from(w)).sum();
    let mean = sum / weights.iter().map(|&w| f64::from(w)).sum::<f64>();
    let predicted = stump.predict(&all.test).unwrap()[0];
    assert!((predicted - mean).abs() < 1e-4, "{predicted} is not {mean}");
}

#[test]
fn balanced_classes_find_the_rare_one() {
    let table = crate::tables::noisy_table(600, 9);
    let mut rare = table.clone();
    for (row, good) in rare.good.iter_mut().enumerate() {
        *good = *good && row % 4 == 0;
    }
    let splits = rare.splits();
    let recall = |weight: Value| {
        let given = json!({"rounds": 10, "max_depth": 2, "class_weight": weight});
        let model = fit("gradient_boosting", given, &splits, 1).model;
        test_metric(&model, &splits, "recall")
    };
    let (plain, balanced) = (recall(Value::Null), recall(json!("balanced")));
    assert!(balanced > plain + 0.3, "{balanced} against {plain}");
    assert_eq!(recall(json!({"true": 1.0})), plain);
    assert!(recall(json!({"true": 10.0})) > plain + 0.3);
}

#[test]
fn what_does_not_go_with_the_label_is_named_as_written() {
    let splits = splits(&fruit(), "price", Some(Task::Regression));
    let plan = splits.train.plan();
    let refusal = |estimator: &str, given: Value| {
        let spec = EstimatorSpec::parse(estimator, &params(given)).unwrap();
        let checked = spec.check(&plan.features, plan.label.target());
        checked.unwrap_err().to_string()
    };
    for (estimator, given, part) in [
        (
            "gradient_boosting",
            json!({"loss": "binary:logistic"}),
            "`loss`: `binary:logistic` is not for `task: regression`: use reg:squarederror",
        ),
        (
            "gradient_boosting",
            json!({"scale_pos_weight": 2}),
            "`scale_pos_weight`: goes with `binary:logistic`; this model minimizes `reg:squarederror`",
        ),
        (
            "gradient_boosting",
            json!({"class_weight": "balanced"}),
            "has no classes",
        ),
        (
            "gradient_boosting",
            json!({"monotonic_cst": {"wight": 1}}),
            "`monotonic_cst`: `wight` is no feature of this model; did you mean `weight`?",
        ),
        (
            "random_forest",
            json!({"criterion": "gini"}),
            "`gini` is not for `task: regression`",
        ),
    ] {
        let message = refusal(estimator, given);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn a_class_that_no_training_row_has_is_an_error() {
    let batch = fruit();
    let parts = batch.column_by_name("_split").unwrap();
    let parts = parts.as_any().downcast_ref::<StringArray>().unwrap();
    let kinds = parts.iter().enumerate().map(|(row, part)| match part {
        Some("test") if row < 10 => "durian",
        _ => ["apple", "cherry"][row % 2],
    });
    let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(kinds));
    let mut columns = batch.columns().to_vec();
    columns[2] = kinds;
    let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let error = built(&batch, &spec("kind", None)).unwrap_err().to_string();
    assert!(
        error.contains("label `kind` is durian in 2 rows"),
        "{error}"
    );
}

#[test]
fn a_champion_is_wrong_about_classes_that_it_does_not_know() {
    let splits = splits(&fruit(), "kind", None);
    let model = fit("random_forest", json!({"n_estimators": 10}), &splits, 1).model;
    let batch = fruit();
    let mut columns = batch.columns().to_vec();
    let kinds = columns[2].as_any().downcast_ref::<StringArray>().unwrap();
    let renamed = kinds
        .iter()
        .map(|kind| kind.map(|kind| kind.replace("melon", "pomelo")));
    columns[2] = Arc::new(StringArray::from_iter(renamed));
    let other = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let figure = |batch: &RecordBatch, metric: &str| {
        let champion = model.clone().into();
        let mut judged = Judged::new(&champion);
        judged.push(batch, "kind").unwrap();
        judged.figure(Metric::find(metric).unwrap())
    };
    assert!(figure(&batch, "accuracy") > 0.95);
    let accuracy = figure(&other, "accuracy");
    assert!((0.5..0.8).contains(&accuracy), "{accuracy}");
    assert!(figure(&other, "log_loss") > 5.0);
}

#[test]
fn models_of_before_other_tasks_can_still_be_read() {
    let splits = crate::tables::noisy_table(100, 2).splits();
    let model = fit("random_forest", json!({"n_estimators": 2}), &splits, 1).model;
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let path = dir.path().join(FEATURES_FILE);
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["format"] = json!(1);
    file["label"] = json!({"name": "good", "classes": [false, true]});
    fs::write(&path, file.to_string()).unwrap();
    assert_eq!(Model::load(dir.path()).unwrap().plan(), model.plan());
}
