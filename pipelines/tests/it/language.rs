//! What a good pipeline means.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::json;
use sluice_pipelines::project::Project;
use sluice_pipelines::source::SourceFile;
use sluice_pipelines::spec::{
    self, Comparison, Condition, Environment, ModelBody, Operand, Otherwise, Overrides, Rule, Spec,
    TableBody,
};

pub(crate) fn load_with(text: &str, overrides: &Overrides) -> Spec {
    let project = Project::from_file("tests/it/good/pipeline.yaml");
    let source = SourceFile::new("pipeline.yaml", text);
    match spec::load_source(&project, source, overrides) {
        Ok((spec, warnings)) => {
            assert!(warnings.is_empty(), "{warnings}");
            spec
        }
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

pub(crate) fn load(text: &str) -> Spec {
    load_with(text, &Overrides::default())
}

pub(crate) fn wine() -> String {
    std::fs::read_to_string("tests/it/good/pipeline.yaml").unwrap()
}

#[test]
fn the_example_of_the_design_loads() {
    let spec = load(&wine());
    assert_eq!(spec.pipeline.value, "wine");
    assert_eq!(
        spec.lakehouse.path,
        PathBuf::from("tests/it/good/lakehouse")
    );
    let names: Vec<&str> = spec.tables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "bronze.wine",
            "silver.wine",
            "gold.wine",
            "gold.wine_scored"
        ]
    );

    let bronze = spec.tables.get("bronze.wine").unwrap();
    let TableBody::Ingest(ingest) = &*bronze.body else {
        panic!("{bronze:?}");
    };
    assert_eq!(ingest.files[0].value, "../../data/wine/winequality-*.csv");
    let csv = ingest.csv.as_ref().unwrap();
    assert_eq!(csv.delimiter_byte(), b';');
    assert!(csv.has_header());

    let silver = spec.tables.get("SILVER.wine").unwrap();
    assert_eq!(
        silver.sql().unwrap().source.path(),
        "tests/it/good/silver_wine.sql"
    );
    let rules: Vec<(&str, Otherwise)> = silver
        .expect
        .iter()
        .map(|(name, rule)| (name.as_str(), rule.otherwise()))
        .collect();
    assert_eq!(
        rules,
        [
            ("quality_in_range", Otherwise::Fail),
            ("has_alcohol", Otherwise::Drop)
        ]
    );

    let gold = spec.tables.get("gold.wine").unwrap();
    assert_eq!(
        gold.sql().unwrap().text,
        "SELECT * EXCEPT (quality), quality >= 7 AS good\nFROM silver.wine\n"
    );
    let split = gold.split.as_ref().unwrap();
    assert_eq!(split.parts.get("validation").unwrap().value, 0.2);
    assert_eq!(split.seed.unwrap().value, 123);
}

#[test]
fn the_models_of_the_design_load() {
    let spec = load(&wine());
    let baseline = spec.models.get("wine_baseline").unwrap();
    assert_eq!(baseline.body.estimator().name.value, "random_forest");
    assert_eq!(
        json!(baseline.body.estimator().params_json()),
        json!({"n_estimators": 10, "seed": 123})
    );
    let register = baseline.register.as_ref().unwrap();
    assert_eq!(register.name.value, "wine_quality");
    assert_eq!(
        register.when.as_ref().unwrap().conditions[0].value,
        Condition::NoChampion
    );

    let search = spec.models.get("wine_search").unwrap();
    assert_eq!(search.after[0].value, "wine_baseline");
    let ModelBody::Sweep(sweep) = &search.body else {
        panic!("{search:?}");
    };
    assert_eq!((sweep.trials.unwrap().value, sweep.batch_size()), (96, 4));
    assert!(sweep.goal.maximize());
    assert_eq!(sweep.goal.metric().to_string(), "validation.auc");
    let estimator = &sweep.estimator;
    assert_eq!(
        estimator.params_json()["learning_rate"],
        json!({"log": [0.05, 1.0]})
    );
    assert_eq!(
        spec.source.slice(estimator.key_span(&["max_depth"])),
        "max_depth"
    );
    assert_eq!(
        spec.source.slice(estimator.key_span(&["max_depth", "int"])),
        "int"
    );
    assert_eq!(
        spec.source
            .slice(estimator.value_span(&["max_depth", "int", "1"])),
        "100"
    );
    assert_eq!(
        spec.source.slice(estimator.key_span(&["nonsense"])),
        "gradient_boosting"
    );
    let when = search.register.as_ref().unwrap().when.as_ref().unwrap();
    assert!(when.reads_champion());
    assert_eq!(
        when.conditions[0].to_string(),
        "test.auc > champion.test.auc"
    );
}

#[test]
fn overrides_win_and_keep_the_declared_type() {
    let text = wine().replace(
        "good_from: 7",
        "good_from: 7\n  name: \"7\"\n  low: 0.5\n  data: ${env:SLUICE_NOT_SET}/in",
    );
    let overrides = Overrides {
        lakehouse: Some("elsewhere".into()),
        set: vec![
            ("good_from".into(), "6".into()),
            ("good_from".into(), "8".into()),
            ("name".into(), "007".into()),
            ("low".into(), "-1".into()),
            ("data".into(), "/data".into()),
        ],
        environment: Environment::default(),
        kept: None,
    };
    let spec = load_with(&text, &overrides);
    assert_eq!(spec.lakehouse.path, Path::new("elsewhere"));
    let sql = &spec.tables.get("gold.wine").unwrap().sql().unwrap().text;
    assert!(sql.contains("quality >= 8 AS good"), "{sql}");
    let values: Vec<_> = spec.vars.iter().map(|(_, value)| value.to_json()).collect();
    assert_eq!(values, [json!(8), json!("007"), json!(-1), json!("/data")]);
}

#[test]
fn variables_keep_their_type_and_fill_texts() {
    let text = r#"
pipeline: p
vars:
  n: 10
  word: "7"
  base: ${env:DATA}
  where: ${base}/in
  port: ${env:PORT}
  quiet: ${env:QUIET}
tables:
  bronze.a:
    comment: costs $5, or $$5, or $${n}, from ${n} on
    ingest:
      files: [ "${where}/*.csv", plain.csv ]
models:
  m:
    train:
      from: bronze.a
      label: x
      estimator:
        random_forest:
          n_estimators: ${n}
          text: "${n}"
          word: ${word}
          mixed: 1${n}
          port: ${port}
          quiet: ${quiet}
"#;
    let environment = [("DATA", "/data"), ("PORT", "80"), ("QUIET", "true")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let overrides = Overrides {
        environment: Environment::Fixed(environment.into()),
        ..Overrides::default()
    };
    let spec = load_with(text, &overrides);
    let table = spec.tables.get("bronze.a").unwrap();
    assert_eq!(
        table.comment.as_ref().unwrap().value,
        "costs $5, or $5, or ${n}, from 10 on"
    );
    let TableBody::Ingest(ingest) = &*table.body else {
        panic!("{table:?}");
    };
    assert_eq!(ingest.files[0].value, "/data/in/*.csv");
    assert_eq!(
        json!(spec.models.get("m").unwrap().body.estimator().params_json()),
        json!({"n_estimators": 10, "text": "10", "word": "7", "mixed": 110, "port": 80, "quiet": true})
    );
}

#[test]
fn conditions_of_when() {
    let text = |when: &str| {
        format!(
            "pipeline: p\nmodels:\n  m:\n    train: {{from: a.b, label: x, estimator: {{f: {{}}}}}}\n    register:\n      as: m\n      alias: a\n      when: {when}\n"
        )
    };
    let shown = |when: &str| {
        let spec = load(&text(when));
        let register = spec.models.get("m").unwrap().register.as_ref().unwrap();
        let when = register.when.as_ref().unwrap();
        let conditions = when.conditions.iter();
        conditions
            .map(|c| format!("{} @ {}", c.value, spec.source.slice(c.span)))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown("test.auc>=0.80  AND  no  Champion"),
        [
            "test.auc >= 0.8 @ test.auc>=0.80",
            "no champion @ no  Champion"
        ]
    );
    assert_eq!(
        shown("\"champion.test.log_loss > test.log_loss\""),
        ["champion.test.log_loss > test.log_loss @ champion.test.log_loss > test.log_loss"]
    );
    let spec = load(&text("-1 < validation.f1"));
    let register = spec.models.get("m").unwrap().register.as_ref().unwrap();
    let Condition::Compare {
        left, comparison, ..
    } = &register.when.as_ref().unwrap().conditions[0].value
    else {
        panic!("{register:?}");
    };
    assert_eq!(
        (left, *comparison),
        (&Operand::Number(-1.0), Comparison::Less)
    );
    assert!(!Comparison::GreaterOrEqual.holds(f64::NAN, 0.0));
    assert!(!Comparison::Greater.holds(0.5, 0.5));
    assert!(Comparison::GreaterOrEqual.holds(0.5, 0.5));
}

#[test]
fn a_table_rule_and_declared_columns() {
    let spec = load(
        "pipeline: p\ntables:\n  a.b:\n    ingest:\n      files: a.csv\n      csv:\n        delimiter: \"\\t\"\n        names: as_is\n        columns: {id: BIGINT, name: varchar, at: timestamp}\n    expect:\n      one_id: {unique: id, otherwise: fail}\n",
    );
    let table = spec.tables.get("a.b").unwrap();
    let TableBody::Ingest(ingest) = &*table.body else {
        panic!("{table:?}");
    };
    let csv = ingest.csv.as_ref().unwrap();
    assert_eq!(csv.delimiter_byte(), b'\t');
    let types: Vec<(&str, DataType)> = csv
        .columns
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.data_type()))
        .collect();
    let at = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(
        types,
        [
            ("id", DataType::Int64),
            ("name", DataType::Utf8),
            ("at", at)
        ]
    );
    let rule = &table.expect.get("one_id").unwrap().rule;
    assert!(
        matches!(rule, Rule::Unique(columns) if columns[0].value == "id"),
        "{rule:?}"
    );
}

#[test]
fn a_pipeline_that_makes_nothing_is_told_so() {
    let project = Project::from_file("pipeline.yaml");
    let source = SourceFile::new("pipeline.yaml", "pipeline: p\n");
    let (spec, warnings) = spec::load_source(&project, source, &Overrides::default()).unwrap();
    assert_eq!(spec.lakehouse.path, Path::new("lakehouse"));
    assert_eq!(warnings.len(), 1);
    assert!(!warnings.has_errors());
}
