//! `sluice test`: what tables come to for given rows.

use serde_json::Value;

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"pipeline: shop
vars:
  large_from: 10
tables:
  bronze.orders:
    ingest: {files: orders.csv}
  silver.orders:
    sql: |
      SELECT id, customer, quantity * price AS value, at
      FROM bronze.orders
      ORDER BY id
    expect:
      positive: {that: value > 0, otherwise: fail}
      named: {that: customer IS NOT NULL, otherwise: drop}
      once: {unique: [id], otherwise: fail}
  gold.large:
    sql: SELECT customer, value FROM silver.orders WHERE value >= ${large_from}
    split:
      parts: {train: 0.5, test: 0.5}
tests:
  value_is_price_times_quantity:
    table: silver.orders
    given:
      bronze.orders:
        - {id: 2, customer: bob, quantity: 3, price: 0.1}
        - {id: 1, customer: ada, quantity: 2, price: 4.5, at: 2026-01-02 10:00:00}
        - {id: 3, quantity: 1, price: 1}
    expect:
      ordered: true
      tolerance: 0.000001
      csv: |
        id,CUSTOMER,value,at
        1,ada,9.0,2026-01-02T10:00:00
        2,bob,0.3,
  nothing_comes_of_nothing:
    table: silver.orders
    expect: []
  a_debt_fails:
    table: silver.orders
    given:
      bronze.orders: [{id: 1, customer: ada, quantity: 1, price: -1.0}]
    expect_error: {rule: positive, message: 1 of 1 rows}
  twice_fails:
    table: Silver.Orders
    given:
      bronze.orders:
        - {id: 1, customer: ada, quantity: 1, price: 1.0}
        - {id: 1, customer: bob, quantity: 1, price: 1.0}
    expect_error: {rule: once}
  large_is_what_the_variable_says:
    table: gold.large
    vars: {large_from: 5}
    given:
      silver.orders: {file: fixtures/orders.csv}
    expect:
      - {customer: ada, value: 5.0}
"#;

fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write(
        "orders.csv",
        "id,customer,quantity,price,at\n1,ada,1,1.5,2026-01-02 10:00:00\n",
    );
    sandbox.write("fixtures/orders.csv", "customer,value\nada,5\nbob,4.9\n");
    sandbox
}

/// A text without its times.
fn untimed(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_time = |at: usize| {
            let unit = words.get(at + 1).is_some_and(|unit| unit.starts_with("s"));
            unit && words[at].parse::<f64>().is_ok()
        };
        let kept: Vec<&str> = words
            .iter()
            .enumerate()
            .map(|(at, word)| if is_time(at) { "[n]" } else { word })
            .collect();
        out.push_str(kept.join(" ").trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn tests_pass_and_touch_no_lakehouse() {
    let sandbox = shop();
    let ended = sandbox.call(&["test"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(
        ended.stdout.contains("5 passed, 0 failed"),
        "{}",
        ended.all()
    );
    assert!(!sandbox.path().join("lakehouse").exists());

    let one = sandbox.call(&["test", "--name", "*_FAILS", "--json", "-s", "silver.orders"]);
    assert_eq!(one.code, Some(0), "{}", one.all());
    let names: Vec<Value> = one
        .events()
        .into_iter()
        .map(|it| it["test"].clone())
        .collect();
    assert_eq!(names, ["a_debt_fails", "twice_fails"]);
    let none = sandbox.call(&["test", "--name", "twice_fail"]);
    assert_eq!(none.code, Some(2), "{}", none.all());
    assert!(
        none.stderr.contains("did you mean `twice_fails`?"),
        "{}",
        none.all()
    );
    let left_out = sandbox.call(&["test", "--exclude", "*"]);
    assert_ne!(left_out.code, Some(1), "{}", left_out.all());
}

#[test]
fn what_fails_is_told_row_by_row() {
    let sandbox = shop();
    sandbox.edit("pipeline.yaml", "2,bob,0.3,", "2,bob,0.4,");
    sandbox.edit("pipeline.yaml", "1,ada,9.0,2026", "7,,9.0,2026");
    sandbox.edit("pipeline.yaml", "rule: once", "message: three");
    sandbox.edit("pipeline.yaml", "price: -1.0", "price: 1.0");
    sandbox.edit(
        "pipeline.yaml",
        "{customer: ada, value: 5.0}",
        "{customer: \"\", _split: all}",
    );
    sandbox.edit(
        "pipeline.yaml",
        "    table: silver.orders\n    expect: []",
        "    table: silver.orders\n    given: {bronze.orders: [{id: 1, quantity: -1, price: 2}]}\n    expect: []",
    );
    let ended = sandbox.call(&["test", "--junit", "tests.xml"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    insta::assert_snapshot!(untimed(&ended.stdout));

    let xml = std::fs::read_to_string(sandbox.path().join("tests.xml")).unwrap();
    let xml: String = xml
        .split("time=\"")
        .enumerate()
        .map(|(at, part)| match at {
            0 => part.to_owned(),
            _ => format!("time=\"[n]{}", part.trim_start_matches(|c: char| c != '"')),
        })
        .collect();
    insta::assert_snapshot!("junit", xml);

    let json = sandbox.call(&["test", "--json"]);
    assert_eq!(json.code, Some(1));
    let first = &json.events()[0];
    assert_eq!(first["status"], "failed");
    assert_eq!(first["difference"]["rows"][0]["row"], "changed");
    assert_eq!(first["line"], 21);
}

#[test]
fn a_rule_that_is_there_only_with_a_variable_is_tested_with_it() {
    let sandbox = shop();
    sandbox.edit(
        "pipeline.yaml",
        "vars: {large_from: 5}",
        "vars: {large_from: 4}",
    );
    let ended = sandbox.call(&["test", "--name", "large*"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stdout.contains("+ bob       4.9"), "{}", ended.all());
    let set = sandbox.call(&["test", "--set", "large_from=11"]);
    assert!(
        set.stdout.contains("+ bob       4.9"),
        "a test's own count: {}",
        set.all()
    );
}

#[test]
fn the_tests_of_examples_pass() {
    let sandbox = Sandbox::new();
    for example in ["wine", "sentiment"] {
        let project = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let ended = sandbox.call(&["test", &project, "--lakehouse", "lakehouse"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert!(
            ended.stdout.contains(" passed, 0 failed"),
            "{}",
            ended.all()
        );
    }
}
