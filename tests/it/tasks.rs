//! Models of several classes and of numbers, from the file to SQL.

use std::fmt::Write as _;

use serde_json::json;

use crate::reports;
use crate::sandbox::Sandbox;

const PIPELINE: &str = r"
pipeline: market
lakehouse: lakehouse

tables:
  bronze.fruit:
    ingest: {files: fruit.csv}
  gold.fruit:
    sql: SELECT kind, weight, age, price, shelf, stock FROM bronze.fruit
    split:
      parts: {train: 0.6, validation: 0.2, test: 0.2}
      seed: 1
  gold.told:
    sql: |
      SELECT kind, price, shelf, _split,
        predict('models:/kind@production', *) AS said,
        predict_label('models:/kind@production', *) AS label,
        predict_scores('models:/kind@production', *) AS scores,
        predict('models:/price@production', *) AS worth,
        predict('models:/shelf@production', *) AS place,
        predict_label('models:/dear@production', *) AS dear
      FROM gold.fruit

models:
  kinds:
    train:
      from: gold.fruit
      label: kind
      exclude: [price, shelf, stock]
      estimator:
        gradient_boosting: {rounds: 20, max_depth: 3, class_weight: balanced}
    register: {as: kind, alias: production, when: test.f1 > champion.test.f1 and test.accuracy > 0.5}
  prices:
    train:
      from: gold.fruit
      label: price
      task: regression
      weight: stock
      exclude: [kind, shelf]
      estimator:
        gradient_boosting:
          rounds: 200
          early_stopping_rounds: 20
          monotone_constraints: {age: -1}
    register: {as: price, alias: production, when: test.rmse < champion.test.rmse}
  shelves:
    sweep:
      from: gold.fruit
      label: shelf
      task: multiclass
      exclude: [kind, price, stock]
      estimator:
        random_forest: {n_estimators: {int: [3, 6]}}
      sampler: {grid: {}}
      minimize: validation.log_loss
    register: {as: shelf, alias: production}
  dears:
    train:
      from: gold.fruit
      label: stock
      task: binary
      exclude: [kind, price, shelf]
      estimator:
        random_forest: {n_estimators: 3}
    register: {as: dear, alias: production}
";

fn market() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut csv = "kind,weight,age,price,shelf,stock\n".to_owned();
    for row in 0..300_u32 {
        let kind = (row % 7 % 3) as usize;
        let weight = [150, 10, 1500][kind] + row * 37 % 11;
        let age = row * 53 % 17;
        let price = 3.0 + f64::from(weight) / 200.0 - f64::from(age) / 10.0;
        let name = ["apple", "cherry", "melon"][kind];
        let line = writeln!(
            csv,
            "{name},{weight},{age},{price},{},{}",
            kind + 4,
            1 + row % 2
        );
        line.unwrap();
    }
    sandbox.write("fruit.csv", csv);
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox
}

#[test]
fn classes_and_numbers_are_learned_and_predicted_in_their_types() {
    let sandbox = market();
    let events = sandbox.run();
    let kinds = reports::kept(&sandbox, &events, "kinds");
    kinds.assert_metrics();
    for split in ["train", "validation", "test"] {
        kinds.assert_confusion(split, &["apple", "cherry", "melon"]);
    }
    kinds.assert_contains(&[
        "ROC curve on test rows",
        "melon (AUC ",
        "Each class on the test rows",
    ]);
    let prices = reports::kept(&sandbox, &events, "prices");
    prices.assert_metrics();
    prices.assert_contains(&[
        "Predicted and actual on test rows",
        "Errors on validation rows",
    ]);
    reports::kept(&sandbox, &events, "shelves").assert_confusion("test", &["4", "5", "6"]);
    let types = sandbox.rows("SELECT arrow_typeof(said) said, arrow_typeof(worth) worth, arrow_typeof(place) place, arrow_typeof(dear) dear FROM gold.told LIMIT 1");
    assert_eq!(
        types[0],
        json!({"said": "Utf8", "worth": "Float64", "place": "Int64", "dear": "Int64"})
    );
    let right = sandbox.value(
        "SELECT avg(CASE WHEN said = kind AND label = kind AND place = shelf THEN 1.0 ELSE 0.0 END)
         FROM gold.told WHERE _split = 'test'",
    );
    assert!(right.as_f64().unwrap() > 0.95, "{right}");
    let gap = sandbox.value("SELECT max(abs(worth - price)) FROM gold.told");
    assert!(gap.as_f64().unwrap() < 1.0, "{gap}");
    let sums = sandbox.value(
        "SELECT max(abs(scores['apple'] + scores['cherry'] + scores['melon'] - 1)) FROM gold.told",
    );
    assert!(sums.as_f64().unwrap() < 1e-9, "{sums}");
    let keys = sandbox.rows(
        "SELECT DISTINCT key FROM system.metrics WHERE key LIKE 'test.%' AND key IN ('test.rmse', 'test.auc', 'test.f1_weighted') ORDER BY key",
    );
    assert_eq!(
        keys,
        [
            json!({"key": "test.auc"}),
            json!({"key": "test.f1_weighted"}),
            json!({"key": "test.rmse"})
        ]
    );
    let refused = sandbox.call(&[
        "sql",
        "SELECT predict_label('models:/price@production', *) FROM gold.fruit",
    ]);
    assert_eq!(refused.code, Some(2), "{}", refused.all());
    assert!(
        refused.all().contains("predicts a number: use predict"),
        "{}",
        refused.all()
    );
}

#[test]
fn what_does_not_go_with_the_task_is_said_before_anything_runs() {
    let sandbox = market();
    sandbox.edit("pipeline.yaml", "{age: -1}", "{aeg: -1}");
    sandbox.edit("pipeline.yaml", "test.rmse <", "test.auc <");
    sandbox.edit("pipeline.yaml", "task: multiclass", "task: multiclas");
    let ended = sandbox.call(&["check"]);
    let all = ended.all();
    assert!(all.contains("did you mean `multiclass`"), "{all}");
    sandbox.edit("pipeline.yaml", "task: multiclas\n", "task: multiclass\n");
    let all = sandbox.call(&["check"]).all();
    assert!(
        all.contains("`aeg` is no feature of this model; did you mean `age`?"),
        "{all}"
    );
    assert!(
        all.contains("`auc` does not judge a model of `task: regression`"),
        "{all}"
    );
}

#[test]
fn the_task_and_the_weight_tell_one_training_from_another() {
    let sandbox = market();
    sandbox.edit(
        "pipeline.yaml",
        "label: shelf\n      task: multiclass\n      exclude: [kind, price, stock]",
        "label: stock\n      task: binary\n      exclude: [kind, price, shelf]",
    );
    sandbox.run();
    sandbox.edit("pipeline.yaml", "      weight: stock\n", "");
    sandbox.edit(
        "pipeline.yaml",
        "      task: binary\n      exclude: [kind, price, shelf]\n      estimator:\n        random_forest: {n_estimators: {int",
        "      task: multiclass\n      exclude: [kind, price, shelf]\n      estimator:\n        random_forest: {n_estimators: {int",
    );
    let all = sandbox.call(&["plan"]).all();
    let line = |name: &str| {
        let mut lines = all.lines();
        lines.find(|line| line.contains(name)).unwrap_or(&all)
    };
    assert!(line("prices").contains("`weight`"), "{all}");
    let shelves = line("shelves");
    assert!(
        shelves.contains("`task` is multiclass (was binary)"),
        "{all}"
    );
    // The trials of the other task stand in for none.
    assert!(!shelves.contains("trials are done"), "{all}");
    let events = sandbox.run();
    let tried = events.iter().filter(|event| event["event"] == "trial");
    assert_eq!(tried.count(), 4);
}

#[test]
fn classes_are_told_by_what_an_alias_named_then() {
    let sandbox = market();
    sandbox.run();
    let moved_at = sandbox.value("SELECT max(\"timestamp\") FROM system.alias_history");
    let moved_at = moved_at.as_str().unwrap();
    for function in ["predict_label", "predict_scores"] {
        let query = |time: &str| {
            format!(
                "SELECT count({function}('models:/kind@production', *, as_of => TIMESTAMP '{time}')) AS n FROM gold.fruit"
            )
        };
        assert_eq!(sandbox.value(&query(moved_at)), 300);
        let before = sandbox.call(&["sql", &query("2001-01-01")]);
        assert_eq!(before.code, Some(2), "{}", before.all());
        assert!(
            before.stderr.contains("named no version at"),
            "{}",
            before.all()
        );
    }
}
