//! A text classifier fine-tuned: what `benches/finetune.py` compares with transformers.
//!
//! `finetune MODEL_DIR TEXTS.jsonl MAX_LENGTH ARGUMENTS` trains the encoder in a Hugging Face
//! folder on lines `{"text": .., "label": 0 | 1, "split": "train" | "validation"}` with
//! arguments as JSON, by the names of Hugging Face's `TrainingArguments`, and prints the
//! figures of every evaluation as a line of JSON. `THREADS` (default: all) is read from the
//! environment.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::DType;
use serde_json::{Map, Value, json};
use sluice_learn::deep::bert::{
    Head, LossOptions, TOKENIZER_FILE, Targets, TextExamples, TextModel, TextTask,
};
use sluice_learn::deep::tokenizer::TextTokenizer;
use sluice_learn::deep::trainer::{TrainEvent, TrainRun, TrainingArguments, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = |what: &str| given.next().ok_or(format!("which {what}?"));
    let (dir, texts) = (next("model")?, next("texts")?);
    let max_length = next("length")?.parse()?;
    let arguments: Map<String, Value> = serde_json::from_str(&next("arguments")?)?;
    let arguments = TrainingArguments::parse(&arguments)?;
    let dir = Path::new(&dir);
    let tokenizer = TextTokenizer::read(&dir.join(TOKENIZER_FILE))?;
    let labels = ["negative", "positive"].map(str::to_owned).to_vec();
    let model = TextModel::fine_tune(
        dir,
        Head::Classes(labels),
        arguments.seed,
        &[],
        DType::F32,
        &arguments.device.open()?,
    )?;
    model.check_fit(&tokenizer, max_length)?;
    let lines = std::fs::read_to_string(texts)?;
    let lines: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let examples = |split: &str| -> Result<TextExamples, Box<dyn Error>> {
        let (mut texts, mut classes) = (Vec::new(), Vec::new());
        for line in lines.iter().filter(|line| line["split"] == split) {
            texts.push(line["text"].as_str().ok_or("a line without a text")?);
            classes.push(line["label"].as_u64().ok_or("a line without a label")? as u32);
        }
        let tokens = tokenizer.encoder(Some(max_length))?.encode(&texts)?;
        Ok(TextExamples::new(
            tokens,
            Targets::Classes(classes),
            &model,
        )?)
    };
    let (rows, judged) = (examples("train")?, examples("validation")?);
    let task = TextTask {
        model: &model,
        options: LossOptions::default(),
    };
    let checkpoints = tempfile::tempdir()?;
    let threads = match std::env::var("THREADS") {
        Ok(threads) => threads.parse::<NonZeroUsize>()?,
        Err(_) => std::thread::available_parallelism()?,
    };
    let outcome = train(
        &task,
        &rows,
        Some(&judged),
        TrainRun {
            arguments: &arguments,
            output_dir: checkpoints.path(),
            resume: false,
            threads,
            cancel: &AtomicBool::new(false),
            on_event: &mut |event: &TrainEvent| {
                if let TrainEvent::Logged {
                    step,
                    total_steps,
                    loss,
                    tokens_per_second,
                    ..
                } = event
                {
                    eprintln!(
                        "step {step} of {total_steps}: loss {loss:.4}, {tokens_per_second:.0} tokens/s"
                    );
                }
            },
        },
    )?;
    for figures in outcome.history {
        let metrics: Map<String, Value> = figures
            .metrics
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        println!("{}", json!({"step": figures.step, "metrics": metrics}));
    }
    Ok(())
}
