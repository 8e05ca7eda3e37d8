//! Evaluations: figures, worst rows, comparison, training rows, and when they are made again.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sluice_pipelines::events::EventKind;

use crate::sandbox::{Ran, Sandbox};

/// Bottles whose `good` follows from the alcohol, but for every seventh.
const TABLES: &str = "\
tables:
  gold.wine:
    sql: |
      SELECT value AS id,
             (value * 37 % 101) / 10.0 AS alcohol,
             (value * 53 % 97) / 10.0 AS acid,
             CASE WHEN value % 3 = 0 THEN 'red' WHEN value % 3 = 1 THEN 'white' END AS colour,
             (value * 37 % 101 > 50) <> (value % 7 = 0) AS good,
             CASE WHEN value % 4 = 0 THEN 'test' WHEN value % 4 = 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 400)
";

const MODELS: &str = "\
models:
  forest:
    train:
      from: gold.wine
      label: good
      exclude: [id, colour]
      estimator: {random_forest: {n_estimators: 20, max_depth: 4, seed: 1}}
    register: {as: wine, alias: production}
  stump:
    train:
      from: gold.wine
      label: good
      exclude: [id, colour, alcohol]
      estimator: {random_forest: {n_estimators: 1, max_depth: 1, seed: 1}}
    register: {as: stump, alias: production}
";

const REPORTS: &str = "\
reports:
  look:
    comment: Is it any good?
    evaluate: models:/wine@production
    from: gold.wine
    slices: [colour]
    compare: models:/stump@production
    worst: gold.worst
    worst_rows: 5
";

fn sandbox() -> Sandbox {
    Sandbox::new(&format!("{TABLES}{MODELS}{REPORTS}"))
}

fn page(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("lakehouse/_reports/p/look.html")).unwrap()
}

/// The folder of the evaluation's run.
async fn kept(sandbox: &Sandbox) -> PathBuf {
    let run = "SELECT run_id FROM system.runs WHERE kind = 'evaluate' ORDER BY run_id DESC LIMIT 1";
    let run = sandbox.value(run).await;
    sandbox.path("lakehouse/_artifacts").join(run)
}

async fn figures(sandbox: &Sandbox) -> Value {
    let text = fs::read_to_string(kept(sandbox).await.join("evaluation.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn look(plan: String) -> String {
    let mut lines = plan.lines();
    lines
        .find(|line| line.contains(" look: "))
        .unwrap()
        .trim()
        .to_owned()
}

fn metrics(ran: &Ran) -> Vec<String> {
    let finished = ran.events.iter().find_map(|event| match event {
        EventKind::StageFinished { asset, metrics, .. } if asset == "look" => Some(metrics),
        _ => None,
    });
    let metrics = finished.unwrap().iter();
    metrics
        .map(|(name, value)| format!("{name} {value:.3}"))
        .collect()
}

/// The warnings about a report.
fn cautions(ran: &Ran, report: &str) -> String {
    let warnings = ran.events.iter().filter_map(|event| match event {
        EventKind::Warning { asset, message } if asset == report => Some(message.as_str()),
        _ => None,
    });
    warnings.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_files_page_worst_rows_and_tracking_agree() {
    let sandbox = sandbox();
    insta::assert_snapshot!(look(sandbox.plan().await), @"run   look: gold.wine will be made");
    let ran = sandbox.run_well().await;
    assert_eq!(cautions(&ran, "look"), "");
    let told = figures(&sandbox).await;
    assert_eq!(told["model"], "models:/wine/1");
    assert_eq!(
        (&told["table"], &told["table_version"]),
        (&"gold.wine".into(), &0.into())
    );
    assert_eq!(told["rows"]["seen"], 100);
    let accuracy = told["test"]["metrics"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.75, "{told:#}");
    // What the training said of the same rows.
    let trained = sandbox.versions("wine").await[0].metrics.clone();
    for (name, value) in told["test"]["metrics"].as_object().unwrap() {
        let before = trained[&format!("test.{name}")];
        assert!(
            (value.as_f64().unwrap() - before).abs() < 1e-9,
            "{name}: {value}, {before}"
        );
    }
    let glance = [
        format!("test.accuracy {accuracy:.3}"),
        format!(
            "test.auc {:.3}",
            told["test"]["metrics"]["auc"].as_f64().unwrap()
        ),
    ];
    let shown = metrics(&ran);
    assert!(
        glance.iter().all(|figure| shown.contains(figure)),
        "{shown:?}"
    );
    // The same, told by SQL.
    let rows = "(SELECT predict('models:/wine/1', *) > 0.5 = good AS is_right, colour, \
                predict('models:/stump/1', *) > 0.5 = good AS stump FROM gold.wine WHERE _split = 'test')";
    let counted = |what: &str| format!("SELECT {what} FROM {rows}");
    assert_eq!(
        sandbox
            .value(&counted("count(*) FILTER (WHERE is_right)"))
            .await,
        (accuracy * 100.0).round().to_string()
    );
    let compared = &told["compared"];
    assert_eq!(compared["model"], "models:/stump/1");
    let pairs = &compared["pairs"];
    assert_eq!(
        sandbox
            .value(&counted("count(*) FILTER (WHERE is_right AND NOT stump)"))
            .await,
        pairs["only_model"].to_string()
    );
    assert_eq!(
        sandbox
            .value(&counted("count(*) FILTER (WHERE is_right <> stump)"))
            .await,
        pairs["disagree"].to_string()
    );
    assert!(
        compared["mcnemar_p_value"].as_f64().unwrap() < 0.05,
        "{compared:#}"
    );
    assert!(compared["difference"]["interval"]["low"].as_f64().unwrap() > 0.0);
    // The majority is what most training rows are.
    let most = "SELECT max(n) / sum(n)::DOUBLE FROM (SELECT count(*) AS n FROM gold.wine WHERE _split = 'train' GROUP BY good)";
    let most: f64 = sandbox.value(most).await.parse().unwrap();
    assert!((0.5..0.7).contains(&most));
    let majority = &told["baselines"]["majority"]["metrics"];
    assert_eq!(majority["auc"], 0.5);
    assert!(majority["accuracy"].as_f64().unwrap() < accuracy);
    assert!(
        told["baselines"].get("bag_of_words").is_none(),
        "it is no text"
    );
    // Slices, NULL among them, in the order of their rows.
    let slices = told["slices"][0]["values"].as_array().unwrap();
    let values: Vec<&str> = slices
        .iter()
        .map(|slice| slice["value"].as_str().unwrap())
        .collect();
    let mut sorted = values.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["NULL", "red", "white"]);
    let red = slices.iter().find(|slice| slice["value"] == "red").unwrap();
    assert_eq!(
        sandbox
            .value(&counted("count(*) FILTER (WHERE colour = 'red')"))
            .await,
        red["rows"].to_string()
    );

    let columns = "SELECT string_agg(column_name || ' ' || data_type, ', ') FROM \
                   (SELECT * FROM information_schema.columns WHERE table_name = 'worst' ORDER BY ordinal_position)";
    insta::assert_snapshot!(
        sandbox.value(columns).await,
        @"id Int64, alcohol Float64, acid Float64, colour Utf8, good Boolean, _split Utf8, _prediction Boolean, _score Float64, _loss Float64, _model_version Int64"
    );
    // The worst rows are those of the largest loss, with their own columns.
    let largest = "SELECT string_agg(id::TEXT, ',' ORDER BY loss DESC) FROM (SELECT id, CASE WHEN good THEN -ln(p) ELSE -ln(1 - p) END AS loss FROM (SELECT id, good, predict('models:/wine/1', *) AS p FROM gold.wine WHERE _split = 'test') ORDER BY loss DESC LIMIT 5)";
    let kept_rows = "SELECT string_agg(id::TEXT, ',' ORDER BY _loss DESC) FROM gold.worst WHERE _model_version = 1 AND _prediction <> good";
    let (largest, kept_rows) = (sandbox.value(largest).await, sandbox.value(kept_rows).await);
    let first = |ids: &str| ids.split(',').next().unwrap().to_owned();
    assert_eq!(first(&largest), first(&kept_rows));
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.worst").await, "5");

    // Tracked as a run of its own.
    let recorded = "SELECT concat_ws(' ', r.run_name, r.status, d.name, d.context) FROM system.runs r \
                    JOIN system.datasets d USING (run_id) WHERE r.kind = 'evaluate'";
    assert_eq!(
        sandbox.value(recorded).await,
        "look FINISHED gold.wine evaluation"
    );
    let metric = "SELECT value FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'evaluate' AND key = 'test.accuracy'";
    assert_eq!(
        sandbox.value(metric).await.parse::<f64>().unwrap(),
        accuracy
    );
    let names = "SELECT string_agg(path, ' ' ORDER BY path) FROM system.artifacts JOIN system.runs USING (run_id) WHERE kind = 'evaluate'";
    insta::assert_snapshot!(sandbox.value(names).await, @"calibration.csv classification_report.csv confusion_matrix.csv evaluation.json metrics.csv precision_recall.csv report.html roc.csv slices.csv");

    let html = page(&sandbox);
    assert_eq!(
        html,
        fs::read_to_string(kept(&sandbox).await.join("report.html")).unwrap()
    );
    for shown in [
        "Is it any good? How well a random_forest tells whether good is true, on rows that were not for training.",
        "models:/wine/1, @production",
        "The table gold.worst keeps them.",
        "McNemar",
        "<h3>Confusion on test rows</h3>",
        "macro average",
        "Metrics by colour",
    ] {
        assert!(html.contains(shown), "no {shown:?} in {html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_is_made_again_when_model_data_or_table_changed_and_only_then() {
    let sandbox = sandbox();
    sandbox.run_well().await;
    let first = page(&sandbox);
    let unchanged = "skip  look: model, definition and data are unchanged";
    assert_eq!(look(sandbox.plan().await), unchanged);
    let again = sandbox.run_well().await;
    assert_eq!(again.summary.made, 0, "{}", again.told());

    // Another version gets the alias.
    sandbox.edit("n_estimators: 20", "n_estimators: 3");
    insta::assert_snapshot!(look(sandbox.plan().await), @"maybe look: forest may move models:/wine@production");
    sandbox.run_well().await;
    assert_ne!(page(&sandbox), first);
    assert_eq!(
        sandbox
            .value("SELECT max(_model_version) FROM gold.worst")
            .await,
        "2"
    );
    sandbox.move_alias("wine", "production", 1).await;
    insta::assert_snapshot!(look(sandbox.plan().await), @"run   look: models:/wine@production is now version 1 (was 2)");
    sandbox.run_well().await;
    assert_eq!(
        page(&sandbox),
        first,
        "the same model and rows, the same page"
    );

    sandbox.edit("worst_rows: 5", "worst_rows: 4");
    insta::assert_snapshot!(look(sandbox.plan().await), @"run   look: `worst_rows` is 4 (was 5)");
    sandbox.run_well().await;
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.worst").await, "4");

    // The table is part of what is made.
    fs::remove_dir_all(sandbox.path("lakehouse/gold/worst")).unwrap();
    insta::assert_snapshot!(look(sandbox.plan().await), @"run   look: gold.worst: the table is gone");
    sandbox.run_well().await;
    assert_eq!(look(sandbox.plan().await), unchanged);

    // What the store forgot is told again.
    sandbox.lose_state();
    sandbox.run_well().await;
    assert_eq!(look(sandbox.plan().await), unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_rows_can_be_read_by_what_follows() {
    let sandbox = sandbox();
    sandbox.pipeline(&format!(
        "{TABLES}  gold.review:\n    sql: SELECT id, _prediction, _loss FROM gold.worst WHERE NOT good\n{MODELS}{REPORTS}"
    ));
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   gold.wine: it was never made
    run   forest: gold.wine will be made
    run   stump: gold.wine will be made
    run   look: gold.wine will be made
    run   gold.review: look will be made
    ");
    sandbox.run_well().await;
    let same =
        "SELECT count(*) = (SELECT count(*) FROM gold.worst WHERE NOT good) FROM gold.review";
    assert_eq!(sandbox.value(same).await, "true");
    assert!(
        sandbox
            .plan()
            .await
            .lines()
            .all(|line| line.starts_with("skip"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn training_rows_are_refused_unless_asked_for() {
    let sandbox = sandbox();
    sandbox.run_well().await;
    // Without `_split`: rows that the model has seen are known by their content.
    let external = format!(
        "{TABLES}  gold.plain:\n    sql: SELECT * EXCEPT (_split, good), good AS fine FROM gold.wine WHERE _split <> 'validation'\n{MODELS}reports:\n  look:\n    evaluate: models:/wine@production\n    from: gold.plain\n    label: fine\n"
    );
    sandbox.pipeline(&external);
    let ran = sandbox.run_well().await;
    insta::assert_snapshot!(cautions(&ran, "look"), @"left out: 200 rows that the model was trained on");
    let told = figures(&sandbox).await;
    assert_eq!(
        (&told["rows"]["seen"], &told["rows"]["trained"]),
        (&300.into(), &200.into())
    );
    assert_eq!(told["all"]["rows"], 100);
    // Asked for, they are counted all the same.
    sandbox.pipeline(&format!("{external}    include_training_rows: true\n"));
    let ran = sandbox.run_well().await;
    insta::assert_snapshot!(cautions(&ran, "look"), @"200 rows are also rows that the model was trained on: the figures flatter it");
    assert_eq!(figures(&sandbox).await["all"]["rows"], 300);
    // Nothing but training rows.
    sandbox.pipeline(&external.replace("<> 'validation'", "= 'train'"));
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.failure("look"), @"gold.plain has no rows to evaluate: what there is, is left out: 200 rows that the model was trained on");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_labels_unknown_classes_and_one_class_are_told() {
    let sandbox = Sandbox::new(&format!(
        "{TABLES}  gold.odd:
    sql: |
      SELECT * EXCEPT (good, _split), CASE WHEN id % 10 = 0 THEN NULL WHEN id % 10 = 1 THEN NULL ELSE TRUE END AS good
      FROM gold.wine WHERE _split = 'test'
{MODELS}reports:
  look:
    evaluate: models:/wine@production
    from: gold.odd
"
    ));
    let ran = sandbox.run_well().await;
    insta::assert_snapshot!(cautions(&ran, "look"), @r"
    left out: 20 rows without a label
    all rows are of the class true: figures that need another one are not defined
    ");
    let told = figures(&sandbox).await;
    assert_eq!(told["all"]["metrics"]["auc"], Value::Null);
    assert!(page(&sandbox).contains("figures that need another one are not defined"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_classes_and_numbers_have_their_figures() {
    let sandbox = Sandbox::new(&format!(
        "{TABLES}  gold.kinds:
    sql: |
      SELECT * EXCEPT (good), CASE WHEN alcohol > 7 THEN 'strong' WHEN alcohol > 3 THEN 'fair' ELSE 'light' END AS kind,
             alcohol * 2 + acid AS sum
      FROM gold.wine
  gold.more_kinds:
    sql: |
      SELECT * EXCEPT (kind), CASE WHEN id % 20 = 0 THEN 'unheard of' ELSE kind END AS kind FROM gold.kinds
models:
  kinds:
    train:
      from: gold.kinds
      label: kind
      exclude: [id, colour, sum]
      estimator: {{random_forest: {{n_estimators: 5, seed: 1}}}}
    register: {{as: kinds, alias: production}}
  sums:
    train:
      from: gold.kinds
      label: sum
      task: regression
      exclude: [id, colour, kind]
      estimator: {{random_forest: {{n_estimators: 5, seed: 1}}}}
    register: {{as: sums, alias: production}}
reports:
  look:
    evaluate: models:/kinds@production
    from: gold.more_kinds
    worst: gold.worst_kinds
  numbers:
    evaluate: models:/sums@production
    from: gold.kinds
    worst: gold.worst_sums
"
    ));
    let ran = sandbox.run_well().await;
    insta::assert_snapshot!(cautions(&ran, "look"), @"the model does not know the classes unheard of, and is wrong on all their rows");
    assert_eq!(cautions(&ran, "numbers"), "");
    let html = page(&sandbox);
    assert!(html.contains("weighted average") && html.contains("unheard of"));
    let numbers = fs::read_to_string(sandbox.path("lakehouse/_reports/p/numbers.html")).unwrap();
    assert!(
        numbers.contains("Errors on test rows") && numbers.contains(">mean<"),
        "{numbers}"
    );
    let worst = "SELECT abs(sum - _prediction) * abs(sum - _prediction) - _loss < 0.0001 FROM gold.worst_sums LIMIT 1";
    assert_eq!(sandbox.value(worst).await, "true");
    let kinds = "SELECT _prediction <> kind AND _score >= 0.33 FROM gold.worst_kinds ORDER BY _loss DESC LIMIT 1";
    assert_eq!(sandbox.value(kinds).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_rows_is_escaped() {
    let sandbox = Sandbox::new(&format!(
        "{TABLES}  gold.nasty:
    sql: |
      SELECT '<script>alert(' || id || ')</script>' AS note, * FROM gold.wine
{MODELS}reports:
  look:
    title: A <b>bold</b> title
    evaluate: models:/wine@production
    from: gold.nasty
    slices: [note]
"
    ));
    sandbox.run_well().await;
    let html = page(&sandbox);
    assert!(html.contains("&lt;script&gt;alert(") && html.contains("A &lt;b&gt;bold"));
    assert!(!html.contains("<script>alert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_texts_stands_beside_a_bag_of_words() {
    let sandbox = Sandbox::new(
        "\
tables:
  gold.reviews:
    sql: |
      SELECT value AS id,
             concat('the film ', value, ' is ', CASE WHEN value % 3 = 0 THEN 'good' ELSE 'bad' END) AS text,
             value % 3 = 0 AS good,
             CASE value % 7 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 210)
  gold.odd:
    sql: |
      SELECT * EXCEPT (text), CASE WHEN id % 14 = 0 THEN NULL ELSE text END AS text FROM gold.reviews
tokenizers:
  words:
    train: {from: gold.reviews, column: text, wordpiece: {vocab_size: 80}}
models:
  mood:
    train:
      from: gold.reviews
      text: text
      label: good
      estimator:
        bert: {tokenizer: words, hidden_size: 32, num_train_epochs: 8, per_device_train_batch_size: 10, learning_rate: 0.01, device: cpu}
    register: {as: mood, alias: production}
reports:
  look:
    evaluate: models:/mood@production
    from: gold.odd
    worst: gold.worst
",
    );
    let ran = sandbox.run_well().await;
    insta::assert_snapshot!(cautions(&ran, "look"), @"left out: 15 rows without an answer, since what the model reads is NULL");
    let told = figures(&sandbox).await;
    assert_eq!(told["test"]["rows"], 15);
    assert_eq!(told["test"]["metrics"]["accuracy"], 1.0);
    let baselines = &told["baselines"];
    assert_eq!(
        baselines["bag_of_words"]["metrics"]["accuracy"], 1.0,
        "one word tells all"
    );
    assert!(
        baselines["majority"]["metrics"]["accuracy"]
            .as_f64()
            .unwrap()
            < 0.8
    );
    let html = page(&sandbox);
    for shown in [
        "bag of words",
        "words occur in text",
        "How well a bert tells whether good is true",
    ] {
        assert!(html.contains(shown), "no {shown:?} in {html}");
    }
    let texts =
        "SELECT count(*) FROM gold.worst WHERE text LIKE 'the film%' AND _model_version = 1";
    assert_eq!(sandbox.value(texts).await, "15");
}
