//! Rules on whole tables: kept, broken and only told; a table that breaks one was never there.

use std::path::Path;

use sluice_pipelines::events::RunStatus;

use crate::sandbox::Sandbox;

const ROWS: &str = "SELECT * FROM (VALUES (1, 'open', 7), (2, 'shut', 8), (3, NULL, 9), (NULL, 'opn', 9)) AS t (id, state, customer)";

/// A table `a.b` of four rows beside `a.customers` with three of them, and its rules.
fn ruled(rules: &str) -> Sandbox {
    Sandbox::new(&format!(
        "tables:\n  a.customers:\n    sql: SELECT column1 AS id FROM (VALUES (7), (8), (10))\n  a.b:\n    sql: {ROWS}\n    expect:\n{rules}"
    ))
}

/// The data files in a table's folder, committed or not.
fn data_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let parquet = |path: &Path| path.extension().is_some_and(|end| end == "parquet");
    entries
        .filter(|entry| parquet(&entry.as_ref().unwrap().path()))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_rule_tells_what_breaks_it() {
    let sandbox = ruled(
        "      \
      filled: {not_null: [id, state]}
      states: {accepted_values: {column: State, values: [open, shut]}}
      known: {relationships: {column: customer, to: a.customers.id}}
      itself: {relationships: {column: id, to: a.b.customer}}
      many: {row_count: {min: 5}}
      few: {row_count: {max: 3}}
      pairs: {unique: [customer]}
      low: {custom: \"SELECT a.b.id, state FROM a.b JOIN a.customers AS c ON c.id = customer WHERE c.id > 7\"}
",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: few (warn): there are 4 rows, more than 3
    a.b: filled (warn): 2 of 4 rows have no value in `id` or `state`
    a.b: itself (warn): 3 of 4 rows have a value in `id` that `a.b` does not have in `customer`: 1 (1 row), 2 (1 row), 3 (1 row)
    a.b: known (warn): 2 of 4 rows have a value in `customer` that `a.customers` does not have in `id`: 9 (2 rows)
    a.b: low (warn): the query gives 1 row, such as id = 2, state = shut
    a.b: made: 4 rows, version 0
    a.b: many (warn): there are 4 rows, fewer than 5
    a.b: pairs (warn): 1 of 4 rows repeat what another has in (customer), such as customer = 9
    a.b: states (warn): 1 of 4 rows have another value in `state`: opn (1 row)
    a.customers: made: 3 rows, version 0
    Finished: 2 made, 0 skipped, 0 failed
    ");
    let columns = "name, kind, rule, otherwise, rows, failed, found";
    let query = format!("SELECT {columns} FROM system.expectations ORDER BY name");
    insta::assert_snapshot!(sandbox.query(&query).await, @r"
    +--------+-----------------+-----------------------------------------------------------------------------------------------+-----------+------+--------+----------------------------------------------------------------------------------------------------------+
    | name   | kind            | rule                                                                                          | otherwise | rows | failed | found                                                                                                    |
    +--------+-----------------+-----------------------------------------------------------------------------------------------+-----------+------+--------+----------------------------------------------------------------------------------------------------------+
    | few    | row_count       | row_count: {max: 3}                                                                           | warn      | 4    | 1      | there are 4 rows, more than 3                                                                            |
    | filled | not_null        | not_null: [id, state]                                                                         | warn      | 4    | 2      | 2 of 4 rows have no value in `id` or `state`                                                             |
    | itself | relationships   | relationships: {column: id, to: a.b.customer}                                                 | warn      | 4    | 3      | 3 of 4 rows have a value in `id` that `a.b` does not have in `customer`: 1 (1 row), 2 (1 row), 3 (1 row) |
    | known  | relationships   | relationships: {column: customer, to: a.customers.id}                                         | warn      | 4    | 2      | 2 of 4 rows have a value in `customer` that `a.customers` does not have in `id`: 9 (2 rows)              |
    | low    | custom          | custom: SELECT a.b.id, state FROM a.b JOIN a.customers AS c ON c.id = customer WHERE c.id > 7 | warn      | 4    | 1      | the query gives 1 row, such as id = 2, state = shut                                                      |
    | many   | row_count       | row_count: {min: 5}                                                                           | warn      | 4    | 1      | there are 4 rows, fewer than 5                                                                           |
    | pairs  | unique          | unique: [customer]                                                                            | warn      | 4    | 1      | 1 of 4 rows repeat what another has in (customer), such as customer = 9                                  |
    | states | accepted_values | accepted_values: {column: state, values: [open, shut]}                                        | warn      | 4    | 1      | 1 of 4 rows have another value in `state`: opn (1 row)                                                   |
    +--------+-----------------+-----------------------------------------------------------------------------------------------+-----------+------+--------+----------------------------------------------------------------------------------------------------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_hold_say_nothing() {
    let sandbox = ruled(
        "      \
      filled: {not_null: customer, otherwise: fail}
      states: {accepted_values: {column: state, values: [open, shut, opn]}, otherwise: fail}
      known: {relationships: {column: id, to: a.b.id}, otherwise: fail}
      many: {row_count: {min: 4, max: 4}, otherwise: fail}
      ids: {unique: id, otherwise: fail}
      low: {custom: SELECT * FROM a.b WHERE customer > 9, otherwise: fail}
",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: filled (fail): 0 of 4 rows break it
    a.b: ids (fail): 0 of 4 rows break it
    a.b: known (fail): 0 of 4 rows break it
    a.b: low (fail): 0 of 4 rows break it
    a.b: made: 4 rows, version 0
    a.b: many (fail): 0 of 4 rows break it
    a.b: states (fail): 0 of 4 rows break it
    a.customers: made: 3 rows, version 0
    Finished: 2 made, 0 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_breaks_a_rule_was_never_there() {
    let sandbox = ruled("      few: {row_count: {max: 3}, otherwise: fail}\n");
    let folder = sandbox.path("lakehouse/a/b");
    let ran = sandbox.run().await;
    assert_eq!(ran.summary.status, RunStatus::Failed);
    insta::assert_snapshot!(ran.failure("a.b"), @r"expectation `few` failed: there are 4 rows, more than 3, so nothing was written");
    assert_eq!(sandbox.version("a.b").await, None);
    assert_eq!(data_files(&folder), 0);

    // The version before stays, and nothing lies beside it.
    sandbox.edit("max: 3", "max: 4");
    sandbox.run_well().await;
    let before = data_files(&folder);
    for broken in [
        "{not_null: id, otherwise: fail}",
        "{accepted_values: {column: state, values: [open]}, otherwise: fail}",
        "{relationships: {column: customer, to: a.customers.id}, otherwise: fail}",
        "{unique: customer, otherwise: fail}",
        "{custom: SELECT * FROM a.b WHERE id = 2, otherwise: fail}",
        "{row_count: {min: 9}, otherwise: fail}",
    ] {
        let good = "{row_count: {max: 4}, otherwise: fail}";
        sandbox.edit(good, broken);
        let ran = sandbox.run().await;
        assert!(
            ran.failure("a.b").ends_with("so nothing was written"),
            "{}",
            ran.told()
        );
        assert_eq!(sandbox.version("a.b").await, Some(0));
        assert_eq!(sandbox.value("SELECT count(*) FROM a.b").await, "4");
        assert_eq!(data_files(&folder), before, "{broken}");
        sandbox.edit(broken, good);
    }
}

/// Rows that stay where they are count, and so do those of a file that is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn rules_look_at_staying_and_new_rows() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: data/*.csv}\n    expect:\n      few: {row_count: {max: 4}, otherwise: fail}\n      sum: {custom: SELECT sum(id) AS total FROM bronze.a HAVING sum(id) > 10, otherwise: fail}\n",
    );
    sandbox.write("data/a.csv", "id\n1\n2\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id\n3\n4\n5\n");
    insta::assert_snapshot!(sandbox.run().await.told(), @r"
    bronze.a: failed: expectation `few` failed: there are 5 rows, more than 4, so nothing was written
    bronze.a: few (fail): there are 5 rows, more than 4
    bronze.a: sum (fail): the query gives 1 row, such as total = 15
    Failed: 0 made, 0 skipped, 1 failed
    ");
    sandbox.write("data/b.csv", "id\n3\n5\n");
    insta::assert_snapshot!(sandbox.run().await.failure("bronze.a"), @r"expectation `sum` failed: the query gives 1 row, such as total = 11, so nothing was written");
    // Of a file that changed, the new rows count.
    sandbox.write("data/a.csv", "id\n1\n1\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.a: few (fail): 0 of 4 rows break it
    bronze.a: made: 4 rows, version 1
    bronze.a: sum (fail): 0 of 4 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");
}

/// What is up to date grows old: its rows are looked at in every run.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_nothing_changes_goes_stale() {
    let fresh = "SELECT now() - INTERVAL '2 hours' AS at, CAST(NULL AS DATE) AS day";
    let sandbox = Sandbox::new(&format!(
        "tables:\n  a.once:\n    sql: SELECT CAST('2020-01-01' AS TIMESTAMP) AS at\n    expect: {{recent: {{freshness: {{column: at, within: 9999999h}}, otherwise: fail}}}}\n  a.now:\n    sql: {fresh}\n    expect:\n      hourly: {{freshness: {{column: at, within: 1h}}}}\n      daily: {{freshness: {{column: at, within: 1d}}}}\n      never: {{freshness: {{column: day, within: 1d}}}}\n"
    ));
    let told = sandbox.run_well().await.told();
    let (before, age) = told.split_once("`at` is ").unwrap();
    let (age, after) = age.split_once(" old").unwrap();
    assert!(age.starts_with("1h59m") || age.starts_with("2h"), "{age}");
    let ages = format!("{before}`at` is [age] old{after}");
    insta::assert_snapshot!(ages, @r"
    a.now: daily (warn): 0 of 1 rows break it
    a.now: hourly (warn): the latest `at` is [age] old, and 1h is the most
    a.now: made: 1 rows, version 0
    a.now: never (warn): there is no value in `day`, so that nothing is fresh
    a.once: made: 1 rows, version 0
    a.once: recent (fail): 0 of 1 rows break it
    Finished: 2 made, 0 skipped, 0 failed
    ");
    // The rule is as it was when the table was made; only the clock went on.
    let expected = "freshness: {column: at, within: 416666d15h}";
    let rule = "SELECT rule FROM system.expectations WHERE asset = 'a.once'";
    assert_eq!(sandbox.value(rule).await, expected);
    let again = sandbox.run().await;
    assert!(
        again.told().contains("a.once: recent (fail): 0 of 1 rows"),
        "{}",
        again.told()
    );
    assert!(again.told().contains("a.once: skipped"), "{}", again.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_look_at_is_made_before() {
    let sandbox = Sandbox::new(
        "tables:\n  a.child:\n    sql: SELECT 1 AS parent\n    expect:\n      known: {relationships: {column: parent, to: a.parent.id}, otherwise: fail}\n  a.parent:\n    sql: SELECT 2 AS id\n",
    );
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r"
    a.child: failed: expectation `known` failed: 1 of 1 rows have a value in `parent` that `a.parent` does not have in `id`: 1 (1 row), so nothing was written
    a.child: known (fail): 1 of 1 rows have a value in `parent` that `a.parent` does not have in `id`: 1 (1 row)
    a.parent: made: 1 rows, version 0
    Failed: 1 made, 0 skipped, 1 failed
    ");
    sandbox.edit("SELECT 2", "SELECT 1");
    sandbox.run_well().await;
    // A change of what a rule looks at makes nothing anew.
    assert_eq!(sandbox.version("a.child").await, Some(0));
}
