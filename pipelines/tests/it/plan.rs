//! What a run would do, and why.

use crate::sandbox::Sandbox;

const TABLES: &str = "\
vars: {least: 1}
tables:
  bronze.wine:
    ingest: {files: data/*.csv}
  silver.wine:
    sql: |
      SELECT w.id, w.quality FROM bronze.wine AS w WHERE w.id >= ${least}
  gold.wine:
    sql: WITH s AS (SELECT * FROM silver.wine) SELECT quality, count(*) AS bottles FROM s GROUP BY quality
";

async fn made() -> Sandbox {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", "id,quality\n1,5\n2,6\n");
    sandbox.write("data/b.csv", "id,quality\n3,5\n");
    sandbox.run_well().await;
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_the_first_time_and_nothing_the_second() {
    let sandbox = Sandbox::new(TABLES);
    sandbox.write("data/a.csv", "id,quality\n1,5\n2,6\n");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   bronze.wine: it was never made
    run   silver.wine: bronze.wine will be made
    run   gold.wine: silver.wine will be made
    ");
    assert!(!sandbox.path("lakehouse").exists(), "a plan writes nothing");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its file is unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 0
    skip  gold.wine: query and inputs are unchanged since version 0
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its file is unchanged since version 0
    gold.wine: skipped: query and inputs are unchanged since version 0
    silver.wine: skipped: query and inputs are unchanged since version 0
    Finished: 0 made, 3 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_tells_its_columns_and_what_it_reads() {
    let sandbox = made().await;
    let steps = sandbox.detailed().await;
    let gold = steps.iter().find(|step| step.step.asset == "gold.wine");
    let gold = serde_json::to_value(gold).unwrap();
    let named = serde_json::json!([
        {"name": "quality", "type": "Int64"},
        {"name": "bottles", "type": "Int64"},
    ]);
    assert_eq!(gold["columns"], named);
    assert_eq!(
        (&gold["action"], &gold["rows"]),
        (&"skip".into(), &2.into())
    );
    assert_eq!(gold["reads"][0]["table"], "silver.wine");
    assert_eq!(gold["reads"][0]["rows"], 3);
    assert!(gold["reads"][0]["bytes"].as_u64().unwrap() > 100);
    // A table from files tells its columns before it is made, and what there is to read.
    let bronze = steps.iter().find(|step| step.step.asset == "bronze.wine");
    let bronze = serde_json::to_value(bronze).unwrap();
    assert_eq!(bronze["columns"][0]["name"], "id");
    let written = "id,quality\n1,5\n2,6\n".len() + "id,quality\n3,5\n".len();
    assert_eq!(bronze["files"]["count"], 2);
    assert_eq!(bronze["files"]["bytes"], written);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_that_only_looks_different_is_unchanged() {
    let sandbox = made().await;
    sandbox.edit(
        "SELECT w.id, w.quality FROM bronze.wine AS w WHERE w.id >= ${least}",
        "-- The bottles.\n      select t.id, t.quality -- and more\n      from bronze.wine as t\n\n      where t.id >= ${least};",
    );
    sandbox.edit(
        "sql: WITH s AS (SELECT * FROM silver.wine) SELECT quality, count(*) AS bottles FROM s GROUP BY quality",
        "comment: Bottles of a quality.\n    sql: >\n      WITH wines AS (SELECT * FROM silver.wine)\n      SELECT quality, COUNT(*) AS bottles\n      FROM wines GROUP BY quality",
    );
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 0
    skip  gold.wine: query and inputs are unchanged since version 0; only its comment changes
    ");
    // Another query is another query, even if it means the same.
    sandbox.edit(
        "SELECT * FROM silver.wine",
        "SELECT id, quality FROM silver.wine",
    );
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 0
    run   gold.wine: its definition changed: the query has `... r0 AS (SELECT id, quality FROM` (was `... r0 AS (SELECT * FROM`)
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_and_variables_that_change() {
    let mut sandbox = made().await;
    sandbox.set("least", "1");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 0
    skip  gold.wine: query and inputs are unchanged since version 0
    ");
    sandbox.set("least", "2");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    run   silver.wine: the variable `least` is 2 (was 1)
    run   gold.wine: silver.wine will be made
    ");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 1
    skip  gold.wine: query and inputs are unchanged since version 1
    ");

    sandbox.edit(
        "  gold.wine:\n",
        "  gold.wine:\n    expect: {any: {that: bottles > 0}}\n",
    );
    sandbox.edit(
        "ingest: {files: data/*.csv}",
        "ingest: {files: [data/a.csv, data/b.csv]}",
    );
    insta::assert_snapshot!(sandbox.plan().await, @r#"
    skip  bronze.wine: its definition changed: `files` is ["data/a.csv","data/b.csv"] (was ["data/*.csv"]); no file is new
    skip  silver.wine: query and inputs are unchanged since version 1
    run   gold.wine: its definition changed: its rules
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_change_and_go() {
    let sandbox = made().await;
    sandbox.write("data/c.csv", "id,quality\n4,7\n");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   bronze.wine: 1 new file
    run   silver.wine: bronze.wine will be made
    run   gold.wine: silver.wine will be made
    ");
    sandbox.write("data/a.csv", "id,quality\n1,5\n2,9\n");
    sandbox.write("data/b.csv", "id,quality\n3,9\n");
    sandbox.write("data/d.csv", "id,quality\n5,7\n");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   bronze.wine: 2 new files, 2 changed files
    run   silver.wine: bronze.wine will be made
    run   gold.wine: silver.wine will be made
    ");
    sandbox.run_well().await;
    // Its time changes, its content does not.
    sandbox.write("data/a.csv", "id,quality\n1,5\n2,9\n");
    std::fs::remove_file(sandbox.path("data/b.csv")).unwrap();
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 3 files are unchanged since version 1
    skip  silver.wine: query and inputs are unchanged since version 1
    skip  gold.wine: query and inputs are unchanged since version 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_gone_or_written_by_something_else() {
    let sandbox = made().await;
    std::fs::remove_dir_all(sandbox.path("lakehouse/silver/wine")).unwrap();
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    run   silver.wine: the table is gone
    run   gold.wine: silver.wine will be made
    ");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 0
    skip  gold.wine: query and inputs are unchanged since version 1
    ");

    // Another project writes the same table.
    let other = sandbox.path("other.yaml");
    std::fs::write(
        &other,
        "pipeline: other\nlakehouse: lakehouse\ntables:\n  silver.wine:\n    sql: SELECT 1 AS id, 9 AS quality\n",
    )
    .unwrap();
    sandbox.run_file("other.yaml").await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    run   silver.wine: something else wrote version 1 (made: 0)
    run   gold.wine: silver.wine will be made
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 2 files are unchanged since version 0
    gold.wine: made: 2 rows, version 2
    silver.wine: made: 3 rows, version 2
    Finished: 2 made, 1 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its 2 files are unchanged since version 0
    skip  silver.wine: query and inputs are unchanged since version 2
    skip  gold.wine: query and inputs are unchanged since version 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_made_of_equal_inputs_always_runs() {
    let sandbox = Sandbox::new(
        "tables:\n  a.drawn:\n    sql: SELECT random() AS x\n  a.timed:\n    sql: SELECT now() AS t\n  \
         a.runs:\n    sql: SELECT count(*) AS n FROM system.runs\n  a.fixed:\n    sql: SELECT 1 AS x\n  \
         a.follows:\n    sql: SELECT x > 0.5 AS y FROM a.drawn\n",
    );
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   a.drawn: it was never made
    run   a.timed: it was never made
    run   a.runs: it was never made
    run   a.fixed: it was never made
    run   a.follows: a.drawn will be made
    ");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   a.drawn: it always runs: it calls random()
    run   a.timed: it always runs: it calls now()
    run   a.runs: it always runs: it reads system.runs
    skip  a.fixed: query and inputs are unchanged since version 0
    run   a.follows: a.drawn will be made
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.drawn: made: 1 rows, version 1
    a.fixed: skipped: query and inputs are unchanged since version 0
    a.follows: made: 1 rows, version 1
    a.runs: made: 1 rows, version 1
    a.timed: made: 1 rows, version 1
    Finished: 4 made, 1 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_others_are_inputs_too() {
    let sandbox = Sandbox::new("tables:\n  a.base:\n    sql: SELECT 1 AS x\n");
    sandbox.run_well().await;
    sandbox.write(
        "reader.yaml",
        "pipeline: reader\nlakehouse: lakehouse\ntables:\n  b.copy:\n    sql: SELECT * FROM a.base\n",
    );
    sandbox.run_file("reader.yaml").await;
    insta::assert_snapshot!(sandbox.plan_file("reader.yaml").await, @"skip  b.copy: query and inputs are unchanged since version 0");
    sandbox.edit("SELECT 1 AS x", "SELECT 2 AS x");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan_file("reader.yaml").await, @"run   b.copy: a.base is at version 1 (was 0)");
    std::fs::remove_dir_all(sandbox.path("lakehouse/a/base")).unwrap();
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan_file("reader.yaml").await, @"run   b.copy: a.base was created anew");
}

const MODEL: &str = "\
tables:
  gold.wine:
    sql: |
      SELECT value AS x, value % 10 > 4 AS good,
             CASE value % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 100)
  gold.scored:
    sql: SELECT *, predict('models:/wine@production', *) AS p FROM gold.wine
models:
  forest:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 2, seed: 1}}
    register: {as: wine, alias: production}
";

#[tokio::test(flavor = "multi_thread")]
async fn models_and_what_applies_them() {
    let sandbox = Sandbox::new(MODEL);
    insta::assert_snapshot!(sandbox.plan().await, @r"
    run   gold.wine: it was never made
    run   forest: gold.wine will be made
    run   gold.scored: gold.wine will be made
    ");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    skip  forest: definition and data are unchanged since version 1
    skip  gold.scored: query and inputs are unchanged since version 0
    ");

    // Another forest may move the alias.
    sandbox.edit("n_estimators: 2", "n_estimators: 3");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    run   forest: `estimator.random_forest.n_estimators` is 3 (was 2)
    maybe gold.scored: forest may move models:/wine@production
    ");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    skip  forest: definition and data are unchanged since version 2
    skip  gold.scored: query and inputs are unchanged since version 1
    ");

    // The alias is moved back by hand.
    sandbox.move_alias("wine", "production", 1).await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    skip  forest: definition and data are unchanged since version 2
    run   gold.scored: models:/wine@production is now version 1 (was 2)
    ");
    sandbox.run_well().await;

    // A numbered version depends on nothing that the project makes.
    sandbox.edit("models:/wine@production", "models:/wine/1");
    sandbox.run_well().await;
    sandbox.edit("n_estimators: 3", "n_estimators: 4");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    skip  gold.scored: query and inputs are unchanged since version 3
    run   forest: `estimator.random_forest.n_estimators` is 4 (was 3)
    ");

    // A version that is gone is made again.
    sandbox.edit("n_estimators: 4", "n_estimators: 3");
    std::fs::remove_dir_all(sandbox.path("lakehouse/_models/wine/2")).unwrap();
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    skip  gold.scored: query and inputs are unchanged since version 3
    run   forest: version 2 is gone from the registry
    ");
}

/// A maybe hands on: what reads a table that may be made may be made.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_made_hands_on() {
    let sandbox = Sandbox::new(&MODEL.replace(
        "models:\n",
        "  gold.top:\n    sql: SELECT max(p) AS top FROM gold.scored\nmodels:\n",
    ));
    sandbox.run_well().await;
    sandbox.edit("n_estimators: 2", "n_estimators: 3");
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  gold.wine: query and inputs are unchanged since version 0
    run   forest: `estimator.random_forest.n_estimators` is 3 (was 2)
    maybe gold.scored: forest may move models:/wine@production
    maybe gold.top: gold.scored may be made
    ");
}

/// A model and a report need no table of their own pipeline.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_can_be_learned_from_and_looked_at() {
    let sandbox = Sandbox::new(
        "tables:\n  gold.wine:\n    sql: SELECT value AS x, value % 2 = 0 AS good, CASE WHEN value % 3 = 0 THEN 'validation' ELSE 'train' END AS _split FROM generate_series(1, 90)\n",
    );
    sandbox.run_well().await;
    sandbox.write(
        "other.yaml",
        "pipeline: other\nmodels:\n  m:\n    train: {from: gold.wine, label: good, estimator: {random_forest: {}}}\nreports:\n  r:\n    profile: gold.wine\n",
    );
    insta::assert_snapshot!(sandbox.plan_file("other.yaml").await, @r"
    run   m: it was never made
    run   r: it was never made
    ");
}
