//! A table that is partitioned by a text, as its users meet it: queried, maintained, replayed.

use serde_json::Value;

use crate::sandbox::Sandbox;

const PIPELINE: &str = "\
pipeline: shop
lakehouse: lakehouse
tables:
  bronze.sales:
    ingest: {files: 'sales-*.csv'}
  gold.sales:
    mode: append
    sql: SELECT id, country FROM bronze.sales
    maintain: {partition_by: country, zorder_by: id, optimize: {small_files: 100}, vacuum: {retain: 1s, force: true}}
  gold.latest:
    mode: {merge: {keys: [country, id]}}
    sql: SELECT id, country FROM gold.sales
    maintain: {partition_by: country}
";

/// One of each country.
const COUNTRIES: &str = "1,FI\n2,Åland / öar\n3,x=y\n4,100%\n5,\n";

fn shop() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    let mut last = Vec::new();
    for file in 0..3 {
        let rows = COUNTRIES.replace(',', &format!("{file},"));
        sandbox.write(&format!("sales-{file}.csv"), format!("id,country\n{rows}"));
        last = sandbox.run();
    }
    let started = last.iter().find(|event| event["event"] == "run_started");
    let run = started.unwrap()["run_id"].as_str().unwrap().to_owned();
    (sandbox, run)
}

/// The data files that a query reads, as its plan says; `None` where these are more than five.
fn files_read(sandbox: &Sandbox, query: &str) -> Option<usize> {
    let plan = sandbox.rows(&format!("EXPLAIN {query}"));
    let plan: String = plan.iter().map(Value::to_string).collect();
    (!plan.contains(".parquet, ...")).then(|| plan.matches(".parquet").count())
}

#[test]
fn filters_pass_over_folders_and_nothing_is_lost() {
    let (sandbox, run) = shop();
    let all = "SELECT country, count(*) AS n FROM gold.sales GROUP BY country ORDER BY country";
    let rows = |sandbox: &Sandbox| -> Vec<String> {
        let rows = sandbox.rows(all);
        rows.iter()
            .map(|row| format!("{} {}", row["country"], row["n"]))
            .collect()
    };
    let each = [
        "\"100%\" 3",
        "\"FI\" 3",
        "\"x=y\" 3",
        "\"Åland / öar\" 3",
        "null 3",
    ];
    assert_eq!(rows(&sandbox), each);
    assert_eq!(files_read(&sandbox, "SELECT * FROM gold.sales"), None);
    for those in ["= 'Åland / öar'", "= 'x=y'", "IS NULL", "LIKE 'F%'"] {
        let some = format!("SELECT * FROM gold.sales WHERE country {those}");
        assert_eq!(sandbox.rows(&some).len(), 3, "{those}");
        if !those.starts_with("LIKE") {
            assert_eq!(files_read(&sandbox, &some), Some(3), "{those}");
        }
    }

    let replayed = sandbox.call(&["replay", &run]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.all());
    let maintained = sandbox.call(&["maintain", "--now"]);
    assert_eq!(maintained.code, Some(0), "{}", maintained.all());
    assert_eq!(files_read(&sandbox, "SELECT * FROM gold.sales"), Some(5));
    assert_eq!(rows(&sandbox), each);
    // And the next rows are found beside them.
    sandbox.write("sales-9.csv", "id,country\n9,FI\n9,EE\n");
    sandbox.run();
    assert_eq!(
        sandbox.value("SELECT count(*) FROM gold.latest WHERE country = 'FI'"),
        4
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.latest"), 17);
}
