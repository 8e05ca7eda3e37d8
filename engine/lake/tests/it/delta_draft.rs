//! A table as it would be is seen before it is committed, whole, and goes without a trace where
//! it is refused.

use std::sync::{Arc, Mutex};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::SchemaRef,
};
use datafusion::error::DataFusionError;
use deltalake::{
    DeltaTableBuilder,
    kernel::{DataType, PrimitiveType, StructField},
    operations::create::CreateBuilder,
};
use futures::FutureExt;
use sluice_lake::{
    LakeError,
    delta::{AtEnd, RowParts, WriteMode},
};
use url::Url;

use crate::fixture::{TestLake, commit, filed, name, parquet_files, rows_of, stream, words};

/// Rows with somebody who looks at the draft, and what they saw: rows and columns.
fn looked_at(
    batches: Vec<RecordBatch>,
    verdict: Result<(), DataFusionError>,
) -> (RowParts, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let at_end: AtEnd = Box::new(move |draft| {
        async move {
            let rows = rows_of(draft.rows().await?).await;
            // A second look sees the same.
            assert_eq!(rows, rows_of(draft.rows().await?).await);
            *notes.lock().unwrap() = rows;
            verdict
        }
        .boxed()
    });
    let rows = RowParts {
        at_end,
        ..RowParts::from(stream(batches))
    };
    (rows, seen)
}

fn no() -> Result<(), DataFusionError> {
    Err(DataFusionError::Execution("not so".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_shows_the_table_that_would_be() {
    let test = TestLake::new();
    let table = name("silver.t");
    let folder = test.lake.table_path(&table);
    let write = |mode, rows, txn| test.lake.write_parts(&table, mode, rows, commit(txn));

    // A first version that is refused leaves neither a table nor a file.
    let (rows, seen) = looked_at(vec![filed(&[("a", 1), ("b", 2)])], no());
    let error = write(WriteMode::Append, rows, 1).await.unwrap_err();
    assert!(matches!(error, LakeError::Rows { .. }), "{error:?}");
    assert_eq!(*seen.lock().unwrap(), ["a|1", "b|2"]);
    assert!(!test.lake.has_table(&table));
    assert_eq!(parquet_files(&folder), 0);

    let (rows, _) = looked_at(vec![filed(&[("a", 1), ("b", 2)])], Ok(()));
    write(WriteMode::Append, rows, 1).await.unwrap();
    let replace = || WriteMode::ReplaceFiles(vec!["a".to_owned()]);
    for (mode, expected) in [
        (WriteMode::Append, vec!["a|1", "b|2", "c|3"]),
        (WriteMode::Overwrite, vec!["c|3"]),
        (replace(), vec!["b|2", "c|3"]),
    ] {
        let (rows, seen) = looked_at(vec![filed(&[("c", 3)])], no());
        write(mode.clone(), rows, 2).await.unwrap_err();
        assert_eq!(*seen.lock().unwrap(), expected, "{mode:?}");
        assert_eq!(test.rows("silver.t").await, ["a|1", "b|2"]);
        assert_eq!(parquet_files(&folder), 1, "{mode:?}");
    }
    let (rows, seen) = looked_at(vec![filed(&[("c", 3)])], Ok(()));
    write(replace(), rows, 2).await.unwrap();
    let stored = test.rows("silver.t").await;
    assert_eq!(*seen.lock().unwrap(), stored);

    // No row at all, and other columns: among them a type that Delta calls a feature.
    let (rows, seen) = looked_at(vec![filed(&[])], Ok(()));
    write(WriteMode::Overwrite, rows, 3).await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
    let (rows, seen) = looked_at(vec![moments()], Ok(()));
    write(WriteMode::Overwrite, rows, 4).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["1970-01-01T00:00:00.000001|1"]);
    assert_eq!(
        test.rows("silver.t").await,
        ["1970-01-01T00:00:00.000001|1"]
    );
    let (rows, _) = looked_at(vec![words(&[(7, "x")])], Ok(()));
    write(WriteMode::Overwrite, rows, 5).await.unwrap();
    assert_eq!(test.rows("silver.t").await, ["7|x"]);
}

fn moments() -> RecordBatch {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    RecordBatch::try_from_iter_with_nullable([("at", at, true), ("n", n, true)]).unwrap()
}

/// A table that another program has partitioned.
#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_partition_columns_are_seen() {
    let test = TestLake::new();
    let table = name("silver.t");
    let folder = test.lake.table_path(&table);
    std::fs::create_dir_all(&folder).unwrap();
    let url = Url::from_directory_path(&folder).unwrap();
    let column = |name: &str, kind| StructField::new(name, DataType::Primitive(kind), true);
    CreateBuilder::new()
        .with_log_store(
            DeltaTableBuilder::from_url(url)
                .unwrap()
                .build()
                .unwrap()
                .log_store(),
        )
        .with_columns([
            column("_file", PrimitiveType::String),
            column("id", PrimitiveType::Long),
        ])
        .with_partition_columns(["id"])
        .await
        .unwrap();
    let rows = filed(&[("a b", 1), ("b", 2), ("c", 1)]);
    let schema: SchemaRef = rows.schema();
    assert_eq!(schema.field(1).name(), "id");
    let (rows, seen) = looked_at(vec![rows], Ok(()));
    let write = test
        .lake
        .write_parts(&table, WriteMode::Append, rows, commit(1));
    write.await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["a b|1", "b|2", "c|1"]);
    let (rows, seen) = looked_at(vec![filed(&[("d", 3)])], Ok(()));
    let write = test
        .lake
        .write_parts(&table, WriteMode::Append, rows, commit(2));
    write.await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["a b|1", "b|2", "c|1", "d|3"]);
}
