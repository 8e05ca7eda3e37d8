//! Files of a table that are written together, sorted and removed.

use std::fs;
use std::num::NonZeroU64;
use std::time::Duration;

use datafusion::prelude::SessionContext;
use sluice_lake::LakeError;
use sluice_lake::delta::{OptimizeOptions, Optimized, Since, VacuumOptions, WriteMode};

use crate::fixture::{APP, TestLake, commit, filed, name, parquet_files, words};

fn options(zorder_by: &[&str]) -> OptimizeOptions {
    OptimizeOptions {
        target_bytes: NonZeroU64::new(1 << 20).unwrap(),
        zorder_by: zorder_by.iter().map(|&column| column.to_owned()).collect(),
        threads: 2,
    }
}

/// Five commits of two rows each.
async fn five_files() -> TestLake {
    let test = TestLake::new();
    for at in 0..5 {
        let rows = words(&[(at, "a"), (9 - at, "b")]);
        let written = test.write("silver.t", WriteMode::Append, vec![rows], at + 1);
        written.await.unwrap();
    }
    test
}

async fn optimize(test: &TestLake, zorder_by: &[&str], txn: i64) -> Option<Optimized> {
    let (table, options) = (name("silver.t"), options(zorder_by));
    let optimized = test.lake.optimize(&table, &options, commit(txn));
    optimized.await.unwrap()
}

#[tokio::test]
async fn files_written_together_are_the_same_rows_of_the_same_version() {
    let test = five_files().await;
    let before = test.rows("silver.t").await;
    let layout = test.lake.layout(&name("silver.t"), 1 << 20).await.unwrap();
    assert_eq!(layout.unwrap().mergeable, 5);

    let optimized = optimize(&test, &[], 6).await.unwrap();
    assert_eq!((optimized.version, optimized.files), (5, (5, 1)));
    assert_eq!(test.rows("silver.t").await, before);
    let table = test.lake.load(&name("silver.t"), None).await.unwrap();
    assert_eq!((table.version, table.data_version), (5, 4));
    assert_eq!(
        test.lake.last_txn(&name("silver.t"), APP).await.unwrap(),
        Some(6)
    );
    // Nothing is new in it.
    let silver = name("silver.t");
    let changes = test
        .lake
        .changes(&silver, Since::version(&table.table_id, 4), 5);
    assert!(changes.await.unwrap().commits.is_empty());
    // And nothing more to gain.
    assert_eq!(optimize(&test, &[], 7).await, None);
    // The transaction counts: what is not after it is refused.
    let sorted = options(&["id"]);
    let again = test.lake.optimize(&silver, &sorted, commit(6));
    assert!(matches!(
        again.await,
        Err(LakeError::StaleTransaction { .. })
    ));
    // The next rows are another version again.
    let rows = words(&[(77, "c")]);
    test.write("silver.t", WriteMode::Append, vec![rows], 8)
        .await
        .unwrap();
    let table = test.lake.load(&name("silver.t"), None).await.unwrap();
    assert_eq!((table.version, table.data_version), (6, 6));
}

#[tokio::test]
async fn rows_are_sorted_and_larger_files_are_left_alone() {
    let test = five_files().await;
    optimize(&test, &["id"], 6).await.unwrap();
    let table = test.lake.load(&name("silver.t"), None).await.unwrap();
    let rows = SessionContext::new().read_table(table.provider).unwrap();
    let rows = rows.collect().await.unwrap();
    let ids: Vec<String> = rows
        .iter()
        .flat_map(|batch| {
            let ids = batch.column(0);
            (0..batch.num_rows())
                .map(|row| arrow::util::display::array_value_to_string(ids, row).unwrap())
        })
        .collect();
    let sorted: Vec<String> = (0..10).map(|id| id.to_string()).collect();
    assert_eq!(ids, sorted);

    // A target below the size of the files leaves nothing to do.
    let small = OptimizeOptions {
        target_bytes: NonZeroU64::new(100).unwrap(),
        ..options(&[])
    };
    let silver = name("silver.t");
    let nothing = test.lake.optimize(&silver, &small, commit(7));
    assert_eq!(nothing.await.unwrap(), None);
}

#[tokio::test]
async fn a_checkpoint_leaves_the_log_and_is_read() {
    let test = five_files().await;
    let before = test.rows("silver.t").await;
    assert_eq!(test.lake.checkpoint(&name("silver.t")).await.unwrap(), 4);
    let layout = test.lake.layout(&name("silver.t"), 1 << 20).await.unwrap();
    assert_eq!(layout.unwrap().checkpoint, Some(4));
    assert_eq!(test.rows("silver.t").await, before);
    assert_eq!(test.lake.commits(&name("silver.t")).await.unwrap().len(), 5);
    // Without what came before it the table is the same, and its version is not mistaken.
    let log = test.lake.table_path(&name("silver.t")).join("_delta_log");
    for version in 0..4 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(test.rows("silver.t").await, before);
    optimize(&test, &[], 6).await.unwrap();
    let table = test.lake.load(&name("silver.t"), None).await.unwrap();
    assert_eq!((table.version, table.data_version), (5, 4));
}

#[tokio::test]
async fn files_stay_while_somebody_needs_them() {
    let test = TestLake::new();
    let rows = [
        (WriteMode::Append, filed(&[("a", 1), ("b", 2)])),
        (WriteMode::Overwrite, filed(&[("c", 3)])),
        (WriteMode::Overwrite, filed(&[("d", 4)])),
    ];
    for (txn, (mode, rows)) in (1..).zip(rows) {
        test.write("silver.t", mode, vec![rows], txn).await.unwrap();
    }
    let table = name("silver.t");
    let folder = test.lake.table_path(&table);
    let vacuum = async |retain: u64, open_since_ms, read_version, dry_run| {
        let options = VacuumOptions {
            retain: Duration::from_secs(retain),
            open_since_ms,
            read_version,
            dry_run,
        };
        let vacuumed = test.lake.vacuum(&table, options).await.unwrap();
        (vacuumed.files, vacuumed.held)
    };
    assert_eq!(vacuum(3600, None, None, false).await, (0, 0));
    // A run that began before they went; a reader of version 0, or of version 1.
    assert_eq!(vacuum(0, Some(1), None, false).await, (0, 2));
    assert_eq!(vacuum(0, None, Some(0), false).await, (0, 2));
    assert_eq!(vacuum(0, None, Some(1), true).await, (1, 1));
    assert_eq!(vacuum(0, None, None, true).await, (2, 0));
    assert_eq!(parquet_files(&folder), 3);
    // What no commit names may be somebody's who is still writing.
    fs::write(folder.join("part-draft.parquet"), "draft").unwrap();
    assert_eq!(vacuum(0, None, None, false).await, (2, 0));
    assert_eq!(parquet_files(&folder), 2);
    assert_eq!(test.rows("silver.t").await, ["d|4"]);
    let old = fs::File::options()
        .write(true)
        .open(folder.join("part-draft.parquet"));
    let week = Duration::from_secs(8 * 24 * 60 * 60);
    old.unwrap()
        .set_modified(std::time::SystemTime::now() - week)
        .unwrap();
    assert_eq!(vacuum(0, None, None, false).await, (1, 0));
    assert_eq!(parquet_files(&folder), 1);
}
