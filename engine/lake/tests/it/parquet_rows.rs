//! Parquet files become rows, packed or not.

use std::{io::Write, sync::Arc};

use arrow::{
    array::{
        ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array,
    },
    datatypes::{DataType, TimeUnit},
};
use datafusion::parquet::arrow::ArrowWriter;
use sluice_lake::ingest::{ReadOptions, infer_schema, read};

use crate::fixture::{TestLake, collect, lines};

fn parquet(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.to_vec()).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn parquet_of_any_packing_and_type() {
    let test = TestLake::new();
    let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![7, 8]));
    let times = TimestampNanosecondArray::from(vec![1_500, 2_000]);
    let one = parquet(&[("a b", numbers), ("at", Arc::new(times))]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![9]));
    let times = TimestampNanosecondArray::from(vec![3_000]);
    let two = parquet(&[("at", Arc::new(times)), ("a b", numbers)]);
    let level = flate2::Compression::fast();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(&two).unwrap();
    test.file("1.parquet", &one);
    test.file("2.parquet.gz", gzip.finish().unwrap());
    test.file("3.zst", zstd::stream::encode_all(&two[..], 1).unwrap());
    let options = ReadOptions::default();
    let files = test.find(&["*"]).await.unwrap();
    let schema = infer_schema(&files, &options, None).await.unwrap();
    let types: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| (f.name().as_str(), f.data_type()))
        .collect();
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(types, [("a_b", &DataType::Int64), ("at", &micros)]);
    let batches = collect(read(&files, &schema, &options, None))
        .await
        .unwrap();
    let rows: Vec<String> = lines(&batches)
        .into_iter()
        .map(|line| line.rsplit_once('|').unwrap().0.to_owned())
        .collect();
    assert_eq!(
        rows,
        [
            "7|1970-01-01T00:00:00.000001|1.parquet|1",
            "8|1970-01-01T00:00:00.000002|1.parquet|2",
            "9|1970-01-01T00:00:00.000003|2.parquet.gz|1",
            "9|1970-01-01T00:00:00.000003|3.zst|1"
        ]
    );
}

#[tokio::test]
async fn other_columns_and_damage_are_told() {
    let test = TestLake::new();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![9]));
    test.file("1.parquet", parquet(&[("x", Arc::clone(&texts))]));
    test.file("2.parquet", parquet(&[("y", numbers)]));
    let options = ReadOptions::default();
    let text = test.read_csv("*", &options).await.unwrap_err();
    assert!(
        text.starts_with(
            "2.parquet does not have the columns of 1.parquet: `x` is missing, `y` (BIGINT) is new"
        ),
        "{text}"
    );
    let evolve = ReadOptions {
        evolve: true,
        ..options.clone()
    };
    let batches = test.read_csv("*", &evolve).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let mut cut = parquet(&[("x", texts)]);
    cut.truncate(cut.len() - 9);
    test.file("2.parquet", cut);
    let text = test.read_csv("2.parquet", &options).await.unwrap_err();
    assert!(
        text.starts_with("2.parquet is not a Parquet file that can be read"),
        "{text}"
    );
}
