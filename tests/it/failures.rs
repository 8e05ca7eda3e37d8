//! Stages that fail: whose fault it is, what is tried again and what is not, how long a stage may
//! take, and races with others who write to the same table.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::memory::MemoryStream;
use serde_json::Value;
use sluice_lake::delta::{CommitInfo, WriteMode};
use sluice_lake::{Lakehouse, TableName};

use crate::sandbox::{Ended, Sandbox, count};

/// A model whose decision is written to a file, which a fail point can keep from being named.
pub(crate) const MODEL: &str = "\
pipeline: p
tables:
  gold.t:
    sql: |
      SELECT value AS x, value > 20 AS y,
             CASE value % 4 WHEN 0 THEN 'validation' WHEN 1 THEN 'test' ELSE 'train' END AS _split
      FROM generate_series(1, 40)
models:
  m:
    train:
      from: gold.t
      label: y
      estimator:
        random_forest: {n_estimators: 1, seed: 1}
    register: {as: m, alias: production}
";

fn project(pipeline: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline);
    sandbox
}

/// Runs with a fail point armed.
fn run_with(sandbox: &Sandbox, point: &str) -> Ended {
    let mut run = sandbox.sluice(&["run", "--json"]);
    let output = run.env("SLUICE_FAIL_POINT", point).output().unwrap();
    Ended::of(output, sandbox.path())
}

/// What became of the stages, a line each.
fn stages(sandbox: &Sandbox) -> String {
    let columns = "asset, status, attempts, fault, transient";
    let query = format!("SELECT {columns} FROM system.stages ORDER BY asset");
    let ended = sandbox.call(&["sql", "--format", "csv", &query]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.stdout
}

/// The only event of a kind.
fn the<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let mut found = events.iter().filter(|event| event["event"] == kind);
    let event = found
        .next()
        .unwrap_or_else(|| panic!("no {kind}: {events:?}"));
    assert!(found.next().is_none(), "more than one {kind}: {events:?}");
    event
}

#[test]
fn what_passes_is_tried_again() {
    let sandbox = project(MODEL);
    let ended = run_with(&sandbox, "before: name a registry file=error");
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let events = ended.events();
    let retried = the(&events, "stage_retried");
    assert_eq!(retried["asset"], "m");
    assert_eq!(retried["attempt"], 1);
    assert_eq!(retried["fault"], "system");
    assert!(retried["wait_seconds"].as_f64().unwrap() <= 0.5);
    insta::assert_snapshot!(stages(&sandbox));
    // What the first attempt did is not done twice.
    assert_eq!(
        sandbox.value("SELECT count(*) AS n FROM system.model_versions"),
        1
    );
    assert_eq!(
        sandbox.value("SELECT count(*) AS n FROM system.alias_history"),
        1
    );
}

#[test]
fn without_retries_a_failure_stays_and_can_be_retried_by_hand() {
    let sandbox = project(MODEL);
    sandbox.edit(
        "pipeline.yaml",
        "pipeline: p",
        "pipeline: p\ndefaults: {retries: 0}",
    );
    let ended = run_with(&sandbox, "before: name a registry file=error");
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let events = ended.events();
    assert_eq!(count(&events, "stage_retried"), 0);
    let failed = the(&events, "stage_failed");
    assert_eq!(failed["fault"], "system");
    assert_eq!(failed["transient"], true);
    assert_eq!(failed["attempts"], 1);
    let ended = sandbox.call(&["retry", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let finished = the(&ended.events(), "stage_finished").clone();
    assert_eq!(finished["asset"], "m");
}

#[test]
fn what_does_not_pass_is_not_tried_again() {
    let sandbox = project(
        "pipeline: p\n\
         tables:\n  \
           bronze.t: {sql: \"SELECT value AS n FROM generate_series(0, 3)\"}\n  \
           silver.rule:\n    \
             sql: SELECT n FROM bronze.t\n    \
             expect: {n_is_large: {that: n > 5, otherwise: fail}}\n  \
           silver.rows: {sql: \"SELECT 1 / n AS x FROM bronze.t\"}\n  \
           gold.after: {sql: SELECT n FROM silver.rule}\n  \
           gold.beside: {sql: SELECT n FROM bronze.t}\n",
    );
    let ended = sandbox.call(&["run", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert_eq!(count(&ended.events(), "stage_retried"), 0);
    insta::assert_snapshot!(stages(&sandbox));
    let shown = sandbox.call(&["run"]);
    assert!(shown.stdout.contains("silver.rule") && shown.stdout.contains("(data)"));
}

#[test]
fn a_stage_that_takes_too_long_is_stopped_without_a_commit() {
    let sandbox = project(
        "pipeline: p\n\
         tables:\n  \
           silver.endless:\n    \
             timeout: 1s\n    \
             sql: SELECT count(*) AS n FROM generate_series(1, 1000000000000)\n  \
           silver.short: {sql: SELECT 1 AS n}\n",
    );
    let ended = sandbox.call(&["run", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let events = ended.events();
    assert_eq!(
        count(&events, "stage_retried"),
        0,
        "it would take as long again"
    );
    let failed = the(&events, "stage_failed");
    assert_eq!(failed["asset"], "silver.endless");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("longer than 1s"), "{error}");
    assert!(!sandbox.has_table("silver", "endless"));
    assert!(sandbox.has_table("silver", "short"));
}

/// A run that is held at a fail point.
struct Held {
    child: Child,
    gate: PathBuf,
}

impl Held {
    fn at(sandbox: &Sandbox, point: &str) -> Self {
        let gate = sandbox.path().join("gate");
        let mut child = sandbox
            .sluice(&["run", "--json"])
            .env(
                "SLUICE_FAIL_POINT",
                format!("{point}=wait:{}", gate.display()),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !gate.exists() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it never came to {point}"
            );
            std::thread::yield_now();
        }
        Self { child, gate }
    }

    fn go_on(self, sandbox: &Sandbox) -> Ended {
        std::fs::remove_file(&self.gate).unwrap();
        Ended::of(self.child.wait_with_output().unwrap(), sandbox.path())
    }
}

/// Somebody else writes to a table of the project: its rows, with `n` replaced.
fn intrude(sandbox: &Sandbox, table: &str, mode: WriteMode, value: i64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let lakehouse = Lakehouse::open(sandbox.path().join("lakehouse")).unwrap();
        let table: TableName = table.parse().unwrap();
        let schema = lakehouse.load(&table, None).await.unwrap().schema;
        let rows = vec![row(&schema, value)];
        let rows = Box::pin(MemoryStream::try_new(rows, schema, None).unwrap());
        let commit = CommitInfo {
            app_id: "somebody".to_owned(),
            txn_version: value,
            metadata: serde_json::Map::new(),
            description: None,
            rows: Arc::new(AtomicU64::new(0)),
        };
        lakehouse.write(&table, mode, rows, commit).await.unwrap();
    });
}

/// A row whose `n` is `value`, all else NULL.
fn row(schema: &SchemaRef, value: i64) -> RecordBatch {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "n" => Arc::new(Int64Array::from(vec![value])) as _,
            _ => arrow::array::new_null_array(field.data_type(), 1),
        });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

const INGEST: &str = "pipeline: p\ntables:\n  bronze.t:\n    ingest: {files: \"in-*.csv\"}\n";

/// An ingest that is held when its second file is read and not yet committed.
fn second_file() -> (Sandbox, Held) {
    let sandbox = project(INGEST);
    sandbox.write("in-1.csv", "n\n1\n2\n");
    sandbox.run();
    sandbox.write("in-2.csv", "n\n3\n");
    let held = Held::at(&sandbox, "before: commit rows");
    (sandbox, held)
}

fn numbers(sandbox: &Sandbox, table: &str) -> Vec<i64> {
    let rows = sandbox.rows(&format!("SELECT n FROM {table} ORDER BY n"));
    rows.iter().map(|row| row["n"].as_i64().unwrap()).collect()
}

/// Rows that are added go on top of rows that somebody else has added.
#[test]
fn a_race_of_those_who_add_rows_goes_on() {
    let (sandbox, held) = second_file();
    intrude(&sandbox, "bronze.t", WriteMode::Append, 90);
    intrude(&sandbox, "bronze.t", WriteMode::Append, 91);
    let ended = held.go_on(&sandbox);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(count(&ended.events(), "stage_retried"), 0);
    assert_eq!(numbers(&sandbox, "bronze.t"), [1, 2, 3, 90, 91]);
    assert_eq!(count(&sandbox.run(), "stage_skipped"), 1);
}

/// Where somebody replaced the rows, the stage is looked at again, whole.
#[test]
fn a_race_with_somebody_who_replaces_rows_is_decided_anew() {
    let (sandbox, held) = second_file();
    intrude(&sandbox, "bronze.t", WriteMode::Overwrite, 90);
    let ended = held.go_on(&sandbox);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let events = ended.events();
    let retried = the(&events, "stage_retried");
    let error = retried["error"].as_str().unwrap();
    assert!(error.contains("somebody changed its rows"), "{error}");
    let attempts = "SELECT max(attempts) AS n FROM system.stages";
    assert_eq!(sandbox.value(attempts), 2);
    // The attempt that lost left no file behind.
    let folder = std::fs::read_dir(sandbox.path().join("lakehouse/bronze/t")).unwrap();
    let files = folder.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".parquet")
    });
    let added = "SELECT count(*) AS n FROM system.table_versions";
    let own = sandbox.value(added).as_u64().unwrap();
    assert_eq!(files.count() as u64, own + 1, "one of each commit");
}

/// A table that is replaced whole is replaced whatever somebody did to it meanwhile.
#[test]
fn a_query_that_loses_a_race_is_made_again() {
    let sandbox = project("pipeline: p\ntables:\n  silver.t: {sql: SELECT 1 AS n}\n");
    sandbox.run();
    sandbox.edit("pipeline.yaml", "SELECT 1", "SELECT 2");
    let held = Held::at(&sandbox, "before: commit rows");
    intrude(&sandbox, "silver.t", WriteMode::Append, 90);
    let ended = held.go_on(&sandbox);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let events = ended.events();
    let error = the(&events, "stage_retried")["error"].as_str().unwrap();
    assert!(error.contains("somebody added rows to it"), "{error}");
    assert_eq!(numbers(&sandbox, "silver.t"), [2]);
    assert_eq!(count(&sandbox.run(), "stage_skipped"), 1);
}

/// SIGTERM, and what cannot stop: after the grace period, or at the second signal, the process
/// ends all the same, and the next run goes on.
#[cfg(unix)]
#[test]
fn a_run_that_does_not_stop_is_ended() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Command;

    for (grace, second) in [("1s", false), ("1h", true)] {
        let sandbox = project("pipeline: p\ntables:\n  silver.t: {sql: SELECT 1 AS n}\n");
        let gate = sandbox.path().join("gate");
        let mut child = sandbox
            .sluice(&["run", "--grace", grace])
            .env(
                "SLUICE_FAIL_POINT",
                format!("before: finish a stage=wait:{}", gate.display()),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !gate.exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        let id = child.id().to_string();
        let terminate = || {
            let sent = Command::new("kill").args(["-TERM", &id]).status();
            assert!(sent.unwrap().success());
        };
        terminate();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("Stopping"), "{line}");
        if second {
            terminate();
        } else {
            line.clear();
            said.read_line(&mut line).unwrap();
            assert!(line.contains("did not stop within 1s"), "{line}");
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "--grace {grace}");
        std::fs::remove_file(&gate).unwrap();
        let events = sandbox.run();
        assert_eq!(count(&events, "stage_skipped"), 1, "{events:?}");
        let killed = "SELECT count(*) AS n FROM system.runs WHERE status = 'KILLED'";
        assert_eq!(sandbox.value(killed), 1);
    }
}
