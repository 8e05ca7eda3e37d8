//! Tables of keys, end to end: what changes in files arrives in `merge` and `scd2` tables, and
//! leaves them as if they had been made whole.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::interrupted::kill_after;
use crate::sandbox::{Sandbox, count};

const PIPELINE: &str = "pipeline: keyed
lakehouse: lakehouse
tables:
  bronze.changes:
    ingest: {files: changes-*.csv}
  gold.now:
    mode:
      merge:
        keys: [id]
        sequence_by: changed_at
        delete_when: op = 'd'
    sql: |
      SELECT id, changed_at, op, value, value * 2 AS twice FROM bronze.changes WHERE value < 90
  gold.plain:
    mode: {merge: {keys: [id, op], sequence_by: changed_at}}
    sql: |
      SELECT id, op, changed_at, value FROM bronze.changes
  gold.history:
    mode:
      scd2:
        keys: [id]
        sequence_by: changed_at
        delete_when: op = 'd'
    sql: |
      SELECT id, changed_at, op, value FROM bronze.changes WHERE value < 90
";

/// Changes of a day, by chance: some late, some twice, some of things that are new.
fn changes(seed: u64, rows: u64) -> String {
    let mut text = "id,changed_at,op,value\n".to_owned();
    for row in 0..rows {
        let dice = |salt: u64| {
            let mixed = (seed * 7919 + row * 31 + salt)
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (mixed >> 33) % 1000
        };
        let op = if dice(1) % 6 == 0 { "d" } else { "u" };
        let (id, at, value) = (dice(2) % 60, seed * 3 + dice(3) % 9, dice(4) % 100);
        writeln!(
            text,
            "{id},2026-01-{:02} 00:00:00,{op},{value}",
            1 + at % 28
        )
        .unwrap();
    }
    text
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("changes-1.csv", changes(1, 150));
    sandbox
}

const TABLES: [(&str, &str); 3] = [
    ("gold.now", "id"),
    ("gold.plain", "id, op"),
    ("gold.history", "id, __start_at"),
];

/// The rows of a table of keys in a lakehouse.
fn rows(sandbox: &Sandbox, lakehouse: &str, (table, keys): (&str, &str)) -> String {
    let query = format!("SELECT * FROM {table} ORDER BY {keys}");
    let ended = sandbox.call(&["sql", "--lakehouse", lakehouse, "--format", "csv", &query]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.stdout
}

/// Makes everything anew elsewhere, and compares.
fn assert_as_made_whole(sandbox: &Sandbox, step: &str) {
    let again = format!("again-{step}");
    let ended = sandbox.call(&["run", "--lakehouse", &again]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    for table in TABLES {
        assert_eq!(
            rows(sandbox, "lakehouse", table),
            rows(sandbox, &again, table),
            "{} after {step}",
            table.0
        );
    }
}

/// How many rows a run wrote into a table.
fn written(events: &[Value], asset: &str) -> Option<u64> {
    let made = events
        .iter()
        .find(|event| event["event"] == "stage_finished" && event["asset"] == asset)?;
    made["rows"].as_u64()
}

#[test]
fn increments_are_as_a_table_that_is_made_whole() {
    let sandbox = sandbox();
    sandbox.run();
    assert_as_made_whole(&sandbox, "begin");
    let all = sandbox.value("SELECT count(*) AS n FROM gold.now");

    // Few new rows, of which some are late: few keys are written.
    sandbox.write("changes-2.csv", changes(2, 12));
    let events = sandbox.run();
    assert_as_made_whole(&sandbox, "append");
    let few = written(&events, "gold.now").unwrap();
    assert!(few <= 12 && few < all.as_u64().unwrap(), "{few} of {all}");
    let naive = "SELECT count(*) AS n FROM (
        (SELECT id, changed_at, value FROM (
            SELECT *, row_number() OVER (
                PARTITION BY id ORDER BY changed_at DESC, op DESC, value DESC) AS place
            FROM bronze.changes WHERE value < 90)
         WHERE place = 1 AND op <> 'd')
        EXCEPT (SELECT id, changed_at, value FROM gold.now))";
    assert_eq!(sandbox.value(naive), 0);

    // A file that is changed takes rows away and brings others.
    let text = changes(1, 150);
    let without: Vec<&str> = text
        .lines()
        .enumerate()
        .filter(|(n, _)| n % 7 != 3)
        .map(|(_, l)| l)
        .collect();
    sandbox.write("changes-1.csv", without.join("\n") + "\n");
    sandbox.run();
    for table in &TABLES[..2] {
        let again = sandbox.call(&["run", "--lakehouse", "again-changed"]);
        assert_eq!(again.code, Some(0), "{}", again.all());
        assert_eq!(
            rows(&sandbox, "lakehouse", *table),
            rows(&sandbox, "again-changed", *table)
        );
    }
    // What a history knows it keeps.
    let lost = sandbox.value(
        "SELECT count(*) AS n FROM gold.history
         WHERE NOT EXISTS (SELECT 1 FROM bronze.changes b
                           WHERE b.id = history.id AND b.changed_at = history.__start_at)",
    );
    assert!(lost.as_u64().unwrap() > 0, "{lost}");
    let overlapping = "SELECT count(*) AS n FROM gold.history a JOIN gold.history b
        ON a.id = b.id AND a.__start_at < b.__start_at
        AND (a.__end_at IS NULL OR a.__end_at > b.__start_at)";
    assert_eq!(sandbox.value(overlapping), 0);

    // What a history adds comes from the column that orders it.
    let lineage = sandbox.call(&["lineage", "gold.history", "--format", "json"]);
    let lineage: Value = serde_json::from_str(&lineage.stdout).unwrap();
    let mut columns = lineage["columns"].as_array().unwrap().iter();
    let ended = columns
        .find(|column| column["column"] == "__end_at")
        .unwrap();
    assert_eq!(ended["roots"][0]["column"], "changed_at", "{ended}");

    // Nothing new: nothing is made.
    assert_eq!(count(&sandbox.run(), "stage_finished"), 0);
}

#[test]
fn a_source_that_is_rewritten_as_it_was_writes_nothing() {
    let sandbox = sandbox();
    sandbox.run();
    let version = |table: &str| {
        let log = sandbox
            .path()
            .join(format!("lakehouse/gold/{table}/_delta_log"));
        std::fs::read_dir(log).unwrap().count()
    };
    let before = ["now", "plain", "history"].map(version);
    // The same rows in another order, and one that no query keeps the last of.
    let text = changes(1, 150);
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    sandbox.write("changes-1.csv", lines.join("\n") + "\n");
    sandbox.run();
    assert_eq!(["now", "plain", "history"].map(version), before);
    assert_eq!(
        count(&sandbox.run(), "stage_finished"),
        0,
        "the new key was recorded"
    );
}

#[test]
fn killed_while_it_merges_it_goes_on() {
    let undisturbed = sandbox();
    undisturbed.run();
    undisturbed.write("changes-2.csv", changes(2, 40));
    let start = Instant::now();
    undisturbed.run();
    let took = start.elapsed();
    for number in 0..3_u32 {
        let sandbox = sandbox();
        sandbox.run();
        sandbox.write("changes-2.csv", changes(2, 40));
        let delay: Duration = took * (2 * number + 1) / 6;
        kill_after(sandbox.sluice(&["run", "--json"]), delay);
        sandbox.run();
        for table in TABLES {
            assert_eq!(
                rows(&sandbox, "lakehouse", table),
                rows(&undisturbed, "lakehouse", table),
                "killed after {delay:?} of {took:?}"
            );
        }
    }
}
