//! `sluice maintain`: files are written together and removed, and nobody can tell by the rows.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::sandbox::{Sandbox, count};

const PIPELINE: &str = r#"pipeline: shop
lakehouse: lakehouse
maintain:
  tables:
    optimize: {target_size: 1 MB, small_files: 100}
    vacuum: {}
    checkpoint: {every: 1000}
tables:
  bronze.visits:
    ingest: {files: "visits-*.csv"}
  silver.visits:
    mode: append
    sql: SELECT id, page FROM bronze.visits
    maintain: {zorder_by: [page, id]}
  gold.latest:
    mode: {merge: {keys: [id]}}
    sql: SELECT id, id % 3 AS part, page FROM silver.visits
    maintain: {partition_by: part}
  gold.pages:
    sql: SELECT page, count(*) AS visits FROM silver.visits GROUP BY page
models:
  visited:
    train:
      from: gold.split
      label: even
      estimator: {random_forest: {n_estimators: 1, seed: 1}}
"#;

const SPLIT: &str = r#"  gold.split:
    sql: SELECT id, id % 2 = 0 AS even FROM silver.visits
    split: {parts: {train: 0.8, validation: 0.2}}
"#;

/// A project whose files arrived one by one.
fn visited(files: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        PIPELINE.replace("models:\n", &format!("{SPLIT}models:\n")),
    );
    for file in 0..files {
        arrive(&sandbox, file);
        sandbox.run();
    }
    sandbox
}

fn arrive(sandbox: &Sandbox, file: u64) {
    let rows = (0..5).map(|row| format!("{},page {}\n", file * 5 + row, row % 3));
    let text: String = std::iter::once("id,page\n".to_owned())
        .chain(rows)
        .collect();
    sandbox.write(&format!("visits-{file}.csv"), text);
}

fn maintain(sandbox: &Sandbox, more: &[&str]) -> Vec<Value> {
    let ended = sandbox.call(&[&["maintain", "--json"], more].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.events()
}

/// `operation of table: files before -> after` of what was done.
fn words(done: &[Value]) -> Vec<String> {
    let words = done.iter().map(|work| {
        let files = match work["files_before"].is_null() {
            true => String::new(),
            false => format!(": {} -> {}", work["files_before"], work["files_after"]),
        };
        let (operation, asset) = (&work["operation"], &work["asset"]);
        format!(
            "{} {}{files}",
            operation.as_str().unwrap(),
            asset.as_str().unwrap()
        )
    });
    words.collect()
}

fn rows(sandbox: &Sandbox) -> [Vec<Value>; 3] {
    ["bronze.visits", "silver.visits", "gold.pages"].map(|table| {
        let mut rows = sandbox.rows(&format!("SELECT * FROM {table}"));
        rows.sort_by_key(Value::to_string);
        rows
    })
}

fn data_files(sandbox: &Sandbox, table: &str) -> usize {
    let folder = sandbox.path().join("lakehouse").join(table);
    let entries = fs::read_dir(folder).unwrap().flatten();
    let is_data = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "parquet")
    };
    entries.map(|entry| entry.path()).filter(is_data).count()
}

/// Lets what commits removed be removed long ago.
pub(crate) fn age(sandbox: &Sandbox, table: &str) {
    let log = sandbox
        .path()
        .join("lakehouse")
        .join(table)
        .join("_delta_log");
    for entry in fs::read_dir(log).unwrap().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        let mut parts = text.split("\"deletionTimestamp\":");
        let mut aged = parts.next().unwrap().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            aged.push_str("\"deletionTimestamp\":1");
            aged.push_str(rest);
        }
        fs::write(entry.path(), aged).unwrap();
    }
}

#[test]
fn a_table_that_was_looked_after_has_the_same_rows_and_nothing_is_made() {
    let sandbox = visited(3);
    let before = rows(&sandbox);
    assert_eq!(data_files(&sandbox, "silver/visits"), 3);
    // Nothing of it is due yet.
    assert_eq!(words(&maintain(&sandbox, &["--dry-run"])), [] as [&str; 0]);
    let could = maintain(
        &sandbox,
        &["--dry-run", "--now", "--select", "silver.visits"],
    );
    assert_eq!(
        words(&could),
        ["zorder silver.visits", "checkpoint silver.visits"]
    );
    assert_eq!(could[0]["action"], "due");
    assert_eq!(data_files(&sandbox, "silver/visits"), 3);

    let done = maintain(
        &sandbox,
        &["--now", "--select", "layer:bronze layer:silver"],
    );
    assert_eq!(
        words(&done),
        [
            "optimize bronze.visits: 3 -> 1",
            "checkpoint bronze.visits",
            "vacuum bronze.visits: 4 -> 4",
            "zorder silver.visits: 3 -> 1",
            "checkpoint silver.visits",
            "vacuum silver.visits: 4 -> 4",
        ]
    );
    assert_eq!(rows(&sandbox), before);
    let events = sandbox.run();
    assert_eq!(count(&events, "stage_started"), 0, "{events:?}");
    assert_eq!(count(&events, "warning"), 0, "{events:?}");

    // The files of each part are written together.
    let done = maintain(&sandbox, &["--now", "--select", "gold.latest"]);
    assert_eq!(words(&done)[0], "optimize gold.latest: 9 -> 3");

    // What arrives now is all that is read.
    arrive(&sandbox, 3);
    let events = sandbox.run();
    let made = |asset: &str| {
        let mut events = events.iter();
        let made =
            events.find(|event| event["event"] == "stage_finished" && event["asset"] == asset);
        made.map(|event| event["rows"].clone())
    };
    assert_eq!(made("bronze.visits"), Some(5.into()));
    assert_eq!(made("silver.visits"), Some(5.into()));
    assert_eq!(made("gold.latest"), Some(5.into()));
    let ids = "SELECT count(DISTINCT id) = 20 AND count(*) = 20 AS whole FROM gold.latest";
    assert_eq!(sandbox.value(ids), true);

    let all = sandbox.rows(
        "SELECT table_name, operation, files_before, files_after FROM system.maintenance \
         WHERE operation IN ('optimize', 'zorder') ORDER BY table_name",
    );
    let told: Vec<String> = all.iter().map(|row| format!("{row}")).collect();
    assert_eq!(
        told,
        [
            r#"{"table_name":"bronze.visits","operation":"optimize","files_before":3,"files_after":1}"#,
            r#"{"table_name":"gold.latest","operation":"optimize","files_before":9,"files_after":3}"#,
            r#"{"table_name":"silver.visits","operation":"zorder","files_before":3,"files_after":1}"#,
        ]
    );
}

#[test]
fn a_lost_store_is_told_again_after_maintenance() {
    let sandbox = visited(3);
    maintain(&sandbox, &["--now"]);
    for table in ["bronze/visits", "silver/visits", "gold/pages"] {
        age(&sandbox, table);
    }
    maintain(&sandbox, &["--now"]);
    let before = rows(&sandbox);
    sandbox.lose_state();
    let events = sandbox.run();
    // But that a model which is registered nowhere is found again by its training.
    let made = |event: &Value| event["event"] == "stage_started" && event["kind"] != "train";
    assert!(!events.iter().any(made), "{events:?}");
    assert_eq!(rows(&sandbox), before);
    let files = sandbox.value("SELECT count(*) AS n FROM system.files");
    assert_eq!(files, 3);
    arrive(&sandbox, 3);
    sandbox.run();
    assert_eq!(sandbox.value("SELECT count(*) AS n FROM silver.visits"), 20);
    // It works on from there.
    maintain(&sandbox, &["--now"]);
    assert_eq!(count(&sandbox.run(), "stage_started"), 0);
}

#[test]
fn old_data_files_go_unless_somebody_is_going_to_read_them() {
    let sandbox = visited(3);
    maintain(&sandbox, &["--now"]);
    // Too young.
    assert_eq!(data_files(&sandbox, "silver/visits"), 4);
    for table in ["bronze/visits", "silver/visits"] {
        age(&sandbox, table);
    }
    let done = maintain(&sandbox, &["--now"]);
    let vacuumed = words(&done);
    assert!(
        vacuumed.contains(&"vacuum bronze.visits: 4 -> 1".to_owned()),
        "{vacuumed:?}"
    );
    assert_eq!(data_files(&sandbox, "silver/visits"), 1);
    // A file that no commit names is left for a week.
    sandbox.write("lakehouse/silver/visits/part-x.parquet", "");
    maintain(&sandbox, &["--now"]);
    assert_eq!(data_files(&sandbox, "silver/visits"), 2);

    // silver.visits has not read what arrives now: its files are held, however old they are.
    arrive(&sandbox, 3);
    let only = ["run", "--json", "--select", "bronze.visits"];
    assert_eq!(sandbox.call(&only).code, Some(0));
    maintain(&sandbox, &["--now"]);
    age(&sandbox, "bronze/visits");
    let done = maintain(&sandbox, &["--now"]);
    let held = done
        .iter()
        .find(|work| work["asset"] == "bronze.visits" && work["operation"] == "vacuum");
    assert_eq!(held.unwrap()["details"]["held"], 1, "{held:?}");
    let events = sandbox.run();
    assert_eq!(count(&events, "stage_failed"), 0, "{events:?}");
    assert_eq!(sandbox.value("SELECT count(*) AS n FROM silver.visits"), 20);
    // Now it has.
    let done = words(&maintain(&sandbox, &["--now"]));
    assert!(
        done.contains(&"vacuum bronze.visits: 2 -> 1".to_owned()),
        "{done:?}"
    );
}

#[test]
fn a_run_ends_with_what_is_due() {
    let sandbox = visited(2);
    sandbox.edit("pipeline.yaml", "small_files: 100", "small_files: 3");
    arrive(&sandbox, 2);
    let events = sandbox.run();
    let done = |operation: &str| {
        let of = |event: &&Value| event["event"] == "maintained" && event["operation"] == operation;
        let assets = events
            .iter()
            .filter(of)
            .map(|event| event["asset"].as_str().unwrap());
        assets.collect::<Vec<_>>()
    };
    assert_eq!(done("optimize"), ["bronze.visits", "gold.latest"]);
    assert_eq!(done("zorder"), ["silver.visits"]);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run_finished");
    assert_eq!(count(&sandbox.run(), "maintained"), 0);
    // What cannot be done does the run no harm.
    sandbox.edit("pipeline.yaml", "small_files: 3", "small_files: 2");
    arrive(&sandbox, 3);
    let ended = sandbox
        .sluice(&["run", "--json"])
        .env("SLUICE_FAIL_POINT", "before: checkpoint a table=error")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(count(&sandbox.run(), "stage_started"), 0);
}

#[test]
fn old_runs_are_forgotten_but_not_those_that_made_what_there_is() {
    let sandbox = visited(3);
    sandbox.run();
    let runs = "SELECT count(*) AS n FROM system.runs WHERE kind = 'run'";
    assert_eq!(sandbox.value(runs), 4);
    sandbox.edit(
        "pipeline.yaml",
        "maintain:\n",
        "maintain:\n  runs: {retain: 1s}\n",
    );
    // Until all of them ended so long ago.
    let old = "SELECT max(end_time) < now() - INTERVAL '1100 milliseconds' AS old FROM system.runs";
    while sandbox.value(old) != true {}
    let due = maintain(&sandbox, &["--dry-run"]);
    assert!(words(&due).contains(&"runs shop".to_owned()), "{due:?}");
    assert_eq!(sandbox.value(runs), 4);
    let done = maintain(&sandbox, &[]);
    let of_runs = done
        .iter()
        .find(|work| work["operation"] == "runs")
        .unwrap();
    assert!(of_runs["details"]["runs"].as_u64() >= Some(2), "{of_runs}");
    assert!(of_runs["details"]["rows"].as_u64() > Some(10), "{of_runs}");
    // The last one, and the one before, which made all that there is.
    assert_eq!(sandbox.value(runs), 2);
    let made = "SELECT count(*) AS n FROM system.stages AS s JOIN system.runs AS r ON r.run_id = s.run_id \
                WHERE s.status = 'SUCCESS' AND s.asset = 'gold.pages'";
    assert_eq!(sandbox.value(made), 1);
    // Their artifacts are gone with them, and the model that there is stays.
    let runs_with_files = fs::read_dir(sandbox.path().join("lakehouse/_artifacts")).unwrap();
    let with_files = runs_with_files
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "_objects");
    let known: Vec<String> = sandbox
        .rows("SELECT run_id FROM system.runs")
        .iter()
        .map(|row| row["run_id"].as_str().unwrap().to_owned())
        .collect();
    for run in with_files {
        assert!(
            known.contains(&run),
            "{run} is forgotten, its files are not"
        );
    }
    assert_eq!(count(&sandbox.run(), "stage_started"), 0);
}

#[test]
fn a_run_at_work_is_not_disturbed() {
    let sandbox = visited(1);
    arrive(&sandbox, 1);
    let held = sandbox.path().join("held");
    let mut run = sandbox
        .sluice(&["run"])
        .env(
            "SLUICE_FAIL_POINT",
            format!("before: commit rows=wait:{}", held.display()),
        )
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !held.exists() {
        assert!(run.try_wait().unwrap().is_none(), "it did not come there");
        std::thread::yield_now();
    }
    let refused = sandbox.call(&["maintain", "--now"]);
    assert_eq!(refused.code, Some(3), "{}", refused.all());
    fs::remove_file(&held).unwrap();
    assert!(run.wait().unwrap().success());
}
