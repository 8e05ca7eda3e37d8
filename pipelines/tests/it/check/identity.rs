//! What identifies a model's definition. A change here makes every lakehouse train anew.

use serde_json::{Value, json};
use sluice_pipelines::plan::AssetBody;

use crate::sandbox::Sandbox;

/// The definition of the model `m` with these lines in it.
async fn definition(lines: &str) -> Value {
    let sandbox = Sandbox::new(&format!(
        "tables:
  gold.wine:
    sql: SELECT 1.5 AS alcohol, 'a' AS grower, true AS good, 'train' AS _split
models:
  m:
    train:
      from: Gold.wine
      label: Good
      exclude: [grower]
      estimator: {{random_forest: {{n_estimators: 3}}}}
{lines}"
    ));
    let plan = sandbox.checked().await;
    let model = plan.assets.iter().find_map(|asset| match &asset.body {
        AssetBody::Model(model) => Some(model.definition.clone()),
        _ => None,
    });
    model.unwrap()
}

fn plain() -> Value {
    json!({
        "from": "gold.wine",
        "label": "good",
        "exclude": ["grower"],
        "categorical": [],
        "estimator": {"random_forest": {"n_estimators": 3}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_left_out_leave_no_trace() {
    assert_eq!(definition("").await, plain());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_validated_and_settled_is_part_of_it() {
    let mut folded = plain();
    folded["validate"] = json!({"folds": 5, "by": ["grower"]});
    folded["calibrate"] = json!("sigmoid");
    folded["threshold"] = json!({"maximize": "f1", "at_least": {"precision": 0.5}});
    let lines = "      validate: {folds: 5, by: Grower}
      calibrate: platt
      threshold: {maximize: f1, at_least: {precision: 0.5}}
";
    assert_eq!(definition(lines).await, folded);
    let mut fixed = plain();
    fixed["validate"] = json!({"folds": 3, "by": [], "seed": 7});
    fixed["threshold"] = json!(0.3);
    let lines = "      validate: {folds: 3, seed: 7}
      threshold: 0.3
";
    assert_eq!(definition(lines).await, fixed);
}
