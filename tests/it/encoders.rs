//! Pretrained encoders of texts: imported, named by SQL, and what becomes of wrong ones.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

/// The tiny BERT that ships with the tests.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/learn/tests/fixtures/tiny-bert")
}

/// Imports a folder as the model `name`, which must go well.
fn import(sandbox: &Sandbox, folder: &Path, name: &str) -> String {
    let folder = folder.to_str().unwrap();
    let ended = sandbox.call(&["models", "import", folder, "--as", name, "--alias", "best"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.all()
}

/// Sentences as a table `bronze.sentences`, with a text in column `words`.
fn with_sentences(sandbox: &Sandbox, sentences: &[Value]) {
    let rows = sentences.iter().enumerate();
    let rows = rows.map(|(id, words)| serde_json::json!({"id": id, "words": words}).to_string());
    let rows: Vec<String> = rows.collect();
    sandbox.write("sentences.ndjson", rows.join("\n"));
    sandbox.write(
        "pipeline.yaml",
        "pipeline: p\ntables:\n  bronze.sentences:\n    ingest: {files: sentences.ndjson}\n",
    );
    sandbox.run();
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

/// Asserts that SQL puts sentences where Python does, to 1e-4.
fn assert_placed(sandbox: &Sandbox, expected: &Value) {
    let rows = sandbox.rows(
        "SELECT id, words, embed('models:/encoder@best', words) AS v FROM bronze.sentences ORDER BY id",
    );
    let theirs = expected["vectors"].as_array().unwrap();
    assert_eq!(rows.len(), theirs.len());
    for (row, theirs) in rows.iter().zip(theirs) {
        let (ours, theirs) = (numbers(&row["v"]), numbers(theirs));
        assert_eq!(ours.len(), theirs.len());
        let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
        let apart = apart.fold(0.0, f64::max);
        assert!(apart < 1e-4, "{}: {apart}", row["words"]);
    }
}

#[test]
fn texts_stand_where_transformers_puts_them() {
    let expected = fs::read(tiny().join("embeddings.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let sandbox = Sandbox::new();
    with_sentences(&sandbox, expected["sentences"].as_array().unwrap());
    let told = import(&sandbox, &tiny(), "encoder");
    assert!(told.contains("version 1 of encoder is imported"), "{told}");
    assert!(told.contains("encoder@best names version 1"), "{told}");
    assert_placed(&sandbox, &expected);
    // The same files are one version.
    let told = import(&sandbox, &tiny(), "encoder");
    assert!(
        told.contains("version 1 of encoder was imported before"),
        "{told}"
    );

    let near = "SELECT min(cosine_similarity(embed('models:/encoder/1', words), \
        embed('models:/encoder/1', lower(words)))) > 0.9999 FROM bronze.sentences";
    assert_eq!(sandbox.value(near), true);
    let missing = "SELECT embed('models:/encoder/1', CAST(NULL AS VARCHAR)) IS NULL";
    assert_eq!(sandbox.value(missing), true);
    let plan = sandbox.call(&[
        "sql",
        "EXPLAIN SELECT embed('models:/encoder@best', words) FROM bronze.sentences",
    ]);
    assert!(plan.all().contains("models:/encoder/1"), "{}", plan.all());
}

/// Says that a test was skipped, on standard error and in the file for CI.
fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("SLUICE_SKIPPED_TESTS") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        writeln!(file.unwrap(), "{line}").unwrap();
    }
}

/// As above with the model that people use, where it is at hand.
#[test]
fn minilm_puts_sentences_where_transformers_does() {
    let Some(folder) = std::env::var_os("SLUICE_MINILM").map(PathBuf::from) else {
        skipped(
            "minilm_puts_sentences_where_transformers_does",
            "SLUICE_MINILM names no folder",
        );
        return;
    };
    let expected = fs::read(tiny().join("../minilm_sentences.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let sandbox = Sandbox::new();
    with_sentences(&sandbox, expected["sentences"].as_array().unwrap());
    import(&sandbox, &folder, "encoder");
    assert_placed(&sandbox, &expected);
}

#[test]
fn a_pipeline_keeps_vectors_and_follows_the_alias() {
    let sandbox = Sandbox::new();
    with_sentences(&sandbox, &["a good film".into(), "the dull plot".into()]);
    import(&sandbox, &tiny(), "encoder");
    sandbox.write(
        "pipeline.yaml",
        "pipeline: p\ntables:\n  bronze.sentences:\n    ingest: {files: sentences.ndjson}\n  gold.vectors:\n    sql: SELECT id, embed('models:/encoder@best', words) AS v FROM bronze.sentences\n",
    );
    sandbox.run();
    let width = "SELECT min(array_length(v)) FROM gold.vectors";
    assert_eq!(sandbox.value(width), 32);
    let made = |events: &[Value]| {
        events
            .iter()
            .any(|event| event["event"] == "stage_finished")
    };
    assert!(!made(&sandbox.run()));
    // Another encoder: its last layer norm is another.
    let other = sandbox.path().join("other");
    fs::create_dir(&other).unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        fs::copy(tiny().join(file), other.join(file)).unwrap();
    }
    let config = fs::read_to_string(tiny().join("config.json")).unwrap();
    let config = config.replace("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"");
    fs::write(other.join("config.json"), config).unwrap();
    import(&sandbox, &other, "encoder");
    assert!(made(&sandbox.run()));
    let models = "SELECT model_version FROM system.table_models WHERE table_name = 'gold.vectors' ORDER BY version DESC LIMIT 1";
    assert_eq!(sandbox.value(models), 2);
}

/// A folder with some of the files, of which one is spoilt.
fn damaged(sandbox: &Sandbox, name: &str, spoil: impl Fn(&Path)) -> PathBuf {
    let folder = sandbox.path().join(name);
    fs::create_dir(&folder).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(tiny().join(file), folder.join(file)).unwrap();
    }
    spoil(&folder);
    folder
}

#[test]
fn wrong_folders_are_told_and_nothing_is_registered() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", "pipeline: p\n");
    let cut = damaged(&sandbox, "cut", |folder| {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
    let garbled = damaged(&sandbox, "garbled", |folder| {
        fs::write(folder.join("tokenizer.json"), "{").unwrap();
    });
    let tokenizer = damaged(&sandbox, "tokenizer", |folder| {
        fs::remove_file(folder.join("config.json")).unwrap();
        fs::remove_file(folder.join("model.safetensors")).unwrap();
    });
    let nowhere = sandbox.path().join("nowhere");
    for (folder, words) in [
        (cut, "model.safetensors"),
        (garbled, "tokenizer.json"),
        (tokenizer, "it is a tokenizer"),
        (nowhere, "it has no config.json"),
    ] {
        let path = folder.to_str().unwrap();
        let ended = sandbox.call(&["models", "import", path, "--as", "encoder"]);
        assert_eq!(ended.code, Some(4), "{path}: {}", ended.all());
        assert!(ended.all().contains(words), "{path}: {}", ended.all());
        assert!(!sandbox.path().join("lakehouse").exists(), "{path}");
    }
    let folder = tiny();
    let badly = [
        "models",
        "import",
        folder.to_str().unwrap(),
        "--as",
        "no/name",
    ];
    assert_eq!(sandbox.call(&badly).code, Some(2));
}

#[test]
fn a_model_of_another_kind_says_what_it_is_for() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    import(&sandbox, &tiny(), "encoder");
    for (query, words) in [
        (
            "SELECT embed('models:/sweetness/1', 'a')",
            "it is a model of trees",
        ),
        (
            "SELECT predict('models:/encoder/1', 'a')",
            "`embed` gives its vectors",
        ),
        (
            "SELECT embed('models:/encoder/1')",
            "takes a model and one text",
        ),
        (
            "SELECT embed('models:/encoder/1', 1)",
            "takes a text, not BIGINT",
        ),
        (
            "SELECT embed(a, b) FROM (SELECT 1 AS a, 'x' AS b)",
            "model's address in quotes",
        ),
        ("SELECT embed('models:/encoder/9', 'a')", "no version 9"),
    ] {
        let ended = sandbox.call(&["sql", query]);
        assert_ne!(ended.code, Some(0), "{query}");
        assert!(ended.all().contains(words), "{query}: {}", ended.all());
    }
    sandbox.edit(
        "pipeline.yaml",
        "models:\n",
        "  gold.wrong:\n    sql: SELECT embed('models:/sweetness@production', 'a') AS v FROM gold.apples\nmodels:\n",
    );
    let ended = sandbox.call(&["check"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(ended.all().contains("is no text model"), "{}", ended.all());
}

/// The tiny BERT with a label, as a training leaves it.
fn classifier(sandbox: &Sandbox) -> PathBuf {
    damaged(sandbox, "classifier", |folder| {
        let features = serde_json::json!({
            "format": 4, "estimator": "bert", "max_length": 24,
            "features": [{"name": "text", "data_type": "Utf8", "kind": "text"}],
            "label": {"name": "mood", "task": "multiclass", "type": "text",
                      "classes": ["bad", "fair", "good"]},
        });
        fs::write(folder.join("features.json"), features.to_string()).unwrap();
    })
}

#[test]
fn texts_are_predicted_by_any_expression_alike_in_all_batches() {
    let sandbox = Sandbox::new();
    let words = [
        "a good film",
        "this was dull",
        "see it",
        "not bad, not great !",
    ];
    let sentences: Vec<Value> = (0..200)
        .map(|row| match row % 50 {
            7 => Value::Null,
            other => format!("{} {}", words[row % 4], "the ".repeat(other % 5)).into(),
        })
        .collect();
    with_sentences(&sandbox, &sentences);
    import(&sandbox, &classifier(&sandbox), "mood");
    let missing =
        "SELECT count(*) FROM bronze.sentences WHERE predict('models:/mood@best', words) IS NULL";
    assert_eq!(sandbox.value(missing), 4);
    let both = "SELECT count(*) FROM bronze.sentences WHERE \
        predict('models:/mood@best', words) IS NOT DISTINCT FROM predict_label('models:/mood/1', text => lower(words))";
    assert_eq!(sandbox.value(both), 200);
    let sums = "SELECT max(abs(s['bad'] + s['fair'] + s['good'] - 1)) < 1e-9 FROM \
        (SELECT predict_scores('models:/mood@best', lower(words)) AS s FROM bronze.sentences)";
    assert_eq!(sandbox.value(sums), true);
    let different = "SELECT count(DISTINCT round(s['good'], 6)) > 4 FROM \
        (SELECT predict_scores('models:/mood@best', words) AS s FROM bronze.sentences)";
    assert_eq!(sandbox.value(different), true);
    // One text or many at a time: the same but for rounding.
    let apart = "SELECT max(abs(m['good'] - o['good'])) < 1e-6 FROM ( \
        SELECT predict_scores('models:/mood@best', words) AS m, \
               predict_scores('models:/mood@best', 'a good film ') AS o \
        FROM bronze.sentences WHERE words = 'a good film ')";
    assert_eq!(sandbox.value(apart), true);
    let vectors =
        "SELECT min(array_length(embed('models:/mood@best', words))) FROM bronze.sentences";
    assert_eq!(sandbox.value(vectors), 32);
    for (query, words) in [
        (
            "SELECT predict('models:/mood@best', id) FROM bronze.sentences",
            "reads a text, and this is BIGINT",
        ),
        (
            "SELECT predict('models:/mood@best', words, id) FROM bronze.sentences",
            "has no feature",
        ),
        (
            "SELECT predict('models:/mood@best', *) FROM bronze.sentences",
            "needs the column `text`",
        ),
    ] {
        let ended = sandbox.call(&["sql", query]);
        assert_eq!(ended.code, Some(2), "{query}: {}", ended.all());
        assert!(ended.all().contains(words), "{query}: {}", ended.all());
    }
}

/// A table that a text model makes.
#[test]
fn a_text_model_scores_a_table_and_only_what_is_new() {
    let sandbox = Sandbox::new();
    with_sentences(&sandbox, &["a good film".into(), Value::Null]);
    import(&sandbox, &classifier(&sandbox), "mood");
    sandbox.write(
        "pipeline.yaml",
        "pipeline: p\ntables:\n  bronze.sentences:\n    ingest: {files: '*.ndjson'}\n  silver.sentences:\n    sql: SELECT id, words AS text FROM bronze.sentences\n  gold.moods:\n    predict: {model: 'models:/mood@best', from: silver.sentences, keys: [id], as: mood}\n",
    );
    let scored = |events: &[Value]| {
        let event = events
            .iter()
            .find(|event| event["event"] == "scoring")
            .unwrap();
        ["scored", "kept", "removed"].map(|key| event[key].as_u64().unwrap())
    };
    assert_eq!(scored(&sandbox.run()), [2, 0, 0]);
    sandbox.write("more.ndjson", "{\"id\": 7, \"words\": \"the dull plot\"}\n");
    assert_eq!(scored(&sandbox.run()), [1, 2, 0]);
    let right = "SELECT count(*) FROM gold.moods WHERE (mood IS NOT DISTINCT FROM predict('models:/mood/1', text)) AND _model_version = 1";
    assert_eq!(sandbox.value(right), 3);
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    fs::remove_file(
        sandbox
            .path()
            .join("lakehouse/_models/mood/1/tokenizer.json"),
    )
    .unwrap();
    sandbox.write("more.ndjson", "{\"id\": 8, \"words\": \"the dull plot\"}\n");
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(ended.all().contains("tokenizer.json"), "{}", ended.all());
    assert_eq!(sandbox.value("SELECT count(*) FROM gold.moods"), 3);
}

/// A tokenizer of a model that was pulled before, found where Hugging Face's cache has it.
#[test]
fn a_tokenizer_comes_from_the_cache_of_the_hub() {
    let sandbox = Sandbox::new();
    sandbox.write("lines.csv", "line\nsnow falls\n");
    sandbox.write(
        "pipeline.yaml",
        "pipeline: p\ntables:\n  bronze.lines:\n    ingest: {files: lines.csv}\n\
         tokenizers:\n  small: {from: hf:org/tiny}\n",
    );
    let call = |arguments: &[&str]| {
        let mut command = sandbox.sluice(arguments);
        command.env("HF_HUB_CACHE", sandbox.path().join("hub"));
        Ended::of(command.output().unwrap(), sandbox.path())
    };
    let ended = call(&["run"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    let advice = "run `sluice models pull hf:org/tiny`";
    assert!(ended.all().contains(advice), "{}", ended.all());

    let commit = "0123456789012345678901234567890123456789";
    let model = "hub/models--org--tiny";
    sandbox.write(&format!("{model}/refs/main"), commit);
    let file = fs::read(tiny().join("tokenizer.json")).unwrap();
    sandbox.write(&format!("{model}/snapshots/{commit}/tokenizer.json"), file);
    let ended = call(&["run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let query = |tokenizer: &str| {
        sandbox.rows(&format!(
            "SELECT tokenize(line, '{tokenizer}') AS ids FROM bronze.lines"
        ))
    };
    let from_hub = query("small");
    assert!(!from_hub[0]["ids"].as_array().unwrap().is_empty());
    let folder = tiny().join("tokenizer.json");
    sandbox.edit("pipeline.yaml", "hf:org/tiny", folder.to_str().unwrap());
    assert_eq!(call(&["run"]).code, Some(0));
    assert_eq!(query("small"), from_hub);
}
