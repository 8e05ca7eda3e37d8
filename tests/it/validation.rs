//! Folds, calibration and thresholds, from the file to SQL.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const PIPELINE: &str = r"
pipeline: orchard
lakehouse: lakehouse

tables:
  bronze.trees:
    ingest: {files: trees.csv}
  gold.trees:
    sql: SELECT grower, height, age, sick FROM bronze.trees
    split:
      parts: {train: 0.75, test: 0.25}
      seed: 1
  gold.told:
    sql: |
      SELECT *,
        predict('models:/sick@production', *) AS p,
        predict_label('models:/sick@production', *) AS said
      FROM gold.trees

models:
  sick:
    train:
      from: gold.trees
      label: sick
      exclude: [grower]
      validate: {folds: 4, by: grower}
      calibrate: platt
      threshold: {maximize: f1}
      estimator:
        gradient_boosting: {rounds: 200, early_stopping_rounds: 10, max_depth: 4, booster: dart, rate_drop: 0.1}
    register: {as: sick, alias: production, when: test.recall > champion.test.recall}
  searched:
    after: sick
    sweep:
      from: gold.trees
      label: sick
      exclude: [grower]
      validate: {folds: 3}
      calibrate: isotonic
      estimator:
        random_forest: {n_estimators: 10, max_depth: {int: [1, 3]}}
      sampler: {grid: {}}
      minimize: validation.brier
    register: {as: sick, alias: production, when: no champion}
";

fn orchard() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut csv = "grower,height,age,sick\n".to_owned();
    for row in 0..400_u32 {
        let noise = row.wrapping_mul(2_654_435_761) >> 24;
        let (height, age) = (row * 37 % 101, row * 53 % 61);
        // About one in six, of old low trees two in three.
        let chance = if age > 40 && height < 60 { 170 } else { 15 };
        let line = writeln!(csv, "g{},{height},{age},{}", row % 23, noise < chance);
        line.unwrap();
    }
    sandbox.write("trees.csv", csv);
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox
}

/// A metric of the latest run of a model.
fn metric(sandbox: &Sandbox, run: &str, key: &str) -> f64 {
    let query = format!(
        "SELECT m.value FROM system.metrics m JOIN system.runs r ON r.run_id = m.run_id
         WHERE r.run_name = '{run}' AND m.key = '{key}' ORDER BY r.start_time DESC LIMIT 1"
    );
    sandbox.value(&query).as_f64().unwrap()
}

fn artifact(sandbox: &Sandbox, run: &str, name: &str) -> String {
    let query = format!(
        "SELECT run_id FROM system.runs WHERE run_name = '{run}' ORDER BY start_time DESC LIMIT 1"
    );
    let id = sandbox.value(&query);
    let folder = sandbox
        .path()
        .join("lakehouse/_artifacts")
        .join(id.as_str().unwrap());
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_model_of_folds_is_calibrated_has_a_threshold_and_tells_of_both() {
    let sandbox = orchard();
    sandbox.run();

    // The mean over the folds, each of them, and how far they are apart.
    let folds = sandbox.rows(
        "SELECT m.step, m.value FROM system.metrics m JOIN system.runs r ON r.run_id = m.run_id
         WHERE r.run_name = 'sick' AND m.key = 'folds.validation.auc' ORDER BY m.step",
    );
    let values: Vec<f64> = folds
        .iter()
        .map(|row| row["value"].as_f64().unwrap())
        .collect();
    assert_eq!(values.len(), 4);
    let mean = values.iter().sum::<f64>() / 4.0;
    assert!((metric(&sandbox, "sick", "validation.auc") - mean).abs() < 1e-12);
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let std = metric(&sandbox, "sick", "validation.auc_std");
    assert!((std - (square / 4.0).sqrt()).abs() < 1e-12);
    let report: Value =
        serde_json::from_str(&artifact(&sandbox, "sick", "evaluation.json")).unwrap();
    assert_eq!(report["validation"]["folds"].as_array().unwrap().len(), 4);
    assert_eq!(report["validation"]["rows"], report["train"]["rows"]);
    assert_eq!(report["calibration"], "sigmoid");
    assert!(report["validation"]["metrics"]["brier_uncalibrated"].is_number());
    assert!(report["test"]["metrics"]["log_loss_uncalibrated"].is_number());

    // The threshold is told, and decides.
    let threshold = metric(&sandbox, "sick", "threshold");
    assert!(
        (0.0..1.0).contains(&threshold) && threshold != 0.5,
        "{threshold}"
    );
    assert_eq!(report["threshold"].as_f64(), Some(threshold));
    let wrong = sandbox.value(&format!(
        "SELECT count(*) FROM gold.told WHERE said <> (p >= {threshold:?})"
    ));
    assert_eq!(wrong, 0);
    let recall = sandbox.value(
        "SELECT avg(CASE WHEN said THEN 1.0 ELSE 0.0 END) FROM gold.told WHERE sick AND _split = 'test'",
    );
    let told = metric(&sandbox, "sick", "test.recall");
    assert!((recall.as_f64().unwrap() - told).abs() < 1e-9);
    let params = sandbox.rows(
        "SELECT p.key, p.value FROM system.params p JOIN system.runs r ON r.run_id = p.run_id
         WHERE r.run_name = 'sick' AND p.key IN ('validate', 'calibrate', 'threshold', 'rate_drop') ORDER BY p.key",
    );
    assert_eq!(
        params,
        [
            json!({"key": "calibrate", "value": "sigmoid"}),
            json!({"key": "rate_drop", "value": "0.1"}),
            json!({"key": "threshold", "value": "{\"maximize\":\"f1\"}"}),
            json!({"key": "validate", "value": "{\"folds\":4,\"by\":[\"grower\"]}"}),
        ]
    );

    // A reliability curve before and after, of the validation and the test rows.
    let curve = artifact(&sandbox, "sick", "calibration.csv");
    assert!(
        curve.starts_with("split,class,rows,predicted,actual,calibrated\n"),
        "{curve}"
    );
    for split in ["validation", "test"] {
        for calibrated in [true, false] {
            let ours =
                |line: &&str| line.starts_with(split) && line.ends_with(&format!(",{calibrated}"));
            let rows: usize = curve
                .lines()
                .filter(ours)
                .map(|line| line.split(',').nth(2).unwrap().parse::<usize>().unwrap())
                .sum();
            let part = if split == "test" { "test" } else { "train" };
            assert_eq!(
                rows as u64,
                report[part]["rows"].as_u64().unwrap(),
                "{split} {calibrated}"
            );
        }
    }

    // A sweep chose by the mean, and its trials tell it.
    let best = sandbox.value(
        "SELECT min(m.value) FROM system.metrics m JOIN system.runs r ON r.run_id = m.run_id
         WHERE r.kind = 'trial' AND m.key = 'validation.brier'",
    );
    assert_eq!(
        best.as_f64().unwrap(),
        metric(&sandbox, "searched", "validation.brier")
    );
    let spread = sandbox.value(
        "SELECT count(*) FROM system.metrics m JOIN system.runs r ON r.run_id = m.run_id
         WHERE r.kind = 'trial' AND m.key = 'validation.brier_std' AND m.value > 0",
    );
    assert_eq!(spread, 3);
}

#[test]
fn what_is_settled_tells_one_training_from_another() {
    let sandbox = orchard();
    sandbox.run();
    let plan = || sandbox.call(&["plan"]).all();
    assert!(!plan().contains("run "), "{}", plan());
    // Another word for the same.
    sandbox.edit("pipeline.yaml", "calibrate: platt", "calibrate: sigmoid");
    assert!(!plan().contains("run "), "{}", plan());
    for (from, to, why) in [
        (
            "{folds: 4, by: grower}",
            "{folds: 5, by: grower}",
            "`validate.folds` is 5 (was 4)",
        ),
        (
            "calibrate: sigmoid",
            "calibrate: isotonic",
            "`calibrate` is isotonic (was sigmoid)",
        ),
        (
            "{maximize: f1}",
            "{maximize: mcc}",
            "`threshold.maximize` is mcc (was f1)",
        ),
    ] {
        sandbox.edit("pipeline.yaml", from, to);
        assert!(plan().contains(why), "{why}: {}", plan());
        sandbox.edit("pipeline.yaml", to, from);
    }
    // A champion is judged with its own calibration and threshold: its recall is what it was.
    let recall = metric(&sandbox, "sick", "test.recall");
    sandbox.edit("pipeline.yaml", "{maximize: f1}", "0.999");
    let events = sandbox.run();
    let moved = events
        .iter()
        .find(|event| event["event"] == "registered" && event["asset"] == "sick")
        .unwrap();
    assert_eq!(moved["moved"], false, "{moved}");
    let reason = moved["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!("{recall:.4} of version")),
        "{reason}"
    );
}

#[test]
fn a_folded_sweep_that_was_cut_off_goes_on() {
    let sandbox = orchard();
    sandbox.run();
    let leaderboard = artifact(&sandbox, "searched", "leaderboard.csv");
    // Its trials are there, its version is not.
    let gone = sandbox.call(&["models", "delete", "sick", "2"]);
    assert_eq!(gone.code, Some(0), "{}", gone.all());
    let events = sandbox.run();
    let tried = events.iter().filter(|event| event["event"] == "trial");
    assert_eq!(tried.count(), 0, "all trials are taken over");
    assert_eq!(
        artifact(&sandbox, "searched", "leaderboard.csv"),
        leaderboard
    );
}
