//! Runs that do not come to their end.

use sluice_lake::Lakehouse;
use sluice_pipelines::events::{EventKind, RunStatus};
use sluice_pipelines::run::RunError;

use crate::sandbox::{Sandbox, model_bytes};

const BRANCHES: &str = "\
tables:
  a.bad:
    sql: SELECT 1 / (value - 1) AS x FROM generate_series(1, 10)
  a.good:
    sql: SELECT 1 AS x
  b.of_bad:
    sql: SELECT * FROM a.bad
  b.of_both:
    sql: SELECT good.x FROM a.good, b.of_bad
  b.of_good:
    sql: SELECT * FROM a.good
  b.after:
    after: a.bad
    sql: SELECT 1 AS x
";

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_fails_blocks_what_needs_it_and_nothing_else() {
    let sandbox = Sandbox::new(BRANCHES);
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r"
    a.bad: failed: divide by zero error
    a.good: made: 1 rows, version 0
    b.after: blocked by a.bad
    b.of_bad: blocked by a.bad
    b.of_both: blocked by b.of_bad
    b.of_good: made: 1 rows, version 0
    Failed: 2 made, 0 skipped, 4 failed
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT asset, kind, status, reason, rows, version, error FROM system.stages ORDER BY asset").await,
        @r"
    +-----------+------+---------+-------------------+------+---------+----------------------+
    | asset     | kind | status  | reason            | rows | version | error                |
    +-----------+------+---------+-------------------+------+---------+----------------------+
    | a.bad     | sql  | FAILED  |                   |      |         | divide by zero error |
    | a.good    | sql  | SUCCESS | it was never made | 1    | 0       |                      |
    | b.after   | sql  | BLOCKED | it needs a.bad    |      |         |                      |
    | b.of_bad  | sql  | BLOCKED | it needs a.bad    |      |         |                      |
    | b.of_both | sql  | BLOCKED | it needs b.of_bad |      |         |                      |
    | b.of_good | sql  | SUCCESS | it was never made | 1    | 0       |                      |
    +-----------+------+---------+-------------------+------+---------+----------------------+
    "
    );
    sandbox.edit("value - 1)", "value)");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.bad: made: 10 rows, version 0
    a.good: skipped: query and inputs are unchanged since version 0
    b.after: made: 1 rows, version 0
    b.of_bad: made: 10 rows, version 0
    b.of_both: made: 10 rows, version 0
    b.of_good: skipped: query and inputs are unchanged since version 0
    Finished: 4 made, 2 skipped, 0 failed
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT kind, status, error FROM system.runs ORDER BY start_time").await,
        @r"
    +------+----------+---------------+
    | kind | status   | error         |
    +------+----------+---------------+
    | run  | FAILED   | stages failed |
    | run  | FINISHED |               |
    +------+----------+---------------+
    "
    );
}

const MODEL: &str = "\
tables:
  gold.wine:
    sql: |
      SELECT value AS x, value % 13 AS y, value % 10 > 4 AS good,
             CASE value % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 200)
  gold.scored:
    sql: SELECT *, predict('models:/wine@production', *) AS p FROM gold.wine
models:
  search:
    sweep:
      from: gold.wine
      label: good
      estimator: {gradient_boosting: {rounds: 60, max_depth: {int: [1, 6]}, learning_rate: {log: [0.05, 1]}}}
      sampler: {tpe: {seed: 1}}
      trials: 24
      maximize: validation.auc
    register: {as: wine, alias: production, when: test.auc > champion.test.auc}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_goes_on_the_next_time() {
    let undisturbed = Sandbox::new(MODEL);
    undisturbed.run_well().await;

    let sandbox = Sandbox::new(MODEL);
    let ran = sandbox
        .run_until(|event, cancel| {
            if matches!(event, EventKind::Trial { number: 1, .. }) {
                cancel.cancel();
            }
        })
        .await;
    assert_eq!(ran.summary.status, RunStatus::Cancelled);
    insta::assert_snapshot!(ran.told(), @r"
    gold.wine: made: 200 rows, version 0
    Cancelled: 1 made, 0 skipped, 0 failed
    ");
    assert!(sandbox.versions("wine").await.is_empty());
    insta::assert_snapshot!(
        sandbox.query("SELECT kind, status, error FROM system.runs WHERE kind <> 'trial' ORDER BY kind").await,
        @r"
    +-------+--------+---------------------+
    | kind  | status | error               |
    +-------+--------+---------------------+
    | run   | KILLED | stopped by the user |
    | sweep | KILLED | stopped             |
    +-------+--------+---------------------+
    "
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT asset, status, reason FROM system.stages ORDER BY asset").await,
        @r"
    +-------------+-----------+---------------------+
    | asset       | status    | reason              |
    +-------------+-----------+---------------------+
    | gold.scored | CANCELLED | the run was stopped |
    | gold.wine   | SUCCESS   | it was never made   |
    | search      | CANCELLED | the run was stopped |
    +-------------+-----------+---------------------+
    "
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.scored: made: 200 rows, version 0
    gold.wine: skipped: query and inputs are unchanged since version 0
    search: made: version 1
    search: wine 1, production moved: first version
    Finished: 2 made, 1 skipped, 0 failed
    ");
    let (one, other) = (
        sandbox.versions("wine").await,
        undisturbed.versions("wine").await,
    );
    assert_eq!(model_bytes(&one[0]), model_bytes(&other[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_while_it_writes_leaves_no_half_table() {
    let sandbox = Sandbox::new(
        "tables:\n  a.long:\n    sql: SELECT a.value AS x, b.value AS y FROM generate_series(1, 20000) AS a, generate_series(1, 20000) AS b\n  a.next:\n    sql: SELECT count(*) AS n FROM a.long\n",
    );
    let ran = sandbox
        .run_until(|event, cancel| {
            if let EventKind::StageProgress { .. } = event {
                cancel.cancel();
            }
        })
        .await;
    insta::assert_snapshot!(ran.told(), @"Cancelled: 0 made, 0 skipped, 0 failed");
    assert_eq!(sandbox.version("a.long").await, None);
    sandbox.edit(
        "generate_series(1, 20000) AS b",
        "generate_series(1, 2) AS b",
    );
    sandbox.run_well().await;
    assert_eq!(sandbox.value("SELECT n FROM a.next").await, "40000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_cancelled_before_the_start_starts_nothing() {
    let sandbox = Sandbox::new("tables:\n  a.b:\n    sql: SELECT 1 AS x\n");
    let ran = sandbox
        .run_until(|event, cancel| {
            if let EventKind::RunStarted { .. } = event {
                cancel.cancel();
            }
        })
        .await;
    insta::assert_snapshot!(ran.told(), @"Cancelled: 0 made, 0 skipped, 0 failed");
    assert_eq!(sandbox.version("a.b").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_the_second_is_refused() {
    let sandbox = Sandbox::new("tables:\n  a.b:\n    sql: SELECT 1 AS x\n");
    let lakehouse = Lakehouse::create(sandbox.path("lakehouse")).unwrap();
    let lock = lakehouse.lock("p").unwrap();
    let refused = sandbox.try_run(sandbox.checked().await, |_, _| {}).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, RunError::Locked(_)), "{error}");
    let process = std::process::id().to_string();
    insta::assert_snapshot!(error.to_string().replace(&process, "7"), @"another run of the pipeline `p` is under way (process 7): wait for it with --wait, or stop it");
    assert_eq!(sandbox.version("a.b").await, None);
    drop(lock);
    sandbox.run_well().await;
}

/// Another project in the same lakehouse runs while this one does.
#[tokio::test(flavor = "multi_thread")]
async fn two_projects_in_one_lakehouse_run_side_by_side() {
    let one = Sandbox::new(BRANCHES);
    one.edit("value - 1)", "value)");
    one.write(
        "other.yaml",
        "pipeline: other\nlakehouse: lakehouse\ntables:\n  c.b:\n    sql: SELECT 2 AS x\n",
    );
    let (first, second) = tokio::join!(one.run_well(), one.run_file("other.yaml"));
    assert_eq!((first.summary.made, second.summary.made), (6, 1));
}

/// A crash between the version's folder and all that follows: its alias and the asset's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_nothing_knows_of_is_adopted_and_judged() {
    let sandbox = Sandbox::new(MODEL);
    sandbox.run_well().await;
    sandbox.lose_state();
    std::fs::remove_dir_all(sandbox.path("lakehouse/_models/wine/aliases")).unwrap();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.scored: skipped: query and inputs are unchanged since version 0
    gold.wine: skipped: query and inputs are unchanged since version 0
    p: warning: the history of 1 earlier runs is lost with the state store; tables, versions and aliases were told again from the lakehouse
    search: made: version 1
    search: not trained: version 1 was trained so, and is only judged again
    search: wine 1, production moved: first version
    Finished: 1 made, 2 skipped, 0 failed
    ");
    assert_eq!(sandbox.versions("wine").await.len(), 1);
    let searched = "SELECT count(*) FROM system.runs WHERE kind = 'sweep'";
    assert_eq!(sandbox.value(searched).await, "0");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.scored: skipped: query and inputs are unchanged since version 0
    gold.wine: skipped: query and inputs are unchanged since version 0
    search: skipped: definition and data are unchanged since version 1
    Finished: 0 made, 3 skipped, 0 failed
    ");
}

/// The same between the alias and the asset's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_its_key_is_not_fitted_again() {
    let sandbox = Sandbox::new(MODEL);
    sandbox.run_well().await;
    sandbox.forget("search").await;
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.scored: skipped: query and inputs are unchanged since version 0
    gold.wine: skipped: query and inputs are unchanged since version 0
    search: made: version 1
    search: not trained: version 1 was trained so, and is only judged again
    search: wine 1, production stays: production names this version already
    Finished: 1 made, 2 skipped, 0 failed
    ");
    let searched = "SELECT count(*) FROM system.runs WHERE kind = 'sweep'";
    assert_eq!(sandbox.value(searched).await, "1");
}
