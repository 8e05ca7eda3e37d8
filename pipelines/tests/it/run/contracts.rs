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
    insta::assert_snapshot!(sandbox.run_well().await.told(), @"");
    insta::assert_snapshot!(schema(&sandbox).await, @"");
    let columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'b' AND table_schema = 'a'";
    insta::assert_snapshot!(sandbox.query(columns).await, @"");

    // A comment describes the rows that there are; nothing is computed.
    sandbox.edit(
        "comment: Tells bottles apart.",
        "comment: The bottle's number.",
    );
    insta::assert_snapshot!(sandbox.plan_of("a.b").await, @"");
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
    insta::assert_snapshot!(ran.told(), @"");
    sandbox.edit("(2, NULL, NULL), (NULL, 'c', 2.5)", "(1, 'b', 2.5)");
    insta::assert_snapshot!(sandbox.run().await.failure("a.b"), @"");
    assert_eq!(sandbox.version("a.b").await, Some(0));
    // A row that a rule leaves out promises nothing.
    sandbox.edit("(1, 'b', 2.5)", "(3, NULL, 2.5)");
    sandbox.edit(
        "    columns:",
        "    expect: {worded: {that: word IS NOT NULL, otherwise: drop}}\n    columns:",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_held_to_it_as_they_come() {
    let sandbox = Sandbox::new(
        "tables:\n  a.b:\n    ingest: {files: data/*.csv}\n    columns:\n      id: {type: bigint, not_null: true, comment: A number.}\n      word: string\n",
    );
    sandbox.write("data/a.csv", "id,word\n1,x\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id,word\n2,y\n,z\n");
    insta::assert_snapshot!(sandbox.run().await.failure("a.b"), @"");
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
    insta::assert_snapshot!(sandbox.wrong().await, @"");
}
