//! Models that read a text: what they learn, what they leave, and what stops them.

use sluice_pipelines::events::{EventKind, RunStatus};

use crate::sandbox::Sandbox;

/// Texts of which one word tells the label, with the estimator of one small model.
fn project(sql: &str, model: &str) -> Sandbox {
    let indented = sql.replace('\n', "\n      ");
    Sandbox::new(&format!(
        "\
tables:
  gold.reviews:
    sql: |
      {indented}
tokenizers:
  words:
    train: {{from: gold.reviews, column: text, wordpiece: {{vocab_size: 80}}}}
models:
  mood:
    train:
      from: gold.reviews
      text: text
{model}
    register: {{as: mood, alias: production}}
"
    ))
}

const REVIEWS: &str = "\
SELECT value AS id,
       concat('the film ', value, ' is ', CASE value % 3 WHEN 0 THEN 'good' WHEN 1 THEN 'bad' ELSE 'fair' END) AS text,
       value % 3 = 0 AS good,
       CASE value % 3 WHEN 0 THEN 'good' WHEN 1 THEN 'bad' ELSE 'fair' END AS kind,
       CASE value % 3 WHEN 0 THEN 2.0 WHEN 1 THEN -2.0 ELSE 0.5 END AS stars,
       CASE value % 7 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
FROM generate_series(1, 210)";

fn bert(label: &str, more: &str) -> String {
    format!(
        "      label: {label}\n      estimator:\n        bert: {{tokenizer: words, hidden_size: 32, num_train_epochs: 4, per_device_train_batch_size: 10, learning_rate: 0.01, logging_steps: 5, device: cpu{more}}}"
    )
}

const APPLIED: &str = "\
tables:
  gold.scored:
    sql: |
      SELECT id, predict('models:/mood@production', text) AS p,
             predict_label('models:/mood@production', text) AS label,
             predict_scores('models:/mood@production', text => NULLIF(text, text)) AS nothing
      FROM gold.reviews
";

#[tokio::test(flavor = "multi_thread")]
async fn two_classes_are_learned_tracked_and_applied() {
    let sandbox = project(REVIEWS, &bert("good", ""));
    sandbox.edit("learning_rate: 0.01", "learning_rate: 0.005");
    sandbox.edit("tables:\n", APPLIED);
    let ran = sandbox.run_well().await;
    assert!(ran.warnings().is_empty(), "{}", ran.told());
    let version = sandbox.versions("mood").await.remove(0);
    assert_eq!(
        version.metrics["test.accuracy"], 1.0,
        "{:?}",
        version.metrics
    );
    let steps: Vec<u64> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            EventKind::TrainingProgress { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, (1..=12).map(|n| n * 5).collect::<Vec<u64>>());
    insta::assert_snapshot!(sandbox.query(
        "SELECT key, count(*) AS n, max(step) AS last FROM system.metrics \
         WHERE key IN ('steps.train.loss', 'steps.learning_rate', 'steps.grad_norm', 'steps.tokens_per_second', 'steps.validation.loss', 'test.f1') \
         GROUP BY key ORDER BY key").await, @r"
    +-------------------------+----+------+
    | key                     | n  | last |
    +-------------------------+----+------+
    | steps.grad_norm         | 12 | 60   |
    | steps.learning_rate     | 12 | 60   |
    | steps.tokens_per_second | 12 | 60   |
    | steps.train.loss        | 12 | 60   |
    | steps.validation.loss   | 4  | 60   |
    | test.f1                 | 1  | 0    |
    +-------------------------+----+------+
    ");
    let agree = "SELECT count(*) FROM gold.scored JOIN gold.reviews USING (id) WHERE label = good AND (p > 0.5) = good AND nothing IS NULL";
    assert_eq!(sandbox.value(agree).await, "210");
    let param = "SELECT value FROM system.params WHERE key = 'max_length'";
    assert_eq!(sandbox.value(param).await, "512");
    // What does not change the model does not train it again; what does, does.
    sandbox.edit("device: cpu", "device: auto, logging_steps: 50");
    sandbox.edit("logging_steps: 5,", "");
    let told = sandbox.run_well().await.told();
    assert!(told.ends_with("0 made, 4 skipped, 0 failed"), "{told}");
    sandbox.edit("learning_rate: 0.005", "learning_rate: 0.02");
    let plan = sandbox.plan().await;
    // What a run would do, how large that is, and, since it was done before, how long.
    let size = "150 examples of 1,185 tokens in all, 60 steps of batches up to [10, 8], about 1 MiB of memory, about ";
    assert!(plan.contains(size), "{plan}");
    let off = "SELECT value FROM system.metrics WHERE key = 'estimate.tokens_off'";
    assert_eq!(sandbox.value(off).await.parse::<f64>().unwrap().abs(), 0.0);
    let why = "`estimator.bert.learning_rate` is 0.02 (was 0.005)";
    assert!(plan.contains(why), "{plan}");
    // So does another tokenizer.
    sandbox.edit("learning_rate: 0.02", "learning_rate: 0.005");
    sandbox.edit("vocab_size: 80", "vocab_size: 60");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("words: words 2"), "{told}");
    assert!(told.contains("mood: mood 2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_classes_and_numbers_are_learned() {
    let classes = project(REVIEWS, &bert("kind", ", class_weight: balanced"));
    classes.edit(
        "      label: kind\n",
        "      label: kind\n      calibrate: sigmoid\n",
    );
    classes.run_well().await;
    let version = classes.versions("mood").await.remove(0);
    assert!(
        version.metrics["test.accuracy"] > 0.95,
        "{:?}",
        version.metrics
    );
    let told = "SELECT predict('models:/mood/1', 'the film 3 is fair' AS text)";
    let told = told.replace(
        "'the film 3 is fair' AS text",
        "text => 'the film 3 is fair'",
    );
    assert_eq!(classes.value(&told).await, "fair");

    let numbers = project(REVIEWS, &bert("stars", ", num_hidden_layers: 1"));
    numbers.edit(
        "      label: stars\n",
        "      label: stars\n      task: regression\n",
    );
    numbers.run_well().await;
    let version = numbers.versions("mood").await.remove(0);
    assert!(version.metrics["test.r2"] > 0.8, "{:?}", version.metrics);
}

/// The order of rows, files and partitions changes nothing; neither does the parallelism.
#[tokio::test(flavor = "multi_thread")]
async fn one_seed_gives_one_model() {
    let small = |sql: &str| project(sql, &bert("good", ", num_hidden_layers: 1, max_steps: 6"));
    let weights = |sandbox: &Sandbox| {
        let file = sandbox.path("lakehouse/_models/mood/1/model.safetensors");
        std::fs::read(file).unwrap()
    };
    let mut first = small(REVIEWS);
    first.parallelism(1);
    first.run_well().await;
    let second = small(&format!("{REVIEWS}\nORDER BY value * 7919 % 211"));
    second.run_well().await;
    assert!(weights(&first) == weights(&second));
}

/// Rows that cannot be learned from; nothing is registered.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_learned_is_told() {
    let from =
        |columns: &str, rest: &str| format!("SELECT {columns}\nFROM generate_series(1, 40) {rest}");
    let text = "concat('word ', value) AS text";
    let split = "CASE value % 2 WHEN 0 THEN 'test' ELSE 'train' END AS _split";
    let good = "value % 3 = 0 AS good";
    let cases = [
        (
            "empty",
            from(&format!("{text}, {good}, {split}"), "WHERE value > 90"),
        ),
        (
            "one class",
            from(&format!("{text}, value > 0 AS good, {split}"), ""),
        ),
        (
            "no train rows",
            from(&format!("{text}, {good}, 'test' AS _split"), ""),
        ),
        (
            "no text",
            from(
                &format!("CAST(NULL AS VARCHAR) AS text, {good}, {split}"),
                "",
            ),
        ),
        (
            "no label",
            from(
                &format!("{text}, NULLIF(value % 3 = 0, true) AS good, {split}"),
                "",
            ),
        ),
        (
            "no validation",
            from(&format!("{text}, {good}, {split}"), ""),
        ),
        (
            "no such weight",
            from(&format!("{text}, {good}, {split}"), ""),
        ),
        ("diverges", from(&format!("{text}, {good}, {split}"), "")),
    ];
    let mut said = String::new();
    for (name, sql) in cases {
        let more = match name {
            "no validation" => ", early_stopping_patience: 1",
            "no such weight" => ", freeze: [layer.7.]",
            "diverges" => ", learning_rate: 1.0e+30, max_grad_norm: 0",
            _ => "",
        };
        let model = bert("good", more).replace(
            "learning_rate: 0.01, ",
            match name {
                "diverges" => "",
                _ => "learning_rate: 0.01, ",
            },
        );
        let sandbox = project(&sql, &model);
        // A tokenizer has its own words for texts that are not there.
        sandbox.write("words/tokenizer.json", TOKENIZER);
        sandbox.edit(
            "train: {from: gold.reviews, column: text, wordpiece: {vocab_size: 80}}",
            "from: words",
        );
        let ran = sandbox.run().await;
        assert_eq!(ran.summary.status, RunStatus::Failed, "{name}");
        said.push_str(&format!("{name}: {}\n", ran.failure("mood")));
        assert!(sandbox.versions("mood").await.is_empty(), "{name}");
        let models = sandbox.path("lakehouse/_models");
        let staged = std::fs::read_dir(models.join(".staging"));
        assert_eq!(staged.map_or(0, |entries| entries.count()), 0, "{name}");
        let left = sandbox.path("lakehouse/.sluice/tokens");
        assert_eq!(
            std::fs::read_dir(left).map_or(0, |entries| entries.count()),
            0,
            "{name}"
        );
    }
    insta::assert_snapshot!(said);
}

const TOKENIZER: &str = r###"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
 "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
 "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
  "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "word": 4, "good": 5, "bad": 6}}}"###;

/// A text of 100,000 tokens is cut, rows without a text are left out, and both train.
#[tokio::test(flavor = "multi_thread")]
async fn a_very_long_text_is_cut() {
    let sql = format!(
        "{REVIEWS}\nUNION ALL SELECT 0, repeat('good film ', 50000), true, 'good', 2.0, 'train'\nUNION ALL SELECT -1, NULL, true, 'good', 2.0, 'train'"
    );
    let sandbox = project(
        &sql,
        &bert(
            "good",
            ", max_length: 16, max_steps: 4, num_hidden_layers: 1",
        ),
    );
    let ran = sandbox.run_well().await;
    assert_eq!(
        ran.warnings(),
        ["1 row is left out, since its `text` is NULL"]
    );
}

/// A folder is fine-tuned: what Sluice wrote before is one that it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_fine_tuned_and_a_broken_one_is_told() {
    let first = project(REVIEWS, &bert("kind", ""));
    first.run_well().await;
    let tuned = |more: &str| {
        let estimator = format!(
            "      label: good\n      estimator:\n        bert: {{model: base, num_train_epochs: 1, device: cpu{more}}}"
        );
        let sandbox = project(REVIEWS, &estimator);
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let bytes = std::fs::read(first.path("lakehouse/_models/mood/1").join(file)).unwrap();
            sandbox.write(&format!("base/{file}"), bytes);
        }
        sandbox
    };
    let sandbox = tuned(", max_length: 24, freeze: [embeddings]");
    sandbox.run_well().await;
    let version = sandbox.versions("mood").await.remove(0);
    assert!(
        version.metrics["test.accuracy"] > 0.95,
        "{:?}",
        version.metrics
    );
    let config = std::fs::read_to_string(version.path.join("config.json")).unwrap();
    assert!(config.contains("\"true\": 1"), "{config}");
    // Other weights are another model, wherever they lie.
    let mut said = tuned(", max_length: 600").wrong().await;
    let sandbox = tuned("");
    let weights = std::fs::read(sandbox.path("base/model.safetensors")).unwrap();
    sandbox.write("base/model.safetensors", &weights[..weights.len() - 100]);
    let ran = sandbox.run().await;
    said.push_str(&sandbox.relative(ran.failure("mood")));
    assert!(sandbox.versions("mood").await.is_empty());
    let sandbox = tuned("");
    sandbox.write(
        "base/tokenizer.json",
        TOKENIZER.replace("\"bad\": 6", "\"bad\": 6000"),
    );
    said.push('\n');
    said.push_str(&sandbox.wrong().await);
    let sandbox = tuned("");
    sandbox.write("base/config.json", "{\"model_type\": \"gpt2\"}");
    said.push_str(&sandbox.wrong().await);
    insta::assert_snapshot!(said);
}
