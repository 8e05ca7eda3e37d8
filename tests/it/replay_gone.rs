//! `sluice replay` of runs of which something is gone: versions that were vacuumed, commits that
//! were cut from the log. What can still be made again is; the rest is named, and is no difference.

use std::fs;

use serde_json::Value;

use crate::maintenance::age;
use crate::replay::{equal, run_id, stage, verdicts};
use crate::sandbox::{Ended, Sandbox};

const GROWING: &str = "pipeline: growing
tables:
  bronze.events:
    ingest: {files: events-*.csv}
  silver.seen:
    mode: append
    sql: SELECT id, at, value FROM bronze.events WHERE value < 90
  gold.now:
    mode: {merge: {keys: [id], sequence_by: at}}
    sql: SELECT id, at, value FROM bronze.events
  gold.history:
    mode: {scd2: {keys: [id], sequence_by: at}}
    sql: SELECT id, at, value FROM bronze.events
  gold.total:
    sql: SELECT count(*) AS seen FROM silver.seen
";

/// Rows of a day, with values from `least` on.
fn events(day: u32, least: u32) -> String {
    let rows = (0..20).map(|row| {
        let value = least + (row * 37 + day * 11) % 100;
        let at = day + row % 2;
        format!("{},2026-01-{at:02} 00:00:00,{value}\n", row % 9)
    });
    format!("id,at,value\n{}", rows.collect::<String>())
}

fn arrive(sandbox: &Sandbox, day: u32) -> String {
    sandbox.write(&format!("events-{day}.csv"), events(day, 0));
    run_id(&sandbox.run())
}

/// A project after some runs, each with a file of its own.
fn grown(days: u32) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", GROWING);
    let runs = (1..=days).map(|day| arrive(&sandbox, day)).collect();
    (sandbox, runs)
}

/// Writes all files of a table together, and removes those that it had.
fn rewrite(sandbox: &Sandbox, table: &str) {
    let maintain = "maintain:
  tables:
    optimize: {small_files: 2}
    vacuum: {}
    checkpoint: {every: 1}
tables:
";
    sandbox.write("pipeline.yaml", GROWING.replace("tables:\n", maintain));
    for _ in 0..2 {
        let ended = sandbox.call(&["maintain", "--now", "--select", table]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        age(sandbox, &table.replace('.', "/"));
    }
    sandbox.write("pipeline.yaml", GROWING);
}

fn replay(sandbox: &Sandbox, run: &str) -> Ended {
    sandbox.call(&["replay", run, "--json"])
}

fn words<'a>(events: &'a [Value], asset: &str, key: &str) -> &'a str {
    stage(events, asset)[key][0].as_str().unwrap_or_default()
}

/// Changes are read from files that no later version has. What can be made from all rows, too,
/// is compared; rows that can only be added are not.
#[test]
fn changes_whose_files_were_vacuumed_are_named() {
    let (sandbox, runs) = grown(3);
    rewrite(&sandbox, "bronze.events");
    let ended = replay(&sandbox, &runs[2]);
    let events = ended.events();
    assert_eq!(
        verdicts(&ended),
        [
            "bronze.events not_replayable",
            "gold.history equal",
            "gold.now equal",
            "gold.total equal",
            "silver.seen not_replayable",
        ],
        "{}",
        ended.all()
    );
    assert_eq!(ended.code, Some(1));
    let untold = "what changed in bronze.events from version 1 to 2 cannot be told any more: data files that version 2 of bronze.events changed were removed by VACUUM; restore what is gone from a backup";
    let why = words(&events, "silver.seen", "findings");
    assert!(why.starts_with(untold), "{why}");
    for asset in ["gold.now", "gold.history"] {
        let note = words(&events, asset, "notes");
        assert!(note.contains(untold), "{note}");
    }
    let why = words(&events, "bronze.events", "findings");
    assert!(
        why.starts_with("version 1 of bronze.events is gone"),
        "{why}"
    );
}

#[test]
fn changes_whose_commits_were_cut_are_named() {
    let (sandbox, runs) = grown(3);
    // Silver's own log, and what it reads, is all there but for the entries of bronze.
    let log = sandbox.path().join("lakehouse/bronze/events/_delta_log");
    sandbox.edit(
        "pipeline.yaml",
        "tables:\n",
        "maintain: {tables: {checkpoint: {every: 1}}}\ntables:\n",
    );
    let checkpoint = ["maintain", "--now", "--select", "bronze.events"];
    assert_eq!(sandbox.call(&checkpoint).code, Some(0));
    for version in 0..=2 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let ended = replay(&sandbox, &runs[2]);
    let events = ended.events();
    assert_eq!(
        stage(&events, "silver.seen")["verdict"],
        "not_replayable",
        "{}",
        ended.all()
    );
    let why = words(&events, "silver.seen", "findings");
    assert!(
        why.contains("the log of bronze.events does not say any more what version 2 changed"),
        "{why}"
    );
    assert_eq!(
        stage(&events, "gold.total")["verdict"],
        "equal",
        "{}",
        ended.all()
    );
}

/// A version whose files were written together since is read from those, whatever came later.
#[test]
fn rows_that_lie_in_other_files_now_are_found() {
    let (sandbox, runs) = grown(2);
    // Nothing of it is seen: the run leaves the table as it found it.
    sandbox.write("events-3.csv", events(3, 90));
    let third = run_id(&sandbox.run());
    let made = ["bronze.events", "gold.history", "gold.now", "silver.seen"];
    rewrite(&sandbox, "silver.seen");
    for later in [false, true] {
        if later {
            arrive(&sandbox, 4);
        }
        let ended = replay(&sandbox, &third);
        assert_eq!(verdicts(&ended), equal(&made), "{}", ended.all());
        // What a run before it made is there, what that began with is not.
        let ended = replay(&sandbox, &runs[1]);
        let events = ended.events();
        assert_eq!(
            stage(&events, "gold.total")["verdict"],
            "equal",
            "{}",
            ended.all()
        );
        let why = words(&events, "silver.seen", "findings");
        assert!(why.starts_with("version 0 of silver.seen is gone"), "{why}");
    }
}

/// A table that is made whole needs nothing of what was there before.
#[test]
fn a_table_that_is_made_whole_is_made_without_what_was_there() {
    let (sandbox, runs) = grown(2);
    rewrite(&sandbox, "gold.total");
    let ended = replay(&sandbox, &runs[1]);
    let events = ended.events();
    assert_eq!(
        stage(&events, "gold.total")["verdict"],
        "equal",
        "{}",
        ended.all()
    );
}

/// Only what a stage makes beside its table goes with it, whatever it is called.
#[test]
fn tables_that_begin_alike_are_tables_of_their_own() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: alike
tables:
  gold.t__daily:
    sql: SELECT id FROM (VALUES (1), (2)) AS v(id)
  gold.t:
    sql: SELECT count(*) AS n FROM gold.t__daily
",
    );
    sandbox.run();
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(
        verdicts(&ended),
        equal(&["gold.t", "gold.t__daily"]),
        "{}",
        ended.all()
    );
}
