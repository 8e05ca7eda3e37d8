//! Where assets and their columns come from.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Every way in which a column can be made of others.
const WAYS: &str = r#"pipeline: ways
tables:
  bronze.a:
    ingest: {files: a.csv}
  bronze.b:
    ingest: {files: b.csv}
  silver.ways:
    sql: |
      WITH doubled AS (SELECT id, x * 2 AS xx, name FROM bronze.a WHERE y > 0)
      SELECT d.id,
             d.xx + b.z AS both,
             upper(d.name) AS shouted,
             sum(b.z) OVER (PARTITION BY d.id) AS windowed,
             (SELECT max(y) FROM bronze.a) AS highest,
             1 AS one
      FROM doubled d JOIN bronze.b AS b ON d.id = b.id
  gold.grouped:
    sql: |
      SELECT id % 10 AS bucket, avg(both) AS mean, count(*) AS n FROM silver.ways GROUP BY 1
      UNION ALL
      SELECT id, z, 0 FROM bronze.b
  gold.items:
    sql: |
      SELECT id, unnest(make_array(xs, ys)) AS item
      FROM (SELECT id, x AS xs, y AS ys FROM bronze.a)
    split:
      parts: {train: 0.5, test: 0.5}
      by: [id]
"#;

fn lineage(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut all = vec!["lineage"];
    all.extend(arguments);
    let ended = sandbox.call(&all);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.stdout
}

#[test]
fn columns_are_followed_through_sql() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", WAYS);
    sandbox.write("a.csv", "id,x,y,name\n1,2,3,n\n");
    sandbox.write("b.csv", "id,z\n1,2\n");
    let told: Vec<String> = ["silver.ways", "gold.grouped", "gold.items"]
        .iter()
        .map(|asset| lineage(&sandbox, &[asset, "--columns"]))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn assets_are_followed_both_ways_and_through_models() {
    let sandbox = Sandbox::apples();
    let told = [
        lineage(&sandbox, &["Silver.Apples"]),
        lineage(&sandbox, &["gold.scored", "--columns"]),
        lineage(&sandbox, &["--format", "mermaid"]),
        lineage(&sandbox, &["gold.scored", "--format", "dot"]),
    ];
    insta::assert_snapshot!(told.join("\n"));
    let json: Value =
        serde_json::from_str(&lineage(&sandbox, &["gold.scored", "--format", "json"])).unwrap();
    let columns = json["columns"].as_array().unwrap();
    let score = columns.iter().find(|column| column["column"] == "p_sweet");
    let score = score.unwrap();
    assert_eq!(
        score["models"],
        serde_json::json!(["models:/sweetness@production"])
    );
    // What the score begins as is in the raw table, the label that was learned included.
    let roots = score["roots"].as_array().unwrap();
    assert!(!roots.is_empty());
    assert!(roots.iter().all(|root| root["table"] == "bronze.apples"));
    assert!(roots.iter().any(|root| root["column"] == "taste"));
    let unknown = sandbox.call(&["lineage", "gold.score"]);
    assert_eq!(unknown.code, Some(2));
    insta::assert_snapshot!(unknown.stderr, @"error: no asset is called `gold.score`; did you mean `gold.scored`?");
}
