//! Pipelines that refer to what a lakehouse has already, and no project declares.

use crate::sandbox::Sandbox;

/// A lakehouse with the table `gold.wine` and the model `wine`, and a project beside it.
async fn beside(pipeline: &str) -> Sandbox {
    let sandbox = Sandbox::new(pipeline);
    sandbox.write(
        "other.yaml",
        "pipeline: other
lakehouse: lakehouse
tables:
  gold.wine:
    sql: |
      SELECT value AS x, value % 2 = 0 AS good, 'train' AS _split FROM generate_series(1, 20)
models:
  forest:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 1}}
    register: {as: wine, alias: production}
",
    );
    sandbox.run_file("other.yaml").await;
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_models_of_others_are_known() {
    let sandbox = beside(
        "tables:
  a.scored:
    sql: SELECT *, predict('models:/wine@production', *) AS p, predict('models:/wine/1', X) AS q FROM Gold.Wine
  a.runs:
    sql: SELECT status, count(*) AS n FROM system.runs GROUP BY status
  a.columns:
    sql: SELECT table_name FROM information_schema.tables
",
    )
    .await;
    assert_eq!(sandbox.checked().await.assets.len(), 3);
    sandbox.run_well().await;
    let same = "SELECT count(*) FROM a.scored WHERE p = q";
    assert_eq!(sandbox.value(same).await, "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_do_not_have_is_told() {
    let sandbox = beside(
        "tables:
  a.column:
    sql: SELECT z FROM gold.wine
  a.table:
    sql: SELECT * FROM gold.vine
  a.layer:
    sql: SELECT * FROM wine
  a.system:
    sql: SELECT * FROM system.run
  a.alias:
    sql: SELECT *, predict('models:/wine@productoin', *) AS p FROM gold.wine
  a.version:
    sql: SELECT *, predict('models:/wine/3', *) AS p FROM gold.wine
  a.model:
    sql: SELECT *, predict('models:/vine@production', *) AS p FROM gold.wine
  a.features:
    sql: SELECT predict('models:/wine@production', y => 1) AS p FROM gold.wine
models:
  label:
    train:
      from: gold.wine
      label: bad
      estimator: {random_forest: {}}
",
    )
    .await;
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[unknown_column]: unknown column `z`
     --> pipeline.yaml:4:17
      |
    4 |     sql: SELECT z FROM gold.wine
      |                 ^
      = help: there are `x`, `good`, `_split`

    error[unknown_table]: there is no table `gold.vine`
     --> pipeline.yaml:6:24
      |
    6 |     sql: SELECT * FROM gold.vine
      |                        ^^^^^^^^^
      = help: did you mean `gold.wine`?

    error[unknown_table]: there is no table `wine`
     --> pipeline.yaml:8:24
      |
    8 |     sql: SELECT * FROM wine
      |                        ^^^^
      = help: did you mean `gold.wine`?

    error[unknown_table]: unknown table `system.run`
      --> pipeline.yaml:10:24
       |
    10 |     sql: SELECT * FROM system.run
       |                        ^^^^^^^^^^
       = help: did you mean `system.runs`?

    error[unknown_model]: the model `wine` has no alias `productoin`; did you mean `production`?
      --> pipeline.yaml:12:28
       |
    12 |     sql: SELECT *, predict('models:/wine@productoin', *) AS p FROM gold.wine
       |                            ^^^^^^^^^^^^^^^^^^^^^^^^^

    error[unknown_model]: the model `wine` has no version 3; its only version is 1
      --> pipeline.yaml:14:28
       |
    14 |     sql: SELECT *, predict('models:/wine/3', *) AS p FROM gold.wine
       |                            ^^^^^^^^^^^^^^^^

    error[unknown_model]: there is no model `vine`; did you mean `wine`?
      --> pipeline.yaml:16:28
       |
    16 |     sql: SELECT *, predict('models:/vine@production', *) AS p FROM gold.wine
       |                            ^^^^^^^^^^^^^^^^^^^^^^^^^

    error[sql_planning]: `models:/wine@production` has no feature `y`
      --> pipeline.yaml:18:57
       |
    18 |     sql: SELECT predict('models:/wine@production', y => 1) AS p FROM gold.wine
       |                                                         ^
       = help: leave it out; the model takes `x`

    error[unknown_column]: `label:` names column `bad`, which the table does not have
      --> pipeline.yaml:23:14
       |
    23 |       label: bad
       |              ^^^
       = help: `gold.wine` has x, good, _split
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_is_told_where_it_is_used() {
    let sandbox = beside("tables:\n  a.b:\n    sql: SELECT x FROM gold.wine\n").await;
    sandbox.write(
        "lakehouse/gold/wine/_delta_log/00000000000000000000.json",
        "{",
    );
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[unreadable_table]: gold.wine: cannot read the table: Kernel error: Json error: Truncated record whilst reading object
     --> pipeline.yaml:3:3
      |
    3 |   a.b:
      |   ^^^
    ");
}
