//! The example of sentences, end to end: from scratch in small, and the second pipeline, which
//! goes on from a model of others.

use crate::sandbox::{Ended, Sandbox, count};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sentiment");

/// Fewer and clearer sentences, a smaller model: what the example does, in seconds.
const SHORT: [&str; 8] = [
    "--set",
    "confident_from=2.2",
    "--set",
    "vocab_size=1500",
    "--set",
    "hidden_size=32",
    "--set",
    "epochs=2",
];

fn number(sandbox: &Sandbox, query: &str) -> f64 {
    sandbox.csv(query).lines().nth(1).unwrap().parse().unwrap()
}

/// The test accuracy of a version of the registered model.
fn accuracy(sandbox: &Sandbox, version: usize) -> f64 {
    number(
        sandbox,
        &format!(
            "SELECT m.value FROM system.metrics AS m JOIN system.model_versions AS v USING (run_id) \
             WHERE v.name = 'sentiment' AND v.version = {version} AND m.key = 'test.accuracy'"
        ),
    )
}

#[test]
fn sentences_are_cleaned_and_judged() {
    let sandbox = Sandbox::new();
    let events = sandbox.run_example(PROJECT, &SHORT);
    assert_eq!(count(&events, "stage_failed"), 0);
    for (table, rows) in [
        ("bronze.movie_reviews", 10_605),
        ("bronze.amazon_reviews", 3_708),
        // Thirteen sentences are there twice.
        ("silver.reviews", 14_300),
    ] {
        let told = sandbox.csv(&format!("SELECT count(*) AS n FROM {table}"));
        assert_eq!(told, format!("n\n{rows}\n"), "{table}");
    }
    // Nothing of the dialect is left in a text, and no character is lost.
    let quoted = "SELECT text FROM silver.reviews WHERE id = '11_7'";
    assert_eq!(
        sandbox.csv(quoted),
        "text\n\"\"\" this problem vanished after the first month, so i assume it was a temporary dust issue.\"\n"
    );
    let accents = "SELECT count(*) AS n FROM silver.reviews WHERE text LIKE '%Almodóvar%'";
    assert!(number(&sandbox, accents) > 0.0);
    let unclear = "SELECT count(*) AS n FROM gold.reviews JOIN silver.reviews AS s USING (id) \
        WHERE abs(s.rating) <= 2.2 OR positive <> (s.rating > 0)";
    assert_eq!(sandbox.csv(unclear), "n\n0\n");

    // What was learned: words of praise, from a few thousand sentences.
    let majority = "SELECT greatest(avg(positive::int), 1 - avg(positive::int)) AS a \
        FROM gold.reviews WHERE _split = 'test'";
    let majority = number(&sandbox, majority);
    let learned = accuracy(&sandbox, 1);
    assert!(
        learned > majority + 0.1,
        "{learned} where the majority is {majority}"
    );
    let apart = "SELECT avg(p_positive) FILTER (WHERE positive) > \
        0.1 + avg(p_positive) FILTER (WHERE NOT positive) AS apart FROM gold.amazon_scored";
    assert_eq!(sandbox.csv(apart), "apart\ntrue\n");

    let again = sandbox.run_example(PROJECT, &SHORT);
    assert_eq!(count(&again, "stage_finished"), 0);

    // The second pipeline goes on from a folder: here from that of the first model.
    let minilm = format!("{PROJECT}/minilm");
    let folder = sandbox.path().join("lakehouse/_models/sentiment/1");
    let model = format!("model={}", folder.display());
    sandbox.run_example(&minilm, &["--set", &model, "--set", "epochs=1"]);
    let tuned = accuracy(&sandbox, 2);
    assert!(tuned > majority + 0.1, "{tuned} after {learned}");
}

#[test]
fn a_model_that_was_not_pulled_says_how_to_get_it() {
    let sandbox = Sandbox::new();
    let minilm = format!("{PROJECT}/minilm");
    let mut command = sandbox.sluice(&["check", &minilm, "--lakehouse", "lakehouse"]);
    command.env("HF_HUB_CACHE", sandbox.path().join("hub"));
    let ended = Ended::of(command.output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    let advice = "run `sluice models pull hf:sentence-transformers/all-MiniLM-L6-v2`";
    assert!(ended.all().contains(advice), "{}", ended.all());
}
