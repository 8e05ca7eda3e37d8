//! `sluice replay`, end to end: a run that is made again from what it kept comes out equal, and
//! what does not is told.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox, apples};

/// The identifier of the run that these events are of.
pub(crate) fn run_id(events: &[Value]) -> String {
    let started = events.iter().find(|event| event["event"] == "run_started");
    started.unwrap()["run_id"].as_str().unwrap().to_owned()
}

/// What a replay says of each stage: `asset verdict`, in the order of their names.
pub(crate) fn verdicts(ended: &Ended) -> Vec<String> {
    let stages = ended.events().into_iter();
    let mut words: Vec<String> = stages
        .filter(|line| line["asset"].is_string())
        .map(|line| format!("{} {}", line["asset"], line["verdict"]).replace('"', ""))
        .collect();
    words.sort();
    words
}

pub(crate) fn stage<'a>(events: &'a [Value], asset: &str) -> &'a Value {
    let found = events.iter().find(|line| line["asset"] == asset);
    found.unwrap_or_else(|| panic!("no {asset} in {events:?}"))
}

pub(crate) fn equal(assets: &[&str]) -> Vec<String> {
    assets
        .iter()
        .map(|asset| format!("{asset} equal"))
        .collect()
}

/// All files of a lakehouse with their sizes, without what SQLite keeps beside its database.
pub(crate) fn files(sandbox: &Sandbox) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    let mut left = vec![sandbox.path().join("lakehouse")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                left.push(entry.path());
            } else if !entry.file_name().to_string_lossy().starts_with("state.db-") {
                all.push((entry.path(), entry.metadata().unwrap().len()));
            }
        }
    }
    all.sort();
    all
}

const APPLES: [&str; 6] = [
    "baseline",
    "bronze.apples",
    "gold.apples",
    "gold.scored",
    "search",
    "silver.apples",
];

/// The definitions of today are another thing; those of then, and the versions of then, count.
#[test]
fn a_run_comes_out_equal_whatever_was_changed_since() {
    let sandbox = Sandbox::apples();
    let first = run_id(&sandbox.run());
    sandbox.edit("pipeline.yaml", "sweet_from: 6", "sweet_from: 5");
    sandbox.edit("pipeline.yaml", "weight > 0", "weight > 100");
    sandbox.edit("pipeline.yaml", "n_estimators: 3", "n_estimators: 4");
    sandbox.write("apples-3.csv", apples::csv(240..300));
    let second = run_id(&sandbox.run());
    // A project that is wrong now, too.
    sandbox.edit("pipeline.yaml", "tables:", "tabels:");
    let before = files(&sandbox);
    for run in [&first, &second] {
        let ended = sandbox.call(&["replay", run, "--json", "--lakehouse", "lakehouse"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert_eq!(verdicts(&ended), equal(&APPLES));
        let events = ended.events();
        let last = events.last().unwrap();
        assert_eq!(last["run_id"], run.as_str());
        assert_eq!((&last["equal"], &last["differs"]), (&6.into(), &0.into()));
    }
    assert_eq!(files(&sandbox), before);
    // Equal definitions are kept once.
    let kept = fs::read_dir(sandbox.path().join("lakehouse/_sluice/definitions/apples"));
    assert_eq!(kept.unwrap().count(), 2);
}

#[test]
fn a_report_for_people_and_a_lakehouse_to_look_into() {
    let sandbox = Sandbox::apples();
    let run = run_id(&sandbox.run());
    let ended = sandbox.call(&["replay", &run[..20], "--into", "again"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    insta::assert_snapshot!(ended.stdout.replace(&run, "[run]"));
    let query = "SELECT count(*) AS n FROM gold.scored";
    let rows = |lakehouse: &str| {
        let ended = sandbox.call(&["sql", "--lakehouse", lakehouse, "--format", "csv", query]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended.stdout
    };
    assert_eq!(rows("again"), rows("lakehouse"));
    // Nothing is overwritten.
    let ended = sandbox.call(&["replay", "--into", "again"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(
        ended.stderr.contains("again is not empty"),
        "{}",
        ended.all()
    );
    // A run that made nothing has nothing to replay; a part of a run is none.
    sandbox.run();
    let ended = sandbox.call(&["replay", "latest"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(ended.stdout.contains("made nothing"), "{}", ended.all());
    let child = sandbox.value("SELECT run_id FROM system.runs WHERE kind = 'sweep'");
    let ended = sandbox.call(&["replay", child.as_str().unwrap()]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(
        ended.stderr.contains(&format!("replay run {run}")),
        "{}",
        ended.all()
    );
}

#[test]
fn chance_differs_and_what_follows_from_it_does_not() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: chance
tables:
  gold.dice:
    sql: |
      SELECT id, random() AS dice FROM (VALUES (1), (2), (3), (4), (5)) AS t(id)
  gold.above:
    sql: |
      SELECT id, dice > 0.5 AS above FROM gold.dice
",
    );
    sandbox.run();
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(ended.code, Some(5), "{}", ended.all());
    assert_eq!(verdicts(&ended), ["gold.above equal", "gold.dice differs"]);
    let events = ended.events();
    let dice = stage(&events, "gold.dice");
    assert_eq!(
        dice["notes"][0],
        "it calls random(), and so may differ each time"
    );
    let table = &dice["tables"][0];
    assert_eq!(
        (&table["missing_rows"], &table["added_rows"]),
        (&5.into(), &5.into())
    );
    assert_eq!(table["missing"].as_array().unwrap().len(), 3);
    assert!(table["missing"][0]["dice"].is_number(), "{table}");
}

#[test]
fn a_file_that_changed_is_told_and_what_follows_is_made_from_the_rows_of_then() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    sandbox.write("apples-2.csv", apples::csv(160..241));
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let mut expected = equal(&APPLES);
    expected[1] = "bronze.apples not_replayable".to_owned();
    assert_eq!(verdicts(&ended), expected);
    let events = ended.events();
    let why = stage(&events, "bronze.apples")["findings"][0]
        .as_str()
        .unwrap();
    assert!(
        why.starts_with("the file apples-2.csv has changed since: its BLAKE3 is "),
        "{why}"
    );
    fs::remove_file(sandbox.path().join("apples-2.csv")).unwrap();
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(verdicts(&ended), expected);
    let events = ended.events();
    let why = stage(&events, "bronze.apples")["findings"][0]
        .as_str()
        .unwrap();
    assert!(
        why.starts_with("the file apples-2.csv is gone: the run read it with "),
        "{why}"
    );
}

#[test]
fn a_version_that_was_vacuumed_is_named() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    for entry in fs::read_dir(sandbox.path().join("lakehouse/silver/apples")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let ended = sandbox.call(&["replay", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let events = ended.events();
    for asset in ["silver.apples", "gold.apples"] {
        let told = stage(&events, asset);
        assert_eq!(told["verdict"], "not_replayable", "{told}");
        let why = told["findings"][0].as_str().unwrap();
        assert!(
            why.contains("version 0 of silver.apples is gone: its data file "),
            "{why}"
        );
    }
    // What reads another table is not concerned.
    assert_eq!(stage(&events, "baseline")["verdict"], "equal");
}

const INCREMENTAL: &str = "pipeline: events
tables:
  bronze.events:
    ingest: {files: events-*.csv}
  silver.seen:
    mode: append
    sql: |
      SELECT id, at, value FROM bronze.events WHERE value < 90
  gold.now:
    mode: {merge: {keys: [id], sequence_by: at}}
    sql: |
      SELECT id, at, value FROM bronze.events
  gold.history:
    mode: {scd2: {keys: [id], sequence_by: at}}
    sql: |
      SELECT id, at, value FROM bronze.events
  gold.days:
    mode: {interval: {column: at, every: 1d, start: 2026-01-01, lookback: 1, batch_size: 100000}}
    sql: |
      SELECT at, count(*) AS events, sum(value) AS total FROM silver.seen
      WHERE at >= ${start} AND at < ${end} GROUP BY at
  gold.total:
    sql: |
      SELECT sum(total) AS total FROM gold.days
";

fn events(day: u32) -> String {
    let rows = (0..40).map(|row| {
        let value = (row * 37 + day * 11) % 100;
        format!(
            "{},2026-01-{:02} 00:00:00,{value}\n",
            row % 9,
            1 + (day + row) % 7
        )
    });
    format!("id,at,value\n{}", rows.collect::<String>())
}

/// Each run went on from the one before; each is made again from where it began.
#[test]
fn runs_that_went_on_from_others_come_out_equal() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", INCREMENTAL);
    let mut runs = Vec::new();
    for day in 1..=3 {
        sandbox.write(&format!("events-{day}.csv"), events(day));
        runs.push(run_id(&sandbox.run()));
    }
    for run in &runs {
        let ended = sandbox.call(&["replay", run, "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        let query = format!(
            "SELECT asset FROM system.stages WHERE run_id = '{run}' AND status = 'SUCCESS' \
             ORDER BY asset"
        );
        let made = sandbox.rows(&query);
        let made: Vec<&str> = made
            .iter()
            .filter_map(|row| row["asset"].as_str())
            .collect();
        assert!(made.len() >= 5, "{made:?}");
        assert_eq!(verdicts(&ended), equal(&made), "{}", ended.all());
        for line in ended.events() {
            assert!(line.get("notes").is_none(), "{line}");
        }
    }
}

/// What goes where secrets go is not kept; what is needed of it is asked for by name.
#[test]
fn secrets_are_not_kept() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: hush
vars:
  only_told: ${env:ONLY_TOLD}
  both: ${env:BOTH}
  limit: ${env:LIMIT}
on_failure:
  webhook:
    url: http://127.0.0.1:1/literal-${secret:HOOK}/${only_told}/${both}
tables:
  gold.t:
    sql_file: t.sql
",
    );
    sandbox.write(
        "t.sql",
        "SELECT id, ${both} AS b FROM (VALUES (1), (2), (3)) AS t(id) WHERE id < ${limit}",
    );
    let call = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = sandbox.sluice(arguments);
        command.envs(environment.iter().copied());
        Ended::of(command.output().unwrap(), sandbox.path())
    };
    let all = [
        ("ONLY_TOLD", "hidden-1"),
        ("BOTH", "hidden-2"),
        ("LIMIT", "4"),
        ("SLUICE_SECRET_HOOK", "hidden-3"),
    ];
    let ended = call(&["run"], &all);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let folder = sandbox.path().join("lakehouse/_sluice/definitions/hush");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let kept = fs::read_to_string(file.path()).unwrap();
    assert!(
        !kept.contains("hidden") && !kept.contains("literal"),
        "{kept}"
    );
    assert!(kept.contains(r#""LIMIT": "4""#), "{kept}");
    let runs = call(
        &["runs", "--lakehouse", "lakehouse", "--format", "json"],
        &[],
    );
    let runs: Value = serde_json::from_str(&runs.stdout).unwrap();
    let run = runs[0]["run_id"].as_str().unwrap();
    let replay = ["replay", run, "--lakehouse", "lakehouse", "--json"];
    let ended = call(&replay, &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(
        ended.stderr.contains("BOTH in the environment"),
        "{}",
        ended.all()
    );
    let ended = call(&replay, &[("BOTH", "hidden-2")]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(verdicts(&ended), ["gold.t equal"]);
    // Another value is another table.
    let ended = call(&replay, &[("BOTH", "other")]);
    assert_eq!(ended.code, Some(5), "{}", ended.all());
    let events = ended.events();
    let note = stage(&events, "gold.t")["notes"][0].as_str().unwrap();
    assert!(note.starts_with("it is not made from the same: "), "{note}");
}
