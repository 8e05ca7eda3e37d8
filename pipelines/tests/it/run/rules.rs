//! Rules and splits over real tables.

use sluice_pipelines::events::RunStatus;

use crate::sandbox::Sandbox;

const ROWS: &str =
    "SELECT x, s FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'd')) AS t (x, s)";

fn ruled(rules: &str) -> Sandbox {
    Sandbox::new(&format!("tables:\n  a.b:\n    sql: {ROWS}\n{rules}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_writes_nothing_and_the_old_version_stays() {
    let sandbox = ruled("    expect: {low: {that: x IS NULL OR x < 4, otherwise: fail}}\n");
    sandbox.run_well().await;
    sandbox.edit("x < 4", "x < 3");
    let ran = sandbox.run().await;
    assert_eq!(ran.summary.status, RunStatus::Failed);
    insta::assert_snapshot!(ran.told(), @r"
    a.b: failed: expectation `low` failed: 1 of 4 rows break it, so nothing was written; see the rows with: SELECT * FROM (SELECT x, s FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'd')) AS t (x, s)) WHERE (x IS NULL OR x < 3) IS NOT TRUE
    a.b: low (fail): 1 of 4 rows break it
    Failed: 0 made, 0 skipped, 1 failed
    ");
    assert_eq!(sandbox.version("a.b").await, Some(0));
    assert_eq!(sandbox.value("SELECT count(*) FROM a.b").await, "4");
    // The query in the message shows the rows.
    let told = ran.failure("a.b");
    let query = told.split("see the rows with: ").nth(1).unwrap();
    insta::assert_snapshot!(sandbox.query(query).await, @r"
    +---+---+
    | x | s |
    +---+---+
    | 3 |   |
    +---+---+
    ");
    // A first version that fails leaves no table.
    let fresh = ruled("    expect: {low: {that: x < 3, otherwise: fail}}\n");
    assert_eq!(fresh.run().await.summary.status, RunStatus::Failed);
    assert_eq!(fresh.version("a.b").await, None);
    // Later runs try again.
    fresh.edit("x < 3", "true");
    fresh.run_well().await;
    assert_eq!(fresh.version("a.b").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn null_breaks_a_rule_drop_drops_and_warn_tells() {
    let sandbox = ruled(
        "    expect:\n      few: {that: x < 3}\n      named: {that: s IS NOT NULL, otherwise: drop}\n      small: {that: x < 9, otherwise: drop}\n",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: few (warn): 2 of 4 rows break it
    a.b: made: 2 rows, version 0
    a.b: named (drop): 1 of 4 rows break it
    a.b: small (drop): 1 of 4 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * FROM a.b ORDER BY x").await, @r"
    +---+---+
    | x | s |
    +---+---+
    | 1 | a |
    | 2 | b |
    +---+---+
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT asset, name, rule, otherwise, rows, failed FROM system.expectations ORDER BY name").await,
        @r"
    +-------+-------+---------------+-----------+------+--------+
    | asset | name  | rule          | otherwise | rows | failed |
    +-------+-------+---------------+-----------+------+--------+
    | a.b   | few   | x < 3         | warn      | 4    | 2      |
    | a.b   | named | s IS NOT NULL | drop      | 4    | 1      |
    | a.b   | small | x < 9         | drop      | 4    | 1      |
    +-------+-------+---------------+-----------+------+--------+
    "
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unique_looks_at_the_table_that_would_be() {
    let rows = "SELECT * FROM (VALUES (1, 'a', 1), (1, 'b', 2), (1, 'a', 3), (NULL, 'a', 4), (NULL, 'a', 5)) AS t (x, s, n)";
    let sandbox = Sandbox::new(&format!(
        "tables:\n  a.b:\n    sql: {rows}\n    expect:\n      pairs: {{unique: [X, s], otherwise: fail}}\n      xs: {{unique: x}}\n"
    ));
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r"
    a.b: failed: expectation `pairs` failed: 1 of 5 rows repeat what another has in (x, s), such as x = 1, s = a, so nothing was written
    a.b: pairs (fail): 1 of 5 rows repeat what another has in (x, s), such as x = 1, s = a
    a.b: xs (warn): 2 of 5 rows repeat what another has in (x), such as x = 1
    Failed: 0 made, 0 skipped, 1 failed
    ");
    assert_eq!(sandbox.version("a.b").await, None);
    // Rows that another rule drops are not in the table.
    sandbox.edit(
        "      xs: {unique: x}\n",
        "      xs: {unique: x}\n      early: {that: n < 3, otherwise: drop}\n",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: early (drop): 3 of 5 rows break it
    a.b: made: 2 rows, version 0
    a.b: pairs (fail): 0 of 2 rows break it
    a.b: xs (warn): 1 of 2 rows repeat what another has in (x), such as x = 1
    Finished: 1 made, 0 skipped, 0 failed
    ");
}

/// Rows that are there already count when files are added.
#[tokio::test(flavor = "multi_thread")]
async fn unique_looks_across_the_files_of_a_table() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: data/*.csv}\n    expect: {ids: {unique: id, otherwise: fail}}\n",
    );
    sandbox.write("data/a.csv", "id\n1\n2\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id\n2\n3\n");
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r"
    bronze.a: failed: expectation `ids` failed: 1 of 4 rows repeat what another has in (id), such as id = 2, so nothing was written
    bronze.a: ids (fail): 1 of 4 rows repeat what another has in (id), such as id = 2
    Failed: 0 made, 0 skipped, 1 failed
    ");
    assert_eq!(sandbox.version("bronze.a").await, Some(0));
    // The rows of a file that changed are replaced: its own old ones do not count.
    sandbox.write("data/a.csv", "id\n1\n4\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.a: ids (fail): 0 of 4 rows break it
    bronze.a: made: 4 rows, version 1
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT id FROM bronze.a ORDER BY id").await, @r"
    +----+
    | id |
    +----+
    | 1  |
    | 2  |
    | 3  |
    | 4  |
    +----+
    ");
}

const SPLIT: &str = "\
tables:
  a.rows:
    sql: SELECT value AS x, value % 7 AS g FROM generate_series(1, 5000)
  a.split:
    sql: SELECT * FROM a.rows
    split:
      parts: {train: 0.6, validation: 0.2, test: 0.2}
      seed: 1
";

#[tokio::test(flavor = "multi_thread")]
async fn split_keeps_its_shares_and_rows_stay_where_they_are() {
    let sandbox = Sandbox::new(SPLIT);
    sandbox.run_well().await;
    let shares = "SELECT _split, count(*) BETWEEN 5000 * s - 150 AND 5000 * s + 150 AS ok FROM a.split JOIN (VALUES ('train', 0.6), ('validation', 0.2), ('test', 0.2)) AS p (part, s) ON part = _split GROUP BY _split, s ORDER BY _split";
    insta::assert_snapshot!(sandbox.query(shares).await, @r"
    +------------+------+
    | _split     | ok   |
    +------------+------+
    | test       | true |
    | train      | true |
    | validation | true |
    +------------+------+
    ");
    sandbox.run_well().await;
    let old = "SELECT sum(x) AS s, count(*) AS n FROM a.split WHERE _split = 'test' AND x <= 5000";
    let before = sandbox.query(old).await;
    sandbox.edit("generate_series(1, 5000)", "generate_series(1, 6000)");
    sandbox.run_well().await;
    assert_eq!(sandbox.query(old).await, before);
    sandbox.edit("seed: 1", "seed: 2");
    sandbox.run_well().await;
    assert_ne!(sandbox.query(old).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_by_columns_keeps_groups_together_and_tells_what_straddles() {
    let sandbox = Sandbox::new(&format!("{SPLIT}      by: [G]\n"));
    assert_eq!(sandbox.run_well().await.warnings(), Vec::<&str>::new());
    let together = "SELECT max(n) AS parts FROM (SELECT count(DISTINCT _split) AS n FROM a.split GROUP BY g) AS t";
    assert_eq!(sandbox.value(together).await, "1");
    // `_id` is no content, and it decides: equal rows can be in two parts.
    sandbox.edit("value AS x, value % 7 AS g", "value AS _id, value % 7 AS g");
    sandbox.edit("by: [G]", "by: [_id]");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.rows: made: 5000 rows, version 1
    a.split: made: 5000 rows, version 1
    a.split: warning: 5000 rows have an equal in another part of the split: `by:` lets them straddle
    Finished: 2 made, 0 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_breaks_half_way_writes_nothing() {
    let sandbox = Sandbox::new(
        "tables:\n  a.b:\n    sql: SELECT 1 / (value - 30000) AS x FROM generate_series(1, 60000)\n",
    );
    insta::assert_snapshot!(sandbox.run().await.told(), @r"
    a.b: failed: divide by zero error
    Failed: 0 made, 0 skipped, 1 failed
    ");
    assert_eq!(sandbox.version("a.b").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_row_of_a_file_is_told_by_its_place() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: data/*.csv}\n    expect: {low: {that: id < 3, otherwise: fail}}\n",
    );
    sandbox.write("data/a.csv", "id\n1\n2\n");
    sandbox.write("data/b.csv", "id\n2\n\n3\n4\n");
    insta::assert_snapshot!(sandbox.run().await.told(), @r"
    bronze.a: failed: expectation `low` failed: 2 of 5 rows break it, so nothing was written; the first is row 2 of data/b.csv
    bronze.a: low (fail): 2 of 5 rows break it
    Failed: 0 made, 0 skipped, 1 failed
    ");
}
