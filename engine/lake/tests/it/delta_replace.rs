//! Replacing the rows of ingested files, in one commit.

use arrow::array::RecordBatch;
use sluice_lake::{LakeError, delta::WriteMode};

use crate::fixture::{APP, TestLake, filed, name, rows_of, words};

#[tokio::test]
async fn replacing_files_is_one_commit() {
    let test = TestLake::new();
    let rows = filed(&[("a.csv", 1), ("b.csv", 2), ("a.csv", 3), ("c.csv", 4)]);
    test.write("bronze.t", WriteMode::Append, vec![rows], 1)
        .await
        .unwrap();
    let more = filed(&[("d.csv", 5)]);
    test.write("bronze.t", WriteMode::Append, vec![more], 2)
        .await
        .unwrap();

    // `a` changed, `new` is new, `gone` was never there; the file with `d` stays.
    let mode = WriteMode::ReplaceFiles(vec!["a.csv".to_owned(), "gone.csv".to_owned()]);
    let changed = filed(&[("a.csv", 10), ("new.csv", 11)]);
    let written = test
        .write("bronze.t", mode, vec![changed], 3)
        .await
        .unwrap();
    assert_eq!((written.version, written.rows), (2, 2));
    assert_eq!(
        test.rows("bronze.t").await,
        ["a.csv|10", "b.csv|2", "c.csv|4", "d.csv|5", "new.csv|11"]
    );
    let table = name("bronze.t");
    assert_eq!(test.lake.last_txn(&table, APP).await.unwrap(), Some(3));
    let log = std::fs::read_to_string(
        test.lake
            .table_path(&table)
            .join("_delta_log/00000000000000000002.json"),
    )
    .unwrap();
    assert_eq!(
        log.matches("\"remove\":").count(),
        1,
        "only one file was touched"
    );
    assert_eq!(test.lake.commits(&table).await.unwrap().len(), 3);

    let old = test.lake.load(&table, Some(1)).await.unwrap();
    assert_eq!(
        rows_of(old.provider).await,
        ["a.csv|1", "a.csv|3", "b.csv|2", "c.csv|4", "d.csv|5"]
    );
}

#[tokio::test]
async fn replacing_files_that_have_no_rows_appends() {
    let test = TestLake::new();
    let mode = |files: &[&str]| {
        WriteMode::ReplaceFiles(files.iter().map(|&file| file.to_owned()).collect())
    };
    for (txn, files, row) in [
        (1, vec!["a.csv"], ("a.csv", 1)),
        (2, vec![], ("b.csv", 2)),
        (3, vec!["it's.csv"], ("it's.csv", 3)),
        (4, vec!["it's.csv"], ("it's.csv", 4)),
    ] {
        test.write("bronze.t", mode(&files), vec![filed(&[row])], txn)
            .await
            .unwrap();
    }
    assert_eq!(
        test.rows("bronze.t").await,
        ["a.csv|1", "b.csv|2", "it's.csv|4"]
    );
    // A file that became empty: its rows go.
    test.write("bronze.t", mode(&["a.csv", "b.csv"]), vec![filed(&[])], 5)
        .await
        .unwrap();
    assert_eq!(test.rows("bronze.t").await, ["it's.csv|4"]);
}

#[tokio::test]
async fn many_rows_survive_a_replacement() {
    let test = TestLake::new();
    let files: Vec<String> = (0..50).map(|n| format!("f{n}.csv")).collect();
    let batches: Vec<RecordBatch> = files
        .iter()
        .map(|file| filed(&(0..100).map(|id| (file.as_str(), id)).collect::<Vec<_>>()))
        .collect();
    test.write("bronze.t", WriteMode::Append, batches, 1)
        .await
        .unwrap();
    let mode = WriteMode::ReplaceFiles(files[..25].to_vec());
    test.write("bronze.t", mode, vec![filed(&[("f0.csv", -1)])], 2)
        .await
        .unwrap();
    let rows = test.rows("bronze.t").await;
    assert_eq!(rows.len(), 25 * 100 + 1);
    assert_eq!(
        rows.iter().filter(|row| row.starts_with("f0.csv")).count(),
        1
    );
}

#[tokio::test]
async fn a_table_without_files_cannot_have_them_replaced() {
    let test = TestLake::new();
    test.write("silver.t", WriteMode::Append, vec![words(&[(1, "a")])], 1)
        .await
        .unwrap();
    let mode = WriteMode::ReplaceFiles(vec!["a.csv".to_owned()]);
    let error = test
        .write("silver.t", mode, vec![words(&[(2, "b")])], 2)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::SchemaChanged { .. }), "{error}");
    assert!(error.to_string().contains("no column `_file`"), "{error}");
    assert_eq!(test.rows("silver.t").await, ["1|a"]);
}
