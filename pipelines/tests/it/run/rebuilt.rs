//! A lakehouse whose state store is lost.

use crate::sandbox::{Sandbox, model_bytes};

const ALL: &str = "\
tables:
  bronze.wine:
    ingest: {files: data/*.csv}
  gold.wine:
    sql: |
      SELECT id AS x, id % 10 > 4 AS good,
             CASE id % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM bronze.wine
  gold.scored:
    sql: SELECT *, predict('models:/wine@production', *) AS p FROM gold.wine
models:
  forest:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 2, seed: 1}}
    register: {as: wine, alias: production}
  loose:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 2, seed: 1}}
";

fn numbers(range: std::ops::Range<u32>) -> String {
    let lines = range.map(|number| format!("{number}\n"));
    std::iter::once("id\n".to_owned()).chain(lines).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_twice_and_no_number_is_used_again() {
    let sandbox = Sandbox::new(ALL);
    sandbox.write("data/a.csv", numbers(0..60));
    sandbox.write("data/b.csv", numbers(60..100));
    sandbox.run_well().await;
    sandbox.edit(
        "n_estimators: 2, seed: 1}}\n    register",
        "n_estimators: 3, seed: 1}}\n    register",
    );
    sandbox.run_well().await;
    let rows = "SELECT x, p FROM gold.scored ORDER BY x";
    let before = sandbox.query(rows).await;
    sandbox.lose_state();
    insta::assert_snapshot!(sandbox.plan().await, @r"
    maybe bronze.wine: the state store is gone: a run tells it again from the lakehouse first
    maybe gold.wine: the state store is gone: a run tells it again from the lakehouse first
    maybe forest: the state store is gone: a run tells it again from the lakehouse first
    maybe gold.scored: the state store is gone: a run tells it again from the lakehouse first
    maybe loose: the state store is gone: a run tells it again from the lakehouse first
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 2 files are unchanged since version 0
    forest: made: version 2
    forest: not trained: version 2 was trained so, and is only judged again
    forest: wine 2, production stays: production names this version already
    gold.scored: skipped: query and inputs are unchanged since version 1
    gold.wine: skipped: query and inputs are unchanged since version 0
    loose: made: version none
    loose: not trained: models:/wine/1 was trained so, and is used again
    p: warning: the history of 2 earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse
    Finished: 2 made, 3 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 2 files are unchanged since version 0
    forest: skipped: definition and data are unchanged since version 2
    gold.scored: skipped: query and inputs are unchanged since version 1
    gold.wine: skipped: query and inputs are unchanged since version 0
    loose: skipped: definition and data are unchanged
    Finished: 0 made, 5 skipped, 0 failed
    ");
    assert_eq!(sandbox.query(rows).await, before);
    insta::assert_snapshot!(
        sandbox.query("SELECT name, alias, version, previous, reason FROM system.alias_history ORDER BY version").await,
        @r"
    +------+------------+---------+----------+----------------------+
    | name | alias      | version | previous | reason               |
    +------+------------+---------+----------+----------------------+
    | wine | production | 1       |          | forest: no condition |
    | wine | production | 2       | 1        | forest: no condition |
    +------+------------+---------+----------+----------------------+
    "
    );
    insta::assert_snapshot!(sandbox.query("SELECT path, rows, version FROM system.files ORDER BY path").await, @r"
    +------------+------+---------+
    | path       | rows | version |
    +------------+------+---------+
    | data/a.csv | 60   | 0       |
    | data/b.csv | 40   | 0       |
    +------------+------+---------+
    ");

    // The latest version is thrown away, the store is lost: its number is not used again.
    std::fs::remove_dir_all(sandbox.path("lakehouse/_models/wine/2")).unwrap();
    sandbox.lose_state();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 2 files are unchanged since version 0
    forest: made: version 3
    forest: wine 3, production moved: version 2, the champion, is gone
    gold.scored: made: 100 rows, version 2
    gold.wine: skipped: query and inputs are unchanged since version 0
    loose: made: version none
    loose: not trained: models:/wine/1 was trained so, and is used again
    p: warning: the history of 2 earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse
    Finished: 3 made, 2 skipped, 0 failed
    ");
    let versions = sandbox.versions("wine").await;
    let numbers: Vec<i64> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [1, 3]);
    // New files are still only added.
    sandbox.write("data/c.csv", numbers_of(100));
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 1 rows, version 1
    forest: made: version 4
    forest: wine 4, production moved: no condition
    gold.scored: made: 101 rows, version 3
    gold.wine: made: 101 rows, version 1
    loose: made: version none
    Finished: 5 made, 0 skipped, 0 failed
    ");
}

fn numbers_of(number: u32) -> String {
    numbers(number..number + 1)
}

/// A store from a backup knows less than the lakehouse.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_a_backup_learns_what_it_missed() {
    let sandbox = Sandbox::new(ALL);
    sandbox.write("data/a.csv", numbers(0..100));
    sandbox.run_well().await;
    let kept = std::fs::read(sandbox.path("lakehouse/state.db")).unwrap();
    sandbox.write("data/b.csv", numbers(100..130));
    sandbox.run_well().await;
    let second = model_bytes(&sandbox.versions("wine").await[1]);
    sandbox.lose_state();
    std::fs::write(sandbox.path("lakehouse/state.db"), kept).unwrap();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 2 files are unchanged since version 1
    forest: made: version 2
    forest: not trained: version 2 was trained so, and is only judged again
    forest: wine 2, production stays: production names this version already
    gold.scored: skipped: query and inputs are unchanged since version 1
    gold.wine: skipped: query and inputs are unchanged since version 1
    loose: made: version none
    loose: not trained: models:/wine/2 was trained so, and is used again
    p: warning: the history of 1 earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse
    Finished: 2 made, 3 skipped, 0 failed
    ");
    let versions = sandbox.versions("wine").await;
    assert_eq!(versions.len(), 2);
    assert_eq!(model_bytes(&versions[1]), second);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM bronze.wine").await,
        "130"
    );
}
