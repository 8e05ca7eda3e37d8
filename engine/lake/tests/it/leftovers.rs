//! Data files that a process wrote and did not get to committing.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::parquet::arrow::ArrowWriter;
use sluice_lake::delta::WriteMode;

use crate::fixture::{APP, TestLake, name, words};

/// The files of a table without its log.
fn files(table: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(table)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "_delta_log")
        .collect();
    names.sort();
    names
}

fn data_file(table: &Path) -> PathBuf {
    table.join(files(table).remove(0))
}

#[tokio::test]
async fn only_what_is_ours_and_never_committed_goes() {
    let test = TestLake::new();
    let table = name("silver.t");
    for (txn, mode) in [(1, WriteMode::Append), (2, WriteMode::Overwrite)] {
        let rows = vec![words(&[(txn, "a")])];
        test.write("silver.t", mode, rows, txn).await.unwrap();
    }
    let folder = test.lake.table_path(&table);
    // The rows of the first version are not read any more, and still named by it.
    let committed = files(&folder);
    assert_eq!(committed.len(), 2);
    let own = fs::read(data_file(&folder)).unwrap();
    fs::write(folder.join("part-0-ours.parquet"), &own).unwrap();
    fs::write(folder.join("part-0-cut-off.parquet#1"), &own[..9]).unwrap();
    let foreign = folder.join("part-0-foreign.parquet");
    let rows = words(&[(7, "b")]);
    let file = fs::File::create(&foreign).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    fs::write(folder.join("notes.txt"), "of somebody").unwrap();
    fs::write(folder.join("_delta_log/00000000000000000002.json#7"), "{").unwrap();

    // Nothing that old, and nothing of another project.
    let later = i64::MAX / 2_000_000;
    let removed = |app: &'static str, since| {
        let (lake, table) = (test.lake.clone(), table.clone());
        async move { lake.remove_leftovers(&table, app, since).await.unwrap() }
    };
    assert_eq!(removed(APP, later).await, 0);
    assert_eq!(
        removed("another/silver.t", 0).await,
        2,
        "cut off: anybody's"
    );
    assert_eq!(removed(APP, 0).await, 1);
    let mut left = committed;
    left.extend(["notes.txt".to_owned(), "part-0-foreign.parquet".to_owned()]);
    left.sort();
    assert_eq!(files(&folder), left);
    assert_eq!(test.rows("silver.t").await, ["2|a"]);
}

/// A write that failed on its way leaves nothing that cannot be told from somebody else's.
#[tokio::test]
async fn a_table_that_was_never_made_is_tidied_up_too() {
    let test = TestLake::new();
    let rows = vec![words(&[(1, "a")])];
    test.write("silver.other", WriteMode::Append, rows, 1)
        .await
        .unwrap();
    let other = test.lake.table_path(&name("silver.other"));
    let table = name("silver.t");
    let folder = test.lake.table_path(&table);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(data_file(&other), folder.join("part-0.parquet")).unwrap();
    let lake = &test.lake;
    assert_eq!(lake.remove_leftovers(&table, APP, 0).await.unwrap(), 1);
    assert!(!lake.has_table(&table));
    let none = name("gold.none");
    assert_eq!(lake.remove_leftovers(&none, APP, 0).await.unwrap(), 0);
}
