//! Commits: numbered, whole or nothing, and never two at once.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use datafusion::{error::DataFusionError, physical_plan::stream::RecordBatchStreamAdapter};
use serde_json::json;
use sluice_lake::{LakeError, Lakehouse, delta::WriteMode};

use crate::fixture::{APP, TestLake, commit, commit_with, filed, name, stream, stream_of, words};

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
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
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
                    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
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
            let kept = if matches!(mode, WriteMode::Append) {
                before.len()
            } else {
                0
            };
            assert_eq!(after.len(), kept + 1);
        }
    }
}

/// Run by [`a_killed_write_leaves_nothing_visible`], which kills it; by itself it
/// has nothing to do.
#[tokio::test]
async fn child_that_writes_without_end() {
    let Some(root) = std::env::var_os("SLUICE_TEST_WRITE") else {
        return;
    };
    let lake = Lakehouse::create(root).unwrap();
    let mode = match std::env::var("SLUICE_TEST_MODE").unwrap().as_str() {
        "overwrite" => WriteMode::Overwrite,
        "append" => WriteMode::Append,
        _ => WriteMode::ReplaceFiles(vec!["a.csv".to_owned()]),
    };
    let schema = filed(&[]).schema();
    let batches = futures::stream::unfold(0, |count| async move {
        println!("batch {count}");
        let rows: Vec<(&str, i64)> = (0..1000).map(|id| ("a.csv", id)).collect();
        Some((Ok(filed(&rows)), count + 1))
    });
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
    let outcome = lake.write(&name("bronze.t"), mode, rows, commit(2)).await;
    panic!("it cannot end: {outcome:?}");
}

#[tokio::test]
async fn a_killed_write_leaves_nothing_visible() {
    for (mode, exists) in [
        ("append", false),
        ("append", true),
        ("overwrite", true),
        ("replace", true),
    ] {
        let test = TestLake::new();
        let before = if exists {
            test.write(
                "bronze.t",
                WriteMode::Append,
                vec![filed(&[("a.csv", 1)])],
                1,
            )
            .await
            .unwrap();
            vec!["a.csv|1"]
        } else {
            vec![]
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "delta_commits::child_that_writes_without_end",
                "--nocapture",
            ])
            .env("SLUICE_TEST_WRITE", test.lake.root())
            .env("SLUICE_TEST_MODE", mode)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let far = output.lines().any(|line| line.unwrap() == "batch 200");
        assert!(far, "{mode}: it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(test.rows_or_none("bronze.t").await, before, "{mode}");
        // What is left behind hinders nobody.
        test.write(
            "bronze.t",
            WriteMode::Overwrite,
            vec![filed(&[("a.csv", 7)])],
            2,
        )
        .await
        .unwrap();
        assert_eq!(test.rows("bronze.t").await, ["a.csv|7"], "{mode}");
    }
}
