//! What a user does all day: check, plan, run, run again, change something, ask.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Sandbox, apples};

fn assets<'a>(events: &'a [Value], kind: &str) -> Vec<&'a str> {
    let mut assets: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == kind)
        .map(|event| event["asset"].as_str().unwrap())
        .collect();
    assets.sort_unstable();
    assets
}

const ALL: [&str; 6] = [
    "baseline",
    "bronze.apples",
    "gold.apples",
    "gold.scored",
    "search",
    "silver.apples",
];

#[test]
fn makes_everything_once() {
    let sandbox = Sandbox::apples();
    let first = sandbox.run();
    assert_eq!(first[0]["event"], "run_started");
    assert_eq!(first.last().unwrap()["event"], "run_finished");
    assert_eq!(assets(&first, "stage_finished"), ALL);
    assert_eq!(assets(&first, "trial").len(), 4);

    let second = sandbox.run();
    assert_eq!(assets(&second, "stage_finished"), [""; 0]);
    assert_eq!(assets(&second, "stage_skipped"), ALL);
    for event in &second {
        if event["event"] == "stage_skipped" {
            assert!(!event["reason"].as_str().unwrap().is_empty());
        }
    }
    let versions = sandbox.value("SELECT count(*) FROM system.model_versions");
    assert_eq!(versions, 2, "a skipped model registers nothing");
}

#[test]
fn makes_only_what_changed() {
    let sandbox = Sandbox::apples();
    sandbox.run();

    // Comments, white space and case of keywords are no change.
    sandbox.edit(
        "pipeline.yaml",
        "SELECT * EXCEPT (taste), taste",
        "select * EXCEPT (taste), -- all but\n        taste",
    );
    assert_eq!(assets(&sandbox.run(), "stage_finished"), [""; 0]);

    // A new file: its rows come in, what reads them is made anew.
    sandbox.write("apples-3.csv", apples::csv(240..300));
    let events = sandbox.run();
    assert_eq!(assets(&events, "stage_finished"), ALL);
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.apples"), 300);

    // A changed file: its rows are replaced.
    sandbox.write("apples-3.csv", apples::csv(240..270));
    sandbox.run();
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.apples"), 270);

    // A variable: only what uses it, and what reads that.
    let ended = sandbox.call(&["run", "--json", "--set", "sweet_from=5"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let events = ended.events();
    assert_eq!(
        assets(&events, "stage_skipped"),
        ["bronze.apples", "silver.apples"]
    );

    // A file that is gone: its rows stay.
    std::fs::remove_file(sandbox.path().join("apples-3.csv")).unwrap();
    sandbox.run();
    assert_eq!(sandbox.value("SELECT count(*) FROM bronze.apples"), 270);
}

#[test]
fn check_and_plan_write_nothing() {
    let sandbox = Sandbox::apples();
    let check = sandbox.call(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.all());
    let plan = sandbox.call(&["plan"]);
    assert_eq!(plan.code, Some(0), "{}", plan.all());
    for asset in ALL {
        assert!(plan.stdout.contains(asset), "{}", plan.all());
    }
    assert!(!sandbox.path().join("lakehouse").exists());
    insta::assert_snapshot!("check", check.all());
    insta::assert_snapshot!("plan_of_a_fresh_project", plan.all());

    sandbox.run();
    let plan = sandbox.call(&["plan"]);
    insta::assert_snapshot!("plan_when_nothing_changed", plan.all());
    let plan = sandbox.call(&["plan", "--set", "sweet_from=5"]);
    insta::assert_snapshot!("plan_of_a_variable", plan.all());
}

#[test]
fn the_project_is_found_upward_and_the_lakehouse_can_be_elsewhere() {
    let sandbox = Sandbox::apples();
    sandbox.write("deep/er/note.txt", "");
    let mut command = sandbox.sluice(&["check"]);
    let output = command
        .current_dir(sandbox.path().join("deep/er"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));

    let ended = sandbox.call(&["run", "--lakehouse", "elsewhere"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(!sandbox.path().join("lakehouse").exists());
    let query = "SELECT count(*) AS n FROM gold.scored";
    let by_option = sandbox.call(&["sql", "--lakehouse", "elsewhere", "--format", "csv", query]);
    assert_eq!(by_option.stdout, "n\n234\n", "{}", by_option.all());
    let output = sandbox
        .sluice(&["sql", "--format", "csv", query])
        .env("SLUICE_LAKEHOUSE", "elsewhere")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "n\n234\n");
}

#[test]
fn plain_lines_in_a_pipe() {
    let sandbox = Sandbox::apples();
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(!ended.stdout.contains('\u{1b}'), "no colours in pipes");
    for needle in [
        "done     bronze.apples: 240 rows",
        "search by validation.auc",
        "Finished in",
    ] {
        assert!(
            ended.stdout.contains(needle),
            "no {needle:?} in\n{}",
            ended.all()
        );
    }
}

#[test]
fn a_failing_stage_blocks_what_reads_it() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "otherwise: drop", "otherwise: fail");
    let ended = sandbox.call(&["run", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let events = ended.events();
    assert_eq!(assets(&events, "stage_finished"), ["bronze.apples"]);
    assert_eq!(assets(&events, "stage_failed"), ["silver.apples"]);
    assert_eq!(
        assets(&events, "stage_blocked"),
        ["baseline", "gold.apples", "gold.scored", "search"]
    );
    assert!(
        !sandbox.has_table("silver", "apples"),
        "nothing half-written"
    );
    sandbox.edit("pipeline.yaml", "otherwise: fail", "otherwise: warn");
    assert_eq!(assets(&sandbox.run(), "stage_skipped"), ["bronze.apples"]);
}

#[test]
fn explain_names_the_version() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let version = sandbox
        .value("SELECT version FROM system.aliases")
        .as_i64()
        .unwrap();
    let ended = sandbox.call(&[
        "sql",
        "EXPLAIN SELECT predict('models:/sweetness@production', *) AS p FROM gold.apples",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let resolved = format!("models:/sweetness/{version}");
    assert!(
        ended.stdout.contains(&resolved),
        "no {resolved} in\n{}",
        ended.all()
    );
}

#[test]
fn queries_come_from_standard_input_too() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .sluice(&["sql", "--lakehouse", "none", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"SELECT 1 AS a; SELECT 'x;y' AS b;\n")
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a\n1\nb\nx;y\n");
    assert!(
        !sandbox.path().join("none").exists(),
        "asking writes nothing"
    );
}

/// `sluice sql ... | head`: no message, no failure.
#[test]
fn a_reader_may_leave() {
    let sandbox = Sandbox::new();
    for format in ["csv", "ndjson", "json", "markdown", "table"] {
        let mut child = sandbox
            .sluice(&["sql", "--lakehouse", "none", "--format", format])
            .arg("SELECT value FROM generate_series(1, 5000000)")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{format}");
        assert_eq!(output.status.code(), Some(0), "{format}");
    }
}

/// `sluice run | head -1`: the run goes on to its end.
#[test]
fn a_run_does_not_need_a_reader() {
    let sandbox = Sandbox::apples();
    let mut child = sandbox
        .sluice(&["run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.scored"), 234);
}

/// A query that fails while it runs: the message has no layers of DataFusion around it.
#[test]
fn a_query_that_fails() {
    let sandbox = Sandbox::new();
    let ended = sandbox.call(&[
        "sql",
        "--lakehouse",
        "none",
        "SELECT 1 / (value - 1) FROM generate_series(1, 3)",
    ]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert_eq!(
        ended.stderr,
        "error: the query failed: Divide by zero error\n"
    );
}
