//! What changed in a table between two versions.

use std::fs;

use datafusion::{
    logical_expr::{col, lit},
    prelude::{SessionConfig, SessionContext},
};
use proptest::{prelude::*, test_runner::TestRunner};
use sluice_lake::delta::{Changes, ChangesError, Since, Untold, WriteMode};

use crate::fixture::{TestLake, filed, lines, name, words};

async fn id_of(test: &TestLake, table: &str) -> String {
    test.lake.load(&name(table), None).await.unwrap().table_id
}

async fn changes(test: &TestLake, since: u64, until: u64) -> Result<Changes, ChangesError> {
    let id = id_of(test, "bronze.t").await;
    test.lake
        .changes(&name("bronze.t"), Since::version(&id, since), until)
        .await
}

fn session() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2))
}

/// Inserts and deletes in sum, each sorted.
async fn net(changes: &Changes) -> (Vec<String>, Vec<String>) {
    let net = changes.net(&session()).await.unwrap();
    let deletes = match net.deletes {
        Some(deletes) => lines(&deletes.collect().await.unwrap()),
        None => Vec::new(),
    };
    (lines(&net.inserts.collect().await.unwrap()), deletes)
}

/// The feed without the time.
async fn feed(changes: &Changes) -> Vec<String> {
    let feed = changes.feed(&session()).await.unwrap();
    let feed = feed.drop_columns(&["_commit_timestamp"]).unwrap();
    lines(&feed.collect().await.unwrap())
}

/// Four versions: rows, more rows, one file's rows replaced, all replaced.
async fn four_versions() -> TestLake {
    let test = TestLake::new();
    let rows = [
        (WriteMode::Append, filed(&[("a", 1), ("a", 1), ("b", 2)])),
        (WriteMode::Append, filed(&[("c", 3)])),
        (
            WriteMode::ReplaceFiles(vec!["a".to_owned()]),
            filed(&[("a", 1), ("a", 7)]),
        ),
        (WriteMode::Overwrite, filed(&[("b", 2), ("d", 4), ("d", 4)])),
    ];
    for (txn, (mode, rows)) in (1..).zip(rows) {
        test.write("bronze.t", mode, vec![rows], txn).await.unwrap();
    }
    test
}

#[tokio::test]
async fn rows_that_were_added_and_rows_that_went() {
    let test = four_versions().await;
    let appended = changes(&test, 0, 1).await.unwrap();
    assert_eq!(appended.appended_rows(), Some(1));
    assert_eq!(net(&appended).await, (vec!["c|3".to_owned()], vec![]));

    // One of the two equal rows stayed, and `b` was written again.
    let replaced = changes(&test, 1, 2).await.unwrap();
    assert_eq!(replaced.appended_rows(), None);
    let (inserts, deletes) = net(&replaced).await;
    assert_eq!(
        (inserts, deletes),
        (vec!["a|7".to_owned()], vec!["a|1".to_owned()])
    );

    // What came and went in between is in neither.
    let (inserts, deletes) = net(&changes(&test, 0, 3).await.unwrap()).await;
    assert_eq!(inserts, ["d|4", "d|4"]);
    assert_eq!(deletes, ["a|1", "a|1"]);

    let all = changes(&test, 0, 3).await.unwrap();
    let told = [
        "a|1|delete|2",
        "a|1|delete|3",
        "a|7|delete|3",
        "a|7|insert|2",
        "c|3|delete|3",
        "c|3|insert|1",
        "d|4|insert|3",
        "d|4|insert|3",
    ];
    assert_eq!(feed(&all).await, told);
    // Of the numbers alone.
    let ids = changes(&test, 0, 3).await.unwrap();
    let ids = ids.looking_at(["id".to_owned()].into());
    let (inserts, deletes) = net(&ids).await;
    assert_eq!(
        (inserts, deletes),
        (vec!["|4".to_owned(); 2], vec!["|1".to_owned(); 2])
    );

    let none = changes(&test, 3, 3).await.unwrap();
    assert_eq!(net(&none).await, (vec![], vec![]));
    assert_eq!(feed(&none).await, Vec::<String>::new());
}

#[tokio::test]
async fn why_changes_cannot_be_told() {
    let test = four_versions().await;
    let told = |outcome: Result<Changes, ChangesError>| match outcome {
        Err(ChangesError::Untold(why)) => why,
        other => panic!("told: {other:?}"),
    };
    let other = test
        .lake
        .changes(&name("bronze.t"), Since::version("another", 0), 1)
        .await;
    assert!(matches!(told(other), Untold::Recreated { .. }));
    // A version that was read, and is not the one that has its number now.
    let pinned = test.lake.load(&name("bronze.t"), Some(1)).await.unwrap();
    let commit = pinned.data_commit.as_deref();
    let since = |commit| Since {
        commit,
        ..Since::version(&pinned.table_id, 1)
    };
    let same = test.lake.changes(&name("bronze.t"), since(commit), 2).await;
    assert!(commit.is_some() && same.is_ok());
    let lost = since(Some("lost"));
    let lost = test.lake.changes(&name("bronze.t"), lost, 2).await;
    assert!(matches!(told(lost), Untold::Rewritten { .. }));
    assert!(matches!(
        told(changes(&test, 3, 2).await),
        Untold::WentBack { .. }
    ));

    let folder = test.lake.table_path(&name("bronze.t"));
    let kept: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let all = changes(&test, 0, 3).await.unwrap();
    for file in kept
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
    {
        fs::rename(file, file.with_extension("gone")).unwrap();
    }
    let vacuumed = all.net(&session()).await.unwrap_err();
    assert!(
        matches!(
            vacuumed,
            ChangesError::Untold(Untold::Vacuumed { version: 1, .. })
        ),
        "{vacuumed}"
    );

    // A column that is gone, and one that is new.
    let test = TestLake::new();
    for (txn, batch) in [(1, words(&[(1, "a")])), (2, filed(&[("f", 1)]))] {
        test.write("bronze.t", WriteMode::Overwrite, vec![batch], txn)
            .await
            .unwrap();
    }
    let why = told(changes(&test, 0, 1).await);
    assert_eq!(
        why.to_string(),
        "the columns of bronze.t changed: `word` is gone"
    );
}

#[tokio::test]
async fn rows_of_a_condition_are_replaced_and_no_others() {
    let test = TestLake::new();
    let first = words(&[(1, "a"), (2, "b"), (3, "c")]);
    test.write("bronze.t", WriteMode::Append, vec![first], 1)
        .await
        .unwrap();
    let of_two = || {
        WriteMode::ReplaceWhere(Box::new(
            col("id").gt_eq(lit(2_i64)).and(col("id").lt(lit(3_i64))),
        ))
    };
    let outside = test
        .write("bronze.t", of_two(), vec![words(&[(2, "x"), (3, "y")])], 2)
        .await
        .unwrap_err();
    assert!(outside.to_string().contains("`id` 3"), "{outside}");
    assert_eq!(test.rows("bronze.t").await, ["1|a", "2|b", "3|c"]);
    test.write("bronze.t", of_two(), vec![words(&[(2, "x"), (2, "y")])], 2)
        .await
        .unwrap();
    assert_eq!(test.rows("bronze.t").await, ["1|a", "2|x", "2|y", "3|c"]);
    // No row at all: those that are there go.
    test.write("bronze.t", of_two(), vec![words(&[])], 3)
        .await
        .unwrap();
    assert_eq!(test.rows("bronze.t").await, ["1|a", "3|c"]);
}

/// Whatever is written, what was there plus what came is what is there plus what went.
#[test]
fn changes_add_up() {
    let file = prop::sample::select(vec!["a", "b", "c"]);
    let rows = || prop::collection::vec((file.clone(), 0_i64..3), 0..6);
    let write = (0..3_u8, rows());
    let writes = prop::collection::vec(write, 2..6);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runner
        .run(&writes, |writes| {
            runtime.block_on(async {
                let test = TestLake::new();
                let mut states = Vec::new();
                for (txn, (mode, rows)) in (1..).zip(&writes) {
                    let mode = match mode {
                        0 => WriteMode::Append,
                        1 => WriteMode::Overwrite,
                        _ => WriteMode::ReplaceFiles(vec!["a".to_owned()]),
                    };
                    test.write("bronze.t", mode, vec![filed(rows)], txn)
                        .await
                        .unwrap();
                    states.push(test.rows("bronze.t").await);
                }
                let last = states.len() - 1;
                for since in 0..last {
                    let (inserts, deletes) =
                        net(&changes(&test, since as u64, last as u64).await.unwrap()).await;
                    let sum = |a: &[String], b: &[String]| {
                        let mut all = [a, b].concat();
                        all.sort();
                        all
                    };
                    assert_eq!(sum(&states[since], &inserts), sum(&states[last], &deletes));
                }
            });
            Ok(())
        })
        .unwrap();
}
