//! Training only when the rows differ, whatever the version of their table; across projects,
//! after a kill, and without the state store.

use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_pipelines::events::{EventKind, RunStatus};

use super::models::{SWEEP, TABLE};
use crate::sandbox::Sandbox;

const FOREST: &str = "models:
  forest:
    train:
      from: gold.wine
      label: good
      estimator: {random_forest: {n_estimators: 2, seed: 1}}
    register: {as: wine, alias: production}
";
const ROWS: &str = "FROM generate_series(1, 300)";
const TRAININGS: &str = "SELECT count(*) FROM system.runs WHERE kind IN ('train', 'sweep')";

/// A project whose table another project of the same lakehouse makes.
fn apart(models: &str) -> Sandbox {
    let sandbox = Sandbox::new(models);
    sandbox.write("data.yaml", format!("pipeline: data\n{TABLE}"));
    sandbox
}

/// Writes the table anew from other text.
async fn rewrite(sandbox: &Sandbox, rows: &str) {
    let text = format!("pipeline: data\n{}", TABLE.replace(ROWS, rows));
    sandbox.write("data.yaml", text);
    sandbox.run_file("data.yaml").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_rewritten_with_equal_rows_trains_nothing() {
    let sandbox = apart(FOREST);
    sandbox.run_file("data.yaml").await;
    sandbox.run_well().await;
    rewrite(&sandbox, &format!("{ROWS} ORDER BY value % 7, value DESC")).await;
    assert_eq!(sandbox.version("gold.wine").await, Some(1));
    insta::assert_snapshot!(sandbox.plan().await, @r"
    maybe forest: gold.wine is at version 1 (was 0); its rows are read, and it trains only if they differ from those of version 0
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    forest: made: version 1
    forest: not trained: the rows of gold.wine are the same as in version 0: version 1 was trained on them, and is only judged again
    forest: wine 1, production stays: production names this version already
    Finished: 1 made, 0 skipped, 0 failed
    ");
    let reason =
        "SELECT reason FROM system.stages WHERE asset = 'forest' ORDER BY start_time DESC LIMIT 1";
    insta::assert_snapshot!(sandbox.value(reason).await, @"gold.wine is at version 1 (was 0); the rows of gold.wine are the same as in version 0: version 1 was trained on them, and is only judged again");
    insta::assert_snapshot!(sandbox.plan().await, @"skip  forest: definition and data are unchanged since version 1");
    assert_eq!(sandbox.value(TRAININGS).await, "1");

    // The digest is in the tracking store, and with the version in the lakehouse.
    let digest = sandbox.value("SELECT digest FROM system.datasets").await;
    let version = &sandbox.versions("wine").await[0];
    assert_eq!(version.inputs[0].digest.as_ref(), Some(&digest));
    sandbox.lose_state();
    let told = sandbox.run_well().await.told();
    assert!(
        told.contains("forest: not trained: the rows of gold.wine are the same"),
        "{told}"
    );
    assert_eq!(sandbox.value(TRAININGS).await, "0");

    // One row more is another matter.
    rewrite(&sandbox, "FROM generate_series(1, 301)").await;
    insta::assert_snapshot!(sandbox.plan().await, @r"
    maybe forest: gold.wine is at version 2 (was 1); its rows are read, and it trains only if they differ from those of version 0
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    forest: made: version 2
    forest: wine 2, production moved: no condition
    Finished: 1 made, 0 skipped, 0 failed
    ");
    // The first rows come back: so does the first model.
    rewrite(&sandbox, ROWS).await;
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    forest: made: version 1
    forest: not trained: the rows of gold.wine are the same as in version 0: version 1 was trained on them, and is only judged again
    forest: wine 1, production moved: no condition
    Finished: 1 made, 0 skipped, 0 failed
    ");
    assert_eq!(sandbox.value(TRAININGS).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_of_one_lakehouse_share_their_trainings() {
    let sandbox = apart(FOREST);
    let other = FOREST
        .replace("as: wine", "as: grapes")
        .replace("  forest:", "  trees:");
    sandbox.write("other.yaml", format!("pipeline: other\n{other}"));
    let unregistered = FOREST.lines().filter(|line| !line.contains("register:"));
    let unregistered: Vec<&str> = unregistered.collect();
    sandbox.write(
        "third.yaml",
        format!("pipeline: third\n{}\n", unregistered.join("\n")),
    );
    sandbox.run_file("data.yaml").await;
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.plan_file("other.yaml").await, @"run   trees: it was never made; models:/wine/1 was trained so, and is used again");
    insta::assert_snapshot!(sandbox.run_file("other.yaml").await.told(), @r"
    trees: grapes 1, production moved: no condition
    trees: made: version 1
    trees: not trained: models:/wine/1 was trained so, and is used again
    Finished: 1 made, 0 skipped, 0 failed
    ");
    // By its rows, too.
    rewrite(&sandbox, &format!("{ROWS} ORDER BY value DESC")).await;
    insta::assert_snapshot!(sandbox.run_file("third.yaml").await.told(), @r"
    forest: made: version none
    forest: not trained: the rows of gold.wine are the same as in version 0: models:/wine/1 was trained on them, and is used again
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.run_file("other.yaml").await.told(), @r"
    trees: grapes 1, production stays: production names this version already
    trees: made: version 1
    trees: not trained: the rows of gold.wine are the same as in version 0: version 1 was trained on them, and is only judged again
    Finished: 1 made, 0 skipped, 0 failed
    ");
    assert_eq!(sandbox.value(TRAININGS).await, "1");
    // Both models name the run that trained them, which is the first project's.
    let runs = "SELECT count(DISTINCT v.run_id) FROM system.model_versions AS v JOIN system.runs AS r USING (run_id) WHERE r.pipeline = 'p'";
    assert_eq!(sandbox.value(runs).await, "1");
    let same = "SELECT count(*) FROM gold.wine WHERE predict('models:/wine/1', *) <> predict('models:/grapes@production', *)";
    assert_eq!(sandbox.value(same).await, "0");
    // Deleting one leaves the other, and the training can still be taken over.
    std::fs::remove_dir_all(sandbox.path("lakehouse/_models/wine/1")).unwrap();
    sandbox.lose_state();
    let told = sandbox.run_well().await.told();
    assert!(told.contains("models:/grapes/1 was trained"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_was_cut_off_goes_on_over_equal_rows() {
    // Many more trials than may have ended when the third is told of.
    let models = format!("models:\n{}", SWEEP.replace("trials: 10", "trials: 60"));
    let undisturbed = apart(&models);
    undisturbed.run_file("data.yaml").await;
    undisturbed.run_well().await;

    let sandbox = apart(&models);
    sandbox.run_file("data.yaml").await;
    let trials = AtomicUsize::new(0);
    let ran = sandbox
        .run_until(move |event, cancel| {
            if matches!(event, EventKind::Trial { .. })
                && trials.fetch_add(1, Ordering::Relaxed) == 2
            {
                cancel.cancel();
            }
        })
        .await;
    assert_eq!(ran.summary.status, RunStatus::Cancelled);
    let done = sandbox
        .value("SELECT count(*) FROM system.runs WHERE kind = 'trial'")
        .await;
    let plan = sandbox.plan().await;
    assert!(
        plan.ends_with(&format!("; {done} of 60 trials are done\n")),
        "{plan}"
    );
    rewrite(&sandbox, &format!("{ROWS} ORDER BY value DESC")).await;
    let plan = sandbox.plan().await;
    let told =
        format!("; {done} of 60 trials are done, if its rows are still those of version 0\n");
    assert!(plan.ends_with(&told), "{plan}");

    let ran = sandbox.run_well().await;
    let resumed = ran.events.iter().find_map(|event| match event {
        EventKind::SweepResumed { done, .. } => Some(done.to_string()),
        _ => None,
    });
    assert_eq!(resumed, Some(done));
    let trials = "SELECT count(*) FROM system.runs WHERE kind = 'trial'";
    assert_eq!(sandbox.value(trials).await, "60", "no trial was made twice");
    let model = |version| crate::sandbox::model_bytes(version);
    assert!(
        model(&sandbox.versions("wine").await[0]) == model(&undisturbed.versions("wine").await[0])
    );

    // Other rows are another search.
    let other = apart(&format!("models:\n{SWEEP}"));
    other.run_file("data.yaml").await;
    other.run_well().await;
    rewrite(&other, "FROM generate_series(1, 301)").await;
    let ran = other.run_well().await;
    assert!(
        !ran.events
            .iter()
            .any(|event| matches!(event, EventKind::SweepResumed { .. }))
    );
}

/// A version is judged once: without the store that knew of it, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_outlives_the_state_store() {
    let forest = |name: &str, estimator: &str, rest: &str| {
        format!(
            "  {name}:\n    train:\n      from: gold.wine\n      label: good\n      estimator: {{random_forest: {{{estimator}}}}}\n{rest}"
        )
    };
    let when = "    register:\n      as: wine\n      alias: production\n      when: test.auc > champion.test.auc\n";
    let models = [
        forest("good", "n_estimators: 30, seed: 1", when),
        forest(
            "bad",
            "n_estimators: 1, seed: 1, max_depth: 1",
            &format!("{when}    after: good\n"),
        ),
        forest(
            "worst",
            "n_estimators: 1, seed: 1, max_depth: 1",
            "      exclude: [x]\n    register: {as: wine}\n    after: bad\n",
        ),
    ];
    let sandbox = Sandbox::new(&format!("{TABLE}models:\n{}", models.concat()));
    let told = sandbox.run_well().await.told();
    assert!(
        told.contains(
            "bad: wine 2, production stays: test.auc 0.5667 is not > 0.9556 of version 1"
        ),
        "{told}"
    );
    sandbox.move_alias("wine", "production", 3).await;

    // Judged against the present champion it would win; it was judged before.
    sandbox.lose_state();
    let told = sandbox.run_well().await.told();
    let line = told
        .lines()
        .find(|line| line.starts_with("bad: wine"))
        .unwrap();
    assert!(line.starts_with("bad: wine 2, production stays: test.auc 0.5667 is not > 0.9556 of version 1 (decided at 2"), "{told}");
    assert_eq!(
        sandbox.value("SELECT version FROM system.aliases").await,
        "3"
    );
    let decided =
        std::fs::read_to_string(sandbox.path("lakehouse/_models/wine/2/decisions/production.json"))
            .unwrap();
    let decided: serde_json::Value = serde_json::from_str(&decided).unwrap();
    assert_eq!(
        (&decided["moved"], &decided["champion"]),
        (&false.into(), &1.into())
    );
    assert_eq!(decided["when"], "test.auc > champion.test.auc");

    // Another condition is another decision.
    sandbox.edit(
        "      when: test.auc > champion.test.auc\n    after: good",
        "      when: test.auc > 0.1 AND test.auc > champion.test.auc\n    after: good",
    );
    let told = sandbox.run_well().await.told();
    assert!(told.contains("bad: wine 2, production moved: "), "{told}");
}
