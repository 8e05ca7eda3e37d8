//! What CSV files become: columns, types, rows and where they came from.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    datatypes::{DataType, Int64Type, TimeUnit},
};
use futures::TryStreamExt;
use proptest::prelude::*;
use sluice_lake::{
    delta::WriteMode,
    ingest::{NameStyle, ReadOptions, infer_schema, read},
};

use crate::fixture::{TestLake, commit, lines, name};

fn semicolon() -> ReadOptions {
    ReadOptions {
        delimiter: b';',
        ..ReadOptions::default()
    }
}

/// Rows without the time of the ingest, which is the last cell.
fn without_time(lines: Vec<String>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| line.rsplit_once('|').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn files_become_rows_that_know_where_they_came_from() {
    let test = TestLake::new();
    test.file(
        "wine-red.csv",
        "\"fixed acidity\";pH;quality\n7.4;3.51;5\n7;3.2;6\n",
    );
    test.file(
        "wine-white.csv",
        "pH;quality;\"fixed acidity\"\r\n3;6;7.0\r\n",
    );
    let files = test.find(&["wine-*.csv"]).await.unwrap();
    let schema = infer_schema(&files, &semicolon(), None).await.unwrap();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| (f.name().as_str(), f.data_type().clone()))
        .collect();
    assert_eq!(
        columns,
        [
            ("fixed_acidity", DataType::Float64),
            ("pH", DataType::Float64),
            ("quality", DataType::Int64)
        ]
    );
    assert_eq!(
        schema.field(0).metadata()["sluice.original_name"],
        "fixed acidity"
    );
    assert!(schema.field(1).metadata().is_empty());
    let batches: Vec<_> = read(&files, &schema, &semicolon(), None)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        without_time(lines(&batches)),
        [
            "7.0|3.0|6|wine-white.csv|1",
            "7.0|3.2|6|wine-red.csv|2",
            "7.4|3.51|5|wine-red.csv|1"
        ]
    );
    let at = batches[0].schema().field(5).data_type().clone();
    assert_eq!(
        at,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
}

#[tokio::test]
async fn ingest_replaces_changed_files_in_a_table() {
    let test = TestLake::new();
    test.file("a.csv", "x,y\n1,a\n2,b\n");
    test.file("b.csv", "x,y\n3,c\n");
    let options = ReadOptions::default();
    let table = name("bronze.t");
    for (txn, mode) in [
        (1, WriteMode::Append),
        (2, WriteMode::ReplaceFiles(vec!["a.csv".to_owned()])),
    ] {
        let pattern = if txn == 1 { "*.csv" } else { "a.csv" };
        let files = test.find(&[pattern]).await.unwrap();
        let schema = match test.lake.load(&table, None).await {
            // The table's columns, `_file` and the others included.
            Ok(table) => table.schema,
            Err(_) => infer_schema(&files, &options, None).await.unwrap(),
        };
        let rows = read(&files, &schema, &options, None);
        test.lake
            .write(&table, mode, rows, commit(txn))
            .await
            .unwrap();
        test.file("a.csv", "x,y\n20,b\n10,\n");
    }
    assert_eq!(
        without_time(test.rows("bronze.t").await),
        ["10||a.csv|2", "20|b|a.csv|1", "3|c|b.csv|1"]
    );
}

#[tokio::test]
async fn types_come_from_every_row_of_every_file() {
    let test = TestLake::new();
    test.file(
        "a.csv",
        "i,f,b,d,t,z,s,e,big\n1,1,true,2024-01-01,2024-01-01,2024-01-01T00:00:00Z,x,,1\n",
    );
    let more = format!(
        "i,f,b,d,t,z,s,e,big\n2,,False,2024-02-29,2024-01-01 10:00,2024-01-01T02:00:00+02:00,1,,{}\n,2.5,,,,,,,\n",
        "123456789012345678901"
    );
    test.file("b.csv", more);
    let files = test.find(&["*.csv"]).await.unwrap();
    let schema = infer_schema(&files, &ReadOptions::default(), None)
        .await
        .unwrap();
    let types: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| f.data_type().clone())
        .collect();
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from));
    assert_eq!(
        types,
        [
            DataType::Int64,
            DataType::Float64,
            DataType::Boolean,
            DataType::Date32,
            micros(None),
            micros(Some("UTC")),
            DataType::Utf8,
            DataType::Utf8,
            DataType::Utf8,
        ]
    );
    let batches: Vec<_> = read(&files, &schema, &ReadOptions::default(), None)
        .try_collect()
        .await
        .unwrap();
    let rows = without_time(lines(&batches));
    assert_eq!(
        rows[0],
        "1|1.0|true|2024-01-01|2024-01-01T00:00:00|2024-01-01T00:00:00Z|x||1|a.csv|1"
    );
    assert_eq!(
        rows[1],
        "2||false|2024-02-29|2024-01-01T10:00:00|2024-01-01T00:00:00Z|1||123456789012345678901|b.csv|1"
    );
    assert_eq!(rows[2], "|2.5||||||||b.csv|2");
}

#[tokio::test]
async fn declared_types_win_and_nulls_can_be_named() {
    let test = TestLake::new();
    test.file("a.csv", "zip,n,price\n00501,NA,1.50\n10115,7,2\n");
    let options = ReadOptions {
        columns: vec![
            ("zip".to_owned(), DataType::Utf8),
            ("price".to_owned(), DataType::Decimal128(10, 2)),
        ],
        null_values: vec!["NA".to_owned()],
        ..ReadOptions::default()
    };
    let batches = test.read_csv("a.csv", &options).await.unwrap();
    assert_eq!(batches[0].schema().field(1).data_type(), &DataType::Int64);
    assert_eq!(
        without_time(lines(&batches)),
        ["00501||1.50|a.csv|1", "10115|7|2.00|a.csv|2"]
    );
}

#[tokio::test]
async fn quoting_line_ends_and_marks() {
    let test = TestLake::new();
    let content = "\u{FEFF}id,\"say \"\"what\"\"\"\r\n1,\"two\r\nlines; and \"\"quotes\"\"\"\r\n\r\n2,\"a,b\"\r\n3,\"\"";
    test.file("a.csv", content);
    let options = ReadOptions {
        names: NameStyle::AsIs,
        ..ReadOptions::default()
    };
    let batches = test.read_csv("a.csv", &options).await.unwrap();
    assert_eq!(batches[0].schema().field(0).name(), "id");
    assert_eq!(batches[0].schema().field(1).name(), "say \"what\"");
    assert_eq!(
        without_time(lines(&batches)),
        [
            "1|two\r\nlines; and \"quotes\"|a.csv|1",
            "2|a,b|a.csv|2",
            "3||a.csv|3"
        ]
    );
}

#[tokio::test]
async fn files_without_a_header_have_numbered_columns() {
    let test = TestLake::new();
    test.file("a.tsv", "1\tx\n2\ty\n");
    let options = ReadOptions {
        delimiter: b'\t',
        header: false,
        ..ReadOptions::default()
    };
    let batches = test.read_csv("a.tsv", &options).await.unwrap();
    assert_eq!(batches[0].schema().field(0).name(), "column_1");
    assert_eq!(
        without_time(lines(&batches)),
        ["1|x|a.tsv|1", "2|y|a.tsv|2"]
    );
}

#[tokio::test]
async fn declared_columns_name_those_of_a_file_without_a_header() {
    let test = TestLake::new();
    test.file("a.tsv", "01\t-0.5\t\"x\r\n02\t2\ty\r\n");
    let mut options = ReadOptions {
        delimiter: b'\t',
        quote: None,
        header: false,
        columns: vec![
            ("id".to_owned(), DataType::Utf8),
            ("rating".to_owned(), DataType::Float64),
            ("text".to_owned(), DataType::Utf8),
        ],
        ..ReadOptions::default()
    };
    let batches = test.read_csv("a.tsv", &options).await.unwrap();
    assert_eq!(batches[0].schema().field(2).name(), "text");
    assert_eq!(
        without_time(lines(&batches)),
        ["01|-0.5|\"x|a.tsv|1", "02|2.0|y|a.tsv|2"]
    );
    options.columns.pop();
    let error = test.read_csv("a.tsv", &options).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.tsv has 3 columns in its first record, but 2 are declared: name all of them, in the order of the file"
    );
}

#[tokio::test]
async fn a_header_alone_is_a_table_without_rows() {
    let test = TestLake::new();
    test.file("a.csv", "x,y");
    let batches = test
        .read_csv("a.csv", &ReadOptions::default())
        .await
        .unwrap();
    assert!(batches.is_empty());
}

#[tokio::test]
async fn globs_find_each_file_once_in_order() {
    let test = TestLake::new();
    for file in [
        "b.csv",
        "a.csv",
        "sub/c.csv",
        "sub/deep/d.csv",
        ".hidden.csv",
        "note.txt",
    ] {
        test.file(file, "x\n1\n");
    }
    let paths = |patterns: &'static [&'static str]| {
        let test = &test;
        async move {
            let files = test.find(patterns).await.unwrap();
            files.into_iter().map(|f| f.path).collect::<Vec<_>>()
        }
    };
    assert_eq!(paths(&["*.csv"]).await, ["a.csv", "b.csv"]);
    assert_eq!(
        paths(&["b.csv", "*.csv", "../data/a.csv"]).await,
        ["a.csv", "b.csv"]
    );
    assert_eq!(
        paths(&["**/*.csv"]).await,
        ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv"]
    );
    assert_eq!(paths(&["sub/*.csv"]).await, ["sub/c.csv"]);
    assert_eq!(paths(&["{a,b}.csv"]).await, ["a.csv", "b.csv"]);
    assert_eq!(paths(&[".h*.csv"]).await, [".hidden.csv"]);
    test.file("sub/deep/_SUCCESS", "");
    assert_eq!(paths(&["sub/"]).await, ["sub/c.csv", "sub/deep/d.csv"]);
    assert_eq!(paths(&["sub"]).await, ["sub/c.csv", "sub/deep/d.csv"]);
    let files = test.find(&["a.csv"]).await.unwrap();
    assert_eq!(files[0].size_bytes, 4);
    assert_eq!(
        files[0].content_hash,
        blake3::hash(b"x\n1\n").to_hex().to_string()
    );
    let absolute = test.source_dir().join("a.csv");
    let by_absolute = test.find(&[absolute.to_str().unwrap()]).await.unwrap();
    assert_eq!(by_absolute[0].path, "a.csv");
}

#[tokio::test]
async fn many_files_and_small_batches_keep_every_row() {
    let test = TestLake::new();
    for file in 0..40 {
        let rows: String = (1..=file * 3)
            .map(|row| format!("{file},{row}\n"))
            .collect();
        test.file(&format!("f{file:02}.csv"), format!("file,n\n{rows}"));
    }
    let options = ReadOptions {
        batch_rows: 7,
        ..ReadOptions::default()
    };
    let batches = test.read_csv("*.csv", &options).await.unwrap();
    let rows: usize = batches
        .iter()
        .map(arrow::array::RecordBatch::num_rows)
        .sum();
    assert_eq!(rows, (0..40).map(|file| file * 3).sum::<usize>());
    assert!(batches.iter().all(|batch| batch.num_rows() <= 7));
    for batch in &batches {
        let numbers = batch.column(1).as_primitive::<Int64Type>();
        let rows = batch.column(3).as_primitive::<Int64Type>();
        assert_eq!(numbers, rows, "`_row` is the place in the file");
    }
}

#[tokio::test]
async fn a_reader_that_is_dropped_stops() {
    let test = TestLake::new();
    test.file("a.csv", format!("x\n{}", "1\n".repeat(100_000)));
    let files = test.find(&["a.csv"]).await.unwrap();
    let schema = infer_schema(&files, &ReadOptions::default(), None)
        .await
        .unwrap();
    let mut rows = read(&files, &schema, &ReadOptions::default(), None);
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    // The runtime of this test ends only when the reading thread has.
}

/// A cell as a writer would write it.
fn quoted(cell: &str, always: bool) -> String {
    if always || cell.is_empty() || cell.contains([';', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is written comes back: every row, every cell, in its place.
    #[test]
    fn every_row_comes_back(
        rows in prop::collection::vec(prop::collection::vec("[a-zé€ ;,\"\n\r0-9]{0,6}", 3), 0..40),
        crlf in any::<bool>(),
        quote_all in any::<bool>(),
        last_line_ends in any::<bool>(),
        batch_rows in 1_usize..9,
    ) {
        let line_end = if crlf { "\r\n" } else { "\n" };
        let mut content = "x;y;z".to_owned();
        for row in &rows {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell, quote_all)).collect();
            content.push_str(line_end);
            content.push_str(&cells.join(";"));
        }
        if last_line_ends {
            content.push_str(line_end);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let test = TestLake::new();
            test.file("a.csv", &content);
            let text = |name: &str| (name.to_owned(), DataType::Utf8);
            let options = ReadOptions {
                columns: vec![text("x"), text("y"), text("z")],
                batch_rows,
                ..semicolon()
            };
            test.read_csv("a.csv", &options).await.unwrap()
        });
        let mut cells = Vec::new();
        let mut expected_row = 0;
        for batch in &found {
            let columns: Vec<_> = (0..3).map(|c| batch.column(c).as_string::<i32>().clone()).collect();
            let places = batch.column(4).as_primitive::<Int64Type>().clone();
            for row in 0..batch.num_rows() {
                expected_row += 1;
                prop_assert_eq!(places.value(row), expected_row);
                // The empty field is NULL.
                let row: Vec<String> = columns.iter().map(|c| {
                    if arrow::array::Array::is_null(c, row) { String::new() } else { c.value(row).to_owned() }
                }).collect();
                cells.push(row);
            }
        }
        prop_assert_eq!(cells, rows);
    }
}
