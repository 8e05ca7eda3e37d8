//! Texts as tokens in SQL: what Python's `tokenizers` makes of them, through whole runs over
//! Delta tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Int8Type, Int32Type};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A tokenizer and what is expected of it, made by `benches/fixtures/tokenizer.py`.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A project with a tokenizer `t` and the texts of `rows` in `bronze.texts`, numbered.
fn sandbox(tokenizer: &Path, more: &str, rows: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(&format!(
        "tokenizers:\n  t: {{from: \"{}\"}}\ntables:\n  bronze.texts:\n    ingest: {{files: texts.ndjson}}\n{more}",
        tokenizer.display()
    ));
    let mut text = String::new();
    for (number, (first, second)) in rows.iter().enumerate() {
        let line = json!({"n": number, "text": first, "pair": second});
        writeln!(text, "{line}").unwrap();
    }
    sandbox.write("texts.ndjson", text);
    sandbox
}

fn numbers(list: &dyn Array, row: usize) -> Vec<i64> {
    let values = list.as_list::<i32>().value(row);
    match values.as_primitive_opt::<Int32Type>() {
        Some(values) => values.values().iter().map(|&value| value.into()).collect(),
        None => {
            let values = values.as_primitive::<Int8Type>();
            values.values().iter().map(|&value| value.into()).collect()
        }
    }
}

/// An encoded row as the fixtures have it.
fn encoding(all: &StructArray, row: usize) -> Value {
    let list = |name: &str| numbers(all.column_by_name(name).unwrap().as_ref(), row);
    let places = all
        .column_by_name("offsets")
        .unwrap()
        .as_list::<i32>()
        .value(row);
    let places = places.as_struct();
    let (starts, ends) = (places.column(0), places.column(1));
    let (starts, ends) = (
        starts.as_primitive::<Int32Type>(),
        ends.as_primitive::<Int32Type>(),
    );
    let places = starts.values().iter().zip(ends.values());
    let places: Vec<[i32; 2]> = places.map(|(&start, &end)| [start, end]).collect();
    json!({
        "input_ids": list("input_ids"),
        "attention_mask": list("attention_mask"),
        "token_type_ids": list("token_type_ids"),
        "offsets": places,
    })
}

/// The values of a column of all batches, made to JSON.
fn column(
    batches: &[RecordBatch],
    name: &str,
    of: impl Fn(&dyn Array, usize) -> Value,
) -> Vec<Value> {
    let mut values = Vec::new();
    for batch in batches {
        let column = batch.column_by_name(name).unwrap();
        values.extend((0..batch.num_rows()).map(|row| of(column.as_ref(), row)));
    }
    values
}

fn text(array: &dyn Array, row: usize) -> Value {
    let strings = arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8).unwrap();
    strings.as_string::<i32>().value(row).into()
}

fn encoded(array: &dyn Array, row: usize) -> Value {
    encoding(array.as_struct(), row)
}

const GOLD: &str = "  gold.tokens:
    sql: |
      SELECT n, text, pair,
        encode(text, 't', offsets => true) AS plain,
        encode(text, pair, 't', offsets => TRUE) AS both,
        encode(text, pair, 't', 16, offsets => true) AS cut,
        encode(text, 't', max_length => 16, truncation => 'only_first', offsets => true) AS only_first,
        encode(text, tokenizer => 't', truncation => true, padding => 'max_length', offsets => true) AS padded,
        normalize(text, 't') AS normalized,
        tokenize(text, 't', add_special_tokens => true) AS ids
      FROM bronze.texts
    expect:
      short:
        that: token_count(text, 't') <= 60
        otherwise: warn
";

#[tokio::test(flavor = "multi_thread")]
async fn texts_become_what_python_makes_of_them() {
    let expected = lines(&fixture().join("expected.jsonl"));
    let rows: Vec<(&str, &str)> = expected
        .iter()
        .map(|row| (row["text"].as_str().unwrap(), row["pair"].as_str().unwrap()))
        .collect();
    let mut before: Option<Vec<Vec<Value>>> = None;
    for parallelism in [1, 2, 4] {
        let mut sandbox = sandbox(&fixture(), GOLD, &rows);
        sandbox.parallelism(parallelism);
        let ran = sandbox.run_well().await;
        let long = expected.iter().filter(|row| {
            // The two special tokens are no part of the text.
            row["plain"]["input_ids"].as_array().unwrap().len() - 2 > 60
        });
        let rule = format!("short (warn): {} of {} rows", long.count(), rows.len());
        assert!(ran.told().contains(&rule), "{}", ran.told());
        let batches = sandbox.rows(
            "SELECT *, detokenize(ids, 't') AS decoded, detokenize(ids, 't', skip_special_tokens => false) AS decoded_special FROM gold.tokens ORDER BY n",
        );
        let batches = batches.await;
        let mut all = Vec::new();
        for name in ["plain", "both", "cut", "only_first", "padded"] {
            all.push(column(&batches, name, encoded));
        }
        for name in ["normalized", "decoded", "decoded_special"] {
            all.push(column(&batches, name, text));
        }
        for (values, name) in all.iter().zip([
            "plain",
            "both",
            "cut",
            "only_first",
            "padded",
            "normalized",
            "decoded",
            "decoded_special",
        ]) {
            for (value, expected) in values.iter().zip(&expected) {
                assert_eq!(value, &expected[name], "{name} of {}", expected["text"]);
            }
        }
        assert_eq!(all[0].len(), expected.len());
        if let Some(before) = &before {
            assert!(before == &all, "at parallelism {parallelism}");
        }
        before = Some(all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_many_languages_become_what_bert_makes_of_them() {
    let shared = std::env::var_os("SLUICE_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let folder = shared.join("tokenizer-conformance");
    if !folder.exists() {
        crate::say_skipped(&format!("no tokenizer-conformance in {}", shared.display()));
        return;
    }
    let expected = lines(&folder.join("bert.expected.jsonl"));
    let pairs = lines(&folder.join("bert.pairs.jsonl"));
    let one = expected
        .iter()
        .map(|row| (row["text"].as_str().unwrap(), ""));
    let two = pairs
        .iter()
        .map(|row| (row["a"].as_str().unwrap(), row["b"].as_str().unwrap()));
    let rows: Vec<(&str, &str)> = one.chain(two).collect();
    let sandbox = sandbox(&folder.join("bert"), "", &rows);
    sandbox.run_well().await;
    let batches = sandbox
        .rows(&format!(
            "SELECT encode(text, 't', truncation => true, padding => 'max_length', offsets => true) AS e,
                detokenize(tokenize(text, 't'), 't') AS whole,
                detokenize(encode(text, 't', truncation => true)['input_ids'], 't') AS decoded
             FROM bronze.texts WHERE n < {} ORDER BY n",
            expected.len()
        ))
        .await;
    let found = column(&batches, "e", encoded);
    let decoded = column(&batches, "decoded", text);
    let whole = column(&batches, "whole", text);
    assert_eq!(found.len(), 712);
    for (row, expected) in expected.iter().enumerate() {
        assert_eq!(found[row], as_encoding(expected), "{}", expected["text"]);
        assert_eq!(decoded[row], expected["decoded"], "{}", expected["text"]);
        let whole = whole[row].as_str().unwrap();
        assert!(
            whole.starts_with(expected["decoded"].as_str().unwrap()),
            "{whole}"
        );
    }
    let batches = sandbox
        .rows(&format!(
            "SELECT encode(text, pair, 't', truncation => true, padding => 'max_length', offsets => true) AS e
             FROM bronze.texts WHERE n >= {} ORDER BY n",
            expected.len()
        ))
        .await;
    let found = column(&batches, "e", encoded);
    assert_eq!(found.len(), pairs.len());
    for (found, expected) in found.iter().zip(&pairs) {
        assert_eq!(found["input_ids"], expected["ids"], "{}", expected["a"]);
        assert_eq!(found["token_type_ids"], expected["type_ids"]);
        assert_eq!(found["offsets"], expected["offsets"]);
    }
}

fn as_encoding(expected: &Value) -> Value {
    json!({
        "input_ids": expected["ids"],
        "attention_mask": expected["attention_mask"],
        "token_type_ids": expected["type_ids"],
        "offsets": expected["offsets"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_again_when_its_tokenizer_is() {
    let tokenizers = "tokenizers:\n  t:\n    train: {from: bronze.texts, column: text, bpe: {vocab_size: 300}}\n";
    let table = "  gold.counts:\n    sql: SELECT n, token_count(text, 't') AS tokens FROM bronze.texts\n  gold.pinned:\n    sql: SELECT n, token_count(text, 'models:/t/1') AS tokens FROM bronze.texts\n";
    let ingest = "tables:\n  bronze.texts:\n    ingest: {files: texts.csv}\n";
    let sandbox = Sandbox::new(&format!("{ingest}{tokenizers}"));
    sandbox.write(
        "texts.csv",
        "n,text\n1,the license of the work\n2,the work\n",
    );
    sandbox.run_well().await;
    sandbox.pipeline(&format!("{ingest}{table}{tokenizers}"));
    insta::assert_snapshot!(sandbox.run_well().await.told());
    insta::assert_snapshot!(sandbox.run_well().await.told());
    sandbox.edit("vocab_size: 300", "vocab_size: 290");
    insta::assert_snapshot!(sandbox.plan().await);
    insta::assert_snapshot!(sandbox.run_well().await.told());
    let made_with = "SELECT address, model_name, model_version FROM system.table_models WHERE table_name = 'gold.counts' ORDER BY model_version";
    insta::assert_snapshot!(sandbox.query(made_with).await);
    assert_eq!(
        sandbox
            .value("EXPLAIN SELECT tokenize(text, 't') FROM bronze.texts")
            .await
            .matches("models:/t/2")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_100_000_tokens_is_one_among_others() {
    let long = "work ".repeat(100_000);
    let sandbox = sandbox(&fixture(), "", &[(&long, ""), ("the work", "")]);
    sandbox.run_well().await;
    insta::assert_snapshot!(sandbox.query("
        SELECT n, token_count(text, 't') AS tokens, cardinality(encode(text, 't', 8)['input_ids']) AS cut,
          cardinality(chunk(text, 't', 512, 64)) AS chunks, chunk(text, 't', 512, 64)[-1]['start'] AS last
        FROM bronze.texts ORDER BY n").await);
}
