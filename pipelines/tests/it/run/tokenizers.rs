//! Tokenizers as assets: trained on the train split alone, taken from files, registered once,
//! and made again only when what they are made of changed.

use std::fmt::Write as _;

use sluice_lake::registry::{ModelFormat, TOKENIZER_FILE};
use sluice_learn::deep::tokenizer::{TextTokenizer, TokenizerKind, TokenizerSpec};

use crate::sandbox::{Sandbox, read};

const PIPELINE: &str = "\
tables:
  bronze.lines:
    ingest: {files: data/*.csv}
  gold.lines:
    sql: SELECT text, CASE WHEN n % 5 = 0 THEN 'test' ELSE 'train' END AS _split FROM bronze.lines
tokenizers:
  small:
    comment: Pieces of the licence.
    train: {from: gold.lines, column: TEXT, wordpiece: {vocab_size: 300}}
  likely:
    train: {from: gold.lines, column: text, unigram: {vocab_size: 300, lowercase: false}}
  bytes:
    train: {from: bronze.lines, column: text, bpe: {vocab_size: 300}}
";

/// The words of the project's licence, a line each.
fn lines() -> Vec<String> {
    let text = include_str!("../../../../LICENSE").lines();
    let words = text.map(|line| line.replace([',', '"'], " "));
    words.collect()
}

/// Lines of the licence with their numbers, in one order or the other.
fn rows(backwards: bool) -> String {
    let mut numbered: Vec<(usize, String)> = lines().into_iter().enumerate().collect();
    if backwards {
        numbered.reverse();
    }
    let mut text = "n,text\n".to_owned();
    for (number, line) in numbered {
        writeln!(text, "{number},{line}").unwrap();
    }
    text
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(PIPELINE);
    sandbox.write("data/a.csv", rows(false));
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_trained_on_the_train_split_and_registered_once() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run_well().await.told());
    let version = sandbox.versions("small").await.remove(0);
    assert_eq!(version.format, ModelFormat::Tokenizer);
    assert!(version.metrics["vocab_size"] > 250.0);
    assert_eq!(version.inputs[0].name, "gold.lines");
    let spec = TokenizerSpec::new(TokenizerKind::WordPiece, 300);
    let lines = lines();
    let train = lines.iter().enumerate().filter(|(n, _)| n % 5 != 0);
    let expected = spec.train(train.map(|(_, line)| line)).unwrap();
    let trained = TextTokenizer::read(&version.path.join(TOKENIZER_FILE)).unwrap();
    assert!(trained.json() == expected.json());
    insta::assert_snapshot!(sandbox.plan().await);
    insta::assert_snapshot!(sandbox.run_well().await.told());
    let mlmodel = std::fs::read_to_string(version.path.join("MLmodel")).unwrap();
    assert!(mlmodel.contains("tokenizer: tokenizer.json"), "{mlmodel}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_texts_in_another_order_make_no_new_version() {
    let mut sandbox = sandbox();
    sandbox.run_well().await;
    let before = read(
        &sandbox.versions("likely").await[0]
            .path
            .join(TOKENIZER_FILE),
    );
    sandbox.write("data/a.csv", rows(true));
    insta::assert_snapshot!(sandbox.plan().await);
    insta::assert_snapshot!(sandbox.run_well().await.told());
    assert_eq!(sandbox.versions("small").await.len(), 1);
    // Lost memory makes nothing anew, either.
    sandbox.lose_state();
    sandbox.run_well().await;
    assert_eq!(sandbox.versions("bytes").await.len(), 1);
    // Made again from nothing, at another parallelism: the same file.
    std::fs::remove_dir_all(sandbox.path("lakehouse")).unwrap();
    sandbox.parallelism(4);
    sandbox.run_well().await;
    let again = read(
        &sandbox.versions("likely").await[0]
            .path
            .join(TOKENIZER_FILE),
    );
    assert!(before == again);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_makes_a_new_version_and_says_why() {
    let sandbox = sandbox();
    sandbox.run_well().await;
    sandbox.edit(
        "wordpiece: {vocab_size: 300}",
        "wordpiece: {vocab_size: 310}",
    );
    sandbox.edit("lowercase: false", "lowercase: true");
    sandbox.edit("Pieces of the licence.", "Pieces.");
    insta::assert_snapshot!(sandbox.plan().await);
    sandbox.run_well().await;
    // Back to what the first version was made of: the bare name stands for the last one.
    sandbox.edit(
        "wordpiece: {vocab_size: 310}",
        "wordpiece: {vocab_size: 300}",
    );
    sandbox.run_well().await;
    let versions = sandbox.versions("small").await;
    assert_eq!(versions.len(), 3);
    let json = |at: usize| read(&versions[at].path.join(TOKENIZER_FILE));
    assert!(json(0) == json(2) && json(0) != json(1));
    std::fs::remove_dir_all(&versions[2].path).unwrap();
    let plan = sandbox.plan().await;
    assert!(
        plan.contains("small: something") || plan.contains("small: version 3 is gone"),
        "{plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_known_by_its_content() {
    let tokenizer = |size| {
        let spec = TokenizerSpec::new(TokenizerKind::Bpe, size);
        spec.train(lines()).unwrap().json().to_owned()
    };
    let sandbox = Sandbox::new("tokenizers:\n  movie: {from: tok}\n");
    sandbox.write("tok/tokenizer.json", tokenizer(280));
    sandbox.run_well().await;
    sandbox.edit("from: tok", "from: tok/tokenizer.json");
    insta::assert_snapshot!(sandbox.plan().await, @"skip  movie: its file is unchanged since version 1");
    sandbox.write("tok/tokenizer.json", tokenizer(290));
    let plan = sandbox.plan().await;
    assert!(plan.starts_with("run   movie: `content` is "), "{plan}");
    sandbox.run_well().await;
    let versions = sandbox.versions("movie").await;
    assert_eq!(versions.len(), 2);
    assert!(read(&versions[1].path.join(TOKENIZER_FILE)) == tokenizer(290).into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_trained_registers_nothing() {
    let sandbox = sandbox();
    sandbox.edit("CASE WHEN n % 5 = 0 THEN 'test' ELSE 'train' END", "'test'");
    sandbox.edit("bpe: {vocab_size: 300}", "bpe: {vocab_size: 200}");
    let ran = sandbox.run().await;
    insta::assert_snapshot!(ran.failure("small"), @"a tokenizer cannot be trained: the texts hold no word");
    insta::assert_snapshot!(ran.failure("bytes"), @"a tokenizer cannot be trained: `vocab_size: 200` has no room for the special tokens and single bytes alone: set it to 261 or more");
    for name in ["small", "likely", "bytes"] {
        assert!(sandbox.versions(name).await.is_empty());
    }
}
