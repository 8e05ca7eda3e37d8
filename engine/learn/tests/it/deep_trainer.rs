//! The trainer: it learns, goes on where it stopped, and stops when it must.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use sluice_learn::deep::DeepError;
use sluice_learn::deep::bert::{
    BertConfig, Head, LossOptions, Targets, TextExamples, TextModel, TextTask,
};
use sluice_learn::deep::layer::Pass;
use sluice_learn::deep::parameters::{Init, ParameterSource, Parameters};
use sluice_learn::deep::tokenizer::Tokens;
use sluice_learn::deep::trainer::arguments::ARGUMENTS;
use sluice_learn::deep::trainer::{
    Ended, Examples, LOSS, TrainEvent, TrainOutcome, TrainRun, Trainable, TrainingArguments, train,
};
use sluice_learn::metric::Goal;

use crate::deep_fixtures::{devices, random_values, values};

#[test]
fn every_argument_is_recorded_and_read_back() {
    let changed = arguments(json!({"max_grad_norm": 0, "max_steps": 7, "save_total_limit": 3}));
    for arguments in [TrainingArguments::default(), changed] {
        let map = arguments.to_map();
        for param in ARGUMENTS {
            assert!(
                map.contains_key(param.name),
                "{} is not recorded",
                param.name
            );
        }
        assert_eq!(TrainingArguments::parse(&map).unwrap(), arguments);
    }
}

fn arguments(given: Value) -> TrainingArguments {
    let Value::Object(map) = given else {
        panic!("arguments are a map");
    };
    TrainingArguments::parse(&map).unwrap()
}

/// Texts of 3 to 12 tokens out of 40; about half of them hold token 7.
fn texts(seed: u64, count: usize) -> (Vec<Tokens>, Vec<bool>) {
    (0..count as u64)
        .map(|number| {
            let random = random_values(seed * 10_000 + number, 14);
            let place = |i: usize, most: f64| ((random[i] + 1.0) / 2.0 * most) as usize;
            let mut ids: Vec<u32> = (2..place(0, 10.0) + 5)
                .map(|i| 8 + place(i % 14, 32.0) as u32)
                .collect();
            ids[0] = 2;
            let marked = random[1] > 0.0;
            if marked {
                let place = 1 + place(2, (ids.len() - 1) as f64);
                ids[place] = 7;
            }
            let first = ids.len();
            (Tokens { ids, first }, marked)
        })
        .unzip()
}

fn small_bert(head: Head, device: &Device) -> TextModel {
    let mut config = BertConfig::bert(40, 16, 1, 2, 16);
    config.initializer_range = 0.1;
    TextModel::scratch(config, head, 3, DType::F32, device).unwrap()
}

fn yes_or_no_on(device: &Device) -> TextModel {
    let labels = ["no", "yes"].map(str::to_owned).to_vec();
    small_bert(Head::Classes(labels), device)
}

fn yes_or_no() -> TextModel {
    yes_or_no_on(&Device::Cpu)
}

fn classes(model: &TextModel, seed: u64, count: usize) -> TextExamples {
    let (texts, marked) = texts(seed, count);
    let targets = marked.iter().map(|&marked| u32::from(marked)).collect();
    TextExamples::new(texts, Targets::Classes(targets), model).unwrap()
}

/// How one run of a training goes.
struct Run<'a> {
    dir: &'a Path,
    resume: bool,
    threads: usize,
    /// Cancelled after this step.
    stop_after: Option<u64>,
}

impl<'a> Run<'a> {
    fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            resume: false,
            threads: 2,
            stop_after: None,
        }
    }

    fn of<M: Trainable, E: Examples<Batch = M::Batch>>(
        &self,
        model: &M,
        rows: &E,
        eval: Option<&E>,
        arguments: &TrainingArguments,
    ) -> Result<(TrainOutcome, Vec<TrainEvent>), DeepError> {
        let cancel = AtomicBool::new(false);
        let mut events = Vec::new();
        let mut on_event = |event: &TrainEvent| {
            events.push(event.clone());
            if let TrainEvent::Logged { step, .. } = event
                && Some(*step) == self.stop_after
            {
                cancel.store(true, Ordering::Relaxed);
            }
        };
        let run = TrainRun {
            arguments,
            output_dir: self.dir,
            resume: self.resume,
            threads: NonZeroUsize::new(self.threads).unwrap(),
            cancel: &cancel,
            on_event: &mut on_event,
        };
        let outcome = train(model, rows, eval, run)?;
        Ok((outcome, events))
    }
}

fn task(model: &TextModel) -> TextTask<'_> {
    TextTask {
        model,
        options: LossOptions::default(),
    }
}

/// Every weight's bits.
fn bits(parameters: &Parameters) -> Vec<(String, Vec<u64>)> {
    parameters
        .iter()
        .map(|parameter| {
            let bits = values(&parameter.tensor)
                .iter()
                .map(|v| v.to_bits())
                .collect();
            (parameter.name.clone(), bits)
        })
        .collect()
}

#[test]
fn a_small_bert_learns_which_texts_hold_a_token() {
    for device in devices() {
        a_small_bert_learns_on(&device, false);
    }
}

#[test]
fn a_small_bert_learns_in_bfloat16_too() {
    for device in devices() {
        a_small_bert_learns_on(&device, true);
    }
}

fn a_small_bert_learns_on(device: &Device, bf16: bool) {
    let temp = tempfile::tempdir().unwrap();
    let model = yes_or_no_on(device);
    let (rows, eval) = (classes(&model, 1, 320), classes(&model, 2, 100));
    let arguments = arguments(json!({
        "num_train_epochs": 8, "learning_rate": 5e-3, "per_device_train_batch_size": 16,
        "warmup_ratio": 0.1, "weight_decay": 0.01, "metric_for_best_model": "accuracy",
        "label_smoothing_factor": 0.0, "logging_steps": 1, "bf16": bf16,
    }));
    let run = Run::new(temp.path());
    let (outcome, events) = run
        .of(&task(&model), &rows, Some(&eval), &arguments)
        .unwrap();
    assert_eq!(outcome.ended, Ended::Finished);
    assert_eq!((outcome.steps, outcome.history.len()), (160, 8));
    let best = outcome.best.clone().unwrap();
    assert!(best.value > 0.95, "{outcome:?}");
    // The best weights are those that stay.
    let figures = task(&model)
        .evaluate(&mut std::iter::once(
            eval.batch(&(0..100).collect::<Vec<_>>()),
        ))
        .unwrap();
    assert!(figures.contains(&("accuracy", best.value)), "{figures:?}");
    let logged: Vec<(f64, f64)> = events
        .iter()
        .filter_map(|event| match event {
            TrainEvent::Logged {
                loss,
                learning_rate,
                tokens_per_second,
                ..
            } => {
                assert!(*tokens_per_second > 0.0);
                Some((*loss, *learning_rate))
            }
            _ => None,
        })
        .collect();
    assert_eq!(logged.len(), 160);
    assert_eq!((logged[0].1, logged[16].1), (0.0, 5e-3), "warmed up in 16");
    assert!(logged[159].1 < 1e-4 && logged[159].0 < 0.3 * logged[0].0);
}

#[test]
fn a_training_that_was_stopped_anywhere_goes_on_as_if_it_had_not() {
    let exact = stopped_anywhere(false, 1..10);
    // In bfloat16 every piece of the same is the same too, and the weights are others.
    assert_ne!(stopped_anywhere(true, 3..5), exact);
}

/// Every weight's bits after a training that goes on as if it had not been stopped after any
/// of `steps`.
fn stopped_anywhere(bf16: bool, steps: std::ops::Range<u64>) -> Vec<(String, Vec<u64>)> {
    let arguments = arguments(json!({
        "bf16": bf16,
        "num_train_epochs": 2, "learning_rate": 3e-3, "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2, "weight_decay": 0.1, "logging_steps": 1,
        "lr_scheduler_type": "cosine", "warmup_steps": 2, "load_best_model_at_end": false,
    }));
    let once = |run: &Run<'_>| {
        let model = yes_or_no();
        let (rows, eval) = (classes(&model, 1, 37), classes(&model, 2, 10));
        let (outcome, _) = run
            .of(&task(&model), &rows, Some(&eval), &arguments)
            .unwrap();
        (outcome, bits(model.parameters()))
    };
    let temp = tempfile::tempdir().unwrap();
    let (whole, weights) = once(&Run::new(&temp.path().join("whole")));
    assert_eq!(whole.ended, Ended::Finished);
    assert_eq!(whole.steps, 10);
    for step in steps {
        let dir = temp.path().join(format!("stopped-{step}"));
        let mut run = Run::new(&dir);
        run.stop_after = Some(step);
        let (stopped, _) = once(&run);
        let checkpoint = dir.join(format!("checkpoint-{step}"));
        assert_eq!(stopped.ended, Ended::Interrupted(checkpoint));
        run.resume = true;
        run.stop_after = None;
        // Another number of threads, and a model that knows nothing of the first run.
        run.threads = 1 + step as usize % 3;
        let (resumed, again) = once(&run);
        assert_eq!(resumed, whole, "stopped after {step}");
        assert!(again == weights, "stopped after {step}: other weights");
    }
    // A finished training has nothing left to do.
    let mut run = Run::new(temp.path());
    let whole_dir = temp.path().join("whole");
    run.dir = &whole_dir;
    run.resume = true;
    assert_eq!(once(&run), (whole, weights.clone()));
    weights
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let model = yes_or_no();
    let rows = classes(&model, 1, 12);
    let mut run = Run::new(temp.path());
    let go = |run: &Run<'_>, rows: &TextExamples, given: Value| {
        run.of(&task(&model), rows, None, &arguments(given))
    };
    go(&run, &rows, json!({"num_train_epochs": 1})).unwrap();
    run.resume = true;
    let error = go(&run, &rows, json!({"learning_rate": 1e-3})).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("other values of the arguments: restore"),
        "{error}"
    );
    let others = classes(&model, 2, 12);
    let error = go(&run, &others, json!({"num_train_epochs": 1})).unwrap_err();
    assert!(
        error.to_string().contains("other values of the train rows"),
        "{error}"
    );
    // What is reported does not change the course.
    let more = json!({
        "num_train_epochs": 1, "logging_steps": 3, "save_strategy": "no", "device": "cpu",
    });
    go(&run, &rows, more).unwrap();
    // Half a file of weights.
    let weights = temp.path().join("checkpoint-2/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let error = go(&run, &rows, json!({"num_train_epochs": 1})).unwrap_err();
    assert!(matches!(error, DeepError::Truncated { .. }), "{error}");
    // Not resumed, a training starts with an empty folder; what a killed one left goes too.
    std::fs::create_dir(temp.path().join(".checkpoint-1.new")).unwrap();
    run.resume = false;
    go(&run, &rows, json!({"num_train_epochs": 1})).unwrap();
    let left: Vec<_> = std::fs::read_dir(temp.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn other_heads_train_and_are_judged() {
    let temp = tempfile::tempdir().unwrap();
    let arguments = arguments(json!({
        "num_train_epochs": 10, "learning_rate": 5e-3, "per_device_train_batch_size": 8,
    }));
    let (texts, marked) = texts(1, 160);
    let numbers: Vec<f32> = marked.iter().map(|&m| if m { 2.0 } else { -1.0 }).collect();
    let mark = |is: bool| f32::from(u8::from(is));
    let marks = marked.iter().flat_map(|&m| [mark(m), mark(!m)]).collect();
    let labels = ["marked", "unmarked"].map(str::to_owned).to_vec();
    for (head, targets, figure, least) in [
        (Head::Regression, Targets::Numbers(numbers), "r2", 0.6),
        (
            Head::MultiLabel(labels),
            Targets::Labels(marks),
            "f1_micro",
            0.85,
        ),
    ] {
        let model = small_bert(head, &Device::Cpu);
        let rows = TextExamples::new(texts.clone(), targets, &model).unwrap();
        let run = Run::new(temp.path());
        let (outcome, _) = run
            .of(&task(&model), &rows, Some(&rows), &arguments)
            .unwrap();
        let best = outcome.best.unwrap();
        assert_eq!(best.metric, LOSS);
        let figures = outcome.history.last().unwrap();
        assert!(figures.get(figure).unwrap() > least, "{figures:?}");
    }
}

#[test]
fn numbers_that_run_away_stop_the_training() {
    let temp = tempfile::tempdir().unwrap();
    let model = yes_or_no();
    let rows = classes(&model, 1, 24);
    let arguments = arguments(json!({"learning_rate": 1e30, "lr_scheduler_type": "constant"}));
    let run = Run::new(temp.path());
    let error = run.of(&task(&model), &rows, None, &arguments).unwrap_err();
    let DeepError::Diverged {
        step, epoch, batch, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((step, epoch, batch), (2, 1, 2));
    let error = error.to_string();
    assert!(
        error.starts_with("training diverged at step 2 (epoch 1, batch 2): the "),
        "{error}"
    );
    assert!(error.contains("lower `learning_rate`"), "{error}");
}

/// A single number that each step moves, judged by a script.
struct Scripted {
    parameters: Parameters,
    figures: Vec<f64>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(figures: &[f64]) -> Self {
        let mut source = ParameterSource::fresh(1, DType::F32, &Device::Cpu);
        source.draw("number", &[1], Init::Zeros).unwrap();
        Self {
            parameters: source.finish().unwrap(),
            figures: figures.to_vec(),
            asked: AtomicUsize::new(0),
        }
    }

    fn number(&self) -> f64 {
        values(self.parameters.iter().next().map(|p| &p.tensor).unwrap())[0]
    }
}

impl Trainable for Scripted {
    type Batch = f64;

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, batch: &f64, _: &mut Pass) -> Result<Tensor, DeepError> {
        let number = self.parameters.iter().next().unwrap();
        Ok((&number.tensor * *batch)?.sum_all()?)
    }

    fn tokens(&self, _: &f64) -> usize {
        1
    }

    fn metrics(&self) -> Vec<(&'static str, Goal)> {
        vec![("score", Goal::Maximize)]
    }

    fn evaluate(
        &self,
        _: &mut dyn Iterator<Item = Result<f64, DeepError>>,
    ) -> Result<Vec<(&'static str, f64)>, DeepError> {
        let figure = self.figures[self.asked.fetch_add(1, Ordering::Relaxed)];
        Ok(vec![(LOSS, -figure), ("score", figure)])
    }
}

struct Ones;

impl Examples for Ones {
    type Batch = f64;

    fn len(&self) -> usize {
        1
    }

    fn length(&self, _: usize) -> usize {
        1
    }

    fn batch(&self, _: &[usize]) -> Result<f64, DeepError> {
        Ok(1.0)
    }

    fn fingerprint(&self) -> String {
        "ones".to_owned()
    }
}

#[test]
fn patience_ends_a_training_with_its_best_weights() {
    let temp = tempfile::tempdir().unwrap();
    // The third is better, but not by enough to count for the patience.
    let model = Scripted::new(&[0.5, 0.6, 0.605, 0.4, 0.7]);
    let arguments = arguments(json!({
        "num_train_epochs": 9, "learning_rate": 0.5, "lr_scheduler_type": "constant",
        "metric_for_best_model": "eval_score", "early_stopping_patience": 2,
        "early_stopping_threshold": 0.01,
    }));
    let run = Run::new(temp.path());
    let (outcome, events) = run.of(&model, &Ones, Some(&Ones), &arguments).unwrap();
    assert_eq!(outcome.ended, Ended::EarlyStopped);
    assert_eq!((outcome.steps, outcome.history.len()), (4, 4));
    let best = outcome.best.unwrap();
    assert_eq!((best.step, best.value), (3, 0.605));
    // AdamW moves a weight of constant gradient by the rate each step.
    assert!((model.number() + 1.5).abs() < 1e-4, "{}", model.number());
    let mut kept: Vec<String> = std::fs::read_dir(temp.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["checkpoint-3", "checkpoint-4"]);
    let best_flags = events.iter().filter_map(|event| match event {
        TrainEvent::Evaluated { best, .. } => Some(*best),
        _ => None,
    });
    assert!(best_flags.eq([true, true, true, false]));
}

#[test]
fn arguments_that_cannot_be_used_are_all_named() {
    let parse = |given: Value| {
        let Value::Object(map) = given else {
            panic!("arguments are a map");
        };
        TrainingArguments::parse(&map).unwrap_err().to_string()
    };
    let error = parse(json!({
        "learning_rat": 1e-3, "num_train_epochs": 0, "warmup_ratio": 1.5,
        "lr_scheduler_type": "polynomial", "adam_beta1": 1, "device": "gpu",
    }));
    for part in [
        "`learning_rat`: unknown parameter (did you mean `learning_rate`?)",
        "`num_train_epochs`: must be a whole number from 1",
        "`warmup_ratio`: must be a number from 0 to below 1, not 1.5",
        "`lr_scheduler_type`: must be one of linear, cosine, constant, constant_with_warmup",
        "`adam_beta1`: must be a number above 0 and below 1, not 1",
        "`device`: must be auto, cpu, cuda or cuda:N (did you mean `cuda`?), not \"gpu\"",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = parse(json!({"eval_strategy": "no", "early_stopping_patience": 3}));
    assert!(error.contains("needs evaluations to look at"), "{error}");
    let temp = tempfile::tempdir().unwrap();
    let model = yes_or_no();
    let rows = classes(&model, 1, 4);
    let wrong = arguments(json!({"metric_for_best_model": "acuracy"}));
    let run = Run::new(temp.path());
    let error = run.of(&task(&model), &rows, None, &wrong).unwrap_err();
    assert!(
        error.to_string().contains("did you mean `accuracy`?"),
        "{error}"
    );
    let none = TextExamples::new(Vec::new(), Targets::Classes(Vec::new()), &model).unwrap();
    let error = run
        .of(&task(&model), &none, None, &TrainingArguments::default())
        .unwrap_err();
    assert!(
        error.to_string().contains("the train split has no row"),
        "{error}"
    );
    let error = TextExamples::new(Vec::new(), Targets::Numbers(Vec::new()), &model).unwrap_err();
    assert!(
        error.to_string().contains("cannot be trained with them"),
        "{error}"
    );
}
