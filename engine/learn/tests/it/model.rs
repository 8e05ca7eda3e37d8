//! Models in their folders, and applied to columns.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int32Array, NullArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};
use sluice_learn::model::{FEATURES_FILE, MODEL_FILE};
use sluice_learn::{DatasetBuilder, DatasetSpec, Model, Task};

use crate::tables::{fit, noisy_table, red_wine};

/// A boosting on a number, a boolean and a category.
fn mixed_model() -> Model {
    let rows = 200;
    let numbers: Vec<f64> = (0..rows).map(|row| f64::from(row % 17)).collect();
    let booleans: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
    let texts: Vec<&str> = (0..rows)
        .map(|row| ["red", "white", "rosé"][row as usize % 3])
        .collect();
    let good: Vec<bool> = (0..rows).map(|row| row % 17 > 8 || row % 3 == 1).collect();
    let split: Vec<&str> = (0..rows)
        .map(|row| if row % 5 == 0 { "test" } else { "train" })
        .collect();
    let batch = RecordBatch::try_from_iter([
        ("number", Arc::new(Float64Array::from(numbers)) as ArrayRef),
        ("flag", Arc::new(BooleanArray::from(booleans))),
        ("colour", Arc::new(StringArray::from(texts))),
        ("good", Arc::new(BooleanArray::from(good))),
        ("_split", Arc::new(StringArray::from(split))),
    ])
    .unwrap();
    let spec = DatasetSpec {
        label: "good".to_owned(),
        categorical: vec!["colour".to_owned()],
        ..DatasetSpec::default()
    };
    let mut builder = DatasetBuilder::new(&batch.schema(), &spec).unwrap();
    builder.push(&batch).unwrap();
    let splits = builder.build(1).unwrap();
    fit("gradient_boosting", json!({"rounds": 20}), &splits, 1).model
}

#[test]
fn a_saved_model_predicts_the_same_bits() {
    let splits = noisy_table(400, 8).splits();
    for (estimator, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 200, "early_stopping_rounds": 10, "max_depth": 12}),
        ),
        ("random_forest", json!({"n_estimators": 12})),
    ] {
        let model = fit(estimator, given, &splits, 2).model;
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path()).unwrap();
        let loaded = Model::load(dir.path()).unwrap();
        assert_eq!(loaded.estimator(), estimator);
        assert_eq!(loaded.plan(), model.plan());
        assert_eq!(
            loaded.predict(&splits.test).unwrap(),
            model.predict(&splits.test).unwrap()
        );
        assert_eq!(loaded.model_json().unwrap(), model.model_json().unwrap());
        assert_eq!(loaded.features_json(), model.features_json());
    }
}

#[test]
fn the_file_is_xgboosts_and_ends_at_the_best_round() {
    let splits = noisy_table(400, 8).splits();
    let given = json!({"rounds": 200, "early_stopping_rounds": 10});
    let fitted = fit("gradient_boosting", given, &splits, 1);
    assert!(fitted.history.len() > fitted.iterations);
    let file: Value = serde_json::from_slice(&fitted.model.model_json().unwrap()).unwrap();
    let learner = &file["learner"];
    assert_eq!(learner["objective"]["name"], "binary:logistic");
    assert_eq!(learner["feature_names"], json!(["a", "b", "c"]));
    assert_eq!(learner["feature_types"], json!(["float", "float", "float"]));
    let base_score = learner["learner_model_param"]["base_score"].as_str();
    assert!(
        base_score.unwrap().parse::<f64>().is_ok(),
        "xgboost before 3.1 misreads {base_score:?}"
    );
    let trees = learner["gradient_booster"]["model"]["trees"].as_array();
    assert_eq!(trees.unwrap().len(), fitted.iterations);
}

/// What `benches/fixtures/load_model.py` reads is written here; with SLUICE_KEEP_MODEL it
/// stays.
#[test]
fn keeps_a_model_for_python() {
    let splits = red_wine().splits();
    let scratch = tempfile::tempdir().unwrap();
    let keep = std::env::var_os("SLUICE_KEEP_MODEL").map(PathBuf::from);
    let root = keep.as_deref().unwrap_or(scratch.path());
    let mut models = vec![(
        "mixed",
        mixed_model(),
        vec![
            3.0,
            1.0,
            0.0,
            f32::NAN,
            0.0,
            1.0,
            12.0,
            f32::NAN,
            f32::NAN,
            16.0,
            1.0,
            2.0,
        ],
    )];
    for (name, given) in [
        (
            "gradient_boosting",
            json!({"rounds": 300, "early_stopping_rounds": 20, "max_depth": 30}),
        ),
        ("random_forest", json!({"n_estimators": 50, "seed": 3})),
    ] {
        let model = fit(name, given, &splits, 2).model;
        models.push((name, model, splits.test.values().to_vec()));
    }
    let kinds = crate::tasks::fruit();
    for (name, estimator, given) in [
        (
            "several_classes",
            "gradient_boosting",
            json!({"rounds": 20}),
        ),
        (
            "forest_of_classes",
            "random_forest",
            json!({"n_estimators": 20}),
        ),
    ] {
        let splits = crate::tasks::splits(&kinds, "kind", None);
        let model = fit(estimator, given, &splits, 2).model;
        models.push((name, model, splits.test.values().to_vec()));
    }
    for (name, estimator, given) in [
        ("number", "gradient_boosting", json!({"rounds": 20})),
        (
            "forest_of_numbers",
            "random_forest",
            json!({"n_estimators": 20}),
        ),
    ] {
        let splits = crate::tasks::splits(&kinds, "price", Some(Task::Regression));
        let model = fit(estimator, given, &splits, 2).model;
        models.push((name, model, splits.test.values().to_vec()));
    }
    for (name, model, rows) in models {
        let dir = root.join(name);
        fs::create_dir_all(&dir).unwrap();
        model.save(&dir).unwrap();
        let predictions = Model::load(&dir).unwrap().predict_rows(&rows).unwrap();
        assert_eq!(predictions, model.predict_rows(&rows).unwrap());
        assert!(predictions.iter().any(|p| *p != predictions[0]), "{name}");
        let rows: Vec<Option<f32>> = rows.iter().map(|&v| (!v.is_nan()).then_some(v)).collect();
        let sample = json!({"rows": rows, "predictions": predictions});
        fs::write(dir.join("predictions.json"), sample.to_string()).unwrap();
    }
}

#[test]
fn damaged_and_missing_files_are_named() {
    let model = mixed_model();
    let dir = tempfile::tempdir().unwrap();
    let load = || Model::load(dir.path()).unwrap_err().to_string();
    assert!(load().contains(FEATURES_FILE), "{}", load());
    model.save(dir.path()).unwrap();

    fs::write(dir.path().join(MODEL_FILE), "{\"learner\": 1}").unwrap();
    assert!(load().contains(MODEL_FILE), "{}", load());
    model.save(dir.path()).unwrap();

    let other = fit(
        "random_forest",
        json!({"n_estimators": 2}),
        &red_wine().splits(),
        1,
    )
    .model;
    fs::write(dir.path().join(MODEL_FILE), other.model_json().unwrap()).unwrap();
    assert!(load().contains("11 features"), "{}", load());
    model.save(dir.path()).unwrap();

    let features = dir.path().join(FEATURES_FILE);
    let mut one_class: Value = serde_json::from_slice(&fs::read(&features).unwrap()).unwrap();
    one_class["label"]["classes"] = json!([true]);
    fs::write(&features, one_class.to_string()).unwrap();
    assert!(
        load().contains("1 classes, which is not binary"),
        "{}",
        load()
    );
    model.save(dir.path()).unwrap();
    let mut file: Value = serde_json::from_slice(&fs::read(&features).unwrap()).unwrap();
    file["format"] = json!(99);
    fs::write(&features, file.to_string()).unwrap();
    assert!(load().contains("format 99"), "{}", load());
}

#[test]
fn columns_bind_by_name_and_every_misfit_is_named() {
    let model = mixed_model();
    let plan = model.plan();
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let fits = Schema::new(vec![
        field("colour", DataType::LargeUtf8),
        field("extra", DataType::Date32),
        field("NUMBER", DataType::Int32),
        field("flag", DataType::Boolean),
    ]);
    assert_eq!(plan.bind(&fits).unwrap(), [2, 3, 0]);
    let misfits = Schema::new(vec![
        field("color", DataType::Utf8),
        field("number", DataType::Utf8),
        field("flag", DataType::Int64),
    ]);
    let message = plan.bind(&misfits).unwrap_err().to_string();
    for part in [
        "column `colour` is missing (did you mean `color`?)",
        "column `number` must be a number, not VARCHAR",
        "column `flag` must be a boolean, not BIGINT",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let message = plan.check_types(&[DataType::Int8]).unwrap_err().to_string();
    assert!(message.contains("takes 3 columns and got 1"), "{message}");
}

#[test]
fn any_numeric_type_and_missing_values_can_be_scored() {
    let model = mixed_model();
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None]));
    let colours: ArrayRef = Arc::new(StringArray::from(vec![Some("red"), Some("green")]));
    let score = |numbers: ArrayRef| {
        let columns = [numbers, Arc::clone(&flags), Arc::clone(&colours)];
        model.predict_columns(&columns).unwrap()
    };
    let expected = model
        .predict_rows(&[12.0, 1.0, 0.0, 3.0, f32::NAN, f32::NAN])
        .unwrap();
    let numbers: [ArrayRef; 4] = [
        Arc::new(Float64Array::from(vec![12.0, 3.0])),
        Arc::new(Float32Array::from(vec![12.0, 3.0])),
        Arc::new(Int32Array::from(vec![12, 3])),
        Arc::new(
            Decimal128Array::from(vec![1200, 300])
                .with_precision_and_scale(10, 2)
                .unwrap(),
        ),
    ];
    for numbers in numbers {
        let data_type = numbers.data_type().clone();
        assert_eq!(score(numbers), expected, "{data_type}");
    }
    let missing = model
        .predict_rows(&[f32::NAN, 1.0, 0.0, f32::NAN, f32::NAN, f32::NAN])
        .unwrap();
    assert_eq!(score(Arc::new(NullArray::new(2))), missing);
    let far = score(Arc::new(Float64Array::from(vec![f64::INFINITY, -1e300])));
    let edge = model
        .predict_rows(&[f32::MAX, 1.0, 0.0, f32::MIN, f32::NAN, f32::NAN])
        .unwrap();
    assert_eq!(far, edge, "beyond f32 counts as the largest finite number");
    let empty: [ArrayRef; 3] = [
        Arc::new(Float64Array::from(Vec::<f64>::new())),
        Arc::new(BooleanArray::from(Vec::<bool>::new())),
        Arc::new(StringArray::from(Vec::<&str>::new())),
    ];
    assert!(model.predict_columns(&empty).unwrap().is_empty());
}

#[test]
fn a_signature_can_be_written() {
    let model = mixed_model();
    let types: Vec<&str> = model
        .plan()
        .features
        .iter()
        .map(|f| f.mlflow_type())
        .collect();
    assert_eq!(types, ["double", "boolean", "string"]);
}
