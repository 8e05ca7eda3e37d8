//! What tables promise of their columns.

use sluice_pipelines::events::RunStatus;

use crate::sandbox::Sandbox;

const TABLE: &str = "\
tables:
  a.b:
    sql: SELECT * FROM (VALUES (1, 'a', 1.5), (2, 'b', NULL)) AS t (id, word, price)
    columns:
      id: {type: bigint, primary_key: true, comment: Tells bottles apart.}
      word: {not_null: true}
      price: double
";

fn schema(sandbox: &Sandbox) -> impl Future<Output = String> {
    let lakehouse = sandbox.lakehouse();
    async move {
        let table = lakehouse.load(&"a.b".parse().unwrap(), None).await.unwrap();
        let words = table.schema.fields().iter().map(|field| {
            let null = if field.is_nullable() { "" } else { " NOT NULL" };
            let comment = field.metadata().get("comment");
            let comment = comment.map_or_else(String::new, |comment| format!(": {comment}"));
            format!("{} {}{null}{comment}", field.name(), field.data_type())
        });
        words.collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_says_what_is_promised() {
    let sandbox = Sandbox::new(TABLE);
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: id_not_null (fail): 0 of 2 rows break it
    a.b: made: 2 rows, version 0
    a.b: primary_key (fail): 0 of 2 rows break it
    a.b: word_not_null (fail): 0 of 2 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(schema(&sandbox).await, @r"
    id Int64 NOT NULL: Tells bottles apart.
    word Utf8 NOT NULL
    price Float64
    ");
    let columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'b' AND table_schema = 'a'";
    insta::assert_snapshot!(sandbox.query(columns).await, @r"
    +-------------+-----------+-------------+
    | column_name | data_type | is_nullable |
    +-------------+-----------+-------------+
    | id          | Int64     | NO          |
    | word        | Utf8      | NO          |
    | price       | Float64   | YES         |
    +-------------+-----------+-------------+
    ");

    // A comment describes the rows that there are; nothing is computed.
    sandbox.edit(
        "comment: Tells bottles apart.",
        "comment: The bottle's number.",
    );
    insta::assert_snapshot!(sandbox.plan_of("a.b").await, @r"skip  a.b: query and inputs are unchanged since version 0; only its comment changes");
    let again = sandbox.run_well().await;
    assert_eq!((again.summary.made, again.summary.skipped), (0, 1));
    assert!(
        schema(&sandbox)
            .await
            .contains("NOT NULL: The bottle's number.")
    );
    assert_eq!(sandbox.run_well().await.summary.skipped, 1);
    assert_eq!(sandbox.version("a.b").await, Some(1));
    // That a column may be NULL is something else.
    sandbox.edit("word: {not_null: true}", "word: string");
    assert_eq!(sandbox.run_well().await.summary.made, 1);
    assert!(schema(&sandbox).await.contains("word Utf8\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_broken_leaves_the_table_as_it_was() {
    let sandbox = Sandbox::new(TABLE);
    sandbox.run_well().await;
    sandbox.edit("(2, 'b', NULL)", "(2, NULL, NULL), (NULL, 'c', 2.5)");
    let ran = sandbox.run().await;
    assert_eq!(ran.summary.status, RunStatus::Failed);
    insta::assert_snapshot!(ran.told(), @r#"
    a.b: failed: expectation `id_not_null` failed: 1 of 3 rows break it, so nothing was written; see the rows with: SELECT * FROM (SELECT * FROM (VALUES (1, 'a', 1.5), (2, NULL, NULL), (NULL, 'c', 2.5)) AS t (id, word, price)) WHERE ("id" IS NOT NULL) IS NOT TRUE
    a.b: id_not_null (fail): 1 of 3 rows break it
    a.b: primary_key (fail): 0 of 1 rows break it
    a.b: word_not_null (fail): 1 of 3 rows break it
    Failed: 0 made, 0 skipped, 1 failed
    "#);
    sandbox.edit("(2, NULL, NULL), (NULL, 'c', 2.5)", "(1, 'b', 2.5)");
    insta::assert_snapshot!(sandbox.run().await.failure("a.b"), @r"expectation `primary_key` failed: 1 of 2 rows repeat what another has in (id), such as id = 1, so nothing was written");
    assert_eq!(sandbox.version("a.b").await, Some(0));
    // A row that a rule leaves out promises nothing.
    sandbox.edit("(1, 'b', 2.5)", "(3, NULL, 2.5)");
    sandbox.edit(
        "    columns:",
        "    expect: {worded: {that: word IS NOT NULL, otherwise: drop}}\n    columns:",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    a.b: id_not_null (fail): 0 of 2 rows break it
    a.b: made: 1 rows, version 1
    a.b: primary_key (fail): 0 of 1 rows break it
    a.b: word_not_null (fail): 0 of 2 rows break it
    a.b: worded (drop): 1 of 2 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_held_to_it_as_they_come() {
    let sandbox = Sandbox::new(
        "tables:\n  a.b:\n    ingest: {files: data/*.csv}\n    columns:\n      id: {type: bigint, not_null: true, comment: A number.}\n      word: string\n",
    );
    sandbox.write("data/a.csv", "id,word\n1,x\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id,word\n2,y\n,z\n");
    insta::assert_snapshot!(sandbox.run().await.failure("a.b"), @r"expectation `id_not_null` failed: 1 of 2 rows break it, so nothing was written; the first is row 2 of data/b.csv");
    // A comment that changes together with the files.
    sandbox.write("data/b.csv", "id,word\n2,y\n");
    sandbox.write("data/a.csv", "id,word\n3,x\n");
    sandbox.edit("A number.", "The number.");
    sandbox.run_well().await;
    let told = schema(&sandbox).await;
    assert!(
        told.starts_with("id Int64 NOT NULL: The number.\n"),
        "{told}"
    );
    assert_eq!(sandbox.value("SELECT sum(id) FROM a.b").await, "5");
    sandbox.write("data/c.csv", "id,word,more\n2,y,1\n");
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[ingest]: data/c.csv does not have the columns of data/a.csv: `more` (BIGINT) is new; make them alike, or say `evolve: true`
     --> pipeline.yaml:4:21
      |
    4 |     ingest: {files: data/*.csv}
      |                     ^^^^^^^^^^
    ");
}
