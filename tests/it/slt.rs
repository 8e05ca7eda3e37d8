//! `tests/slt/*.slt`: SQL and its answers, each asked of the binary, on a lakehouse that
//! the small project has made; those of `text.slt` on one with a tokenizer. `SLUICE_SLT_COMPLETE=1` writes the answers into the files.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sqllogictest::{
    DB, DBOutput, DefaultColumnType, Runner, default_column_validator, default_normalizer,
    default_validator,
};

use crate::sandbox::Sandbox;

/// Asks the binary, one process a statement.
struct Binary<'a> {
    sandbox: &'a Sandbox,
}

/// What the binary said to standard error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl DB for Binary<'_> {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Self::ColumnType>, Self::Error> {
        let ended = self.sandbox.call(&["sql", "--format", "json", sql]);
        if ended.code != Some(0) {
            return Err(Refused(ended.stderr));
        }
        let rows: Vec<Value> = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{sql}\n{error}\n{}", ended.all()));
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.as_object().unwrap().values().map(shown).collect())
            .collect();
        let columns = rows.first().map_or(0, Vec::len);
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; columns],
            rows,
        })
    }
}

/// A value as the files write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort_unstable();
    assert!(!files.is_empty());
    files
}

/// A lakehouse with a tokenizer and a few texts.
fn with_tokenizer() -> Sandbox {
    let sandbox = Sandbox::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/tests/fixtures/tokenizer");
    sandbox.write(
        "pipeline.yaml",
        format!(
            "pipeline: texts\ntokenizers:\n  small: {{from: \"{}\"}}\ntables:\n  bronze.texts:\n    ingest: {{files: texts.csv}}\n",
            fixture.display()
        ),
    );
    sandbox.write(
        "texts.csv",
        "n,text\n1,the license of the work\n2,the work\n3,the work\n4,\n5,日本語のテキスト\n",
    );
    sandbox.run();
    sandbox
}

#[test]
fn sql_answers() {
    let apples = Sandbox::apples();
    apples.run();
    let texts = with_tokenizer();
    let complete = std::env::var_os("SLUICE_SLT_COMPLETE").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let sandbox = match file.file_stem().is_some_and(|stem| stem == "text") {
            true => &texts,
            false => &apples,
        };
        let mut runner = Runner::new(|| async { Ok(Binary { sandbox }) });
        if complete {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let updated = runtime.block_on(runner.update_test_file(
                &file,
                " ",
                default_validator,
                default_normalizer,
                default_column_validator,
            ));
            updated.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        } else if let Err(error) = runner.run_file(&file) {
            wrong.push(format!("{}", error.display(false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
