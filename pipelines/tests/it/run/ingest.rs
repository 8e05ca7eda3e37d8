//! Files that become tables, again and again.

use crate::sandbox::Sandbox;

const FILES: &str = "tables:\n  bronze.wine:\n    ingest: {files: data/*.csv}\n";
const FOLLOWING: &str = "tables:\n  bronze.wine:\n    ingest: {files: data/*.csv, evolve: true}\n";
const ROWS: &str = "SELECT _file, _row, id, name FROM bronze.wine ORDER BY _file, _row";

#[tokio::test(flavor = "multi_thread")]
async fn only_new_and_changed_files_are_read_and_replaced_in_one_commit() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "id,name\n1,x\n2,y\n");
    sandbox.write("data/b.csv", "id,name\n3,z\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 3 rows, version 0
    Finished: 1 made, 0 skipped, 0 failed
    ");
    let arrived = "SELECT DISTINCT _file, _ingested_at FROM bronze.wine ORDER BY _file";
    let first = sandbox.query(arrived).await;

    sandbox.write("data/b.csv", "id,name\n3,zz\n4,w\n");
    sandbox.write("data/c.csv", "id,name\n5,v\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 3 rows, version 1
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +------------+------+----+------+
    | _file      | _row | id | name |
    +------------+------+----+------+
    | data/a.csv | 1    | 1  | x    |
    | data/a.csv | 2    | 2  | y    |
    | data/b.csv | 1    | 3  | zz   |
    | data/b.csv | 2    | 4  | w    |
    | data/c.csv | 1    | 5  | v    |
    +------------+------+----+------+
    ");
    assert_eq!(sandbox.version("bronze.wine").await, Some(1));
    // What did not change was not read again.
    let second = sandbox.query(arrived).await;
    assert_eq!(first.lines().nth(3), second.lines().nth(3));
    assert_ne!(first.lines().nth(4), second.lines().nth(4));
    insta::assert_snapshot!(
        sandbox.query("SELECT table_name, path, bytes, rows, version FROM system.files ORDER BY path").await,
        @r"
    +-------------+------------+-------+------+---------+
    | table_name  | path       | bytes | rows | version |
    +-------------+------------+-------+------+---------+
    | bronze.wine | data/a.csv | 16    | 2    | 0       |
    | bronze.wine | data/b.csv | 17    | 2    | 1       |
    | bronze.wine | data/c.csv | 12    | 1    | 1       |
    +-------------+------------+-------+------+---------+
    "
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_file_that_is_gone_stay() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "id,name\n1,x\n");
    sandbox.write("data/b.csv", "id,name\n2,y\n");
    sandbox.run_well().await;
    std::fs::remove_file(sandbox.path("data/a.csv")).unwrap();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its file is unchanged since version 0
    Finished: 0 made, 1 skipped, 0 failed
    ");
    sandbox.write("data/c.csv", "id,name\n3,z\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +------------+------+----+------+
    | _file      | _row | id | name |
    +------------+------+----+------+
    | data/a.csv | 1    | 1  | x    |
    | data/b.csv | 1    | 2  | y    |
    | data/c.csv | 1    | 3  | z    |
    +------------+------+----+------+
    ");
    // It comes back as it was: nothing new.
    sandbox.write("data/a.csv", "id,name\n1,x\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its 3 files are unchanged since version 1
    Finished: 0 made, 1 skipped, 0 failed
    ");
    // It comes back with other rows: they replace the old ones.
    sandbox.write("data/a.csv", "id,name\n9,x\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +------------+------+----+------+
    | _file      | _row | id | name |
    +------------+------+----+------+
    | data/a.csv | 1    | 9  | x    |
    | data/b.csv | 1    | 2  | y    |
    | data/c.csv | 1    | 3  | z    |
    +------------+------+----+------+
    ");
}

/// The type of a column is that of all files, those that are gone included.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_file_can_widen_a_column() {
    let sandbox = Sandbox::new(FOLLOWING);
    sandbox.write("data/a.csv", "id,name\n1,7\n");
    sandbox.write("data/gone.csv", "id,name\n2,8\n");
    sandbox.run_well().await;
    std::fs::remove_file(sandbox.path("data/gone.csv")).unwrap();
    sandbox.write("data/b.csv", "id,name\n2.5,y\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 3 rows, version 1
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +---------------+------+-----+------+
    | _file         | _row | id  | name |
    +---------------+------+-----+------+
    | data/a.csv    | 1    | 1.0 | 7    |
    | data/b.csv    | 1    | 2.5 | y    |
    | data/gone.csv | 1    | 2.0 | 8    |
    +---------------+------+-----+------+
    ");
    insta::assert_snapshot!(sandbox.query("SELECT DISTINCT arrow_typeof(id) AS id, arrow_typeof(name) AS name FROM bronze.wine").await, @r"
    +---------+------+
    | id      | name |
    +---------+------+
    | Float64 | Utf8 |
    +---------+------+
    ");
    // A file that would fit into a narrower column, or has only empty fields, is only added.
    sandbox.write("data/c.csv", "name,id\n9,\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 1 rows, version 2
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +---------------+------+-----+------+
    | _file         | _row | id  | name |
    +---------------+------+-----+------+
    | data/a.csv    | 1    | 1.0 | 7    |
    | data/b.csv    | 1    | 2.5 | y    |
    | data/c.csv    | 1    |     | 9    |
    | data/gone.csv | 1    | 2.0 | 8    |
    +---------------+------+-----+------+
    ");
    insta::assert_snapshot!(
        sandbox.query("SELECT path, bytes, version FROM system.files ORDER BY path").await,
        @r"
    +---------------+-------+---------+
    | path          | bytes | version |
    +---------------+-------+---------+
    | data/a.csv    | 12    | 1       |
    | data/b.csv    | 14    | 1       |
    | data/c.csv    | 11    | 2       |
    | data/gone.csv | 12    | 1       |
    +---------------+-------+---------+
    "
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_other_columns_leave_the_table_as_it_is() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "id,name\n1,x\n");
    sandbox.run_well().await;
    sandbox.write("data/b.csv", "id,name,more\n2,y,z\n");
    insta::assert_snapshot!(sandbox.wrong().await, @r"
    error[ingest]: data/b.csv does not have the columns of data/a.csv: `more` (VARCHAR) is new; make them alike, or say `evolve: true`
     --> pipeline.yaml:4:21
      |
    4 |     ingest: {files: data/*.csv}
      |                     ^^^^^^^^^^
    ");
    // When all files have the column, and it is wanted, the table gets it.
    sandbox.edit("data/*.csv", "data/*.csv, evolve: true");
    sandbox.write("data/a.csv", "id,name,more\n1,x,\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 2 rows, version 1
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * EXCLUDE (_ingested_at) FROM bronze.wine ORDER BY id").await, @r"
    +----+------+------+------------+------+
    | id | name | more | _file      | _row |
    +----+------+------+------------+------+
    | 1  | x    |      | data/a.csv | 1    |
    | 2  | y    | z    | data/b.csv | 1    |
    +----+------+------+------------+------+
    ");
}

/// Rules and splits that come later hold for the rows of files that are gone, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changes_reads_all_files_and_keeps_the_rest() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "id,Full Name,_key\n1,x,1\n-1,xx,2\n");
    sandbox.write("data/b.csv", "id,Full Name,_key\n2,y,3\n");
    sandbox.run_well().await;
    std::fs::remove_file(sandbox.path("data/a.csv")).unwrap();
    sandbox.edit(
        "    ingest:",
        "    expect: {positive: {that: id > 0, otherwise: drop}}\n    split: {parts: {train: 1.0}}\n    ingest:",
    );
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 2 rows, version 1
    bronze.wine: positive (drop): 1 of 3 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT * EXCLUDE (_ingested_at) FROM bronze.wine ORDER BY id").await, @r"
    +----+-----------+------+------------+------+--------+
    | id | full_name | _key | _file      | _row | _split |
    +----+-----------+------+------------+------+--------+
    | 1  | x         | 1    | data/a.csv | 1    | train  |
    | 2  | y         | 3    | data/b.csv | 1    | train  |
    +----+-----------+------+------------+------+--------+
    ");
    insta::assert_snapshot!(sandbox.query("SELECT path, bytes, version FROM system.files ORDER BY path").await, @r"
    +------------+-------+---------+
    | path       | bytes | version |
    +------------+-------+---------+
    | data/a.csv | 32    | 1       |
    | data/b.csv | 24    | 1       |
    +------------+-------+---------+
    ");
    let table = sandbox
        .lakehouse()
        .load(&"bronze.wine".parse().unwrap(), None)
        .await
        .unwrap();
    let field = table.schema.field_with_name("full_name").unwrap();
    assert_eq!(field.metadata()["sluice.original_name"], "Full Name");
    // New files come in as before.
    sandbox.write("data/c.csv", "id,Full Name,_key\n3,z,4\n");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 1 rows, version 2
    bronze.wine: positive (drop): 0 of 1 rows break it
    Finished: 1 made, 0 skipped, 0 failed
    ");

    // Without the table there is nothing to keep.
    std::fs::remove_dir_all(sandbox.path("lakehouse/bronze")).unwrap();
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: made: 2 rows, version 0
    bronze.wine: positive (drop): 0 of 2 rows break it
    bronze.wine: warning: the table was removed or went back to an earlier version
    Finished: 1 made, 0 skipped, 0 failed
    ");
    insta::assert_snapshot!(sandbox.query("SELECT path FROM system.files ORDER BY path").await, @r"
    +------------+
    | path       |
    +------------+
    | data/b.csv |
    | data/c.csv |
    +------------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_types_are_held() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.wine:\n    ingest:\n      files: data/*.csv\n      csv: {columns: {id: bigint, name: bigint}}\n      on_bad_record: fail\n",
    );
    sandbox.write("data/a.csv", "id,name\n1,7\n");
    sandbox.run_well().await;
    sandbox.write("data/a.csv", "id,name\n1,7\n2,x\n");
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.told(), @r#"
    bronze.wine: failed: data/a.csv, line 3, row 2: "x" in the column `name` is not a whole number: fix the value, or declare the column as VARCHAR
    Failed: 0 made, 0 skipped, 1 failed
    "#);
    assert_eq!(sandbox.version("bronze.wine").await, Some(0));
    insta::assert_snapshot!(sandbox.query(ROWS).await, @r"
    +------------+------+----+------+
    | _file      | _row | id | name |
    +------------+------+----+------+
    | data/a.csv | 1    | 1  | 7    |
    +------------+------+----+------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_become_names_and_are_kept() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.wine:\n    ingest: {files: a.csv, csv: {delimiter: \";\"}}\n  silver.wine:\n    sql: SELECT fixed_acidity, PH FROM bronze.wine\n",
    );
    sandbox.write("a.csv", "Fixed Acidity;pH\n7,1;3,2\n7;3\n");
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query("SELECT * FROM silver.wine").await, @r"
    +---------------+-----+
    | fixed_acidity | pH  |
    +---------------+-----+
    | 7,1           | 3,2 |
    | 7             | 3   |
    +---------------+-----+
    ");
    let name = "bronze.wine".parse().unwrap();
    let table = sandbox.lakehouse().load(&name, None).await.unwrap();
    let field = table.schema.field_with_name("fixed_acidity").unwrap();
    assert_eq!(field.metadata()["sluice.original_name"], "Fixed Acidity");
}

/// The versions of both tables are told, and are told again without the store.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_have_versions_too() {
    let sandbox = Sandbox::new(FILES);
    sandbox.write("data/a.csv", "id,name\n1,x\n2\n");
    sandbox.write("data/b.csv", "id,name\n3\n");
    sandbox.run_well().await;
    sandbox.write("data/c.csv", "id,name\n4\n5,y\n6\n");
    sandbox.run_well().await;
    let versions = "SELECT table_name, version, t.rows, r.kind, length(key) AS key \
        FROM system.table_versions AS t LEFT JOIN system.runs AS r USING (run_id) \
        ORDER BY table_name, version";
    insta::assert_snapshot!(sandbox.query(versions).await, @r"
    +-----------------------+---------+------+------+-----+
    | table_name            | version | rows | kind | key |
    +-----------------------+---------+------+------+-----+
    | bronze.wine           | 0       | 1    | run  | 32  |
    | bronze.wine           | 1       | 1    | run  | 32  |
    | bronze.wine__rejected | 0       | 2    | run  | 32  |
    | bronze.wine__rejected | 1       | 2    | run  | 32  |
    +-----------------------+---------+------+------+-----+
    ");
    let files = "SELECT path, rows FROM system.files ORDER BY path";
    let before = sandbox.query(files).await;
    insta::assert_snapshot!(before, @r"
    +------------+------+
    | path       | rows |
    +------------+------+
    | data/a.csv | 1    |
    | data/b.csv | 0    |
    | data/c.csv | 1    |
    +------------+------+
    ");
    sandbox.lose_state();
    sandbox.run_well().await;
    assert_eq!(sandbox.query(files).await, before);
    let told = "SELECT count(*) FROM system.table_versions WHERE table_name LIKE '%rejected'";
    assert_eq!(sandbox.value(told).await, "2");
}

/// A comment is the table's description; when only it changes, nothing is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_comment_leaves_the_rows_alone() {
    let table = |comment: &str| {
        format!(
            "{FILES}  gold.wine:\n    comment: {comment}\n    sql: SELECT id FROM bronze.wine\n  gold.sum:\n    sql: SELECT sum(id) AS n FROM gold.wine\n"
        )
    };
    let sandbox = Sandbox::new(&table("The ids."));
    sandbox.write("data/a.csv", "id,name\n1,x\n");
    sandbox.run_well().await;
    let description = |version: u64| {
        let log = format!("lakehouse/gold/wine/_delta_log/{version:020}.json");
        let log = std::fs::read_to_string(sandbox.path(&log)).unwrap();
        let find = |line: &str| {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            action["metaData"]["description"]
                .as_str()
                .map(str::to_owned)
        };
        log.lines().find_map(find)
    };
    assert_eq!(description(0).as_deref(), Some("The ids."));
    sandbox.pipeline(&table("All ids."));
    insta::assert_snapshot!(sandbox.plan().await, @r"
    skip  bronze.wine: its file is unchanged since version 0
    skip  gold.wine: query and inputs are unchanged since version 0; only its comment changes
    skip  gold.sum: query and inputs are unchanged since version 0
    ");
    insta::assert_snapshot!(sandbox.run_well().await.told(), @r"
    bronze.wine: skipped: its file is unchanged since version 0
    gold.sum: skipped: query and inputs are unchanged since version 0
    gold.wine: skipped: query and inputs are unchanged since version 0; its comment is new
    Finished: 0 made, 3 skipped, 0 failed
    ");
    assert_eq!(description(1).as_deref(), Some("All ids."));
    let unchanged = "\
skip  bronze.wine: its file is unchanged since version 0
skip  gold.wine: query and inputs are unchanged since version 0
skip  gold.sum: query and inputs are unchanged since version 0
";
    assert_eq!(sandbox.plan().await, unchanged);
    // What was only said of a table is known again without the store.
    sandbox.lose_state();
    let told = sandbox.run_well().await;
    assert_eq!(told.summary.made, 0, "{}", told.told());
    assert_eq!(sandbox.plan().await, unchanged);
    assert_eq!(sandbox.version("gold.wine").await, Some(1));
    // A comment that is taken away leaves none.
    sandbox.edit("    comment: All ids.\n", "");
    sandbox.run_well().await;
    assert_eq!(description(2).as_deref(), Some(""));
    assert_eq!(sandbox.plan().await, unchanged);
    // The rows change as they did before.
    sandbox.write("data/b.csv", "id,name\n2,x\n");
    assert_eq!(sandbox.run_well().await.summary.made, 3);
    assert_eq!(sandbox.value("SELECT n FROM gold.sum").await, "3");
}

const APPENDED: &str = "tables:\n  bronze.wine:\n    ingest: {files: in/}\n  silver.wine:\n    sql: SELECT id, _file FROM bronze.wine\n    mode: append\n    refresh: strict\n";
const COUNTS: &str =
    "SELECT (SELECT count(*) FROM bronze.wine) AS a, (SELECT count(*) FROM silver.wine) AS b";

async fn counts(sandbox: &Sandbox) -> String {
    let counted = sandbox.query(COUNTS).await;
    let line = counted.lines().nth(3).unwrap();
    line.split('|').map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Another way to write where the files lie names no other files.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_one_however_it_is_spelled() {
    let sandbox = Sandbox::new(APPENDED);
    sandbox.write("in/log.csv", "id,name\n1,x\n2,y\n3,z\n");
    sandbox.run_well().await;
    let folder = sandbox.path("");
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    let mut written = "in/".to_owned();
    for spelled in [
        "./in/".to_owned(),
        format!("{folder}/in/"),
        format!("{folder}/in/*.csv"),
        format!("../{name}/in/"),
        "in/../in/".to_owned(),
        ".//in".to_owned(),
        "in/log.csv".to_owned(),
    ] {
        sandbox.edit(
            &format!("{{files: {written}}}"),
            &format!("{{files: {spelled}}}"),
        );
        let ran = sandbox.run_well().await;
        assert_eq!(ran.summary.made, 0, "{spelled}: {}", ran.told());
        assert_eq!(counts(&sandbox).await, " 3 3 ", "{spelled}");
        written = spelled;
    }
    // All files are read again, and are the same.
    sandbox.edit("{files: in/log.csv}", "{files: ./in/, csv: {nulls: [q]}}");
    sandbox.edit("refresh: strict", "refresh: full");
    assert_eq!(sandbox.run_well().await.summary.made, 2);
    assert_eq!(counts(&sandbox).await, " 3 3 ");
    assert_eq!(
        sandbox.value("SELECT path FROM system.files").await,
        "in/log.csv"
    );
    // A folder that is added brings its files, and nothing else.
    sandbox.edit("refresh: full", "refresh: strict");
    sandbox.write("more/b.csv", "id,name\n4,w\n");
    sandbox.edit("{files: ./in/,", "{files: [./in/, more/],");
    insta::assert_snapshot!(sandbox.plan_of("bronze.wine").await, @r#"run   bronze.wine: its definition changed: `files` is ["./in/","more/"] (was ["./in/"]); 1 new file"#);
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 4 4 ");
}

/// A table keeps the name that it has of a file in `_file`.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_table_knows_stay() {
    let sandbox = Sandbox::new(APPENDED);
    let folder = sandbox.path("").parent().unwrap().to_owned();
    let landing = tempfile::tempdir_in(folder).unwrap();
    let absolute = landing.path().display().to_string();
    let relative = landing.path().file_name().unwrap().to_str().unwrap();
    std::fs::write(landing.path().join("log.csv"), "id,name\n1,x\n2,y\n").unwrap();
    sandbox.edit("{files: in/}", &format!("{{files: {absolute}/}}"));
    sandbox.run_well().await;
    sandbox.edit(
        &format!("{{files: {absolute}/}}"),
        &format!("{{files: ../{relative}/}}"),
    );
    assert_eq!(sandbox.run_well().await.summary.made, 0);
    std::fs::write(landing.path().join("new.csv"), "id,name\n3,z\n").unwrap();
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 3 3 ");
    // One that changed replaces its rows.
    std::fs::write(landing.path().join("log.csv"), "id,name\n1,x\n").unwrap();
    sandbox.edit("refresh: strict", "refresh: full");
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 2 2 ");
    let names = sandbox.value("SELECT string_agg(path, ' ' ORDER BY path) FROM system.files");
    let expected = format!("../{relative}/new.csv {absolute}/log.csv");
    assert_eq!(names.await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_keeps_its_rows_and_its_name() {
    let sandbox = Sandbox::new(APPENDED);
    let log = "id,name\n1,x\n2,y\n3,z\n";
    sandbox.write("in/new.csv", log);
    sandbox.run_well().await;
    std::fs::create_dir(sandbox.path("in/2026")).unwrap();
    std::fs::rename(sandbox.path("in/new.csv"), sandbox.path("in/2026/new.csv")).unwrap();
    insta::assert_snapshot!(sandbox.plan_of("bronze.wine").await, @"skip  bronze.wine: its file is unchanged since version 0; 1 stands at another place");
    assert_eq!(sandbox.run_well().await.summary.made, 0);
    assert_eq!(counts(&sandbox).await, " 3 3 ");

    // What comes under the old name then is another file; what moved keeps its rows.
    sandbox.write("in/new.csv", "id,name\n4,w\n");
    sandbox.edit("refresh: strict", "refresh: full");
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 4 4 ");
    let names = "SELECT string_agg(path, ' ' ORDER BY path) FROM system.files";
    assert_eq!(sandbox.value(names).await, "in/2026/new.csv in/new.csv");

    // A copy is a file of its own.
    sandbox.write("in/copy.csv", log);
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 7 7 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_and_then_changed_replaces_its_rows() {
    let sandbox = Sandbox::new(APPENDED);
    sandbox.edit("refresh: strict", "refresh: full");
    sandbox.write("in/new.csv", "id,name\n1,x\n2,y\n3,z\n");
    sandbox.run_well().await;
    std::fs::rename(sandbox.path("in/new.csv"), sandbox.path("in/old.csv")).unwrap();
    sandbox.run_well().await;
    sandbox.write("in/old.csv", "id,name\n1,x\n2,y\n");
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 2 2 ");
    // And it is read again with all others.
    sandbox.edit("{files: in/}", "{files: in/, csv: {nulls: [q]}}");
    sandbox.run_well().await;
    assert_eq!(counts(&sandbox).await, " 2 2 ");
    let names = sandbox.value("SELECT string_agg(path, ' ') FROM system.files");
    assert_eq!(names.await, "in/new.csv");
}

/// A table that follows its files brings new columns to those that read it, and `plan` says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_new_columns_come_to_is_known_beforehand() {
    let sandbox = Sandbox::new(
        "tables:\n  bronze.a:\n    ingest: {files: in/, evolve: true}\n  silver.ap:\n    mode: append\n    sql: SELECT * FROM bronze.a\n  silver.st:\n    mode: append\n    refresh: strict\n    sql: SELECT * FROM bronze.a\n  silver.same:\n    mode: append\n    refresh: strict\n    sql: SELECT id FROM bronze.a\n",
    );
    sandbox.write("in/a.csv", "id\n1\n");
    sandbox.run_well().await;
    sandbox.write("in/b.csv", "id\n2\n");
    insta::assert_snapshot!("evolve_same_columns", sandbox.plan().await);
    sandbox.run_well().await;
    sandbox.write("in/c.csv", "id,extra\n3,x\n");
    insta::assert_snapshot!("evolve_new_columns", sandbox.plan().await);
    insta::assert_snapshot!("evolve_new_columns_ran", sandbox.run().await.told());
}
