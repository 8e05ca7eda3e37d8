//! Tables that a model makes: only what is new is scored, and all of it when the model changes.

use sluice_pipelines::events::{EventKind, RunStatus};

use crate::sandbox::{Ran, Sandbox};

const SCORED: &str = "\
vars: {last: 10, note: a}
tables:
  gold.wine:
    sql: |
      SELECT value AS x, value % 13 AS y, value % 10 > 4 AS good,
             CASE value % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 200)
  gold.new:
    sql: |
      SELECT value AS id, value AS X, value % 13 AS y, ${note} AS note, 'test' AS _split
      FROM generate_series(1, ${last})
models:
  first:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 3, seed: 1}}
    register: {as: wine, alias: production, when: no champion}
  second:
    after: first
    train:
      from: gold.wine
      label: good
      estimator: {gradient_boosting: {rounds: 5, seed: 2}}
    register: {as: wine, alias: challenger}
";

const TABLE: &str = "  gold.scored:
    predict:
      model: models:/wine@production
      from: gold.new
      keys: [ID]
      label_as: verdict
      scores_as: scores
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new(SCORED);
    sandbox.edit("models:\n", &format!("{TABLE}models:\n"));
    sandbox
}

/// What was scored in a run: model, and rows scored, kept and removed.
fn scoring(ran: &Ran) -> (String, [u64; 3]) {
    let scoring = ran.events.iter().find_map(|event| match event {
        EventKind::Scoring {
            model,
            scored,
            kept,
            removed,
            ..
        } => Some((model.clone(), [*scored, *kept, *removed])),
        _ => None,
    });
    scoring.unwrap_or_else(|| panic!("nothing was scored: {}", ran.told()))
}

/// The table as it is equals what the query with the same model gives.
async fn assert_right(sandbox: &Sandbox, version: i64) {
    let wrong = sandbox
        .value(&format!(
            "SELECT count(*) FROM (
               SELECT id, X, y, note, _split, prediction, verdict, map_values(scores)[1] AS s, _model_version FROM gold.scored
               EXCEPT
               SELECT id, X, y, note, _split, predict('models:/wine/{version}', *), predict_label('models:/wine/{version}', *),
                      map_values(predict_scores('models:/wine/{version}', *))[1], CAST({version} AS BIGINT) FROM gold.new)"
        ))
        .await;
    assert_eq!(wrong, "0");
    let rows = "SELECT (SELECT count(*) FROM gold.scored) = (SELECT count(*) FROM gold.new)";
    assert_eq!(sandbox.value(rows).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_new_and_changed_rows_are_scored_until_the_model_changes() {
    let mut sandbox = project();
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [10, 0, 0]));
    assert_right(&sandbox, 1).await;
    insta::assert_snapshot!(
        sandbox.query("SELECT * EXCEPT (prediction, scores) FROM gold.scored ORDER BY id LIMIT 2").await,
        @r"
    +----+---+---+------+--------+---------+----------------+----------------------------------+
    | id | X | y | note | _split | verdict | _model_version | _row_hash                        |
    +----+---+---+------+--------+---------+----------------+----------------------------------+
    | 1  | 1 | 1 | a    | test   | false   | 1              | 1df7be0c540b3fd1941e6134509f1484 |
    | 2  | 2 | 2 | a    | test   | false   | 1              | 866431adac2b9a42b756ec2bd5dc9757 |
    +----+---+---+------+--------+---------+----------------+----------------------------------+
    "
    );
    assert_eq!(sandbox.run_well().await.summary.made, 0);

    // More rows: those that are there keep what they have.
    sandbox.set("last", "12");
    sandbox.edit(TABLE, "");
    sandbox.run_well().await;
    sandbox.edit("models:\n", &format!("{TABLE}models:\n"));
    insta::assert_snapshot!(sandbox.plan_of("gold.scored").await, @r"run   gold.scored: gold.new is at version 1 (was 0); 2 of 12 rows new or changed");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [2, 10, 0]));
    assert_right(&sandbox, 1).await;

    // Fewer rows: those that are gone leave.
    sandbox.set("last", "7");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [0, 7, 5]));
    assert_right(&sandbox, 1).await;

    // What the model does not see changes without a row being scored.
    sandbox.set("note", "b");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [0, 7, 0]));
    assert_right(&sandbox, 1).await;
    assert_eq!(
        sandbox.value("SELECT min(note) FROM gold.scored").await,
        "b"
    );

    // An input that changes is scored again.
    sandbox.edit(
        "value % 13 AS y, ${note}",
        "value % 13 + CASE value WHEN 3 THEN 1 ELSE 0 END AS y, ${note}",
    );
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [1, 6, 1]));
    assert_right(&sandbox, 1).await;

    // A rule is no reason to score anything.
    sandbox.edit("  gold.scored:\n", "  gold.scored:\n    expect:\n      sure: {that: prediction BETWEEN 0 AND 1, otherwise: fail}\n");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/1".to_owned(), [0, 7, 0]));

    // Another version scores everything.
    sandbox.move_alias("wine", "production", 2).await;
    insta::assert_snapshot!(sandbox.plan_of("gold.scored").await, @r"run   gold.scored: models:/wine@production is now version 2 (was 1); all 7 rows are scored");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran), ("models:/wine/2".to_owned(), [7, 0, 0]));
    assert_right(&sandbox, 2).await;
    insta::assert_snapshot!(
        sandbox.query("SELECT version, address, model_version FROM system.table_models ORDER BY version DESC LIMIT 2").await,
        @r"
    +---------+-------------------------+---------------+
    | version | address                 | model_version |
    +---------+-------------------------+---------------+
    | 6       | models:/wine@production | 2             |
    | 5       | models:/wine@production | 1             |
    +---------+-------------------------+---------------+
    "
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_rows_stay_and_are_counted_each() {
    let sandbox = project();
    sandbox.edit("      keys: [ID]\n", "");
    sandbox.edit(
        "FROM generate_series(1, ${last})",
        "FROM (VALUES (1), (1), (2), (NULL)) AS t (value)",
    );
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [4, 0, 0]);
    assert_right(&sandbox, 1).await;
    sandbox.edit("(1), (1), (2), (NULL)", "(1), (1), (1), (NULL), (3)");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [1, 4, 1]);
    assert_right(&sandbox, 1).await;
    sandbox.edit("(1), (1), (1), (NULL), (3)", "(1), (NULL)");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [0, 2, 3]);
    assert_right(&sandbox, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_columns_keys_and_the_split_are_carried() {
    let sandbox = project();
    sandbox.edit(
        "      label_as: verdict\n      scores_as: scores\n",
        "      columns: [note]\n      as: p_good\n",
    );
    sandbox.run_well().await;
    insta::assert_snapshot!(
        sandbox.query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'scored'").await,
        @r"
    +----------------+-----------+
    | column_name    | data_type |
    +----------------+-----------+
    | id             | Int64     |
    | note           | Utf8      |
    | _split         | Utf8      |
    | p_good         | Float64   |
    | _model_version | Int64     |
    | _row_hash      | Utf8      |
    +----------------+-----------+
    "
    );
    // Answers are never features, whatever they are called.
    sandbox.edit(
        "from: gold.wine\n      label: good\n      estimator: {gradient",
        "from: gold.scored\n      label: note\n      exclude: [id]\n      estimator: {gradient",
    );
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[bad_training_data]: no column is left to learn from besides label `note`: the table has id, note, _split, p_good, _model_version, _row_hash
      --> pipeline.yaml:30:13
       |
    30 |       from: gold.scored
       |             ^^^^^^^^^^^
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_something_else_wrote_or_that_is_gone_is_scored_anew() {
    let sandbox = project();
    sandbox.run_well().await;
    std::fs::remove_dir_all(sandbox.path("lakehouse/gold/scored")).unwrap();
    insta::assert_snapshot!(sandbox.plan_of("gold.scored").await, @r"run   gold.scored: the table is gone; all 10 rows are scored");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [10, 0, 0]);
    assert_right(&sandbox, 1).await;
}

/// The store is lost, or the process ends between the commit and its confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_scored_is_known_without_the_store() {
    let mut sandbox = project();
    sandbox.run_well().await;
    sandbox.lose_state();
    let ran = sandbox.run_well().await;
    assert!(
        ran.told()
            .contains("gold.scored: skipped: model and rows are unchanged since version 0"),
        "{}",
        ran.told()
    );
    sandbox.lose_state();
    sandbox.set("last", "11");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [1, 10, 0]);
    assert_right(&sandbox, 1).await;
    assert_eq!(sandbox.version("gold.scored").await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_while_it_scores_leaves_what_was_there() {
    let mut sandbox = project();
    sandbox.run_well().await;
    sandbox.set("last", "50000");
    let ran = sandbox
        .run_until(|event, cancel| {
            if let EventKind::Scoring { .. } = event {
                cancel.cancel();
            }
        })
        .await;
    assert_eq!(ran.summary.status, RunStatus::Cancelled);
    assert_eq!(sandbox.version("gold.scored").await, Some(0));
    assert_eq!(
        sandbox.value("SELECT count(*) FROM gold.scored").await,
        "10"
    );
    sandbox.set("last", "20");
    let ran = sandbox.run_well().await;
    assert_eq!(scoring(&ran).1, [10, 10, 0]);
    assert_right(&sandbox, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rule_keeps_the_table_and_a_dropped_row_is_no_row() {
    let sandbox = project();
    sandbox.edit("  gold.scored:\n", "  gold.scored:\n    expect:\n      few: {that: id < 8, otherwise: drop}\n      any: {that: prediction >= 0, otherwise: fail}\n      own: {unique: [id], otherwise: fail}\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    first: made: version 1
    first: wine 1, production moved: first version
    gold.new: made: 10 rows, version 0
    gold.scored: any (fail): 0 of 10 rows break it
    gold.scored: few (drop): 3 of 10 rows break it
    gold.scored: made: 7 rows, version 0
    gold.scored: own (fail): 0 of 7 rows break it
    gold.wine: made: 200 rows, version 0
    second: made: version 2
    second: wine 2, challenger moved: no condition
    Finished: 5 made, 0 skipped, 0 failed
    ");
    sandbox.edit("prediction >= 0", "prediction > 1");
    insta::assert_snapshot!(sandbox.run().await.told(), @r"
    first: skipped: definition and data are unchanged since version 1
    gold.new: skipped: query and inputs are unchanged since version 0
    gold.scored: any (fail): 10 of 10 rows break it
    gold.scored: failed: expectation `any` failed: 10 of 10 rows break it, so nothing was written; see the rows with: SELECT * FROM (SELECT *, predict('models:/wine@production', *) AS prediction, predict_label('models:/wine@production', *) AS verdict, predict_scores('models:/wine@production', *) AS scores FROM gold.new) WHERE (prediction > 1) IS NOT TRUE
    gold.scored: few (drop): 3 of 10 rows break it
    gold.scored: own (fail): 0 of 7 rows break it
    gold.wine: skipped: query and inputs are unchanged since version 0
    second: skipped: definition and data are unchanged since version 2
    Failed: 0 made, 4 skipped, 1 failed
    ");
    assert_eq!(sandbox.version("gold.scored").await, Some(0));
}
