//! Delta tables: what is written is what is read, at the version it was pinned to.

use std::sync::{Arc, atomic::Ordering};

use arrow::{
    array::{Float64Array, Int64Array, NullArray, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema},
};
use sluice_lake::{LakeError, delta::WriteMode};

use crate::fixture::{TestLake, commit, filed, name, parquet_files, rows_of, stream, words};

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
