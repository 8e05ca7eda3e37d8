//! Fitted text models: their folder, and what they answer.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use candle_core::{DType, Device};
use serde_json::Value;
use sluice_learn::deep::bert::{BertConfig, TextModel};
use sluice_learn::deep::tokenizer::{TextTokenizer, TokenizerKind, TokenizerSpec};
use sluice_learn::features::{Class, Feature, FeatureKind, FeaturePlan, Label, LabelType};
use sluice_learn::fitted_text::head_of;
use sluice_learn::{AppliedModel, FittedText, Model, Settled, Task};

fn label(task: Task, classes: &[&str]) -> Label {
    Label {
        name: "mood".to_owned(),
        task,
        label_type: match task {
            Task::Regression => LabelType::Float,
            Task::Binary | Task::Multiclass => LabelType::Text,
        },
        classes: classes
            .iter()
            .map(|c| Class::Text((*c).to_owned()))
            .collect(),
    }
}

fn plan(label: Label) -> Arc<FeaturePlan> {
    Arc::new(FeaturePlan {
        features: vec![Feature {
            name: "text".to_owned(),
            data_type: "Utf8".to_owned(),
            kind: FeatureKind::Text,
        }],
        label,
    })
}

fn tokenizer() -> TextTokenizer {
    TokenizerSpec::new(TokenizerKind::WordPiece, 60)
        .train(["a fine good film", "a good film", "a bad dull film"])
        .unwrap()
}

fn fitted(label: Label) -> FittedText {
    let mut config = BertConfig::bert(60, 16, 1, 2, 16);
    config.initializer_range = 0.5;
    let head = head_of(&label);
    let model = TextModel::scratch(config, head, 3, DType::F32, &Device::Cpu).unwrap();
    FittedText::new("bert", plan(label), Arc::new(model), tokenizer(), 12).unwrap()
}

fn texts(values: &[Option<&str>]) -> Vec<ArrayRef> {
    vec![Arc::new(StringArray::from(values.to_vec()))]
}

#[test]
fn a_folder_comes_back_as_it_was_for_every_task() {
    let labels = [
        label(Task::Binary, &["bad", "good"]),
        label(Task::Multiclass, &["bad", "fine", "good"]),
        label(Task::Regression, &[]),
    ];
    for label in labels {
        let (task, outputs) = (label.task, label.outputs());
        let settled = Settled {
            threshold: (task == Task::Binary).then_some(0.25),
            ..Settled::default()
        };
        let model = AppliedModel::from(fitted(label).with_settled(settled));
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path()).unwrap();
        let again = AppliedModel::load(dir.path()).unwrap();
        let columns = texts(&[Some("a good film"), None, Some("a dull film"), Some("")]);
        let answers = model.predict_columns(&columns).unwrap();
        assert_eq!(answers.len(), 4 * outputs);
        let told = |model: &AppliedModel| {
            let answers = model.predict_columns(&columns).unwrap();
            answers.iter().map(|a| a.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(told(&again), told(&model), "{task}");
        assert_eq!(again.settled(), model.settled());
        assert_eq!(again.plan(), model.plan());
        let nulls = again.answered(&columns).unwrap();
        assert_eq!((nulls.null_count(), nulls.is_null(1)), (1, true));
        for (row, answer) in answers.chunks_exact(outputs).enumerate() {
            assert_eq!(
                answer.iter().all(|a| a.is_nan()),
                row == 1,
                "{task}: {answer:?}"
            );
        }
        assert!(answers[..outputs] != answers[2 * outputs..3 * outputs]);
        if task == Task::Multiclass {
            let sum: f64 = answers[..3].iter().sum();
            assert!((sum - 1.0).abs() < 1e-9);
        }
        assert!(again.text().is_some() && again.trees().is_none());
    }
}

#[test]
fn a_folder_that_does_not_hold_together_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let model = fitted(label(Task::Binary, &["bad", "good"]));
    model.save(dir.path()).unwrap();
    let wanted = Model::load(dir.path()).unwrap_err().to_string();
    assert!(wanted.contains("it is of a text model"), "{wanted}");

    let path = dir.path().join("features.json");
    let sound = fs::read_to_string(&path).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file: Value = serde_json::from_str(&sound).unwrap();
        change(&mut file);
        fs::write(&path, file.to_string()).unwrap();
        AppliedModel::load(dir.path()).unwrap_err().to_string()
    };
    let error = with(&|file| file["label"]["classes"] = serde_json::json!(["a", "b", "c"]));
    assert!(error.contains("has 3 classes and is binary"), "{error}");
    let error = with(&|file| file["features"][0]["kind"] = "number".into());
    assert!(error.contains("must read one column, a text"), "{error}");
    let error = with(&|file| file["max_length"] = 17.into());
    assert!(error.contains("lower it to 16"), "{error}");
    fs::write(&path, sound).unwrap();
    let weights = dir.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let error = AppliedModel::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is cut off"), "{error}");
}
