//! Rows in quarantine of a table that is made by intervals: they are of the interval that was
//! asked for, whatever their own time says.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use sluice_lake::delta::{CommitInfo, WriteMode};
use sluice_pipelines::plan::EventTime;
use sluice_pipelines::spec::Instant;

use crate::sandbox::Sandbox;

/// A row is asked for by `asked`, and its time is `day`.
const TABLES: &str = "\
tables:
  bronze.events:
    ingest: {files: data/*.csv}
  gold.days:
    mode: {interval: {column: day, every: 1d, start: 2026-01-01, lookback: 2, concurrency: 2}}
    sql: |
      SELECT CAST(asked AS DATE) AS asked, CAST(day AS DATE) AS day, n FROM bronze.events
      WHERE CAST(asked AS DATE) >= ${start} AND CAST(asked AS DATE) < ${end}
    expect:
      in_its_day: {that: day = asked, otherwise: quarantine}
      small: {that: n < 100, otherwise: quarantine}
";

const EVENTS: &str = "\
asked,day,n
2026-01-01,2026-01-01,1
2026-01-01,,2
2026-01-01,2026-01-02,3
2026-01-01,2026-01-01,100
2026-01-02,2026-01-02,4
2026-01-02,2026-01-01,5
2026-01-02,,6
2026-01-03,2026-01-03,7
2026-01-03,2030-01-01,8
";

/// Runs as if it were some day of January, at noon.
async fn run(sandbox: &Sandbox, day: u32, window: Option<(u32, u32)>) {
    let at = |day: u32, time: &str| Instant::parse(&format!("2026-01-{day:02}T{time}Z")).unwrap();
    let midnight = |day| at(day, "00:00:00");
    let mut plan = sandbox.checked().await;
    plan.event_time = EventTime {
        window: window.map(|(from, to)| (midnight(from), midnight(to))),
        now: Some(at(day, "12:00:00")),
    };
    let ran = sandbox.try_run(plan, |_, _| {}).await.unwrap();
    assert_eq!(ran.summary.failed, 0, "{}", ran.told());
}

/// What is in the table, and in quarantine, by the day that was asked for.
async fn both(sandbox: &Sandbox) -> [String; 2] {
    let kept = "SELECT asked, array_to_string(array_agg(n ORDER BY n), ' ') FROM gold.days GROUP BY 1 ORDER BY 1";
    let aside = "SELECT CAST(_interval_start AS DATE) AS asked, array_to_string(array_agg(n ORDER BY n), ' ') FROM gold.days__quarantine GROUP BY 1 ORDER BY 1";
    let mut both = [String::new(), String::new()];
    for (text, query) in both.iter_mut().zip([kept, aside]) {
        for batch in sandbox.rows(query).await {
            for row in 0..batch.num_rows() {
                let cell = |at: usize| {
                    arrow::util::display::array_value_to_string(batch.column(at), row).unwrap()
                };
                text.push_str(&format!("{}: {}\n", cell(0), cell(1)));
            }
        }
    }
    both
}

/// Takes the last commits of a table back, as a kill before them would have left it.
async fn undo(sandbox: &Sandbox, table: &str, commits: u64) {
    let version = sandbox.version(table).await.unwrap();
    let log = format!("lakehouse/{}/_delta_log", table.replace('.', "/"));
    for version in (0..=version).rev().take(usize::try_from(commits).unwrap()) {
        fs::remove_file(sandbox.path(&format!("{log}/{version:020}.json"))).unwrap();
    }
}

const OF_TWO_DAYS: &str = "2026-01-01: 2 3 100\n2026-01-02: 5 6\n";
const OF_THREE_DAYS: &str = "2026-01-01: 2 3 100\n2026-01-02: 5 6 9\n2026-01-03: 8\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_is_there_once_however_often_its_interval_is_made() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, 3, None).await;
    let [kept, aside] = both(&sandbox).await;
    assert_eq!(kept, "2026-01-01: 1\n2026-01-02: 4\n");
    assert_eq!(aside, OF_TWO_DAYS);

    // One more interval, and the one before again, with a row that is new in it.
    sandbox.write("data/b.csv", "asked,day,n\n2026-01-02,,9\n");
    run(&sandbox, 4, None).await;
    let all = both(&sandbox).await;
    assert_eq!(all[0], "2026-01-01: 1\n2026-01-02: 4\n2026-01-03: 7\n");
    assert_eq!(all[1], OF_THREE_DAYS);

    for window in [(1, 2), (2, 3), (2, 4), (1, 4)] {
        run(&sandbox, 4, Some(window)).await;
        assert_eq!(both(&sandbox).await, all, "{window:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_before_any_of_its_commits_is_made_good() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    sandbox.write("data/b.csv", "asked,day,n\n2026-01-02,,9\n");
    run(&sandbox, 4, None).await;
    let all = both(&sandbox).await;
    assert_eq!(all[1], OF_THREE_DAYS);
    let last = sandbox.version("gold.days").await.unwrap();
    assert_eq!(last, 2, "each interval is a commit of its own");
    // The quarantine was committed, and the table was not: by one interval, by two, by all.
    for commits in 1..=last {
        undo(&sandbox, "gold.days", commits).await;
        run(&sandbox, 4, None).await;
        assert_eq!(both(&sandbox).await, all, "without {commits} commits");
    }
    // Neither was.
    undo(&sandbox, "gold.days", 1).await;
    undo(&sandbox, "gold.days__quarantine", 1).await;
    run(&sandbox, 4, None).await;
    assert_eq!(both(&sandbox).await, all);
    // And while an interval is made again.
    run(&sandbox, 4, Some((1, 3))).await;
    undo(&sandbox, "gold.days", 1).await;
    run(&sandbox, 4, Some((1, 3))).await;
    assert_eq!(both(&sandbox).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_that_does_not_say_the_interval_yet_goes_by_the_rows_own_time() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", EVENTS);
    run(&sandbox, 3, None).await;
    // As it was when rows without a time of their interval were refused.
    let old = "SELECT * EXCEPT (_interval_start) FROM gold.days__quarantine WHERE n IN (5, 100)";
    let rows = sandbox.rows(old).await;
    let rows = MemTable::try_new(rows[0].schema(), vec![rows]).unwrap();
    let rows = SessionContext::new().read_table(Arc::new(rows)).unwrap();
    let commit = CommitInfo {
        app_id: "before".to_owned(),
        txn_version: 1,
        metadata: serde_json::Map::new(),
        description: None,
        rows: Arc::new(AtomicU64::new(0)),
    };
    let quarantine = "gold.days__quarantine".parse().unwrap();
    let lakehouse = sandbox.lakehouse();
    let rows = rows.execute_stream().await.unwrap();
    let written = lakehouse.write(&quarantine, WriteMode::Overwrite, rows, commit);
    written.await.unwrap();

    // Both are of the first day; what is made again takes their place.
    run(&sandbox, 3, Some((2, 3))).await;
    assert_eq!(both(&sandbox).await[1], "2026-01-02: 5 6\n: 5 100\n");
    run(&sandbox, 3, Some((1, 2))).await;
    assert_eq!(both(&sandbox).await[1], OF_TWO_DAYS);
}
