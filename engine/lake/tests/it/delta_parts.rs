//! Rows that come in several streams: written side by side, in one commit, in order.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::FutureExt;
use sluice_lake::{
    LakeError,
    delta::{RowParts, WriteMode, Written, nothing_at_end},
};

use crate::fixture::{TestLake, commit, name};

/// Rows of `file`, numbered from `first`.
fn rows(file: &str, first: i64, count: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(first..first + count);
    let files = StringArray::from_iter_values((0..count).map(|_| file));
    let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("_file", Arc::new(files))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn stream(
    schema: &SchemaRef,
    batches: Vec<Result<RecordBatch, DataFusionError>>,
) -> SendableRecordBatchStream {
    let batches = futures::stream::iter(batches);
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches))
}

/// Three streams of a file, with an error at the end of some.
fn parts(file: &str, errors: [Option<&str>; 3]) -> RowParts {
    let schema = rows(file, 0, 1).schema();
    let parts = errors.into_iter().zip(0..).map(|(error, part)| {
        let mut batches = vec![
            Ok(rows(file, part * 10, 5)),
            Ok(rows(file, part * 10 + 5, 5)),
        ];
        batches.extend(error.map(|words| Err(DataFusionError::Execution(words.to_owned()))));
        stream(&schema, batches)
    });
    RowParts {
        parts: parts.collect(),
        schema,
        required: Default::default(),
        partition_by: None,
        at_end: nothing_at_end(),
    }
}

async fn write(
    test: &TestLake,
    mode: WriteMode,
    rows: RowParts,
    txn: i64,
) -> Result<Written, LakeError> {
    test.lake
        .write_parts(&name("bronze.t"), mode, rows, commit(txn))
        .await
}

async fn values(test: &TestLake) -> Vec<String> {
    test.rows("bronze.t").await
}

fn expected(file: &str) -> Vec<String> {
    let mut lines: Vec<String> = (0..30).map(|n| format!("{n}|{file}")).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_added_to_replaced_and_rewritten() {
    let test = TestLake::new();
    let none = [None; 3];
    let made = write(&test, WriteMode::Append, parts("a", none), 1)
        .await
        .unwrap();
    assert_eq!((made.version, made.rows, made.files), (0, 30, 3));
    assert_eq!(values(&test).await, expected("a"));
    let added = write(&test, WriteMode::Append, parts("b", none), 2)
        .await
        .unwrap();
    assert_eq!((added.version, added.rows, added.files), (1, 30, 3));
    let files = WriteMode::ReplaceFiles(vec!["a".to_owned()]);
    let replaced = write(&test, files, parts("c", none), 3).await.unwrap();
    assert_eq!((replaced.version, replaced.rows), (2, 30));
    let both = [expected("b"), expected("c")].concat();
    let mut both: Vec<String> = both;
    both.sort();
    assert_eq!(values(&test).await, both);
    let anew = write(&test, WriteMode::Overwrite, parts("d", none), 4)
        .await
        .unwrap();
    assert_eq!((anew.version, anew.rows, anew.files), (3, 30, 3));
    assert_eq!(values(&test).await, expected("d"));

    // Other columns: in one stream, one part behind the other.
    let batch =
        RecordBatch::try_from_iter([("m", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let batch = batch.unwrap();
    let schema = batch.schema();
    let other = RowParts {
        parts: (0..2)
            .map(|_| stream(&schema, vec![Ok(batch.clone())]))
            .collect(),
        schema,
        required: Default::default(),
        partition_by: None,
        at_end: nothing_at_end(),
    };
    let other = write(&test, WriteMode::Overwrite, other, 5).await.unwrap();
    assert_eq!((other.version, other.rows), (4, 2));
    assert_eq!(values(&test).await, ["1", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_and_identity_are_those_of_a_single_stream() {
    let test = TestLake::new();
    write(&test, WriteMode::Append, parts("a", [None; 3]), 7)
        .await
        .unwrap();
    let table = name("bronze.t");
    let log = test.lake.commits(&table).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].txn.as_ref().map(|(_, version)| *version), Some(7));
    let entry = std::fs::read_to_string(
        test.dir
            .path()
            .join("lakehouse/bronze/t/_delta_log/00000000000000000000.json"),
    );
    let entry = entry.unwrap();
    let mut ranges = Vec::new();
    for line in entry.lines() {
        let action: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(stats) = action["add"]["stats"].as_str() {
            let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
            let end = |which: &str| stats[which]["n"].as_i64().unwrap();
            ranges.push((
                end("minValues"),
                end("maxValues"),
                stats["numRecords"].as_i64(),
            ));
        }
    }
    assert_eq!(
        ranges,
        [(0, 9, Some(10)), (10, 19, Some(10)), (20, 29, Some(10))]
    );
    // The same transaction is not written twice.
    let again = write(&test, WriteMode::Append, parts("a", [None; 3]), 7).await;
    assert!(
        matches!(again, Err(LakeError::StaleTransaction { .. })),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_any_part_leaves_nothing_and_the_first_parts_is_told() {
    let test = TestLake::new();
    for (errors, told) in [
        ([None, None, Some("third")], "third"),
        ([None, Some("second"), Some("third")], "second"),
        ([Some("first"), None, Some("third")], "first"),
    ] {
        let error = write(&test, WriteMode::Append, parts("a", errors), 1)
            .await
            .unwrap_err();
        assert!(matches!(error, LakeError::Rows { .. }), "{error:?}");
        let LakeError::Rows { source, .. } = error else {
            unreachable!()
        };
        assert!(source.to_string().contains(told), "{source}");
        assert!(!test.lake.has_table(&name("bronze.t")));
    }
    write(&test, WriteMode::Append, parts("a", [None; 3]), 1)
        .await
        .unwrap();
    for mode in [
        WriteMode::Append,
        WriteMode::Overwrite,
        WriteMode::ReplaceFiles(vec!["a".to_owned()]),
    ] {
        let end = DataFusionError::Execution("not now".to_owned());
        let rows = RowParts {
            at_end: Box::new(|_| async { Err(end) }.boxed()),
            ..parts("b", [None; 3])
        };
        let error = write(&test, mode, rows, 2).await.unwrap_err();
        let LakeError::Rows { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("not now"), "{source}");
        assert_eq!(values(&test).await, expected("a"));
    }
    // What was written for nothing is not left lying about.
    let folder = std::fs::read_dir(test.dir.path().join("lakehouse/bronze/t")).unwrap();
    let left = folder.filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.extension()
            .is_some_and(|extension| extension == "parquet")
    });
    assert_eq!(left.count(), 3);
}
