//! Delta tables: whole commits, pinned reads, transactions, conflicts.

use std::sync::{Arc, atomic::Ordering};

use arrow::{
    array::{Float64Array, Int64Array, NullArray, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema},
};
use datafusion::error::DataFusionError;
use serde_json::json;
use sluice_lake::{LakeError, Lakehouse, delta::WriteMode};

use crate::fixture::{
    APP, TestLake, commit, commit_with, filed, name, parquet_files, rows_of, stream, stream_of,
    words,
};

#[tokio::test]
async fn overwrite_replaces_rows_and_columns() {
    let test = TestLake::new();
    let first = words(&[(1, "a"), (2, "b")]);
    let written = test
        .write("silver.t", WriteMode::Overwrite, vec![first], 1)
        .await
        .unwrap();
    assert_eq!((written.version, written.rows, written.files), (0, 2, 1));
    assert!(written.bytes > 0);
    assert_eq!(test.rows("silver.t").await, ["1|a", "2|b"]);

    let xs: Arc<Float64Array> = Arc::new(Float64Array::from(vec![0.5]));
    let second = RecordBatch::try_from_iter([("x", xs as _)]).unwrap();
    let written = test
        .write("silver.t", WriteMode::Overwrite, vec![second], 2)
        .await
        .unwrap();
    assert_eq!((written.version, written.rows), (1, 1));
    assert_eq!(test.rows("silver.t").await, ["0.5"]);

    let old = test.lake.load(&name("silver.t"), Some(0)).await.unwrap();
    assert_eq!(old.schema.field(1).data_type(), &DataType::Utf8);
    assert_eq!(rows_of(old.provider).await, ["1|a", "2|b"]);
}

#[tokio::test]
async fn overwriting_with_the_same_columns_keeps_the_table() {
    let test = TestLake::new();
    for txn in 1..=3 {
        let batch = words(&[(txn, "a")]);
        test.write("silver.t", WriteMode::Overwrite, vec![batch], txn)
            .await
            .unwrap();
    }
    assert_eq!(test.rows("silver.t").await, ["3|a"]);
    let table = name("silver.t");
    let first = test.lake.load(&table, Some(0)).await;
    let last = test.lake.load(&table, None).await;
    assert_eq!(first.unwrap().table_id, last.unwrap().table_id);
}

#[tokio::test]
async fn times_without_a_zone_can_come_later() {
    // Delta needs a table feature for these, which an overwrite must switch on.
    let test = TestLake::new();
    test.write(
        "silver.t",
        WriteMode::Overwrite,
        vec![words(&[(1, "a")])],
        1,
    )
    .await
    .unwrap();
    let times: Arc<TimestampMicrosecondArray> =
        Arc::new(TimestampMicrosecondArray::from(vec![1_000_000]));
    let batch = RecordBatch::try_from_iter([("at", times as _)]).unwrap();
    test.write("silver.t", WriteMode::Overwrite, vec![batch.clone()], 2)
        .await
        .unwrap();
    test.write("silver.t", WriteMode::Append, vec![batch], 3)
        .await
        .unwrap();
    assert_eq!(
        test.rows("silver.t").await,
        ["1970-01-01T00:00:01", "1970-01-01T00:00:01"]
    );
}

#[tokio::test]
async fn append_adds_rows_and_refuses_other_columns() {
    let test = TestLake::new();
    for (txn, row) in [(1, (1, "a")), (2, (2, "b"))] {
        test.write("silver.t", WriteMode::Append, vec![words(&[row])], txn)
            .await
            .unwrap();
    }
    assert_eq!(test.rows("silver.t").await, ["1|a", "2|b"]);

    let other = filed(&[("f", 1)]);
    let error = test
        .write("silver.t", WriteMode::Append, vec![other], 3)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::SchemaChanged { .. }), "{error}");
    assert!(error.to_string().contains("`word` is missing"), "{error}");
    assert_eq!(
        test.lake.latest_version(&name("silver.t")).await.unwrap(),
        Some(1)
    );
}

#[tokio::test]
async fn a_table_without_rows_is_a_table() {
    let test = TestLake::new();
    let none = words(&[]);
    let written = test
        .write("silver.t", WriteMode::Overwrite, vec![none.clone()], 1)
        .await
        .unwrap();
    assert_eq!((written.rows, written.files), (0, 0));
    let table = test.lake.load(&name("silver.t"), None).await.unwrap();
    assert_eq!(table.schema.fields().len(), 2);
    assert!(rows_of(table.provider).await.is_empty());

    test.write("silver.t", WriteMode::Append, vec![words(&[(1, "a")])], 2)
        .await
        .unwrap();
    test.write("silver.t", WriteMode::Overwrite, vec![none], 3)
        .await
        .unwrap();
    assert!(test.rows("silver.t").await.is_empty());
}

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
async fn transactions_and_metadata_survive_reopening() {
    let test = TestLake::new();
    for txn in [1, 5] {
        let json = json!({"files": {"a.csv": format!("hash-{txn}")}, "timestamp": "mine"});
        let commit = commit_with(txn, json.as_object().unwrap().clone());
        let rows = stream(vec![words(&[(txn, "a")])]);
        test.lake
            .write(&name("silver.t"), WriteMode::Append, rows, commit)
            .await
            .unwrap();
    }
    let reopened = Lakehouse::open(test.lake.root()).unwrap();
    let table = name("silver.t");
    assert_eq!(reopened.last_txn(&table, APP).await.unwrap(), Some(5));
    assert_eq!(reopened.last_txn(&table, "somebody").await.unwrap(), None);
    assert_eq!(
        reopened.last_txn(&name("silver.none"), APP).await.unwrap(),
        None
    );
    let metadata = reopened.commit_metadata(&table, 1).await.unwrap();
    assert_eq!(metadata["files"]["a.csv"], "hash-5");
    assert_eq!(metadata["timestamp"], "mine");
    let commits = reopened.commits(&table).await.unwrap();
    let txns: Vec<_> = commits.iter().map(|commit| commit.txn.clone()).collect();
    assert_eq!(txns, [Some((APP.to_owned(), 1)), Some((APP.to_owned(), 5))]);
    assert!(commits.iter().all(|commit| commit.timestamp_ms.is_some()));
    let error = reopened.commit_metadata(&table, 9).await.unwrap_err();
    assert!(matches!(error, LakeError::UnknownVersion { .. }), "{error}");
}

#[tokio::test]
async fn a_transaction_cannot_be_committed_twice() {
    let test = TestLake::new();
    let rows = || vec![words(&[(1, "a")])];
    test.write("silver.t", WriteMode::Append, rows(), 3)
        .await
        .unwrap();
    for txn in [3, 2] {
        let error = test
            .write("silver.t", WriteMode::Append, rows(), txn)
            .await
            .unwrap_err();
        assert!(
            matches!(error, LakeError::StaleTransaction { last: 3, .. }),
            "{error}"
        );
    }
    assert_eq!(test.rows("silver.t").await, ["1|a"]);
}

#[tokio::test]
async fn a_pinned_table_does_not_see_what_comes_later() {
    let test = TestLake::new();
    test.write("silver.t", WriteMode::Append, vec![words(&[(1, "a")])], 1)
        .await
        .unwrap();
    let pinned = test.lake.load(&name("silver.t"), None).await.unwrap();
    test.write("silver.t", WriteMode::Append, vec![words(&[(2, "b")])], 2)
        .await
        .unwrap();
    test.write(
        "silver.t",
        WriteMode::Overwrite,
        vec![filed(&[("f", 3)])],
        3,
    )
    .await
    .unwrap();
    assert_eq!(pinned.version, 0);
    assert_eq!(rows_of(pinned.provider).await, ["1|a"]);
    assert_eq!(test.rows("silver.t").await, ["f|3"]);
}

#[tokio::test]
async fn unknown_tables_and_versions_are_named() {
    let test = TestLake::new();
    test.write(
        "silver.wine",
        WriteMode::Append,
        vec![words(&[(1, "a")])],
        1,
    )
    .await
    .unwrap();
    let error = test
        .lake
        .load(&name("silver.wien"), None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("did you mean `silver.wine`?"),
        "{error}"
    );
    let error = test
        .lake
        .load(&name("silver.wine"), Some(4))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "silver.wine has no version 4: its latest is 0"
    );
    assert_eq!(
        test.lake
            .latest_version(&name("silver.none"))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn an_error_in_the_rows_leaves_nothing_visible() {
    let test = TestLake::new();
    let fault = || DataFusionError::Execution("the well is dry".to_owned());
    let table = name("silver.t");
    let rows = |mode| {
        let items = vec![Ok(filed(&[("f", 1)])), Err(fault())];
        test.lake.write(&table, mode, stream_of(items), commit(2))
    };
    let error = rows(WriteMode::Append).await.unwrap_err();
    assert!(matches!(error, LakeError::Rows { .. }), "{error}");
    assert!(error.to_string().contains("the well is dry"), "{error}");
    assert!(test.lake.list_tables().unwrap().is_empty());

    let before = vec![filed(&[("f", 0)])];
    test.write("silver.t", WriteMode::Append, before, 1)
        .await
        .unwrap();
    for mode in [
        WriteMode::Append,
        WriteMode::Overwrite,
        WriteMode::ReplaceFiles(vec!["f".to_owned()]),
    ] {
        let error = rows(mode).await.unwrap_err();
        assert!(error.to_string().contains("the well is dry"), "{error}");
        assert_eq!(test.rows("silver.t").await, ["f|0"]);
    }
    assert_eq!(
        test.lake.last_txn(&name("silver.t"), APP).await.unwrap(),
        Some(1)
    );
}

#[tokio::test]
async fn a_dropped_write_leaves_nothing_visible() {
    let test = TestLake::new();
    test.write("silver.t", WriteMode::Append, vec![words(&[(1, "a")])], 1)
        .await
        .unwrap();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let schema = words(&[]).schema();
    // One batch, a sign that it was taken, then nothing ever again.
    let batches = futures::stream::unfold(Some(sender), |mut sender| async move {
        match sender.take() {
            Some(sender) => {
                sender.send(()).unwrap();
                Some((Ok(words(&[(2, "b")])), None))
            }
            None => futures::future::pending().await,
        }
    });
    let rows =
        Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, batches));
    let table = name("silver.t");
    let write = test
        .lake
        .write(&table, WriteMode::Overwrite, rows, commit(2));
    tokio::select! {
        outcome = write => panic!("it cannot end: {outcome:?}"),
        taken = receiver => taken.unwrap(),
    }
    assert_eq!(test.rows("silver.t").await, ["1|a"]);
    test.write("silver.t", WriteMode::Append, vec![words(&[(3, "c")])], 2)
        .await
        .unwrap();
    assert_eq!(test.rows("silver.t").await, ["1|a", "3|c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_writers_that_race_one_wins() {
    // On creation, and on the same version: never two tables merged into one.
    let replace = WriteMode::ReplaceFiles(vec!["w.csv".to_owned()]);
    for mode in [WriteMode::Overwrite, WriteMode::Append, replace] {
        let test = TestLake::new();
        for round in 0..4 {
            let before = test.rows_or_none("silver.t").await;
            let barrier = Arc::new(tokio::sync::Barrier::new(4));
            let writers = (0..4).map(|writer| {
                let (lake, mode, barrier) = (test.lake.clone(), mode.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    let row = filed(&[("w.csv", round * 10 + writer)]);
                    let first_wait = Arc::clone(&barrier);
                    let schema = row.schema();
                    // Nobody commits before everybody has begun.
                    let batches = futures::stream::once(async move {
                        first_wait.wait().await;
                        Ok(row)
                    });
                    let rows = Box::pin(
                        datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
                            schema, batches,
                        ),
                    );
                    lake.write(&name("silver.t"), mode, rows, commit(round + 1))
                        .await
                })
            });
            let outcomes = futures::future::join_all(writers).await;
            let (won, lost): (Vec<_>, Vec<_>) = outcomes
                .into_iter()
                .map(Result::unwrap)
                .partition(Result::is_ok);
            assert_eq!(won.len(), 1, "{lost:?}");
            for error in lost.into_iter().map(Result::unwrap_err) {
                assert!(matches!(error, LakeError::Conflict { .. }), "{error:?}");
                assert!(error.is_transient());
            }
            let after = test.rows("silver.t").await;
            let kept = if mode == WriteMode::Append {
                before.len()
            } else {
                0
            };
            assert_eq!(after.len(), kept + 1);
        }
    }
}

impl TestLake {
    async fn rows_or_none(&self, table: &str) -> Vec<String> {
        if self.lake.has_table(&name(table)) {
            self.rows(table).await
        } else {
            Vec::new()
        }
    }
}

#[tokio::test]
async fn columns_are_checked_before_anything_is_written() {
    let test = TestLake::new();
    let id: Arc<Int64Array> = Arc::new(Int64Array::from(vec![1]));
    let nothing = Arc::new(NullArray::new(1));
    let cases: Vec<(RecordBatch, &str)> = vec![
        (
            RecordBatch::try_from_iter([("fixed acidity", Arc::clone(&id) as _)]).unwrap(),
            "`AS fixed_acidity`",
        ),
        (
            RecordBatch::try_from_iter([("pH", Arc::clone(&id) as _), ("PH", id as _)]).unwrap(),
            "differ only in case",
        ),
        (
            RecordBatch::try_from_iter([("x", nothing as _)]).unwrap(),
            "CAST(NULL AS",
        ),
    ];
    for (batch, words) in cases {
        let error = test
            .write("silver.t", WriteMode::Overwrite, vec![batch], 1)
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("silver.t: "), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!test.lake.table_path(&name("silver.t")).exists());
}

#[tokio::test]
async fn metadata_of_columns_is_kept_and_all_are_nullable() {
    let test = TestLake::new();
    let metadata = [(
        "sluice.original_name".to_owned(),
        "fixed acidity".to_owned(),
    )]
    .into();
    let field = Field::new("fixed_acidity", DataType::Int64, false).with_metadata(metadata);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    for txn in 1..=3 {
        let mode = if txn == 2 {
            WriteMode::Append
        } else {
            WriteMode::Overwrite
        };
        test.write("silver.t", mode, vec![batch.clone()], txn)
            .await
            .unwrap();
        let table = test.lake.load(&name("silver.t"), None).await.unwrap();
        let field = table.schema.field(0);
        assert_eq!(field.metadata()["sluice.original_name"], "fixed acidity");
        assert!(field.is_nullable());
    }
}

#[tokio::test]
async fn rows_are_counted_while_they_pass() {
    let test = TestLake::new();
    let commit = commit(1);
    let counter = Arc::clone(&commit.rows);
    let rows = stream(vec![words(&[(1, "a"), (2, "b")]), words(&[(3, "c")])]);
    let written = test
        .lake
        .write(&name("silver.t"), WriteMode::Overwrite, rows, commit)
        .await
        .unwrap();
    assert_eq!(written.rows, 3);
    assert_eq!(counter.load(Ordering::Relaxed), 3);
    assert_eq!(parquet_files(&test.lake.table_path(&name("silver.t"))), 1);
}
