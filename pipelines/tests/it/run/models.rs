//! Models that are fitted, registered, judged and applied.

use std::fmt::Write as _;

use sluice_pipelines::events::RunStatus;

use crate::sandbox::{Sandbox, model_bytes, read};

/// Two numbers of which one tells the label, nearly.
pub(super) const TABLE: &str = "\
tables:
  gold.wine:
    sql: |
      SELECT value AS x, value % 13 AS y, (value + value % 7) % 60 > 29 AS good,
             CASE value * 7 % 10 / 2 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 300)
";

fn forest(name: &str, trees: u32, rest: &str) -> String {
    format!(
        "  {name}:\n    train:\n      from: gold.wine\n      label: good\n      estimator: {{random_forest: {{n_estimators: {trees}, seed: 1}}}}\n{rest}"
    )
}

fn project(models: &[String]) -> Sandbox {
    Sandbox::new(&format!("{TABLE}models:\n{}", models.concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_model_goes() {
    let sandbox = project(&[
        forest("unregistered", 5, ""),
        forest("without_alias", 2, "    register: {as: plain}\n"),
        forest("always", 2, "    register: {as: always, alias: live}\n"),
        forest(
            "good_enough",
            2,
            "    register: {as: good_enough, alias: live, when: test.auc > 0.1}\n",
        ),
        forest(
            "too_bad",
            2,
            "    register: {as: too_bad, alias: live, when: test.auc >= 1.5}\n",
        ),
        forest(
            "only_first",
            2,
            "    register: {as: only_first, alias: live, when: no champion}\n",
        ),
        forest(
            "better",
            2,
            "    register:\n      as: better\n      alias: live\n      when: test.auc > champion.test.auc\n",
        ),
    ]);
    insta::assert_snapshot!(decisions(&sandbox.run_well().await.told()), @r"
    always: always 1, live moved: no condition
    better: better 1, live moved: first version
    good_enough: good_enough 1, live moved: test.auc 0.8117 > 0.1
    only_first: only_first 1, live moved: first version
    too_bad: too_bad 1, live stays: test.auc 0.8117 is not >= 1.5
    without_alias: plain 1, no alias stays: it names no alias
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * FROM system.aliases ORDER BY name").await, @r"
    +-------------+-------+---------+
    | name        | alias | version |
    +-------------+-------+---------+
    | always      | live  | 1       |
    | better      | live  | 1       |
    | good_enough | live  | 1       |
    | only_first  | live  | 1       |
    +-------------+-------+---------+
    ");
    // Another forest of the same trees is no better: a tie.
    sandbox.edit(
        "n_estimators: 2, seed: 1",
        "n_estimators: 2, seed: 1, max_depth: 500",
    );
    insta::assert_snapshot!(decisions(&sandbox.run_well().await.told()), @r"
    always: always 2, live moved: no condition
    better: better 2, live stays: test.auc 0.8117 is not > 0.8117 of version 1
    good_enough: good_enough 2, live moved: test.auc 0.8117 > 0.1
    only_first: only_first 2, live stays: version 1 is the champion
    too_bad: too_bad 2, live stays: test.auc 0.8117 is not >= 1.5
    without_alias: plain 2, no alias stays: it names no alias
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * FROM system.aliases ORDER BY name").await, @r"
    +-------------+-------+---------+
    | name        | alias | version |
    +-------------+-------+---------+
    | always      | live  | 2       |
    | better      | live  | 1       |
    | good_enough | live  | 2       |
    | only_first  | live  | 1       |
    +-------------+-------+---------+
    ");
    // A model that is not registered is kept with its run.
    let run = sandbox
        .value("SELECT run_id FROM system.runs WHERE run_name = 'unregistered' ORDER BY start_time LIMIT 1")
        .await;
    let kept = sandbox.path("lakehouse/_artifacts").join(run);
    assert!(kept.join("model/model.json").is_file());
    assert!(kept.join("importance.csv").is_file());
}

/// The lines about aliases.
fn decisions(told: &str) -> String {
    let lines = told
        .lines()
        .filter(|line| line.contains("live") || line.contains("no alias"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenger_moves_the_alias_only_if_it_is_better() {
    let when = "    register:\n      as: wine\n      alias: production\n      when: test.auc > champion.test.auc\n";
    let sandbox = project(&[
        forest("one_tree", 1, when).replace("seed: 1", "seed: 1, max_depth: 1"),
        forest("many_trees", 30, &format!("{when}    after: one_tree\n")),
    ]);
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.wine: made: 300 rows, version 0
    many_trees: made: version 2
    many_trees: wine 2, production moved: test.auc 0.9556 > 0.5667 of version 1
    one_tree: made: version 1
    one_tree: wine 1, production moved: first version
    Finished: 3 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT name, alias, version, previous FROM system.alias_history ORDER BY move").await,
        @r"
    +------+------------+---------+----------+
    | name | alias      | version | previous |
    +------+------------+---------+----------+
    | wine | production | 1       |          |
    | wine | production | 2       | 1        |
    +------+------------+---------+----------+
    "
    );
    // A worse one is registered, and stays behind.
    sandbox.edit(
        "n_estimators: 1, seed: 1, max_depth: 1",
        "n_estimators: 1, seed: 2, max_depth: 1",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.wine: skipped: query and inputs are unchanged since version 0
    many_trees: skipped: definition and data are unchanged since version 2
    one_tree: made: version 3
    one_tree: wine 3, production stays: test.auc 0.5667 is not > 0.9556 of version 2
    Finished: 1 made, 2 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_that_knows_other_features_is_told() {
    let when = "    register:\n      as: wine\n      alias: production\n      when: test.auc > champion.test.auc\n";
    let sandbox = project(&[forest("model", 2, when)]);
    sandbox.run_well().await;
    sandbox.edit("value % 13 AS y,", "value % 13 AS z,");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.wine: made: 300 rows, version 1
    model: made: version 2
    model: wine 2, production stays: version 1, the champion, cannot be scored on these rows: the model cannot be applied: column `y` is missing (did you mean `x`?)
    Finished: 2 made, 0 skipped, 0 failed
    ");
    // The one that has fewer of them can be scored.
    sandbox.edit("value % 13 AS z,", "value % 13 AS y, value % 7 AS more,");
    let told = sandbox.run_well().await.told();
    assert!(told.contains("of version 1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_cannot_be_learned() {
    let mut said = String::new();
    for (label, what) in [
        ("true", "one class"),
        ("value % 3", "three values"),
        ("CAST(NULL AS BOOLEAN)", "no label at all"),
        (
            "CASE WHEN value % 5 > 1 THEN value % 2 ELSE 7 END",
            "other values outside train",
        ),
        (
            "CASE WHEN value % 4 = 0 THEN NULL ELSE value % 2 END",
            "a label here and there",
        ),
    ] {
        let sandbox = project(&[forest(
            "model",
            2,
            "    register: {as: wine, alias: production}\n",
        )]);
        sandbox.edit(
            "(value + value % 7) % 60 > 29 AS good",
            &format!("{label} AS good"),
        );
        let ran = sandbox.run().await;
        assert_eq!(
            ran.summary.status,
            RunStatus::Failed,
            "{what}: {}",
            ran.told()
        );
        assert!(sandbox.versions("wine").await.is_empty());
        writeln!(said, "{what}: {}", ran.failure("model")).unwrap();
    }
    insta::assert_snapshot!(said, @r"
    one class: label `good` has one class in the table: every row is true; there is nothing to learn, so check the label's expression and the split
    three values: label `good` has more than 2 values (0, 1, 2, ...): write `task: multiclass` or `task: regression`, or a boolean in the table's SQL, for example `good >= 2`
    no label at all: label `good` is NULL or NaN in 300 of 300 rows: filter them out in the table's SQL
    other values outside train: label `good` has more than 2 values (0, 1, 7, ...): write `task: multiclass` or `task: regression`, or a boolean in the table's SQL, for example `good >= 7`
    a label here and there: label `good` is NULL or NaN in 75 of 300 rows: filter them out in the table's SQL
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_that_cannot_be_learned_from() {
    let mut said = String::new();
    for (split, what) in [
        ("'test'", "no train rows"),
        (
            "CASE value % 2 WHEN 0 THEN 'train' ELSE 'tset' END",
            "unknown part",
        ),
        (
            "CASE WHEN value > 3 THEN 'train' END",
            "rows without a part",
        ),
    ] {
        let sandbox = project(&[forest("model", 2, "")]);
        let text =
            "CASE value * 7 % 10 / 2 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END";
        sandbox.edit(text, split);
        let ran = sandbox.run().await;
        assert_eq!(
            ran.summary.status,
            RunStatus::Failed,
            "{what}: {}",
            ran.told()
        );
        writeln!(said, "{what}: {}", ran.failure("model")).unwrap();
    }
    insta::assert_snapshot!(said, @r"
    no train rows: the train split is empty: models are fitted on it, so check the table's split and filters
    unknown part: column `_split` holds 'tset': it must be 'train', 'validation' or 'test' (did you mean `test`?)
    rows without a part: column `_split` holds NULL: it must be 'train', 'validation' or 'test'
    ");
    // Without rows for validation or test a model is still fitted; nothing can be compared.
    let sandbox = project(&[forest(
        "model",
        2,
        "    register: {as: wine, alias: production, when: test.auc > 0.5}\n",
    )]);
    sandbox.edit(
        "CASE value * 7 % 10 / 2 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END",
        "'train'",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    gold.wine: made: 300 rows, version 0
    model: made: version 1
    model: wine 1, production stays: test.auc, which is undefined, is not > 0.5
    Finished: 2 made, 0 skipped, 0 failed
    ");
}

/// A short search on that table.
pub(super) const SWEEP: &str = "  search:
    sweep:
      from: gold.wine
      label: good
      estimator:
        gradient_boosting:
          rounds: 20
          early_stopping_rounds: 3
          max_depth: {int: [1, 6]}
          learning_rate: {log: [0.05, 1.0]}
      sampler: {tpe: {seed: 7}}
      trials: 10
      maximize: validation.auc
    register: {as: wine, alias: production}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_result_is_the_same_at_any_parallelism() {
    let text = format!(
        "{TABLE}  gold.scored:\n    sql: SELECT *, predict('models:/wine@production', *) AS p FROM gold.wine\nmodels:\n{SWEEP}{}",
        forest("forest", 5, "    register: {as: forest}\n")
    );
    let mut results = Vec::new();
    for parallelism in [1, 4] {
        let mut sandbox = Sandbox::new(&text);
        sandbox.parallelism(parallelism);
        sandbox.run_well().await;
        let mut models = Vec::new();
        for name in ["wine", "forest"] {
            models.push(model_bytes(&sandbox.versions(name).await[0]));
        }
        let trials = "SELECT key, value, step FROM system.metrics JOIN system.runs USING (run_id) WHERE kind = 'trial' ORDER BY run_name, key, step";
        let trials = sandbox.query(trials).await;
        results.push((
            models,
            trials,
            sandbox.query("SELECT * FROM gold.scored ORDER BY x").await,
        ));
    }
    assert!(results[0] == results[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn predict_in_queries() {
    let sandbox = project(&[forest(
        "model",
        3,
        "    register: {as: wine, alias: production}\n",
    )]);
    sandbox.run_well().await;
    let same = "SELECT count(*) FROM (SELECT *, predict('models:/wine@production', *) AS p FROM gold.wine) AS s \
         JOIN (SELECT w.x, predict('models:/wine/1', w.*) AS p FROM gold.wine AS w) AS q USING (x) \
         JOIN (SELECT x, predict('models:/wine/1', Y, x) AS p FROM gold.wine) AS r USING (x) \
         JOIN (SELECT x, predict('models:/wine/1', y => y + 0, x => x) AS p FROM gold.wine) AS t USING (x) \
         WHERE s.p = q.p AND q.p = r.p AND r.p = t.p AND s.p BETWEEN 0 AND 1";
    assert_eq!(sandbox.value(same).await, "300");
    let explained = sandbox
        .query("EXPLAIN SELECT predict('models:/wine@production', *) AS p FROM gold.wine")
        .await;
    assert!(explained.contains("models:/wine/1"), "{explained}");
    assert!(!explained.contains("@production"), "{explained}");
    // A second version: the alias names it, the number still the first.
    sandbox.edit("n_estimators: 3", "n_estimators: 4");
    sandbox.run_well().await;
    let explained = sandbox
        .query("EXPLAIN SELECT predict('models:/wine@production', *), predict('models:/wine/1', *) FROM gold.wine")
        .await;
    assert!(
        explained.contains("models:/wine/1") && explained.contains("models:/wine/2"),
        "{explained}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_predict_are_no_features() {
    let sandbox = project(&[
        forest("first", 2, "    register: {as: first, alias: live}\n"),
        forest("second", 2, "    register: {as: second, alias: live}\n")
            .replace("gold.wine", "gold.scored"),
    ]);
    sandbox.edit(
        "models:\n",
        "  gold.scored:\n    sql: SELECT *, 2 * predict('models:/first@live', *) AS p FROM gold.wine\nmodels:\n",
    );
    sandbox.run_well().await;
    let features = read(
        &sandbox.versions("second").await[0]
            .path
            .join("features.json"),
    );
    let features: serde_json::Value = serde_json::from_slice(&features).unwrap();
    let names: Vec<&str> = features["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["x", "y"]);
}
