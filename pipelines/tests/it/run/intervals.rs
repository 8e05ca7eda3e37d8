//! `mode: interval`: each stretch of time is made once, and what is missing is known.

use sluice_pipelines::plan::EventTime;
use sluice_pipelines::spec::Instant;

use crate::sandbox::{Ran, Sandbox};

const TABLES: &str = "\
tables:
  bronze.events:
    ingest: {files: data/*.csv}
  gold.days:
    mode:
      interval: {column: day, every: 1d, start: 2026-01-01, lookback: 1, batch_size: 2, concurrency: 2}
    sql: |
      SELECT CAST(at AS DATE) AS day, count(*) AS events
      FROM bronze.events
      WHERE at >= ${start} AND at < ${end}
      GROUP BY 1
";

const EVENTS: &str = "\
at
2025-12-31T23:00:00
2026-01-01T00:00:00
2026-01-01T23:59:59
2026-01-02T12:00:00
2026-01-04T12:00:00
2026-01-05T12:00:00
";

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn until(now: &str) -> EventTime {
    EventTime {
        window: None,
        now: Some(at(now)),
    }
}

fn within(from: &str, to: &str, now: &str) -> EventTime {
    EventTime {
        window: Some((at(from), at(to))),
        now: Some(at(now)),
    }
}

async fn run(sandbox: &Sandbox, event_time: EventTime) -> Ran {
    let mut plan = sandbox.checked().await;
    plan.event_time = event_time;
    sandbox.try_run(plan, |_, _| {}).await.unwrap()
}

async fn planned(sandbox: &Sandbox, event_time: EventTime) -> String {
    let steps = sandbox.plan_at(event_time).await;
    let step = steps.lines().find(|line| line.contains("gold.days"));
    step.unwrap().to_owned()
}

async fn days(sandbox: &Sandbox) -> String {
    sandbox
        .query("SELECT day, events FROM gold.days ORDER BY day")
        .await
}

async fn ledger(sandbox: &Sandbox) -> String {
    sandbox
        .query("SELECT table_name, start_time, end_time FROM system.intervals ORDER BY start_time")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_intervals_are_made_once_and_the_last_again() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, until("2026-01-04T08:00:00Z")).await;
    insta::assert_snapshot!(days(&sandbox).await, @r"
    +------------+--------+
    | day        | events |
    +------------+--------+
    | 2026-01-01 | 2      |
    | 2026-01-02 | 1      |
    +------------+--------+
    ");
    insta::assert_snapshot!(ledger(&sandbox).await, @r"
    +------------+----------------------+----------------------+
    | table_name | start_time           | end_time             |
    +------------+----------------------+----------------------+
    | gold.days  | 2026-01-01T00:00:00Z | 2026-01-04T00:00:00Z |
    +------------+----------------------+----------------------+
    ");
    // Three intervals, two a batch, each batch one commit.
    assert_eq!(sandbox.version("gold.days").await, Some(1));

    insta::assert_snapshot!(planned(&sandbox, until("2026-01-04T09:00:00Z")).await, @"skip  gold.days: query and inputs are unchanged since version 1");
    insta::assert_snapshot!(planned(&sandbox, until("2026-01-06")).await, @"run   gold.days: 2 intervals missing, from 2026-01-04 to 2026-01-06");
    sandbox.write(
        "data/b.csv",
        "at\n2026-01-01T05:00:00\n2026-01-03T05:00:00\n",
    );
    run(&sandbox, until("2026-01-06")).await;
    // The first day's late event is beyond the lookback.
    insta::assert_snapshot!(days(&sandbox).await, @r"
    +------------+--------+
    | day        | events |
    +------------+--------+
    | 2026-01-01 | 2      |
    | 2026-01-02 | 1      |
    | 2026-01-04 | 1      |
    | 2026-01-05 | 1      |
    +------------+--------+
    ");

    // A stretch of time that somebody asks for is made again, and nothing else.
    let asked = within("2026-01-01", "2026-01-02", "2026-01-06");
    insta::assert_snapshot!(planned(&sandbox, asked).await, @"run   gold.days: 1 interval again, from 2026-01-01 to 2026-01-02");
    run(&sandbox, asked).await;
    insta::assert_snapshot!(sandbox.query("SELECT events FROM gold.days WHERE day = DATE '2026-01-01'").await, @r"
    +--------+
    | events |
    +--------+
    | 3      |
    +--------+
    ");
    insta::assert_snapshot!(ledger(&sandbox).await, @r"
    +------------+----------------------+----------------------+
    | table_name | start_time           | end_time             |
    +------------+----------------------+----------------------+
    | gold.days  | 2026-01-01T00:00:00Z | 2026-01-06T00:00:00Z |
    +------------+----------------------+----------------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_leaves_what_inputs_change_elsewhere_to_the_next_run() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, until("2026-01-06")).await;
    sandbox.write(
        "data/b.csv",
        "at\n2026-01-01T01:00:00\n2026-01-05T13:00:00\n",
    );
    run(&sandbox, within("2026-01-01", "2026-01-02", "2026-01-06")).await;
    insta::assert_snapshot!(planned(&sandbox, until("2026-01-06")).await, @"run   gold.days: 1 interval missing, from 2026-01-05 to 2026-01-06");
    run(&sandbox, until("2026-01-06")).await;
    insta::assert_snapshot!(days(&sandbox).await, @r"
    +------------+--------+
    | day        | events |
    +------------+--------+
    | 2026-01-01 | 3      |
    | 2026-01-02 | 1      |
    | 2026-01-04 | 1      |
    | 2026-01-05 | 2      |
    +------------+--------+
    ");
    let then = planned(&sandbox, until("2026-01-06")).await;
    assert!(then.starts_with("skip"), "{then}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_lost_knows_the_intervals_again() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, until("2026-01-03")).await;
    sandbox.edit(
        "  gold.days:\n",
        "  gold.days:\n    comment: Events of a day.\n",
    );
    run(&sandbox, until("2026-01-03")).await;
    sandbox.lose_state();
    let told = run(&sandbox, until("2026-01-04")).await.told();
    insta::assert_snapshot!(told, @r"
    bronze.events: skipped: its file is unchanged since version 0
    gold.days: made: 0 rows, version 2
    p: warning: the history of 2 earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse
    Finished: 1 made, 1 skipped, 0 failed
    ");
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.days").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_time_are_refused_and_definitions_start_anew() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, until("2026-01-03")).await;
    sandbox.edit("WHERE at >= ${start} AND at < ${end}", "WHERE at < ${end}");
    insta::assert_snapshot!(planned(&sandbox, until("2026-01-03")).await, @"run   gold.days: recomputed in full: its definition changed: the query has `... bronze.events WHERE at <` (was `... bronze.events WHERE at >= ${start} AND at <`); 2 intervals missing, from 2026-01-01 to 2026-01-03");
    let before = days(&sandbox).await;
    let ran = run(&sandbox, until("2026-01-03")).await;
    insta::assert_snapshot!(ran.told(), @r"
    bronze.events: skipped: its file is unchanged since version 0
    gold.days: failed: a row with `day` 2025-12-31 is not among the rows that are replaced: day >= 2026-01-01 AND day < 2026-01-03
    Failed: 0 made, 1 skipped, 1 failed
    ");
    assert_eq!(days(&sandbox).await, before);
    sandbox.edit("WHERE at < ${end}", "WHERE at < ${end} AND ${start} <= at");
    run(&sandbox, until("2026-01-03")).await;
    assert_eq!(days(&sandbox).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_counts_the_rows_of_all_batches() {
    let rule = "    expect: {busy: {that: events > 1}, days_once: {unique: [day]}}\n";
    let sandbox = Sandbox::new(&format!("{TABLES}{rule}"));
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, until("2026-01-06T08:00:00Z")).await;
    let counts = "SELECT name, rows, failed FROM system.expectations ORDER BY name";
    // Three batches of two days each.
    insta::assert_snapshot!(sandbox.query(counts).await, @r"
    +-----------+------+--------+
    | name      | rows | failed |
    +-----------+------+--------+
    | busy      | 4    | 3      |
    | days_once | 4    | 0      |
    +-----------+------+--------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_not_made_anew_and_one_without_intervals_says_so() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    let now = "2026-01-04T08:00:00Z";
    run(&sandbox, until(now)).await;
    let before = days(&sandbox).await;

    let mut plan = sandbox.checked().await;
    plan.event_time = within("2026-01-02", "2026-01-03", now);
    plan.refreshed = [plan.position("gold.days").unwrap()].into();
    let ran = sandbox.try_run(plan, |_, _| {}).await.unwrap();
    insta::assert_snapshot!(ran.failure("gold.days"), @"`--full-refresh` makes all its intervals anew, and a range asks for some, so nothing was written; leave out the range, or `--full-refresh`: the intervals of a range are made whether they are there or not");
    assert_eq!(days(&sandbox).await, before);

    // Of what changed in the meantime nothing counts as seen.
    sandbox.write("data/b.csv", "at\n2026-01-03T12:00:00\n");
    for (from, to) in [("2025-12-01", "2026-01-01"), ("2026-01-04", "2026-01-05")] {
        let asked = within(from, to, now);
        let ran = run(&sandbox, asked).await;
        let told = ran.told();
        assert!(
            told.contains("no interval that is over lies from"),
            "{told}"
        );
    }
    insta::assert_snapshot!(planned(&sandbox, within("2025-12-01", "2026-01-01", now)).await, @"skip  gold.days: no interval that is over lies from 2025-12-01 to 2026-01-01: the first is 2026-01-01 to 2026-01-02, the last 2026-01-03 to 2026-01-04");
    run(&sandbox, until(now)).await;
    let third = "SELECT events FROM gold.days WHERE day = DATE '2026-01-03'";
    assert_eq!(sandbox.value(third).await, "1");
}
