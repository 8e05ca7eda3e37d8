//! Rows in quarantine: where they go, when they go from there, and what a kill leaves.

use sluice_pipelines::events::RunStatus;

use crate::sandbox::Sandbox;

const ASIDE: &str = "SELECT * EXCEPT (_run_id, _quarantined_at) FROM a.b__quarantine ORDER BY x";

fn ruled() -> Sandbox {
    Sandbox::new(
        "\
tables:
  a.source:
    sql: SELECT x, s FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'd')) AS t (x, s)
  a.b:
    sql: SELECT * FROM a.source
    split: {parts: {train: 1.0}}
    expect:
      few: {that: x < 3, otherwise: quarantine}
      named: {that: s IS NOT NULL, otherwise: drop}
      short: {that: length(s) < 9, otherwise: warn}
  a.worst:
    sql: SELECT x, _broken_rules FROM a.b__quarantine
",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_there_with_the_rules_that_they_break() {
    let sandbox = ruled();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: few (quarantine): 2 of 4 rows break it
    a.b: made: 2 rows, version 0
    a.b: named (drop): 1 of 4 rows break it
    a.b: short (warn): 1 of 4 rows break it
    a.source: made: 4 rows, version 0
    a.worst: made: 2 rows, version 0
    Finished: 3 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * FROM a.b ORDER BY x").await, @r"
    +---+---+--------+
    | x | s | _split |
    +---+---+--------+
    | 1 | a | train  |
    | 2 | b | train  |
    +---+---+--------+
    ");
    insta::assert_snapshot!(sandbox.query(ASIDE).await, @r"
    +---+---+---------------------+
    | x | s | _broken_rules       |
    +---+---+---------------------+
    | 3 |   | [few, named, short] |
    |   | d | [few]               |
    +---+---+---------------------+
    ");
    let whose = "SELECT count(*) FROM a.b__quarantine AS q JOIN system.runs AS r ON r.run_id = q._run_id WHERE _quarantined_at BETWEEN start_time - INTERVAL '1 minute' AND start_time + INTERVAL '1 minute'";
    assert_eq!(sandbox.value(whose).await, "2");
    assert_eq!(sandbox.value("SELECT count(*) FROM a.worst").await, "2");
    let versions =
        "SELECT version, rows FROM system.table_versions WHERE table_name = 'a.b__quarantine'";
    insta::assert_snapshot!(sandbox.query(versions).await, @r"
    +---------+------+
    | version | rows |
    +---------+------+
    | 0       | 2    |
    +---------+------+
    ");

    // Nothing changed: nothing is done.
    let again = sandbox.run_well().await;
    assert_eq!(again.summary.skipped, 3, "{}", again.told());
    // The table is remade: what was aside goes, and an empty quarantine is one.
    sandbox.edit("(3, NULL), (NULL, 'd')", "(2, 'c')");
    sandbox.run_well().await;
    assert_eq!(
        sandbox.value("SELECT count(*) FROM a.b__quarantine").await,
        "0"
    );
    assert_eq!(sandbox.version("a.b__quarantine").await, Some(1));
    sandbox.edit("(2, 'c')", "(2, 'd')");
    sandbox.run_well().await;
    assert_eq!(sandbox.version("a.b__quarantine").await, Some(1));
    // Somebody removes it: it is made again, with the table.
    std::fs::remove_dir_all(sandbox.path("lakehouse/a/b__quarantine")).unwrap();
    insta::assert_snapshot!(sandbox.plan_of("a.b").await, @r"run   a.b: a.b__quarantine is gone");
    sandbox.run_well().await;
    assert_eq!(sandbox.version("a.b__quarantine").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_put_there_when_the_table_is_not_made() {
    let sandbox = ruled();
    sandbox.edit("otherwise: warn}", "otherwise: fail}");
    sandbox.edit("length(s) < 9", "length(s) < 1");
    assert_eq!(sandbox.run().await.summary.status, RunStatus::Failed);
    assert_eq!(sandbox.version("a.b__quarantine").await, None);
    sandbox.edit("length(s) < 1", "true");
    sandbox.run_well().await;
    let before = sandbox.query(ASIDE).await;
    sandbox.edit("that: true", "that: length(s) < 1");
    sandbox.edit("x < 3", "x < 2");
    assert_eq!(sandbox.run().await.summary.status, RunStatus::Failed);
    assert_eq!(sandbox.query(ASIDE).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_files_follow_their_file() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: data/*.csv, evolve: true}\n    expect: {low: {that: id < 3, otherwise: quarantine}}\n",
    );
    let aside = "SELECT * EXCEPT (_run_id, _quarantined_at, _ingested_at) FROM bronze.a__quarantine ORDER BY id";
    sandbox.write("data/a.csv", "id\n1\n7\n");
    sandbox.write("data/b.csv", "id\n8\n2\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(aside).await, @r"
    +----+------------+------+---------------+
    | id | _file      | _row | _broken_rules |
    +----+------------+------+---------------+
    | 7  | data/a.csv | 2    | [low]         |
    | 8  | data/b.csv | 1    | [low]         |
    +----+------------+------+---------------+
    ");
    sandbox.write("data/a.csv", "id\n1\n2\n");
    sandbox.write("data/c.csv", "id\n9\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(aside).await, @r"
    +----+------------+------+---------------+
    | id | _file      | _row | _broken_rules |
    +----+------------+------+---------------+
    | 8  | data/b.csv | 1    | [low]         |
    | 9  | data/c.csv | 1    | [low]         |
    +----+------------+------+---------------+
    ");
    // Other columns: what files left that are gone stays, as far as there are columns for it.
    std::fs::remove_file(sandbox.path("data/b.csv")).unwrap();
    sandbox.write("data/c.csv", "id,note\n9,x\n1,y\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(aside).await, @r"
    +----+------+------------+------+---------------+
    | id | note | _file      | _row | _broken_rules |
    +----+------+------------+------+---------------+
    | 8  |      | data/b.csv | 1    | [low]         |
    | 9  | x    | data/c.csv | 1    | [low]         |
    +----+------+------------+------+---------------+
    ");
    insta::assert_snapshot!(sandbox.query("SELECT id, note, _file FROM bronze.a ORDER BY _file, id").await, @r"
    +----+------+------------+
    | id | note | _file      |
    +----+------+------------+
    | 1  |      | data/a.csv |
    | 2  |      | data/a.csv |
    | 2  |      | data/b.csv |
    | 1  | y    | data/c.csv |
    +----+------+------------+
    ");
}

/// The rows in quarantine were committed, and those of the table were not.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_between_the_two_tables_is_made_good() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: data/*.csv}\n    expect: {low: {that: id < 3, otherwise: quarantine}}\n  a.b:\n    sql: SELECT * FROM bronze.a\n    expect: {lower: {that: id < 2, otherwise: quarantine}}\n",
    );
    sandbox.write("data/a.csv", "id\n1\n2\n7\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id\n1\n8\n2\n");
    sandbox.run_well().await;
    let tables = ["bronze.a", "bronze.a__quarantine", "a.b", "a.b__quarantine"];
    let rows = |table: &str| {
        let query = format!("SELECT id FROM {table} ORDER BY id");
        let sandbox = &sandbox;
        async move { sandbox.query(&query).await }
    };
    let mut before = Vec::new();
    for table in tables {
        before.push(rows(table).await);
    }
    for table in ["a/b", "bronze/a"] {
        let log = sandbox.path(&format!("lakehouse/{table}/_delta_log"));
        std::fs::remove_file(log.join(format!("{:020}.json", 1))).unwrap();
    }
    sandbox.run_well().await;
    for (table, before) in tables.iter().zip(&before) {
        assert_eq!(rows(table).await, *before, "{table}");
    }
}

/// Which rows are there does not depend on how many work side by side.
#[tokio::test(flavor = "multi_thread")]
async fn scored_tables_and_selectors_know_it() {
    let sandbox = ruled();
    sandbox.run_well().await;
    let plan = sandbox.checked().await;
    let table = "a.b__quarantine".parse().unwrap();
    assert_eq!(plan.maker_of(&table), plan.position("a.b"));
    let (worst, maker) = (
        plan.position("a.worst").unwrap(),
        plan.position("a.b").unwrap(),
    );
    assert!(plan.depends[worst].contains(&maker));
}
