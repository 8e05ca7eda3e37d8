//! `--event-time-start` and `--event-time-end`: the intervals that a command is about.

use crate::sandbox::{Ended, Sandbox};

const PIPELINE: &str = "\
pipeline: days
tables:
  bronze.events:
    ingest: {files: events.csv}
  gold.days:
    mode:
      interval: {column: day, every: day, start: 2026-01-01, batch_size: 30}
    sql: |
      SELECT CAST(at AS DATE) AS day, count(*) AS events
      FROM bronze.events WHERE at >= ${start} AND at < ${end}
      GROUP BY 1
";

fn between(sandbox: &Sandbox, command: &str, start: &str, end: &str, more: &[&str]) -> Ended {
    let window = ["--event-time-start", start, "--event-time-end", end];
    sandbox.call(&[&[command], window.as_slice(), more].concat())
}

fn days(sandbox: &Sandbox) -> String {
    sandbox.csv("SELECT day, events FROM gold.days ORDER BY day")
}

#[test]
fn a_stretch_of_time_is_made_again_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write(
        "events.csv",
        "at\n2026-01-01T10:00:00\n2026-01-02T10:00:00\n2026-01-03T10:00:00\n",
    );
    let ran = between(&sandbox, "run", "2026-01-02", "2026-01-04", &["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    insta::assert_snapshot!(days(&sandbox), @r"
    day,events
    2026-01-02,1
    2026-01-03,1
    ");
    // What was left out is missing, and a run makes it.
    let plan = sandbox.call(&["plan", "-s", "gold.days"]);
    assert!(plan.stdout.contains("from 2026-01-01"), "{}", plan.all());
    sandbox.run();
    insta::assert_snapshot!(days(&sandbox), @r"
    day,events
    2026-01-01,1
    2026-01-02,1
    2026-01-03,1
    ");
    insta::assert_snapshot!(sandbox.csv("SELECT table_name, start_time FROM system.intervals"), @r"
    table_name,start_time
    gold.days,2026-01-01T00:00:00Z
    ");
    let again = between(&sandbox, "plan", "2026-01-02", "2026-01-02T01:00:00Z", &[]);
    assert!(again.stdout.contains("1 interval again"), "{}", again.all());
}

#[test]
fn a_time_that_makes_no_sense_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("events.csv", "at\n2026-01-01T10:00:00\n");
    let backwards = between(&sandbox, "run", "2026-01-02", "2026-01-01", &[]);
    let nothing = ["-s", "bronze.events"];
    let nothing = between(&sandbox, "run", "2026-01-01", "2026-01-02", &nothing);
    let words = between(&sandbox, "run", "monday", "2026-01-01", &[]);
    let open = sandbox.call(&["run", "--event-time-start", "2026-01-01"]);
    let told: Vec<String> = [backwards, nothing, words, open]
        .iter()
        .map(|ended| {
            assert_eq!(ended.code, Some(2), "{}", ended.all());
            ended.stderr.clone()
        })
        .collect();
    insta::assert_snapshot!(told.join("----\n"), @r"
    error: `--event-time-start 2026-01-02 --event-time-end 2026-01-01` selects nothing: the time ends before it starts
    ----
    error: `--event-time-start 2026-01-01 --event-time-end 2026-01-02` selects nothing: no selected table has `mode: {interval: ...}`
    ----
    error: invalid value 'monday' for '--event-time-start <TIME>': write such as 2026-01-01 or 2026-01-01T06:00:00Z

    For more information, try '--help'.
    ----
    error: the following required arguments were not provided:
      --event-time-end <TIME>

    Usage: sluice run --event-time-start <TIME> --event-time-end <TIME> [PROJECT]

    For more information, try '--help'.
    ");
}
