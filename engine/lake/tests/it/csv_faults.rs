//! Files that are wrong: each fault says which file, which line, and what to do,
//! and nothing is committed.

use std::fs;

use arrow::datatypes::DataType;
use sluice_lake::{
    LakeError,
    delta::WriteMode,
    ingest::{ReadOptions, infer_schema, read},
};

use crate::fixture::{TestLake, commit, name};

/// The text of the fault that reading `content` ends with.
async fn fault(content: impl AsRef<[u8]>, options: &ReadOptions) -> String {
    let test = TestLake::new();
    test.file("a.csv", content);
    match test.read_csv("a.csv", options).await {
        Ok(batches) => panic!("it was read: {batches:?}"),
        Err(text) => text,
    }
}

#[tokio::test]
async fn a_missing_file_is_looked_for_nearby() {
    let test = TestLake::new();
    test.file("winequality-red.csv", "x\n1\n");
    let error = test.find(&["winequalty-red.csv"]).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("no file matches `winequalty-red.csv` in"),
        "{text}"
    );
    assert!(
        text.contains("did you mean `winequality-red.csv`?"),
        "{text}"
    );
    let text = test.find(&["../dta/*.csv"]).await.unwrap_err().to_string();
    assert!(text.contains("did you mean `data`?"), "{text}");
    let text = test.find(&["*.parquet"]).await.unwrap_err().to_string();
    assert!(text.contains("check the path"), "{text}");
    for bad in ["", "x["] {
        let text = test.find(&[bad]).await.unwrap_err().to_string();
        assert!(text.contains("not a file pattern"), "{bad}: {text}");
    }
}

#[tokio::test]
async fn faults_have_a_file_and_a_line() {
    let plain = ReadOptions::default();
    let semicolon = ReadOptions {
        delimiter: b';',
        ..ReadOptions::default()
    };
    let no_header = ReadOptions {
        header: false,
        ..ReadOptions::default()
    };
    let cases: Vec<(&[u8], &ReadOptions, &str)> = vec![
        (b"", &plain, "a.csv is empty"),
        (b"\xEF\xBB\xBF", &plain, "a.csv is empty"),
        (b"\n\r\n", &no_header, "a.csv is empty"),
        (
            b"x,y\n1,2\n3\n",
            &plain,
            "a.csv, line 3, row 2: 1 field, but the header has 2",
        ),
        (b"x,y\n1,2,3\n", &plain, "a.csv, line 2, row 1: 3 fields"),
        (
            b"x,y\r\n\"a\r\nb\",2\r\n\r\n1,2,3\r\n",
            &plain,
            "a.csv, line 5, row 2: 3 fields",
        ),
        (b"1,2\n3\n", &no_header, "a.csv, line 2, row 2: 1 field"),
        (
            b"x,y\n1,a\xE9\n",
            &plain,
            "a.csv, line 2, row 1: its byte 3 is not UTF-8",
        ),
        (
            b"x\xE9\n1\n",
            &plain,
            "a.csv, line 1: this is not text in UTF-8: declare",
        ),
        (b"PK\x03\x04\xFF", &plain, "export it as CSV"),
        (
            b"x,y\n1,\"a\n2,b\n",
            &plain,
            "a.csv, line 2, row 1: a quote",
        ),
        (
            b"a;b;c\n1;2;3\n",
            &plain,
            "did you mean `csv: {delimiter: ';'}`?",
        ),
        (
            b"a,b\n1,2\n",
            &semicolon,
            "did you mean `csv: {delimiter: ','}`?",
        ),
        (
            b"a b,A_b\n1,2\n",
            &plain,
            "the headers \"a b\" and \"A_b\" both become",
        ),
        (
            b"x,_row\n1,2\n",
            &plain,
            "`_row` is the name of a column that ingest adds",
        ),
    ];
    for (content, options, words) in cases {
        let text = fault(content, options).await;
        assert!(
            text.contains(words),
            "{:?}: {text}",
            String::from_utf8_lossy(content)
        );
    }
}

#[tokio::test]
async fn a_value_that_is_not_of_its_type_is_shown() {
    let options = ReadOptions {
        columns: vec![("n".to_owned(), DataType::Int32)],
        ..ReadOptions::default()
    };
    let text = fault("n,s\n1,a\n\n3000000000,b\n", &options).await;
    assert!(
        text.contains("a.csv, line 4, row 2: \"3000000000\" in the column `n`"),
        "{text}"
    );
    assert!(text.contains("declare the column as VARCHAR"), "{text}");
    let long = format!("n,s\n{},a\n", "x".repeat(1000));
    assert!(fault(long, &options).await.len() < 300);
    let unknown = ReadOptions {
        columns: vec![("qualty".to_owned(), DataType::Int32)],
        ..ReadOptions::default()
    };
    let text = fault("quality\n1\n", &unknown).await;
    assert!(text.contains("did you mean `quality`?"), "{text}");
}

#[tokio::test]
async fn files_must_have_the_same_columns() {
    let test = TestLake::new();
    test.file("a.csv", "x,y\n1,2\n");
    test.file("b.csv", "y,z,x\n1,2,3\n");
    let text = test
        .read_csv("*.csv", &ReadOptions::default())
        .await
        .unwrap_err();
    assert!(
        text.contains("b.csv does not have the columns of a.csv: `z` (BIGINT) is new"),
        "{text}"
    );
    test.file("b.csv", "x\n1\n");
    let text = test
        .read_csv("*.csv", &ReadOptions::default())
        .await
        .unwrap_err();
    assert!(
        text.contains("b.csv does not have the columns of a.csv: `y` is missing; make"),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_must_fit_the_table() {
    let test = TestLake::new();
    test.file("a.csv", "x,y\n1,2\n");
    let files = test.find(&["a.csv"]).await.unwrap();
    let schema = infer_schema(&files, &ReadOptions::default(), None)
        .await
        .unwrap();
    for (content, words) in [
        (
            "x,z\n1,2\n",
            "a.csv does not have the columns of the table: `z` (VARCHAR) is new, `y` is missing",
        ),
        (
            "x\n1\n",
            "a.csv does not have the columns of the table: `y` is missing",
        ),
        (
            "x,y\n1,2.5\n",
            "\"2.5\" in the column `y` is not a whole number",
        ),
    ] {
        test.file("a.csv", content);
        let files = test.find(&["a.csv"]).await.unwrap();
        let rows = read(&files, &schema, &ReadOptions::default(), None);
        let text = crate::fixture::collect(rows).await.unwrap_err();
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_a_fault() {
    let test = TestLake::new();
    let path = test.file("a.csv", "x\n1\n");
    let files = test.find(&["a.csv"]).await.unwrap();
    let schema = infer_schema(&files, &ReadOptions::default(), None)
        .await
        .unwrap();
    fs::write(&path, "x\n1\n2\n").unwrap();
    let rows = read(&files, &schema, &ReadOptions::default(), None);
    let error = test
        .lake
        .write(&name("bronze.t"), WriteMode::Append, rows, commit(1))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was changed while"), "{error}");
    assert!(!test.lake.has_table(&name("bronze.t")));

    fs::remove_file(&path).unwrap();
    let rows = read(&files, &schema, &ReadOptions::default(), None);
    let text = crate::fixture::collect(rows).await.unwrap_err();
    assert!(text.contains("cannot read"), "{text}");
}

#[tokio::test]
async fn nothing_is_committed_of_files_with_a_fault() {
    let test = TestLake::new();
    test.file("a.csv", format!("x,y\n{}", "1,2\n".repeat(50_000)));
    let files = test.find(&["a.csv"]).await.unwrap();
    let schema = infer_schema(&files, &ReadOptions::default(), None)
        .await
        .unwrap();
    let table = name("bronze.t");
    for (txn, content) in [
        (1, format!("x,y\n{}3\n", "1,2\n".repeat(50_000))),
        (2, format!("x,y\n{}1,x\n", "1,2\n".repeat(50_000))),
    ] {
        test.file("b.csv", content);
        let files = test.find(&["*.csv"]).await.unwrap();
        let rows = read(&files, &schema, &ReadOptions::default(), None);
        let error = test
            .lake
            .write(&table, WriteMode::Append, rows, commit(txn))
            .await
            .unwrap_err();
        assert!(matches!(error, LakeError::Ingest(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with("b.csv, line 50002, row 50001: "),
            "{error}"
        );
        assert_eq!(test.lake.latest_version(&table).await.unwrap(), None);
    }
}
