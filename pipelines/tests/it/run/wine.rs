//! The wine example, on a small search.

use crate::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn the_wine_example_promotes_a_model_that_has_learned() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wine");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/wine");
    let text = std::fs::read_to_string(format!("{example}/pipeline.yaml")).unwrap();
    let sandbox = Sandbox::new("");
    sandbox.write("pipeline.yaml", text);
    sandbox.write(
        "silver_wine.sql",
        std::fs::read(format!("{example}/silver_wine.sql")).unwrap(),
    );
    sandbox.edit(
        "../../data/wine/winequality-*.csv",
        &format!("{data}/winequality-red.csv"),
    );
    sandbox.edit("rounds: 1000", "rounds: 60");
    sandbox.edit("trials: 96", "trials: 4");
    let ran = sandbox.run_well().await;
    assert_eq!((ran.summary.made, ran.summary.skipped), (7, 0));
    assert_eq!(
        sandbox.value("SELECT count(*) FROM gold.wine_scored").await,
        "1599"
    );

    let versions = sandbox.versions("wine_quality").await;
    assert_eq!(versions.len(), 2);
    let auc = |version: usize| versions[version].metrics["test.auc"];
    assert!((0.7..0.9).contains(&auc(0)), "forest: {}", auc(0));
    assert!((0.75..0.95).contains(&auc(1)), "boosting: {}", auc(1));
    let champion = if auc(1) > auc(0) { 2 } else { 1 };
    let production = "SELECT version FROM system.aliases WHERE alias = 'production'";
    assert_eq!(sandbox.value(production).await, champion.to_string());
    assert_eq!(
        sandbox
            .value("SELECT version FROM system.alias_history WHERE reason LIKE '%first version'")
            .await,
        "1"
    );
    // What the champion says of the test rows is worth something.
    let apart = "SELECT avg(p_good) FILTER (WHERE good) - avg(p_good) FILTER (WHERE NOT good) > 0.15 FROM gold.wine_scored WHERE _split = 'test'";
    assert_eq!(sandbox.value(apart).await, "true");

    let again = sandbox.run_well().await;
    assert_eq!((again.summary.made, again.summary.skipped), (0, 7));
}
