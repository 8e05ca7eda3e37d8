//! `sluice replay` of all kinds of stages, of runs that failed, and of trainings that went on from
//! a checkpoint.

use std::fs;

use serde_json::Value;

use crate::failures::MODEL;
use crate::replay::{equal, run_id, stage, verdicts};
use crate::sandbox::{Ended, Sandbox, apples};

/// Tables with rejected records, rows in quarantine and predictions; a tokenizer, a model, reports.
const PIPELINE: &str = r#"pipeline: kinds
lakehouse: lakehouse
tables:
  bronze.apples:
    ingest: {files: "apples-*.csv"}
  silver.apples:
    mode: append
    sql: SELECT * EXCEPT (_file, _row, _ingested_at) FROM bronze.apples
    expect:
      heavy_ones_are_looked_at: {that: weight < 170, otherwise: quarantine}
  gold.apples:
    sql: |
      SELECT * EXCEPT (taste), taste >= 6 AS sweet, concat('apple of ', weight) AS name
      FROM silver.apples
    split: {parts: {train: 0.6, validation: 0.2, test: 0.2}, seed: 7}
  gold.heavy:
    sql: SELECT count(*) AS n, min(weight) AS least FROM silver.apples__quarantine
  gold.scored:
    predict: {model: models:/sweetness@production, from: gold.apples, as: p_sweet}
  gold.short:
    sql: SELECT name FROM gold.apples
    expect:
      few_words: {that: "token_count(name, 'words') < 5", otherwise: quarantine}
  gold.wrong:
    sql: SELECT count(*) AS n FROM gold.worst
tokenizers:
  words:
    train: {from: gold.apples, column: name, wordpiece: {vocab_size: 40}}
models:
  forest:
    train:
      from: gold.apples
      label: sweet
      exclude: [name]
      estimator: {random_forest: {n_estimators: 2, seed: 7}}
    register: {as: sweetness, alias: production}
reports:
  profile:
    profile: silver.apples
  evaluation:
    evaluate: models:/sweetness@production
    from: gold.apples
    worst: gold.worst
    worst_rows: 5
"#;

fn replay(sandbox: &Sandbox, run: &str) -> Ended {
    sandbox.call(&["replay", run, "--json"])
}

/// The tables that were compared for an asset, each with its rows.
fn compared(events: &[Value], asset: &str) -> Vec<String> {
    let tables = stage(events, asset)["tables"].as_array().cloned();
    let tables = tables.unwrap_or_default();
    tables
        .iter()
        .map(|table| format!("{}: {}", table["table"].as_str().unwrap(), table["rows"]))
        .collect()
}

#[test]
fn every_kind_of_stage_comes_out_equal() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("apples-1.csv", apples::csv(0..160) + "1\n");
    let first = run_id(&sandbox.run());
    sandbox.write("apples-2.csv", apples::csv(160..240) + "1\n2\n");
    let second = run_id(&sandbox.run());
    let mut all = [
        "bronze.apples",
        "evaluation",
        "forest",
        "gold.apples",
        "gold.heavy",
        "gold.scored",
        "gold.short",
        "gold.wrong",
        "profile",
        "silver.apples",
        "words",
    ];
    all.sort_unstable();
    for (run, rejected) in [(first, 1), (second, 3)] {
        let ended = replay(&sandbox, &run);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert_eq!(verdicts(&ended), equal(&all), "{}", ended.all());
        let events = ended.events();
        for line in &events {
            assert!(line.get("notes").is_none(), "{line}");
        }
        let rejected = format!("bronze.apples__rejected: {rejected}");
        assert_eq!(compared(&events, "bronze.apples")[1], rejected);
        let aside = compared(&events, "silver.apples");
        assert!(
            aside[1].starts_with("silver.apples__quarantine: "),
            "{aside:?}"
        );
        let aside = compared(&events, "gold.short");
        assert!(
            aside[1].starts_with("gold.short__quarantine: "),
            "{aside:?}"
        );
        assert_eq!(compared(&events, "evaluation"), ["gold.worst: 5"]);
    }
}

/// A run is replayed up to where it failed, and there it fails again.
#[test]
fn a_stage_that_failed_fails_again() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: fails
vars:
  limit: ${env:LIMIT}
on_success:
  webhook: {url: \"http://127.0.0.1:1/${limit}\"}
tables:
  bronze.a:
    ingest: {files: a.csv}
  bronze.bad:
    ingest: {files: bad.csv}
    expect:
      none: {that: y < 0, otherwise: fail}
  gold.small:
    sql: SELECT x FROM bronze.a
    expect:
      small: {that: \"x < ${limit}\", otherwise: fail}
  gold.sum:
    sql: SELECT sum(x) AS x FROM gold.small
  gold.ratio:
    sql: SELECT 10 / (x - 3) AS ratio FROM bronze.a
",
    );
    sandbox.write("a.csv", "x\n1\n2\n3\n");
    sandbox.write("bad.csv", "y\n1\n");
    let call = |arguments: &[&str], limit: &str| {
        let mut command = sandbox.sluice(arguments);
        command.env("LIMIT", limit);
        Ended::of(command.output().unwrap(), sandbox.path())
    };
    let ended = call(&["run", "--json"], "3");
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let run = run_id(&ended.events());
    let again = |limit: &str| {
        call(
            &["replay", &run, "--json", "--lakehouse", "lakehouse"],
            limit,
        )
    };
    let ended = again("3");
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let failed = [
        "bronze.a equal",
        "bronze.bad failed_then",
        "gold.ratio failed_then",
        "gold.small failed_then",
    ];
    assert_eq!(verdicts(&ended), failed, "{}", ended.all());
    let events = ended.events();
    for asset in ["gold.ratio", "gold.small"] {
        let told = stage(&events, asset);
        let error = format!("SELECT error FROM system.stages WHERE asset = '{asset}'");
        let error = call(
            &[
                "sql",
                "--lakehouse",
                "lakehouse",
                "--format",
                "ndjson",
                &error,
            ],
            "3",
        );
        assert_eq!(told["findings"][0], error.events()[0]["error"], "{told}");
        assert_eq!(told["notes"][0], "it fails again with the same error");
    }
    assert_eq!(events.last().unwrap()["failed_then"], 3);
    let note = &stage(&events, "bronze.bad")["notes"][0];
    assert_eq!(
        note,
        "it was not tried again: which files it read is not known"
    );
    // With another limit than then it does not, or otherwise.
    let ended = again("9");
    assert_eq!(ended.code, Some(5), "{}", ended.all());
    let events = ended.events();
    let told = stage(&events, "gold.small");
    assert_eq!(told["verdict"], "differs");
    let finding = told["findings"][0].as_str().unwrap();
    assert!(
        finding.starts_with("the replay does not fail; the run failed with: "),
        "{told}"
    );
    let ended = again("2");
    let events = ended.events();
    let told = stage(&events, "gold.small");
    assert_eq!(told["verdict"], "differs");
    assert_eq!(told["findings"].as_array().unwrap().len(), 2, "{told}");
    // Only the retry made what follows.
    let ended = call(&["retry", "--json"], "9");
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let retried = run_id(&ended.events());
    fs::remove_file(sandbox.path().join("bad.csv")).unwrap();
    let ended = call(
        &["replay", &retried, "--json", "--lakehouse", "lakehouse"],
        "9",
    );
    assert_eq!(
        verdicts(&ended),
        [
            "bronze.bad failed_then",
            "gold.ratio failed_then",
            "gold.small equal",
            "gold.sum equal"
        ],
        "{}",
        ended.all()
    );
}

/// What an error that passes says is not asked for again.
#[test]
fn an_error_that_passes_is_only_told() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        MODEL.to_owned() + "defaults: {retries: 0}\n",
    );
    let mut run = sandbox.sluice(&["run", "--json"]);
    run.env("SLUICE_FAIL_POINT", "before: name a registry file=error");
    let ended = Ended::of(run.output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let events = ended.events();
    let told = stage(&events, "m");
    assert_eq!(told["verdict"], "failed_then");
    let note = told["notes"][0].as_str().unwrap();
    assert!(note.starts_with("it was not tried again: "), "{told}");
}

/// Definitions are kept as long as a run names them.
#[test]
fn definitions_go_with_the_last_run_that_names_them() {
    let sandbox = Sandbox::new();
    let write = |number: u32| {
        let pipeline =
            "pipeline: short\nmaintain: {runs: {retain: 1s}}\ntables:\n  gold.t:\n    sql: SELECT";
        sandbox.write("pipeline.yaml", format!("{pipeline} {number} AS n\n"));
    };
    let mut runs = Vec::new();
    for number in [1, 2, 3, 1] {
        write(number);
        runs.push(run_id(&sandbox.run()));
    }
    let kept = || {
        let folder = sandbox.path().join("lakehouse/_sluice/definitions/short");
        fs::read_dir(folder).unwrap().count()
    };
    assert_eq!(kept(), 3);
    let old = "SELECT max(end_time) < now() - INTERVAL '1100 milliseconds' AS old FROM system.runs";
    while sandbox.value(old) != true {}
    let ended = sandbox.call(&["maintain", "--now", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let done = ended.events();
    let of_runs = done
        .iter()
        .find(|work| work["operation"] == "runs")
        .unwrap();
    assert_eq!(of_runs["details"]["runs"], 3, "{of_runs}");
    assert_eq!(of_runs["details"]["definitions"], 2, "{of_runs}");
    assert_eq!(kept(), 1);
    let ended = replay(&sandbox, &runs[3]);
    assert_eq!(verdicts(&ended), equal(&["gold.t"]), "{}", ended.all());
    let ended = replay(&sandbox, &runs[0]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
}
