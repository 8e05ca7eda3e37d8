//! What the `system` tables tell of a run.

use super::models::{SWEEP, TABLE};
use crate::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_of_a_run() {
    let sandbox = Sandbox::new(&format!("{TABLE}models:\n{SWEEP}"));
    sandbox.run_well().await;
    insta::assert_snapshot!(
        sandbox.query("SELECT r.kind, p.kind AS parent, r.run_name, r.status, count(*) AS n FROM system.runs AS r LEFT JOIN system.runs AS p ON p.run_id = r.parent_run_id WHERE r.run_name NOT LIKE 'trial %' OR r.run_name = 'trial 10' GROUP BY ALL ORDER BY r.kind").await,
        @r"
    +-------+--------+----------+----------+---+
    | kind  | parent | run_name | status   | n |
    +-------+--------+----------+----------+---+
    | run   |        | p        | FINISHED | 1 |
    | sweep | run    | search   | FINISHED | 1 |
    | trial | sweep  | trial 10 | FINISHED | 1 |
    +-------+--------+----------+----------+---+
    "
    );
    assert_eq!(
        sandbox
            .value("SELECT count(*) FROM system.runs WHERE kind = 'trial'")
            .await,
        "10"
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT key, value FROM system.params JOIN system.runs USING (run_id) WHERE kind = 'sweep' AND key NOT IN ('max_depth', 'learning_rate') ORDER BY key").await,
        @r"
    +-------------------------+---------------------+
    | key                     | value               |
    +-------------------------+---------------------+
    | base_score              | null                |
    | class_weight            | null                |
    | colsample_bylevel       | 1.0                 |
    | colsample_bynode        | 1.0                 |
    | colsample_bytree        | 1.0                 |
    | early_stopping_rounds   | 3                   |
    | grow_policy             | depthwise           |
    | interaction_constraints | null                |
    | max_bin                 | 256                 |
    | max_delta_step          | 0.0                 |
    | max_leaves              | null                |
    | min_child_weight        | 1.0                 |
    | min_split_loss          | 0.0                 |
    | monotone_constraints    | null                |
    | multi_strategy          | one_output_per_tree |
    | num_parallel_tree       | 1                   |
    | objective               | auto                |
    | reg_alpha               | 0.0                 |
    | reg_lambda              | 1.0                 |
    | rounds                  | 20                  |
    | sampling_method         | uniform             |
    | scale_pos_weight        | 1.0                 |
    | seed                    | 0                   |
    | subsample               | 1.0                 |
    | tree_method             | hist                |
    +-------------------------+---------------------+
    "
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT DISTINCT key FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'sweep' ORDER BY key").await,
        @r"
    +------------------------------+
    | key                          |
    +------------------------------+
    | rounds.validation.auc        |
    | test.accuracy                |
    | test.auc                     |
    | test.average_precision       |
    | test.balanced_accuracy       |
    | test.brier                   |
    | test.f1                      |
    | test.log_loss                |
    | test.mcc                     |
    | test.precision               |
    | test.recall                  |
    | train.accuracy               |
    | train.auc                    |
    | train.average_precision      |
    | train.balanced_accuracy      |
    | train.brier                  |
    | train.f1                     |
    | train.log_loss               |
    | train.mcc                    |
    | train.precision              |
    | train.recall                 |
    | validation.accuracy          |
    | validation.auc               |
    | validation.average_precision |
    | validation.balanced_accuracy |
    | validation.brier             |
    | validation.f1                |
    | validation.log_loss          |
    | validation.mcc               |
    | validation.precision         |
    | validation.recall            |
    +------------------------------+
    "
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT DISTINCT key FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'trial' ORDER BY key").await,
        @r"
    +------------------------------+
    | key                          |
    +------------------------------+
    | rounds.validation.auc        |
    | validation.accuracy          |
    | validation.auc               |
    | validation.average_precision |
    | validation.balanced_accuracy |
    | validation.brier             |
    | validation.f1                |
    | validation.log_loss          |
    | validation.mcc               |
    | validation.precision         |
    | validation.recall            |
    +------------------------------+
    "
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT kind, d.name, version, context FROM system.datasets AS d JOIN system.runs USING (run_id)").await,
        @r"
    +-------+-----------+---------+----------+
    | kind  | name      | version | context  |
    +-------+-----------+---------+----------+
    | sweep | gold.wine | 0       | training |
    +-------+-----------+---------+----------+
    "
    );
    insta::assert_snapshot!(
        sandbox.query("SELECT kind, path, bytes > 0 AS there FROM system.artifacts JOIN system.runs USING (run_id) ORDER BY path").await,
        @r"
    +-------+--------------------------+-------+
    | kind  | path                     | there |
    +-------+--------------------------+-------+
    | sweep | calibration.csv          | true  |
    | sweep | evaluation.json          | true  |
    | sweep | importance.csv           | true  |
    | sweep | leaderboard.csv          | true  |
    | sweep | parameter_importance.csv | true  |
    | sweep | precision_recall.csv     | true  |
    | sweep | report.html              | true  |
    | sweep | roc.csv                  | true  |
    | sweep | shap.csv                 | true  |
    +-------+--------------------------+-------+
    "
    );
    insta::assert_snapshot!(sandbox.query("SELECT name FROM system.models").await, @r"
    +------+
    | name |
    +------+
    | wine |
    +------+
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT v.name, version, kind, v.status FROM system.model_versions AS v JOIN system.runs USING (run_id)").await,
        @r"
    +------+---------+-------+--------+
    | name | version | kind  | status |
    +------+---------+-------+--------+
    | wine | 1       | sweep | READY  |
    +------+---------+-------+--------+
    "
    );
    insta::assert_snapshot!(sandbox.query("SELECT name, alias, version FROM system.aliases").await, @r"
    +------+------------+---------+
    | name | alias      | version |
    +------+------------+---------+
    | wine | production | 1       |
    +------+------------+---------+
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT asset, kind, status, rows, version FROM system.stages ORDER BY asset").await,
        @r"
    +-----------+-------+---------+------+---------+
    | asset     | kind  | status  | rows | version |
    +-----------+-------+---------+------+---------+
    | gold.wine | sql   | SUCCESS | 300  | 0       |
    | search    | sweep | SUCCESS |      | 1       |
    +-----------+-------+---------+------+---------+
    "
    );
    // The best trial is the winner, by what it says itself.
    let best = "SELECT max(value) FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'trial' AND key = 'validation.auc'";
    let winner = "SELECT value FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'sweep' AND key = 'validation.auc'";
    assert_eq!(sandbox.value(best).await, sandbox.value(winner).await);
}
