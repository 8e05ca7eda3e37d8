//! Tables as they were, in another lakehouse.

use std::fs;

use sluice_lake::LakeError;
use sluice_lake::delta::WriteMode;

use crate::fixture::{APP, TestLake, name, words};

#[tokio::test]
async fn a_copy_has_the_identity_and_the_history_of_then_and_goes_its_own_way() {
    let (test, other) = (TestLake::new(), TestLake::new());
    let table = name("silver.t");
    for (txn, mode) in [(1, WriteMode::Append), (2, WriteMode::Overwrite)] {
        let rows = vec![words(&[(txn, "a")])];
        test.write("silver.t", mode, rows, txn).await.unwrap();
    }
    let before = test.lake.load(&table, Some(0)).await.unwrap();
    let copy = test.lake.copy_table_as_of(&table, 0, &other.lake);
    copy.await.unwrap();
    let copied = other.lake.load(&table, None).await.unwrap();
    assert_eq!((copied.version, &copied.table_id), (0, &before.table_id));
    assert_eq!(other.lake.last_txn(&table, APP).await.unwrap(), Some(1));
    let first = other.rows("silver.t").await;
    assert_ne!(first, test.rows("silver.t").await);
    // A commit to the copy is none to the original, whose vacuum takes nothing from the copy.
    let rows = vec![words(&[(9, "z")])];
    other
        .write("silver.t", WriteMode::Append, rows, 2)
        .await
        .unwrap();
    assert_eq!(test.lake.latest_version(&table).await.unwrap(), Some(1));
    assert_eq!(test.rows("silver.t").await.len(), 1);
    let gone = |version| test.lake.missing_data_file(&table, version);
    assert_eq!(gone(0).await.unwrap(), None);
    let folder = test.lake.table_path(&table);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(gone(0).await.unwrap().unwrap().ends_with(".parquet"));
    assert_eq!(other.rows("silver.t").await.len(), 2);
    assert!(matches!(
        gone(7).await,
        Err(LakeError::UnknownVersion { .. })
    ));
    // A copy takes the place of what was there.
    test.lake
        .copy_table_as_of(&table, 1, &other.lake)
        .await
        .unwrap();
    assert_eq!(other.lake.latest_version(&table).await.unwrap(), Some(1));
    other.lake.remove_table(&table).await.unwrap();
    assert!(!other.lake.has_table(&table));
}
