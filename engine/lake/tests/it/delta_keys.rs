//! Replacing the rows of keys, in one commit.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use proptest::prelude::*;
use sluice_lake::{
    LakeError,
    delta::{KeyRows, WriteMode},
};

use crate::fixture::{TestLake, name};

/// `word` and `id`, which may be NULL.
type Row = (Option<&'static str>, Option<i64>, i64);

/// Rows with the key (`word`, `id`) and a value `n`.
fn batch(rows: &[Row]) -> RecordBatch {
    let words: StringArray = rows.iter().map(|row| row.0).collect();
    let ids: Int64Array = rows.iter().map(|row| row.1).collect();
    let values = Int64Array::from_iter_values(rows.iter().map(|row| row.2));
    let columns: [(&str, ArrayRef); 3] = [
        ("word", Arc::new(words)),
        ("id", Arc::new(ids)),
        ("n", Arc::new(values)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// The keys of rows. `many`: as if they were too many for a hash table.
fn keys(rows: &[Row], many: bool, read_at: u64) -> WriteMode {
    let keys = batch(rows).project(&[0, 1]).unwrap();
    WriteMode::ReplaceKeys(KeyRows {
        columns: vec!["word".to_owned(), "id".to_owned()],
        keys: Arc::new(MemTable::try_new(keys.schema(), vec![vec![keys]]).unwrap()),
        keys_bytes: if many { u64::MAX } else { 0 },
        read_at,
    })
}

/// What a table holds, as text.
fn shown(rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(word, id, n)| {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            format!("{}|{id}|{n}", word.unwrap_or_default())
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn replacing_keys_is_one_commit_and_leaves_other_files_alone() {
    for many in [false, true] {
        let test = TestLake::new();
        let first = [(Some("a"), Some(1), 1), (Some("a"), Some(2), 2)];
        let second = [
            (Some("a"), None, 3),
            (None, None, 4),
            (Some("b"), Some(9), 5),
        ];
        let third = [(Some("z"), Some(1), 6)];
        for (txn, rows) in [(1, &first[..]), (2, &second[..]), (3, &third[..])] {
            test.write("gold.t", WriteMode::Append, vec![batch(rows)], txn)
                .await
                .unwrap();
        }
        // A key of each of two files, one of NULLs, one that comes twice and one that is new.
        let gone = [
            (Some("a"), Some(1), 0),
            (None, None, 0),
            (None, None, 0),
            (Some("new"), Some(1), 0),
        ];
        let new = [(Some("a"), Some(1), 10), (Some("new"), Some(1), 11)];
        let written = test
            .write("gold.t", keys(&gone, many, 2), vec![batch(&new)], 4)
            .await
            .unwrap();
        assert_eq!((written.version, written.rows), (3, 2));
        let expected = [
            (Some("a"), Some(1), 10),
            (Some("a"), Some(2), 2),
            (Some("a"), None, 3),
            (Some("b"), Some(9), 5),
            (Some("new"), Some(1), 11),
            (Some("z"), Some(1), 6),
        ];
        assert_eq!(test.rows("gold.t").await, shown(&expected), "many: {many}");
        let log = test.lake.table_path(&name("gold.t"));
        let log = std::fs::read_to_string(log.join("_delta_log/00000000000000000003.json"));
        let removed = log.unwrap().matches("\"remove\":").count();
        assert_eq!(removed, 2, "the third file was not touched");
    }
}

#[tokio::test]
async fn keys_that_lose_all_their_rows_and_keys_that_had_none() {
    let test = TestLake::new();
    let rows = [(Some("a"), Some(1), 1), (Some("b"), Some(2), 2)];
    // Without a table there is nothing to replace.
    test.write("gold.t", keys(&rows, false, 0), vec![batch(&rows)], 1)
        .await
        .unwrap();
    test.write("gold.t", keys(&rows[..1], false, 0), vec![batch(&[])], 2)
        .await
        .unwrap();
    assert_eq!(test.rows("gold.t").await, shown(&rows[1..]));
    test.write("gold.t", keys(&[], false, 1), vec![batch(&rows[..1])], 3)
        .await
        .unwrap();
    assert_eq!(test.rows("gold.t").await, shown(&rows));
}

#[tokio::test]
async fn rows_made_from_an_older_table_replace_nothing() {
    let test = TestLake::new();
    let rows = [(Some("a"), Some(1), 1)];
    for txn in [1, 2] {
        test.write("gold.t", WriteMode::Append, vec![batch(&rows)], txn)
            .await
            .unwrap();
    }
    let stale = keys(&rows, false, 0);
    let error = test.write("gold.t", stale, vec![batch(&rows)], 3).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LakeError::Conflict { .. }), "{error}");
    assert_eq!(test.rows("gold.t").await.len(), 2);
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let word = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    let id = prop_oneof![Just(None), (0_i64..6).prop_map(Some)];
    proptest::collection::vec((word, id, 0_i64..100), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_replaced_as_in_memory(
        files in proptest::collection::vec(rows(6), 1..4),
        gone in rows(5),
        new in rows(4),
        many: bool,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let test = TestLake::new();
            for (txn, rows) in (1..).zip(&files) {
                test.write("gold.t", WriteMode::Append, vec![batch(rows)], txn).await.unwrap();
            }
            let read_at = files.len() as u64 - 1;
            let mode = keys(&gone, many, read_at);
            test.write("gold.t", mode, vec![batch(&new)], 100).await.unwrap();
            let goes = |row: &Row| gone.iter().any(|gone| (gone.0, gone.1) == (row.0, row.1));
            let kept = files.iter().flatten().filter(|row| !goes(row)).copied();
            let expected: Vec<Row> = kept.chain(new).collect();
            prop_assert_eq!(test.rows("gold.t").await, shown(&expected));
            Ok(())
        })?;
    }
}
