//! Bad records are put aside as they were: none is lost, none twice.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type},
};
use futures::TryStreamExt;
use proptest::prelude::*;
use sluice_lake::{
    delta::WriteMode,
    ingest::{BadRecords, Format, ReadOptions, Rejects, infer_schema, read},
};

use crate::fixture::{TestLake, commit, name};

/// What a file gave: cells of good records, and bytes of bad ones, by their place.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    good: BTreeMap<i64, Vec<Option<String>>>,
    bad: BTreeMap<i64, Vec<u8>>,
}

/// Reads `in.x` whole, and takes both ends apart.
async fn take(test: &TestLake, options: &ReadOptions) -> Taken {
    let files = test.find(&["in.x"]).await.unwrap();
    let schema = infer_schema(&files, options, None).await.unwrap();
    let (rejects, mut receiver) = Rejects::channel();
    let seen = rejects.seen();
    let aside = tokio::spawn(async move {
        let mut batches = Vec::new();
        while let Some(batch) = receiver.recv().await {
            batches.push(batch);
        }
        batches
    });
    let good: Vec<RecordBatch> = read(&files, &schema, options, Some(rejects))
        .try_collect()
        .await
        .unwrap();
    let mut taken = Taken::default();
    for batch in aside.await.unwrap() {
        let (rows, raw) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(4));
        let bytes = batch.column(5).as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let exact = match bytes.is_null(row) {
                true => raw.as_string::<i32>().value(row).as_bytes().to_vec(),
                false => bytes.value(row).to_vec(),
            };
            assert!(taken.bad.insert(rows.value(row), exact).is_none());
        }
    }
    assert_eq!(seen.rows(), taken.bad.len() as u64);
    for batch in good {
        let own = batch.num_columns() - 3;
        let rows = batch.column(own + 1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let cells = batch.columns()[..own].iter().map(|column| {
                let text = arrow::util::display::array_value_to_string(column, row).unwrap();
                column.is_valid(row).then_some(text)
            });
            let before = taken.good.insert(rows.value(row), cells.collect());
            assert!(before.is_none());
        }
    }
    taken
}

/// A record of a file, and what must become of it.
#[derive(Debug, Clone)]
struct Record {
    bytes: Vec<u8>,
    /// The cells of a good record.
    cells: Option<Vec<Option<String>>>,
}

fn expected(records: &[Record]) -> Taken {
    let mut taken = Taken::default();
    for (place, record) in (1..).zip(records) {
        match &record.cells {
            Some(cells) => drop(taken.good.insert(place, cells.clone())),
            None => drop(taken.bad.insert(place, record.bytes.clone())),
        }
    }
    taken
}

fn options(format: Format, batch_rows: usize) -> ReadOptions {
    ReadOptions {
        format: Some(format),
        bad_records: BadRecords::Reject,
        columns: vec![
            ("n".to_owned(), DataType::Int64),
            ("s".to_owned(), DataType::Utf8),
        ],
        batch_rows,
        ..ReadOptions::default()
    }
}

/// The content as it is, or packed.
fn packed(content: &[u8], how: u8) -> Vec<u8> {
    match how {
        0 => content.to_vec(),
        1 => {
            let level = flate2::Compression::fast();
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        _ => zstd::stream::encode_all(content, 1).unwrap(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A record of CSV with the columns `n` and `s`, in one of many ways right or wrong.
fn csv_record() -> impl Strategy<Value = Record> {
    let text = "[a-zé€😀,\"\n\r ]{0,8}";
    (0_u8..11, any::<i64>(), text, "[a-z ]{1,8}").prop_map(|(fault, n, text, plain)| {
        let good = |cells| Record {
            bytes: format!("{n},{}", quoted(&text)).into_bytes(),
            cells: Some(cells),
        };
        let bad = |bytes: Vec<u8>| Record { bytes, cells: None };
        let text_cell = (!text.is_empty()).then(|| text.clone());
        match fault {
            0 => bad(format!("{n}").into_bytes()),
            1 => bad(format!("{n},{},{plain}", quoted(&text)).into_bytes()),
            2 => bad(format!("{plain}x,{}", quoted(&text)).into_bytes()),
            3 => bad([format!("{n},{plain}").as_bytes(), b"\xE9\xFF"].concat()),
            4 => bad(format!("{n},{}{plain}", quoted(&text)).into_bytes()),
            5 => bad(format!("99{n}99999999999999999999,{plain}").into_bytes()),
            _ => good(vec![Some(n.to_string()), text_cell]),
        }
    })
}

/// An object on a line, or something that is none.
fn json_record() -> impl Strategy<Value = Record> {
    let text = "[a-zé€😀,\"\\\\{}\\[\\] ]{0,8}";
    (0_u8..11, any::<i64>(), text).prop_map(|(fault, n, text)| {
        let written = serde_json::to_string(&text).unwrap();
        let whole = format!("{{\"n\": {n}, \"s\": {written}}}");
        let bad = |bytes: Vec<u8>| Record { bytes, cells: None };
        match fault {
            0 => bad(whole.as_bytes()[..whole.len() - 1].to_vec()),
            1 => bad(format!("{{\"n\": \"{n}x\", \"s\": {written}}}").into_bytes()),
            2 => bad(format!("[{n}, {written}]").into_bytes()),
            3 => bad([
                b"{\"s\": \"\xE9\xFF\", \"n\": ",
                n.to_string().as_bytes(),
                b"}",
            ]
            .concat()),
            4 => bad(format!("{{\"n\": {n}, \"n\": {n}, \"s\": {written}}}").into_bytes()),
            5 => bad(format!("{whole} {whole}").into_bytes()),
            6 => Record {
                bytes: format!("{{\"s\":{written}}}").into_bytes(),
                cells: Some(vec![None, Some(text)]),
            },
            _ => Record {
                bytes: whole.into_bytes(),
                cells: Some(vec![Some(n.to_string()), Some(text)]),
            },
        }
    })
}

fn joined(front: &[u8], records: &[Record], between: &[u8]) -> Vec<u8> {
    let mut content = front.to_vec();
    for record in records {
        content.extend_from_slice(&record.bytes);
        content.extend_from_slice(between);
    }
    content
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn csv_loses_nothing(
        records in prop::collection::vec(csv_record(), 0..60),
        crlf in any::<bool>(),
        unclosed in any::<bool>(),
        batch_rows in 1_usize..20,
        how in 0_u8..3,
    ) {
        let mut records = records;
        let line_end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        let mut content = joined(&[b"n,s", line_end].concat(), &records, line_end);
        if unclosed {
            // The quote that is never closed costs its own line, and no other.
            content.extend_from_slice(b"1,\"open\n2,after\n");
            records.push(Record { bytes: b"1,\"open".to_vec(), cells: None });
            let cells = Some(vec![Some("2".to_owned()), Some("after".to_owned())]);
            records.push(Record { bytes: b"2,after".to_vec(), cells });
        }
        let test = TestLake::new();
        test.file("in.x", packed(&content, how));
        let taken = block_on(take(&test, &options(Format::Csv, batch_rows)));
        prop_assert_eq!(taken, expected(&records));
    }

    #[test]
    fn json_lines_lose_nothing(
        records in prop::collection::vec(json_record(), 0..60),
        batch_rows in 1_usize..20,
        how in 0_u8..3,
    ) {
        // A file whose first record is a list is a list of records.
        prop_assume!(records.first().is_none_or(|first| first.bytes[0] != b'['));
        let test = TestLake::new();
        test.file("in.x", packed(&joined(b"", &records, b"\n"), how));
        let taken = block_on(take(&test, &options(Format::Json, batch_rows)));
        let mut expected = expected(&records);
        fit_columns(&mut expected, &records);
        prop_assert_eq!(taken, expected);
    }

    #[test]
    fn a_list_of_json_loses_nothing(
        records in prop::collection::vec(json_record(), 1..60),
        closed in any::<bool>(),
        batch_rows in 1_usize..20,
        how in 0_u8..3,
    ) {
        // Half an object swallows its neighbours: what is cut where is another test.
        let mut records: Vec<Record> = records
            .into_iter()
            .filter(|record| record.cells.is_some() || balanced(&record.bytes))
            .collect();
        prop_assume!(!records.is_empty());
        let mut content = joined(b" [", &records, b",\n ");
        if closed {
            content.extend_from_slice(b"]\n");
        } else {
            records.push(Record { bytes: Vec::new(), cells: None });
        }
        let test = TestLake::new();
        test.file("in.x", packed(&content, how));
        let taken = block_on(take(&test, &options(Format::Json, batch_rows)));
        let mut expected = expected(&records);
        fit_columns(&mut expected, &records);
        prop_assert_eq!(taken, expected);
    }
}

/// Columns stand in the order in which the keys are met; these two are declared, so that
/// the first record that names one decides.
fn fit_columns(expected: &mut Taken, records: &[Record]) {
    let first = records
        .iter()
        .filter(|record| std::str::from_utf8(&record.bytes).is_ok())
        .find_map(|record| {
            let text = String::from_utf8_lossy(&record.bytes);
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).ok()
        });
    let s_first = first.is_some_and(|first| first.keys().next().is_some_and(|key| key == "s"));
    if s_first {
        for cells in expected.good.values_mut() {
            cells.swap(0, 1);
        }
    }
}

fn balanced(bytes: &[u8]) -> bool {
    bytes.ends_with(b"}") || bytes.ends_with(b"]")
}

#[tokio::test]
async fn what_stands_around_a_list_is_not_lost() {
    let test = TestLake::new();
    let options = options(Format::Json, 10);
    test.file("in.x", "[{\"n\": 1}, {\"n\": 2, ]");
    let taken = take(&test, &options).await;
    assert_eq!(taken.bad[&2], b"{\"n\": 2, ]");
    test.file("in.x", "[{\"n\": 1}}, }, {\"n\": 2}] {\"n\": 3}");
    let taken = take(&test, &options).await;
    assert_eq!(taken.good.keys().copied().collect::<Vec<_>>(), [1, 4]);
    assert_eq!(taken.bad[&2], b"}");
    assert_eq!(taken.bad[&3], b"}");
    assert_eq!(taken.bad[&5], b"{\"n\": 3}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_are_read_a_few_at_a_time() {
    const FILES: usize = 10_000;
    let test = TestLake::new();
    for file in 0..FILES {
        test.file(
            &format!("{:02}/{file}.csv", file % 100),
            format!("n,s\n{file},x\nbad\n"),
        );
    }
    let files = test.find(&["*/*.csv"]).await.unwrap();
    assert_eq!(files.len(), FILES);
    let options = options(Format::Csv, 1000);
    let schema = infer_schema(&files, &options, None).await.unwrap();
    let (rejects, mut receiver) = Rejects::channel();
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&open);
    let aside = tokio::spawn(async move {
        let mut records = 0;
        while let Some(batch) = receiver.recv().await {
            records += batch.num_rows();
            if let Ok(handles) = std::fs::read_dir("/proc/self/fd") {
                most.fetch_max(handles.count(), Ordering::Relaxed);
            }
        }
        records
    });
    let rows = read(&files, &schema, &options, Some(rejects));
    let table = name("bronze.t");
    let written = test
        .lake
        .write(&table, WriteMode::Append, rows, commit(1))
        .await;
    assert_eq!(written.unwrap().rows, FILES as u64);
    assert_eq!(aside.await.unwrap(), FILES);
    let open = open.load(Ordering::Relaxed);
    assert!(open < 100, "{open} files were open at once");
}
