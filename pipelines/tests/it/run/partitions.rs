//! `partition_by`: the same rows in folders of their own, whatever the mode.

use std::fs;

use crate::sandbox::Sandbox;

/// All modes over rows that come, change and are late.
const TABLES: &str = "\
tables:
  bronze.sales:
    ingest: {files: data/*.csv}
    maintain: {partition_by: country}
  silver.sales:
    mode: append
    sql: SELECT id, CAST(at AS DATE) AS day, country, at, amount FROM bronze.sales
    maintain: {partition_by: [day, country]}
  gold.latest:
    mode: {merge: {keys: [id], sequence_by: at}}
    sql: SELECT country, id, at, amount FROM silver.sales
    maintain: {partition_by: country}
  gold.history:
    mode: {scd2: {keys: [id], sequence_by: at}}
    sql: SELECT country, id, at, amount FROM silver.sales
    maintain: {partition_by: country}
  gold.days:
    mode: {interval: {column: day, every: 1d, start: 2026-01-01, lookback: 1000, batch_size: 1000}}
    sql: |
      SELECT CAST(at AS DATE) AS day, sum(amount) AS amount, count(*) AS n FROM silver.sales
      WHERE at >= ${start} AND at < ${end} GROUP BY 1
    maintain: {partition_by: day}
  gold.all:
    sql: SELECT country, day, amount FROM silver.sales
    maintain: {partition_by: [country]}
  gold.large:
    sql: SELECT country, id, amount FROM silver.sales
    expect:
      large: {that: amount > 5, otherwise: quarantine}
      known: {unique: [country, id, amount], otherwise: warn}
    maintain: {partition_by: country}
  gold.days_of_countries:
    mode: {interval: {column: at, every: 1d, start: 2026-01-01, lookback: 1000, batch_size: 1000}}
    sql: |
      SELECT date_trunc('day', at) AS at, country, count(*) AS n FROM silver.sales
      WHERE at >= ${start} AND at < ${end} GROUP BY ALL
    maintain: {partition_by: country}
";

/// Files as they come, one a run: the last replaces an earlier one.
const FILES: [(&str, &str); 4] = [
    (
        "a",
        "id,at,country,amount\n1,2026-01-01T10:00:00,FI,5\n2,2026-01-01T11:00:00,Åland / öar,6\n",
    ),
    (
        "b",
        "id,at,country,amount\n1,2026-01-02T10:00:00,Åland / öar,7\n3,2026-01-02T12:00:00,,1\n",
    ),
    (
        "c",
        "id,at,country,amount\n2,2026-01-01T09:00:00,x=y,2\n4,2026-01-03T10:00:00,100%,9\n",
    ),
    (
        "b",
        "id,at,country,amount\n1,2026-01-02T10:00:00,Åland / öar,8\n",
    ),
];

const NAMES: [&str; 9] = [
    "bronze.sales",
    "silver.sales",
    "gold.latest",
    "gold.history",
    "gold.days",
    "gold.all",
    "gold.large",
    "gold.large__quarantine",
    "gold.days_of_countries",
];

fn without_partitions() -> String {
    let lines = TABLES.lines().filter(|line| !line.contains("partition_by"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The rows of a table, in order.
async fn rows(sandbox: &Sandbox, table: &str) -> String {
    let columns = match table {
        "bronze.sales" => "id, at, country, amount, _row",
        "silver.sales" => "id, day, country, at, amount",
        "gold.latest" => "id, country, at, amount",
        "gold.history" => "id, __start_at, __end_at, country, at, amount",
        "gold.days" => "day, amount, n",
        "gold.large" => "country, id, amount",
        "gold.large__quarantine" => "country, id, amount, _broken_rules",
        "gold.days_of_countries" => "at, country, n",
        _ => "country, day, amount",
    };
    let order = (1..=columns.split(',').count()).map(|at| at.to_string());
    let order: Vec<String> = order.collect();
    let order = order.join(", ");
    sandbox
        .query(&format!("SELECT {columns} FROM {table} ORDER BY {order}"))
        .await
}

/// The folders of a table's partitions, sorted.
fn folders(sandbox: &Sandbox, table: &str) -> Vec<String> {
    let folder = sandbox.path(&format!("lakehouse/{}", table.replace('.', "/")));
    let entries = fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains('=')).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_gives_the_same_rows() {
    // Rows that a changed file replaces are no new rows: that is refused for `append`.
    let plain = Sandbox::new(&without_partitions());
    let parted = Sandbox::new(TABLES);
    for (file, text) in &FILES[..3] {
        for sandbox in [&plain, &parted] {
            sandbox.write(&format!("data/{file}.csv"), text);
            sandbox.run_well().await;
        }
        for name in NAMES {
            assert_eq!(
                rows(&parted, name).await,
                rows(&plain, name).await,
                "{name}"
            );
        }
    }
    let (file, text) = FILES[3];
    for sandbox in [&plain, &parted] {
        sandbox.write(&format!("data/{file}.csv"), text);
        let mut plan = sandbox.checked().await;
        plan.chosen = [plan.position("bronze.sales").unwrap()].into();
        sandbox.try_run(plan, |_, _| {}).await.unwrap();
    }
    assert_eq!(
        rows(&parted, "bronze.sales").await,
        rows(&plain, "bronze.sales").await
    );
    assert_eq!(folders(&plain, "gold.latest"), [] as [&str; 0]);
    let days = ["day=2026-01-01", "day=2026-01-02", "day=2026-01-03"];
    assert_eq!(folders(&parted, "gold.days"), days);
    assert_eq!(folders(&parted, "silver.sales"), days);
    assert!(folders(&parted, "gold.latest").contains(&"country=FI".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_partitions_are_another_definition() {
    let sandbox = Sandbox::new(&without_partitions());
    sandbox.write("data/a.csv", FILES[0].1);
    sandbox.run_well().await;
    let before = rows(&sandbox, "gold.all").await;
    sandbox.pipeline(TABLES);
    let planned = sandbox.plan_of("bronze.sales").await;
    assert!(
        planned.contains("its definition changed: `partition_by` is country (was not there)"),
        "{planned}"
    );
    // A history is made anew only when somebody asks for it.
    sandbox.edit(
        "    sql: SELECT country, id, at, amount FROM silver.sales\n    maintain: {partition_by: country}\n  gold.days",
        "    sql: SELECT country, id, at, amount FROM silver.sales\n  gold.days",
    );
    sandbox.run_well().await;
    assert_eq!(rows(&sandbox, "gold.all").await, before);
    assert_eq!(
        folders(&sandbox, "gold.all"),
        ["country=%C3%85land%20%2F%20%C3%B6ar", "country=FI"]
    );
    // And back.
    sandbox.edit("    maintain: {partition_by: [country]}\n", "");
    sandbox.run_well().await;
    assert_eq!(rows(&sandbox, "gold.all").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_text_is_no_partition() {
    let sandbox = Sandbox::new(
        "\
tables:
  gold.t:
    sql: SELECT column1 AS country, column2 AS n FROM (VALUES ('FI', 1), ('', 2), (NULL, 3))
    maintain: {partition_by: country}
",
    );
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.failure("gold.t"), @"a row has an empty `country`, by which the table is partitioned: Delta cannot tell an empty string from NULL there; write NULLIF(country, '') in the query, or keep such rows out with a rule");
    assert_eq!(sandbox.version("gold.t").await, None);
    // As it is told.
    sandbox.edit("column1 AS country", "NULLIF(column1, '') AS country");
    sandbox.run_well().await;
    let nulls = "SELECT count(*) FROM gold.t WHERE country IS NULL";
    assert_eq!(sandbox.value(nulls).await, "2");
}
