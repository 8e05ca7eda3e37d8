//! A table that comes back from a backup and is written again: its versions have the numbers of
//! others, and whoever read those knows.

use std::process::Command;

use crate::sandbox::Sandbox;

const PIPELINE: &str = "\
pipeline: p
lakehouse: lakehouse
tables:
  bronze.a: {ingest: {files: 'in/*.csv'}}
  silver.whole: {sql: 'SELECT id, v FROM bronze.a'}
  silver.appended: {mode: append, sql: 'SELECT id, v FROM bronze.a'}
  silver.merged: {mode: {merge: {keys: [id]}}, sql: 'SELECT id, v FROM bronze.a'}
  silver.history:
    mode: {scd2: {keys: [id], sequence_by: _ingested_at}}
    sql: SELECT id, v, _ingested_at FROM bronze.a
";

/// Moves or copies a folder of the sandbox.
fn shell(sandbox: &Sandbox, words: &[&str]) {
    let status = Command::new(words[0])
        .args(&words[1..])
        .current_dir(sandbox.path())
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn readers_of_a_table_that_was_restored_follow_it_or_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("in/a.csv", "id,v\n1,1\n");
    sandbox.run();
    shell(&sandbox, &["cp", "-a", "lakehouse/bronze", "backup"]);
    sandbox.write("in/b.csv", "id,v\n2,2\n");
    sandbox.run();
    shell(&sandbox, &["rm", "-r", "lakehouse/bronze"]);
    shell(&sandbox, &["mv", "backup", "lakehouse/bronze"]);
    // Version 1 again, with another row.
    sandbox.write("in/b.csv", "id,v\n2,222\n");
    let plan = sandbox.call(&["plan"]);
    assert!(plan.all().contains("bronze.a"), "{}", plan.all());
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let why = "bronze.a was restored and written again: its version 1 is another one";
    assert!(ended.all().contains("silver.appended"), "{}", ended.all());
    let reason = "SELECT reason FROM system.stages WHERE asset = 'silver.whole' ORDER BY start_time DESC LIMIT 1";
    assert_eq!(sandbox.value(reason), why);
    let rows = |table: &str, of: &str| {
        let query = format!(
            "SELECT string_agg(CAST(v AS VARCHAR), ',' ORDER BY id, v) AS v FROM {table}{of}"
        );
        sandbox.value(&query)
    };
    assert_eq!(rows("silver.whole", ""), "1,222");
    assert_eq!(rows("silver.merged", ""), "1,222");
    assert_eq!(rows("silver.history", " WHERE __end_at IS NULL"), "1,222");
    // Nothing can tell an appended table which of its rows are gone.
    let again = sandbox.call(&["run"]);
    assert_eq!(again.code, Some(1), "{}", again.all());
    assert!(
        again.all().contains("--full-refresh silver.appended"),
        "{}",
        again.all()
    );
    let anew = sandbox.call(&["run", "--full-refresh", "silver.appended"]);
    assert_eq!(anew.code, Some(0), "{}", anew.all());
    assert_eq!(rows("silver.appended", ""), "1,222");
    let last = sandbox.run();
    assert!(last.iter().all(|event| event["event"] != "stage_started"));
}
