//! Encoders and heads against PyTorch and transformers, and folders that cannot be.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use serde_json::Value;
use sluice_learn::deep::DeepError;
use sluice_learn::deep::bert::{
    BertConfig, CONFIG_FILE, Head, LossOptions, Targets, TextModel, TokenBatch, WEIGHTS_FILE,
};
use sluice_learn::deep::layer::Pass;
use sluice_learn::deep::loss::mean_squared_error;
use sluice_learn::deep::loss::{ClassLoss, binary_cross_entropy, cross_entropy};
use sluice_learn::deep::optimizer::{AdamW, AdamWOptions, Gradients, Schedule, SchedulerType};

use crate::deep_fixtures::{
    assert_close, devices, json, minilm, numbers, tensors, texts, tiny_bert, tiny_distilbert,
    values,
};

fn open(dir: &Path) -> TextModel {
    TextModel::open(dir, &Device::Cpu).unwrap()
}

#[test]
fn bert_computes_what_transformers_computes() {
    for device in devices() {
        bert_computes_it_on(&device);
    }
}

fn bert_computes_it_on(device: &Device) {
    let expected = json("tiny-bert/expected.json");
    let model = TextModel::open(&tiny_bert(), device).unwrap();
    let labels = ["bad", "fair", "good"].map(str::to_owned);
    assert_eq!(*model.head(), Head::Classes(labels.to_vec()));
    let texts = texts(&expected);
    let batch = TokenBatch::padded(&texts, 0);
    let mut pass = Pass::evaluation();
    let logits = model.logits(&batch, &mut pass).unwrap();
    assert_close(
        "logits",
        &values(&logits),
        &numbers(&expected["logits"]),
        1e-5,
    );
    // Only tokens: what stands at a padded place is nobody's business.
    let hidden = values(&model.token_vectors(&batch, &mut pass).unwrap());
    let theirs = numbers(&expected["hidden"]);
    for (text, tokens) in texts.iter().enumerate() {
        let start = text * batch.seq() * 32;
        let end = start + tokens.ids.len() * 32;
        assert_close("hidden", &hidden[start..end], &theirs[start..end], 1e-5);
    }
}

#[test]
fn bert_computes_what_candle_transformers_computes() {
    let expected = json("candle_bert.json");
    let inputs = texts(&json("tiny-bert/expected.json"));
    let theirs = numbers(&expected["tiny-bert"]["hidden"]);
    for device in devices() {
        let model = TextModel::open(&tiny_bert(), &device).unwrap();
        let batch = TokenBatch::padded(&inputs, 0);
        let hidden = model.token_vectors(&batch, &mut Pass::evaluation());
        let hidden = values(&hidden.unwrap());
        assert_eq!(hidden.len(), theirs.len());
        for (text, tokens) in inputs.iter().enumerate() {
            let start = text * batch.seq() * 32;
            let end = start + tokens.ids.len() * 32;
            assert_close("hidden", &hidden[start..end], &theirs[start..end], 1e-5);
        }
    }
}

#[test]
fn minilm_computes_what_candle_transformers_computes() {
    let Some(dir) = minilm() else { return };
    let expected = &json("candle_bert.json")["minilm"];
    let texts = texts(expected);
    let theirs = numbers(&expected["first_tokens"]);
    for device in devices() {
        let model = TextModel::open(&dir, &device).unwrap();
        let batch = TokenBatch::padded(&texts, 0);
        let hidden = model.token_vectors(&batch, &mut Pass::evaluation());
        let hidden = values(&hidden.unwrap());
        let firsts = hidden.chunks(batch.seq() * 384);
        let firsts: Vec<f64> = firsts.flat_map(|text| &text[..384]).copied().collect();
        assert_close("first tokens", &firsts, &theirs, 1e-5);
    }
}

#[test]
fn padding_changes_nothing() {
    let texts = texts(&json("tiny-bert/expected.json"));
    let model = open(&tiny_bert());
    let together = model.scores(&TokenBatch::padded(&texts, 0)).unwrap();
    for (number, text) in texts.iter().enumerate() {
        let alone = model.scores(&TokenBatch::padded([text], 0)).unwrap();
        assert_close(
            "scores",
            &alone,
            &together[number * 3..number * 3 + 3],
            1e-6,
        );
        assert!((alone.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn distilbert_computes_what_transformers_computes() {
    let expected = json("tiny-distilbert/expected.json");
    let model = open(&tiny_distilbert());
    assert!(matches!(model.head(), Head::MultiLabel(labels) if labels.len() == 3));
    let batch = TokenBatch::padded(&texts(&expected), 0);
    let logits = model.logits(&batch, &mut Pass::evaluation()).unwrap();
    assert_close(
        "logits",
        &values(&logits),
        &numbers(&expected["logits"]),
        1e-5,
    );
    let scores = model.scores(&batch).unwrap();
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn losses_are_those_of_pytorch() {
    let expected = json("losses.json");
    let tensor = |key: &str| {
        let values = numbers(&expected[key]);
        candle_core::Var::from_vec(values, (5, 4), &Device::Cpu).unwrap()
    };
    let logits = tensor("logits");
    let targets = numbers(&expected["targets"]);
    let targets: Vec<u32> = targets.iter().map(|&class| class as u32).collect();
    for case in expected["cross_entropy"].as_array().unwrap() {
        let weights = &case["class_weights"];
        let loss = ClassLoss {
            targets: targets.clone().into(),
            class_weights: weights.is_array().then(|| numbers(weights).into()),
            smoothing: case["label_smoothing_factor"].as_f64().unwrap(),
        };
        let loss = cross_entropy(&logits, loss).unwrap();
        assert_close(
            "loss",
            &values(&loss),
            &[case["loss"].as_f64().unwrap()],
            1e-12,
        );
        let gradients = loss.backward().unwrap();
        let gradient = values(gradients.get(&logits).unwrap());
        assert_close("gradient", &gradient, &numbers(&case["gradient"]), 1e-12);
    }
    let marks = tensor("marks").as_detached_tensor();
    let binary = values(&binary_cross_entropy(&logits, &marks).unwrap());
    let theirs = expected["binary_cross_entropy"].as_f64().unwrap();
    assert_close("binary cross entropy", &binary, &[theirs], 1e-12);
    let squared = values(&mean_squared_error(&logits, &marks).unwrap());
    let theirs = expected["mean_squared_error"].as_f64().unwrap();
    assert_close("mean squared error", &squared, &[theirs], 1e-12);
}

/// The gradients of the first step and the weights after three are PyTorch's.
fn three_steps(name: &str, dir: &Path, targets: &Targets) {
    for device in devices() {
        three_steps_on(&device, name, dir, targets);
    }
}

fn three_steps_on(device: &Device, name: &str, dir: &Path, targets: &Targets) {
    let expected = json(&format!("{name}/expected.json"));
    let training = &expected["training"];
    let head = open(dir).head().clone();
    let model = TextModel::fine_tune(dir, head, 0, &[], DType::F32, device).unwrap();
    assert!(model.parameters().fresh().is_empty());
    let parameters = model.parameters();
    let batch = TokenBatch::padded(&texts(&expected), 0);
    let options = AdamWOptions {
        weight_decay: training["weight_decay"].as_f64().unwrap(),
        ..AdamWOptions::default()
    };
    let mut optimizer = AdamW::new(parameters, options).unwrap();
    let schedule = Schedule {
        kind: SchedulerType::Linear,
        learning_rate: training["learning_rate"].as_f64().unwrap(),
        warmup_steps: 0,
        total_steps: 3,
    };
    let most = training["max_grad_norm"].as_f64().unwrap();
    for step in 0..3 {
        let logits = model.logits(&batch, &mut Pass::evaluation()).unwrap();
        let loss = model
            .head()
            .loss(&logits, targets, &LossOptions::default())
            .unwrap();
        let theirs = training["losses"][step].as_f64().unwrap();
        assert_close("loss", &values(&loss), &[theirs], 1e-4);
        let mut gradients = Gradients::default();
        gradients
            .add(&mut loss.backward().unwrap(), parameters)
            .unwrap();
        if step == 0 {
            let theirs = tensors(&dir.join("gradients.safetensors"));
            assert_eq!(theirs.len(), parameters.trainable().count());
            for (name, gradient) in &theirs {
                let ours = values(gradients.get(name).unwrap());
                assert_close(name, &ours, &values(gradient), 1e-5);
            }
        }
        let norm = gradients.norm(parameters).unwrap();
        let theirs = training["grad_norms"][step].as_f64().unwrap();
        assert_close("norm", &[norm], &[theirs], 1e-4);
        let rate = schedule.rate(optimizer.steps());
        let scale = (most / (norm + 1e-6)).min(1.0);
        optimizer.step(&gradients, rate, scale).unwrap();
    }
    let theirs = tensors(&dir.join("after_three_steps.safetensors"));
    for (name, var) in parameters.trainable() {
        // Adam divides a gradient that is nothing but rounding by its own size.
        if name.ends_with("key.bias") || name.ends_with("k_lin.bias") {
            continue;
        }
        assert_close(name, &values(var), &values(&theirs[name]), 1e-4);
    }
}

#[test]
fn three_steps_of_bert_are_those_of_pytorch() {
    three_steps("tiny-bert", &tiny_bert(), &Targets::Classes(vec![2, 0, 1]));
}

#[test]
fn three_steps_of_distilbert_are_those_of_pytorch() {
    let labels = numbers(&json("tiny-distilbert/expected.json")["labels"]);
    let labels = labels.iter().map(|&label| label as f32).collect();
    three_steps(
        "tiny-distilbert",
        &tiny_distilbert(),
        &Targets::Labels(labels),
    );
}

#[test]
fn a_saved_model_is_the_same_model() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("model");
    let batch = TokenBatch::padded(&texts(&json("tiny-bert/expected.json")), 0);
    for source in [tiny_bert(), tiny_distilbert()] {
        let model = open(&source);
        // Twice: the second takes the place of the first.
        model.save(&dir, None).unwrap();
        model.save(&dir, None).unwrap();
        let again = open(&dir);
        assert_eq!(again.head(), model.head());
        assert_eq!(again.scores(&batch).unwrap(), model.scores(&batch).unwrap());
        let written = BertConfig::read(&dir.join(CONFIG_FILE)).unwrap();
        let mut read = BertConfig::read(&source.join(CONFIG_FILE)).unwrap();
        // Null stands for another setting's value.
        if read
            .raw
            .get("classifier_dropout")
            .is_some_and(Value::is_null)
        {
            read.raw["classifier_dropout"] = 0.1.into();
        }
        assert_eq!(written.raw, read.raw, "nothing of the file is lost");
        let names: Vec<_> = fs::read_dir(temp.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
    }
}

#[test]
fn another_head_is_drawn_and_the_encoder_kept() {
    let head = Head::Classes(["no", "yes"].map(str::to_owned).to_vec());
    let cpu = Device::Cpu;
    let tune = |head: Head, seed| {
        TextModel::fine_tune(&tiny_bert(), head, seed, &[], DType::F32, &cpu).unwrap()
    };
    let model = tune(head.clone(), 1);
    assert_eq!(
        model.parameters().fresh(),
        ["classifier.weight", "classifier.bias"]
    );
    let batch = TokenBatch::padded(&texts(&json("tiny-bert/expected.json")), 0);
    let scores = |model: &TextModel| model.scores(&batch).unwrap();
    assert_eq!(scores(&model), scores(&tune(head.clone(), 1)));
    assert_ne!(scores(&model), scores(&tune(head, 2)));
    // An embedding's names have no prefix, and the file's have one.
    let embedding = tune(Head::Embedding, 1);
    assert!(embedding.parameters().fresh().is_empty());
    let vectors = scores(&embedding);
    let lengths = vectors
        .chunks(32)
        .map(|v| v.iter().map(|x| x * x).sum::<f64>());
    assert!(
        lengths
            .into_iter()
            .all(|length| (length - 1.0).abs() < 1e-5)
    );
}

fn copy(from: &Path, to: &Path) {
    for file in [CONFIG_FILE, WEIGHTS_FILE] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// The error of opening a copy of the small BERT with one setting changed.
fn error_with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let temp = tempfile::tempdir().unwrap();
    copy(&tiny_bert(), temp.path());
    let path = temp.path().join(CONFIG_FILE);
    let mut config = BertConfig::read(&path).unwrap().raw;
    change(&mut config);
    fs::write(&path, Value::Object(config).to_string()).unwrap();
    let error = TextModel::open(temp.path(), &Device::Cpu).unwrap_err();
    error.to_string()
}

#[test]
fn impossible_configurations_say_why() {
    let error = error_with(|config| {
        config["num_attention_heads"] = 5.into();
        config["hidden_act"] = "gelu_new".into();
        config["vocab_size"] = (-3).into();
    });
    for part in [
        "`hidden_size: 32` cannot be shared among `num_attention_heads: 5`",
        "`hidden_act` must be `gelu` or `relu`, not \"gelu_new\"",
        "`vocab_size` must be a whole number from 1 up, not -3",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = error_with(|config| config["model_type"] = "distillbert".into());
    assert!(error.contains("did you mean `distilbert`?"), "{error}");
    let error = error_with(|config| config["intermediate_size"] = 48.into());
    let shapes = "`bert.encoder.layer.0.intermediate.dense.weight` is [64, 32] where the configuration needs [48, 32]";
    assert!(error.contains(shapes), "{error}");
    let error = error_with(|config| config["num_hidden_layers"] = 3.into());
    let missing = "`bert.encoder.layer.2.attention.self.query.weight` of [32, 32] is missing";
    assert!(
        error.contains(missing) && error.contains("and 8 more"),
        "{error}"
    );
}

#[test]
fn a_cut_off_file_says_so() {
    let temp = tempfile::tempdir().unwrap();
    copy(&tiny_bert(), temp.path());
    let path = temp.path().join(WEIGHTS_FILE);
    let whole = fs::read(&path).unwrap();
    for length in [5_000, whole.len() - 1, 100] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = TextModel::open(temp.path(), &Device::Cpu).unwrap_err();
        let DeepError::Truncated { found_bytes, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found_bytes, length as u64);
    }
    fs::write(&path, "no safetensors at all").unwrap();
    let error = TextModel::open(temp.path(), &Device::Cpu).unwrap_err();
    assert!(
        error.to_string().contains("is no safetensors file"),
        "{error}"
    );
}

#[test]
fn texts_and_labels_that_do_not_fit_are_refused() {
    let model = open(&tiny_bert());
    let long = sluice_learn::deep::tokenizer::Tokens {
        ids: vec![5; 25],
        first: 25,
    };
    let error = model.scores(&TokenBatch::padded([&long], 0)).unwrap_err();
    assert!(
        error.to_string().contains("the model's 24 positions"),
        "{error}"
    );
    let batch = TokenBatch::padded(&texts(&json("tiny-bert/expected.json")), 0);
    let logits = model.logits(&batch, &mut Pass::evaluation()).unwrap();
    let loss = |targets| {
        let options = LossOptions::default();
        model.head().loss(&logits, &targets, &options).unwrap_err()
    };
    let error = loss(Targets::Classes(vec![0, 3, 1])).to_string();
    assert!(error.contains("there is no class 3 among 3"), "{error}");
    let error = loss(Targets::Numbers(vec![0.0; 3])).to_string();
    assert!(
        error.contains("3 numbers do not go with 3 texts"),
        "{error}"
    );
}
