//! `mode: append`: only new rows are read, and none is doubled or lost.

use crate::sandbox::Sandbox;

const TABLES: &str = "\
tables:
  bronze.wine:
    ingest: {files: data/*.csv}
  bronze.names:
    ingest: {files: names.csv}
  silver.wine:
    mode: {append: {from: bronze.wine}}
    expect: {once: {unique: id, otherwise: fail}}
    sql: |
      SELECT w.id, w.quality, n.name
      FROM bronze.wine AS w LEFT JOIN bronze.names AS n ON n.quality = w.quality
      WHERE w.id > 0
";

const ROWS: &str = "SELECT * EXCEPT (name), name FROM silver.wine ORDER BY id";

async fn made() -> Sandbox {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", "id,quality\n0,5\n1,5\n2,6\n");
    sandbox.write("names.csv", "quality,name\n5,fair\n");
    sandbox.run_well().await;
    sandbox
}

/// The data files that a version of silver.wine added and removed.
fn actions(sandbox: &Sandbox, version: u64) -> (usize, usize) {
    let log = format!("lakehouse/silver/wine/_delta_log/{version:020}.json");
    let log = std::fs::read_to_string(sandbox.path(&log)).unwrap();
    let count = |action: &str| log.lines().filter(|line| line.starts_with(action)).count();
    (count("{\"add\""), count("{\"remove\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_new_rows_are_read() {
    let sandbox = made().await;
    let nothing = "id,quality\n0,9\n";
    sandbox.write("data/b.csv", "id,quality\n3,5\n");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("silver.wine: made: 1 rows"), "{told}");
    assert_eq!(actions(&sandbox, 1), (1, 0));
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +----+---------+------+
    | id | quality | name |
    +----+---------+------+
    | 1  | 5       | fair |
    | 2  | 6       |      |
    | 3  | 5       | fair |
    +----+---------+------+
    ");

    // The table that is read whole changed, and then rows that the query leaves out came.
    sandbox.write("names.csv", "quality,name\n5,fair\n6,good\n");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("silver.wine: skipped"), "{told}");
    sandbox.write("data/c.csv", nothing);
    sandbox.run_well().await;
    assert_eq!(sandbox.version("silver.wine").await, Some(1));
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 3 files are unchanged since version 2
    skip  bronze.names: its file is unchanged since version 1
    skip  silver.wine: query and inputs are unchanged since version 1
    ");

    // Both at once: new rows see what is there now, old ones stay as they were.
    sandbox.write("names.csv", "quality,name\n5,fine\n6,good\n");
    sandbox.write("data/d.csv", "id,quality\n4,6\n5,5\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +----+---------+------+
    | id | quality | name |
    +----+---------+------+
    | 1  | 5       | fair |
    | 2  | 6       |      |
    | 3  | 5       | fair |
    | 4  | 6       | good |
    | 5  | 5       | fine |
    +----+---------+------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_says_is_planned() {
    let sandbox = made().await;
    sandbox.write("data/b.csv", "id,quality\n3,5\n");
    // As a run of bronze.wine alone would leave it.
    let mut plan = sandbox.checked().await;
    plan.chosen = [plan.position("bronze.wine").unwrap()].into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
    insta::assert_snapshot!(sandbox.plan_of("silver.wine").await, @"run   silver.wine: bronze.wine is at version 1 (was 0): 1 new row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_rows_went_is_refused_until_somebody_asks() {
    let sandbox = made().await;
    let before = sandbox.query(ROWS).await;
    sandbox.write("data/a.csv", "id,quality\n1,5\n7,6\n");
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r"
    bronze.names: skipped: its file is unchanged since version 0
    bronze.wine: made: 2 rows, version 1
    silver.wine: failed: 2 rows of bronze.wine went or changed since version 0, and `append` only adds rows, so nothing was written; make it anew with `--full-refresh silver.wine`, or always then with `refresh: full`
    Failed: 1 made, 1 skipped, 1 failed
    ");
    assert_eq!(sandbox.query(ROWS).await, before);
    insta::assert_snapshot!(sandbox.plan_of("silver.wine").await, @"run   silver.wine: bronze.wine is at version 1 (was 0): version 1 rewrote rows, which is refused if any of them went");

    let mut plan = sandbox.checked().await;
    plan.refreshed = [plan.position("silver.wine").unwrap()].into();
    sandbox.try_run(plan, |_, _| {}).await.unwrap();
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +----+---------+------+
    | id | quality | name |
    +----+---------+------+
    | 1  | 5       | fair |
    | 7  | 6       |      |
    +----+---------+------+
    ");

    // Rows that were written again, and stayed, are no rows that went.
    sandbox.write("data/a.csv", "id,quality\n7,6\n1,5\n8,5\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value("SELECT count(*) FROM silver.wine").await, "3");

    sandbox.edit("mode: {append", "refresh: full\n    mode: {append");
    sandbox.write("data/a.csv", "id,quality\n1,5\n");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("silver.wine: made: 1 rows"), "{told}");

    // The whole table of that name is another one.
    sandbox.edit("refresh: full", "refresh: auto");
    std::fs::remove_dir_all(sandbox.path("lakehouse/bronze/wine")).unwrap();
    let told = sandbox.run().await.told();
    assert!(told.contains("bronze.wine was created anew"), "{told}");
    assert!(told.contains("--full-refresh silver.wine"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_definition_makes_the_table_anew_unless_refresh_is_strict() {
    let sandbox = made().await;
    sandbox.edit("WHERE w.id > 0", "WHERE w.id >= 0");
    insta::assert_snapshot!(sandbox.plan_of("silver.wine").await, @"run   silver.wine: recomputed in full: its definition changed: the query has `... r0.quality WHERE r0.id >= 0` (was `... r0.quality WHERE r0.id > 0`)");
    sandbox.edit("mode: {append", "refresh: strict\n    mode: {append");
    insta::assert_snapshot!(sandbox.plan_of("silver.wine").await, @"fails silver.wine: it would be recomputed in full, and `refresh` is `strict`: its definition changed: the query has `... r0.quality WHERE r0.id >= 0` (was `... r0.quality WHERE r0.id > 0`); make it anew with `--full-refresh silver.wine`, or set `refresh: auto`");
    let ran = sandbox.run().await;
    assert_eq!(ran.summary.failed, 1, "{}", ran.told());
    assert_eq!(sandbox.value("SELECT count(*) FROM silver.wine").await, "2");
    sandbox.edit("refresh: strict", "refresh: auto");
    sandbox.run_well().await;
    assert_eq!(sandbox.value("SELECT count(*) FROM silver.wine").await, "3");
    assert_eq!(actions(&sandbox, 1), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_lost_or_older_doubles_and_loses_nothing() {
    let sandbox = made().await;
    let store = |name: &str| sandbox.path(&format!("lakehouse/{name}"));
    std::fs::copy(store("state.db"), store("backup.db")).unwrap();
    sandbox.write("data/b.csv", "id,quality\n3,5\n");
    sandbox.run_well().await;
    // The commits are there, and the store does not know of them.
    sandbox.lose_state();
    std::fs::rename(store("backup.db"), store("state.db")).unwrap();
    sandbox.write("data/c.csv", "id,quality\n4,5\n");
    sandbox.run_well().await;
    assert_eq!(sandbox.value("SELECT count(*) FROM silver.wine").await, "4");
    sandbox.lose_state();
    sandbox.write("data/d.csv", "id,quality\n5,5\n");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("silver.wine: made: 1 rows"), "{told}");
    assert_eq!(sandbox.value("SELECT count(*) FROM silver.wine").await, "5");
}

/// Queries that can be asked of new rows alone, over `bronze.wine` and `bronze.names`.
const ROW_WISE: [&str; 7] = [
    "SELECT id, quality FROM bronze.wine WHERE quality > 5 ORDER BY id",
    "WITH w AS (SELECT * FROM bronze.wine) SELECT w.id, w.quality * 2 AS twice FROM w",
    "SELECT id, 'low' AS kind FROM bronze.wine WHERE quality < 6 UNION ALL SELECT id, 'all' FROM bronze.wine",
    "SELECT id, unnest([quality, quality + 1]) AS q FROM bronze.wine",
    "SELECT w.id, n.name FROM bronze.names AS n RIGHT JOIN bronze.wine AS w USING (quality)",
    "SELECT w.id, n.name FROM bronze.wine AS w, bronze.names AS n WHERE n.quality = w.quality",
    "SELECT id FROM bronze.wine WHERE quality IN (SELECT quality FROM bronze.names) AND id < (SELECT count(*) * 100 FROM bronze.names)",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_what_all_rows_give() {
    use std::fmt::Write as _;
    let mut pipeline = "tables:\n  bronze.wine: {ingest: {files: data/*.csv}}\n  bronze.names: {ingest: {files: names.csv}}\n".to_owned();
    for (number, sql) in ROW_WISE.iter().enumerate() {
        let mode = "{append: {from: bronze.wine}}";
        writeln!(
            pipeline,
            "  silver.q{number}:\n    mode: {mode}\n    sql: |\n      {sql}"
        )
        .unwrap();
        writeln!(pipeline, "  gold.q{number}:\n    sql: |\n      {sql}").unwrap();
    }
    let sandbox = Sandbox::new(&pipeline);
    sandbox.write("names.csv", "quality,name\n5,fair\n6,good\n6,fine\n");
    for (file, rows) in [
        ("a", "1,5\n2,6\n2,6\n"),
        ("b", "3,5\n4,6\n5,7\n"),
        ("c", "6,6\n1,5\n"),
    ] {
        sandbox.write(&format!("data/{file}.csv"), format!("id,quality\n{rows}"));
        sandbox.run_well().await;
    }
    for (number, sql) in ROW_WISE.iter().enumerate() {
        let mut sorted = Vec::new();
        for layer in ["silver", "gold"] {
            let rows = sandbox
                .query(&format!("SELECT * FROM {layer}.q{number}"))
                .await;
            let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
            rows.sort();
            sorted.push(rows);
        }
        assert!(sorted[0].len() > 6, "{sql}");
        assert_eq!(sorted[0], sorted[1], "{sql}");
        assert_eq!(
            sandbox.version(&format!("silver.q{number}")).await,
            Some(2),
            "{sql}"
        );
    }
}
