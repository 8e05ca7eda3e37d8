//! The example of incremental tables, day by day, in a folder of its own.

use crate::sandbox::{Sandbox, count};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incremental");

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let file = |name: &str| std::fs::read_to_string(format!("{PROJECT}/{name}")).unwrap();
    sandbox.write("pipeline.yaml", file("pipeline.yaml"));
    sandbox
}

/// Lets the events of a day arrive, as `day.sh` does.
fn arrive(sandbox: &Sandbox, day: u32) {
    let query = std::fs::read_to_string(format!("{PROJECT}/day.sql")).unwrap();
    let asked = query.replace("SELECT 1 AS n", &format!("SELECT {day} AS n"));
    assert!(day == 1 || asked != query);
    let events = sandbox.csv(&asked);
    sandbox.write(&format!("landing/events-{day}.csv"), events);
}

#[test]
fn each_day_arrives_in_append_merge_and_scd2_tables() {
    let sandbox = sandbox();
    arrive(&sandbox, 1);
    sandbox.run();
    for day in 2..=3 {
        arrive(&sandbox, day);
        let events = sandbox.run();
        let rows = |asset: &str| {
            let made = |event: &&serde_json::Value| {
                event["event"] == "stage_finished" && event["asset"] == asset
            };
            events.iter().find(made).map(|event| event["rows"].clone())
        };
        // 200 events, and 8 of them twice.
        assert_eq!(rows("silver.events"), Some(208.into()));
    }
    assert_eq!(
        sandbox.value("SELECT count(*) AS n FROM silver.events"),
        3 * 208
    );
    // Three files of one table were written together, those of another sorted.
    let done = "SELECT count(*) AS n FROM system.maintenance WHERE table_name = 'bronze.events' AND operation = 'optimize'
        AND files_before = 3 AND files_after = 1";
    assert_eq!(sandbox.value(done), 1);
    let done = "SELECT count(*) AS n FROM system.maintenance WHERE table_name = 'silver.events' AND operation = 'zorder'";
    assert_eq!(sandbox.value(done), 1);
    // What the merge says of each account is its last event.
    let wrong = "SELECT count(*) AS n FROM (
        SELECT account_id, max(happened_at) AS happened_at FROM silver.events WHERE kind IN ('change', 'close')
        GROUP BY account_id
      ) AS last
      LEFT JOIN silver.events AS e ON e.account_id = last.account_id AND e.happened_at = last.happened_at
        AND e.kind IN ('change', 'close')
      LEFT JOIN gold.accounts AS a ON a.account_id = last.account_id
      WHERE (e.kind = 'change') <> (a.account_id IS NOT NULL) OR a.happened_at <> last.happened_at";
    assert_eq!(sandbox.value(wrong), 0);
    // The rows of a history that still hold are the accounts that are open.
    let open = "SELECT account_id, plan, seats, happened_at FROM gold.account_history WHERE __end_at IS NULL";
    let accounts = "SELECT account_id, plan, seats, happened_at FROM gold.accounts";
    for (some, others) in [(open, accounts), (accounts, open)] {
        let differ = format!("SELECT count(*) AS n FROM (({some}) EXCEPT ({others}))");
        assert_eq!(sandbox.value(&differ), 0);
    }
    assert!(
        sandbox
            .value("SELECT count(*) AS n FROM gold.accounts")
            .as_u64()
            > Some(5)
    );
    // Each day was made before its events came; a backfill makes it again.
    let differing = "SELECT count(*) AS n FROM (
        (SELECT CAST(happened_at AS DATE) AS day, count(*) AS uses FROM silver.events
         WHERE kind = 'use' AND happened_at >= TIMESTAMP '2026-03-01 00:00:00' GROUP BY 1)
        EXCEPT (SELECT day, uses FROM gold.daily_use))";
    assert_eq!(sandbox.value(differing), 3);
    let backfill = [
        "run",
        "--json",
        "--select",
        "gold.daily_use",
        "--event-time-start",
        "2026-03-01",
        "--event-time-end",
        "2026-03-04",
    ];
    let ended = sandbox.call(&backfill);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(sandbox.value(differing), 0);
    let ended = "SELECT count(*) AS n FROM gold.account_history WHERE __end_at IS NOT NULL";
    assert!(sandbox.value(ended).as_u64() > Some(20));
    assert_eq!(count(&sandbox.run(), "stage_finished"), 0);
}
