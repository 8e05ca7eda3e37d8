//! A model of wine evaluated on the bottles that ship with the project.

use serde_json::Value;

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"
pipeline: cellar
lakehouse: lakehouse
tables:
  bronze.wine:
    ingest: {files: winequality-red.csv, csv: {delimiter: ";"}}
  gold.wine:
    sql: |
      SELECT * EXCEPT (quality, _file, _row, _ingested_at), quality >= 7 AS good,
        CASE WHEN alcohol >= 11 THEN 'strong' ELSE 'light' END AS strength
      FROM bronze.wine
    split: {parts: {train: 0.7, test: 0.3}, seed: 123}
models:
  forest:
    train:
      from: gold.wine
      label: good
      exclude: strength
      estimator: {random_forest: {n_estimators: 30, seed: 1}}
    register: {as: wine, alias: production}
  small:
    after: forest
    train:
      from: gold.wine
      label: good
      exclude: strength
      estimator: {random_forest: {n_estimators: 2, max_depth: 2, seed: 1}}
    register: {as: wine, alias: challenger}
reports:
  wine_evaluation:
    title: How good is the forest?
    evaluate: models:/wine@production
    from: gold.wine
    compare: models:/wine@challenger
    slices: [strength]
    worst: gold.wine_worst
    worst_rows: 10
"#;

#[test]
fn a_forest_is_held_against_a_small_one_and_the_majority() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    let bottles = concat!(env!("CARGO_MANIFEST_DIR"), "/data/wine/winequality-red.csv");
    sandbox.write("winequality-red.csv", std::fs::read(bottles).unwrap());
    let events = sandbox.run();
    let finished =
        |event: &&Value| event["event"] == "stage_finished" && event["asset"] == "wine_evaluation";
    let glance = &events.iter().find(finished).unwrap()["metrics"];
    let figure = |name: &str| glance[name].as_f64().unwrap();
    assert!(
        figure("test.accuracy") > 0.85 && figure("test.auc") > 0.8,
        "{glance}"
    );

    // The page that stays, and the figures behind it.
    let page = sandbox
        .path()
        .join("lakehouse/_reports/cellar/wine_evaluation.html");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(!page.contains("://"), "the page refers to the network");
    for text in [
        "How good is the forest?",
        "majority",
        "McNemar",
        "<h3>Reliability",
    ] {
        assert!(page.contains(text), "no {text:?}");
    }
    let folder = sandbox
        .value("SELECT run_id FROM system.runs WHERE kind = 'evaluate' AND status = 'FINISHED'");
    let folder = sandbox
        .path()
        .join("lakehouse/_artifacts")
        .join(folder.as_str().unwrap());
    let told = std::fs::read_to_string(folder.join("evaluation.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let accuracy = |evaluation: &Value| evaluation["metrics"]["accuracy"].as_f64().unwrap();
    let own = accuracy(&told["test"]);
    assert_eq!(own, figure("test.accuracy"));
    // So few bottles are good that calling none so is right as often; the ranking tells.
    let auc = |evaluation: &Value| evaluation["metrics"]["auc"].as_f64().unwrap();
    assert_eq!(auc(&told["baselines"]["majority"]), 0.5);
    assert!(accuracy(&told["baselines"]["majority"]) > 0.85, "{told:#}");
    assert!(auc(&told["test"]) > auc(&told["compared"]), "{told:#}");
    let interval = &told["test"]["intervals"]["accuracy"];
    assert!(interval["low"].as_f64() < Some(own) && Some(own) < interval["high"].as_f64());

    // The worst rows are in SQL, with the version that was wrong.
    let worst = sandbox.value(
        "SELECT count(*) FROM gold.wine_worst w JOIN system.aliases a ON a.version = w._model_version \
         WHERE a.name = 'wine' AND a.alias = 'production' AND w._prediction <> w.good",
    );
    assert_eq!(worst, 10);
    let recorded = sandbox
        .value("SELECT count(*) FROM system.table_models WHERE table_name = 'gold.wine_worst'");
    assert_eq!(recorded, 2, "both models took part");

    // Figures that are there are not computed again.
    let again = sandbox.run();
    let skipped = again
        .iter()
        .filter(|event| event["event"] == "stage_skipped");
    assert_eq!(skipped.count(), 5);
}
