//! Reports: written, skipped, made again when their definition, their table or their page
//! changed, stopped without a trace.

use std::path::PathBuf;

use serde_json::Value;
use sluice_pipelines::events::{EventKind, RunStatus};

use crate::sandbox::{Ran, Sandbox};

const TABLE: &str = "\
tables:
  silver.wine:
    sql: |
      SELECT id, colour, quality, alcohol, CASE WHEN id % 5 = 0 THEN 'test' ELSE 'train' END AS _split
      FROM bronze.wine
  bronze.wine:
    ingest: {files: data/*.csv}
";

const REPORT: &str = "\
reports:
  look:
    comment: What sets good wine apart.
    profile: silver.wine
    by: quality >= 7
    exclude: [colour]
";

fn rows(from: u64, to: u64) -> String {
    let mut text = "id,colour,quality,alcohol\n".to_owned();
    for id in from..to {
        let quality = 3 + id % 6;
        let colour = ["red", "white", ""][(id % 3) as usize];
        text.push_str(&format!("{id},{colour},{quality},{}.5\n", 8 + quality));
    }
    text
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(&format!("{TABLE}{REPORT}"));
    sandbox.write("data/a.csv", rows(0, 300));
    sandbox
}

fn page(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("lakehouse/_reports/p/look.html")
}

fn reports(ran: &Ran) -> Vec<(&str, &str)> {
    let reports = ran.events.iter().filter_map(|event| match event {
        EventKind::Report { asset, path } => Some((asset.as_str(), path.as_str())),
        _ => None,
    });
    reports.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_written_where_the_run_says_and_kept_by_the_run() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   bronze.wine: it was never made
    run   silver.wine: bronze.wine will be made
    run   look: silver.wine will be made
    ");
    let ran = sandbox.run_well().await;
    let path = page(&sandbox);
    assert_eq!(reports(&ran), [("look", path.to_str().unwrap())]);
    let html = std::fs::read_to_string(&path).unwrap();
    assert!(html.contains("What sets good wine apart."));
    assert!(html.contains("quality &gt;= 7"));
    assert!(!html.contains(">colour<"), "what is excluded is not there");

    // The same page and its figures are artifacts of the run, by their content.
    let kept = sandbox
        .path("lakehouse/_artifacts")
        .join(&ran.summary.run_id);
    assert_eq!(
        std::fs::read_to_string(kept.join("reports/look.html")).unwrap(),
        html
    );
    let figures = std::fs::read_to_string(kept.join("reports/look.json")).unwrap();
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert_eq!(figures["rows"], 300);
    assert_eq!(figures["classes"]["classes"][1]["value"], "true");
    assert_eq!(figures["classes"]["classes"][1]["count"], 100);
    assert_eq!(figures["splits"][0]["name"], "train");
    let column = |name: &str| {
        let columns = figures["columns"].as_array().unwrap();
        columns
            .iter()
            .find(|column| column["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(column("quality")["makes_class"], true);
    // The alcohol follows from the quality.
    assert_eq!(figures["warnings"][0]["kind"], "leak");
    assert_eq!(figures["warnings"][0]["columns"][0], "alcohol");

    insta::assert_snapshot!(
        sandbox.query("SELECT asset, kind, status FROM system.stages ORDER BY asset").await,
        @r"
    +-------------+---------+---------+
    | asset       | kind    | status  |
    +-------------+---------+---------+
    | bronze.wine | ingest  | SUCCESS |
    | look        | profile | SUCCESS |
    | silver.wine | sql     | SUCCESS |
    +-------------+---------+---------+
    "
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_made_again_when_something_changed_and_only_then() {
    let sandbox = sandbox();
    sandbox.run_well().await;
    let first = std::fs::read(page(&sandbox)).unwrap();
    let look = |plan: String| plan.lines().last().unwrap().to_owned();
    assert_eq!(
        look(sandbox.plan().await),
        "skip  look: definition and data are unchanged"
    );
    let again = sandbox.run_well().await;
    assert!(reports(&again).is_empty());

    // White space and case are no change, a value is.
    sandbox.edit(
        "comment: What sets good wine apart.",
        "comment: What makes it good.",
    );
    assert_eq!(
        look(sandbox.plan().await),
        "skip  look: definition and data are unchanged"
    );
    sandbox.edit("quality >= 7", "quality >= 6");
    assert_eq!(
        look(sandbox.plan().await),
        "run   look: `by` is quality >= 6 (was quality >= 7)"
    );
    sandbox.edit("quality >= 6", "quality >= 7");
    sandbox.edit(
        "exclude: [colour]",
        "exclude: [colour]\n    sample_rows: 200",
    );
    assert_eq!(
        look(sandbox.plan().await),
        "run   look: `sample_rows` is 200 (was 100000)"
    );
    sandbox.edit("\n    sample_rows: 200", "");

    // New rows.
    sandbox.write("data/b.csv", rows(300, 310));
    assert_eq!(
        look(sandbox.plan().await),
        "run   look: silver.wine will be made"
    );
    sandbox.run_well().await;
    let second = std::fs::read(page(&sandbox)).unwrap();
    assert_ne!(first, second);
    assert_eq!(
        look(sandbox.plan().await),
        "skip  look: definition and data are unchanged"
    );

    // A page that is gone, or is not the one that was written.
    std::fs::remove_file(page(&sandbox)).unwrap();
    assert_eq!(look(sandbox.plan().await), "run   look: its page is gone");
    sandbox.run_well().await;
    assert_eq!(
        std::fs::read(page(&sandbox)).unwrap(),
        second,
        "the same rows, the same page"
    );
    std::fs::write(page(&sandbox), "scribbles").unwrap();
    assert_eq!(
        look(sandbox.plan().await),
        "run   look: something else wrote its page"
    );
    sandbox.run_well().await;
    assert_eq!(std::fs::read(page(&sandbox)).unwrap(), second);

    // What the store forgot is told again.
    sandbox.lose_state();
    sandbox.run_well().await;
    assert_eq!(std::fs::read(page(&sandbox)).unwrap(), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_writes_no_page_and_the_next_one_does() {
    let sandbox = sandbox();
    let stopped = sandbox
        .run_until(|event, cancel| {
            if let EventKind::StageStarted { asset, .. } = event
                && asset == "look"
            {
                cancel.cancel();
            }
        })
        .await;
    assert_eq!(
        stopped.summary.status,
        RunStatus::Cancelled,
        "{}",
        stopped.told()
    );
    assert!(!page(&sandbox).exists());
    let next = sandbox.run_well().await;
    assert_eq!(
        (next.summary.made, next.summary.skipped),
        (1, 2),
        "{}",
        next.told()
    );
    assert!(page(&sandbox).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_lakehouse_that_nobody_makes_can_be_looked_at() {
    let sandbox = sandbox();
    sandbox.run_well().await;
    sandbox.write(
        "other.yaml",
        "pipeline: other\nreports:\n  look:\n    profile: SILVER.wine\n    by: colour\n",
    );
    let ran = sandbox.run_file("other.yaml").await;
    assert_eq!(ran.summary.made, 1);
    let other = sandbox.path("lakehouse/_reports/other/look.html");
    let html = std::fs::read_to_string(&other).unwrap();
    assert!(
        html.contains("silver.wine") && html.contains("NULL"),
        "a class of its own"
    );
    assert_ne!(std::fs::read_to_string(page(&sandbox)).unwrap(), html);
}
