//! The example of the README, end to end on the red wines, into a folder of its own.

use crate::sandbox::{Sandbox, count};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wine");

#[test]
fn wine_from_csv_to_a_promoted_model() {
    // The white wines may have been added beside the red ones.
    let white = std::path::Path::new(PROJECT).join("../../data/wine/winequality-white.csv");
    let bottles = if white.exists() { 6497 } else { 1599 };
    let sandbox = Sandbox::new();
    let events = sandbox.run_example(PROJECT, &[]);
    assert_eq!(count(&events, "stage_finished"), 7);
    assert_eq!(count(&events, "trial"), 96);
    assert_eq!(count(&events, "registered"), 2);

    let all = format!("n\n{bottles}\n");
    for table in [
        "bronze.wine",
        "silver.wine",
        "gold.wine",
        "gold.wine_scored",
    ] {
        assert_eq!(
            sandbox.csv(&format!("SELECT count(*) AS n FROM {table}")),
            all,
            "{table}"
        );
    }
    // Header names are snake_case; names match in any case.
    assert_eq!(
        sandbox.csv("SELECT fixed_acidity, PH, is_red FROM silver.wine WHERE is_red LIMIT 0"),
        "fixed_acidity,pH,is_red\n"
    );
    // Equal rows never straddle.
    let columns = sandbox.csv("SELECT * EXCEPT (_split) FROM gold.wine LIMIT 0");
    let straddling = format!(
        "SELECT count(*) AS n FROM (
           SELECT 1 FROM gold.wine GROUP BY {} HAVING count(DISTINCT _split) > 1
         )",
        columns.trim()
    );
    assert_eq!(sandbox.csv(&straddling), "n\n0\n");

    // What was learned: the winner of the search finds good bottles that it has not seen.
    let auc = sandbox.csv(
        "SELECT value FROM system.metrics m
         JOIN system.aliases a ON true
         JOIN system.model_versions v ON v.name = a.name AND v.version = a.version
         WHERE m.run_id = v.run_id AND m.key = 'test.auc'",
    );
    let auc: f64 = auc.lines().nth(1).unwrap().parse().unwrap();
    assert!(
        (0.75..1.0).contains(&auc),
        "test.auc of production is {auc}"
    );
    let apart = sandbox.csv(
        "SELECT avg(p_good) FILTER (WHERE good) > 2 * avg(p_good) FILTER (WHERE NOT good) AS apart
         FROM gold.wine_scored WHERE _split = 'test'",
    );
    assert_eq!(apart, "apart\ntrue\n");

    // The profile of the washed table, complete in itself.
    let report = events
        .iter()
        .find(|event| event["event"] == "report" && event["asset"] == "wine_profile");
    let path = sandbox
        .path()
        .join(report.unwrap()["path"].as_str().unwrap());
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains("quality &gt;= 7") && page.contains("fixed_acidity"));
    assert!(!page.contains("://"), "the page refers to the network");

    let again = sandbox.run_example(PROJECT, &[]);
    assert_eq!(count(&again, "stage_finished"), 0);
    assert_eq!(count(&again, "stage_skipped"), 7);
}
