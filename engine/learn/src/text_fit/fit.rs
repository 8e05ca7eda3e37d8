//! A training from rows to a fitted model.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device};

use super::estimate::TextSize;
use super::examples::Rows;
use super::spec::{BERT, BertSpec};
use crate::dataset::{Split, StoredTexts, TextSplits};
use crate::deep::DeepError;
use crate::deep::bert::{BertConfig, CONFIG_FILE, LossOptions, TextModel, TextTask, TokenBatch};
use crate::deep::tokenizer::TextTokenizer;
use crate::deep::trainer::{Ended, TrainEvent, TrainOutcome, TrainRun, train};
use crate::error::{LearnError, ParamError};
use crate::features::Task;
use crate::finish::{Finish, Settled};
use crate::fitted_text::{FittedText, head_of};
use crate::parallel::thread_pool;

/// What a fit takes besides its rows and parameters.
pub struct FitText<'a> {
    /// The tokenizer that the rows were tokenized with.
    pub tokenizer: &'a TextTokenizer,
    /// Tokens that texts were cut at.
    pub max_length: usize,
    /// The folder of the model that is fine-tuned.
    pub pretrained: Option<&'a Path>,
    /// What is settled on the validation rows.
    pub finish: &'a Finish,
    /// Threads that compute. No result depends on it.
    pub threads: NonZeroUsize,
    /// Set from elsewhere, it ends the training after the current step, with a checkpoint.
    pub cancel: &'a AtomicBool,
    /// Where checkpoints lie, from the newest of which the training goes on.
    pub checkpoints: &'a Path,
    /// Hears what happens.
    pub on_event: &'a mut (dyn FnMut(&TrainEvent) + Send),
}

/// What a fit came to.
#[derive(Debug)]
pub struct TextFit {
    /// The model.
    pub model: FittedText,
    /// How the training went.
    pub outcome: TrainOutcome,
    /// Of each split that has rows: the predictions before calibration, by the convention of
    /// [`crate::AppliedModel::predict_columns`], in the order of its labels.
    pub raw: Vec<(Split, Vec<f64>)>,
    /// Weights that were drawn, where a model was fine-tuned: the head's.
    pub fresh: Vec<String>,
}

/// The configuration of the model in a folder that is to be fine-tuned.
///
/// # Errors
///
/// A folder that holds none.
pub fn pretrained_config(spec: &BertSpec, dir: &Path) -> Result<BertConfig, LearnError> {
    Ok(spec.tuned(BertConfig::read(&dir.join(CONFIG_FILE))?))
}

/// Trains a model on `splits`.
///
/// # Errors
///
/// Parameters, rows, a tokenizer or a folder that do not go together; a training that
/// diverges, or that does not fit into memory; [`LearnError::Cancelled`] when it was told to
/// stop, after a checkpoint from which the next one goes on.
pub fn fit(spec: &BertSpec, splits: &TextSplits, how: FitText<'_>) -> Result<TextFit, LearnError> {
    spec.check(splits.plan.label.target())?;
    validation_is_there(spec, splits, how.finish)?;
    let device = spec.arguments().device.open()?;
    let model = build(spec, splits, &how, &device)?;
    model.check_fit(how.tokenizer, how.max_length)?;
    let size = TextSize::of(model.config(), model.parameters().count());
    let rows = |stored| Rows {
        stored,
        task: splits.plan.label.task,
        pad_token_id: model.config().pad_token_id,
    };
    let task = TextTask {
        model: &model,
        options: losses(spec, splits)?,
    };
    let (learned, judged) = (rows(&splits.train), rows(&splits.validation));
    let run = TrainRun {
        arguments: spec.arguments(),
        output_dir: how.checkpoints,
        resume: true,
        threads: how.threads,
        cancel: how.cancel,
        on_event: how.on_event,
    };
    let outcome = train(&task, &learned, Some(&judged), run)
        .map_err(|error| size.explained(error, spec.arguments(), splits.train.longest()))?;
    if matches!(outcome.ended, Ended::Interrupted(_)) {
        return Err(LearnError::Cancelled);
    }
    let fresh = match how.pretrained {
        None => Vec::new(),
        Some(_) => model.parameters().fresh().to_vec(),
    };
    let plan = Arc::clone(&splits.plan);
    let tokenizer = how.tokenizer.clone();
    let fitted = FittedText::new(BERT, plan, Arc::new(model), tokenizer, how.max_length)?;
    let raw = thread_pool(how.threads)?.install(|| answers(&fitted, spec, splits, how.cancel))?;
    let settled = settle(how.finish, splits, &raw)?;
    Ok(TextFit {
        model: fitted.with_settled(settled),
        outcome,
        raw,
        fresh,
    })
}

/// What needs validation rows says so before hours are spent.
fn validation_is_there(
    spec: &BertSpec,
    splits: &TextSplits,
    finish: &Finish,
) -> Result<(), LearnError> {
    if !splits.validation.is_empty() {
        return Ok(());
    }
    let need = if spec.arguments().early_stopping_patience.is_some() {
        "`early_stopping_patience` looks at it; give the table a validation part, or leave it out"
    } else if finish.needs_validation() {
        "`calibrate:` and `threshold:` are settled on it; give the table a validation part"
    } else {
        return Ok(());
    };
    Err(LearnError::EmptySplit {
        split: Split::Validation,
        need,
    })
}

fn build(
    spec: &BertSpec,
    splits: &TextSplits,
    how: &FitText<'_>,
    device: &Device,
) -> Result<TextModel, LearnError> {
    let (head, seed) = (head_of(&splits.plan.label), spec.arguments().seed);
    let model = match how.pretrained {
        Some(dir) => {
            let config = pretrained_config(spec, dir)?;
            TextModel::fine_tune_as(dir, config, head, seed, spec.freeze(), DType::F32, device)?
        }
        None => {
            let vocab_size = how.tokenizer.last_id() as usize + 1;
            let pad = ["[PAD]", "<pad>"].iter();
            let pad = pad.filter_map(|token| how.tokenizer.id(token)).next();
            let config = spec.scratch(vocab_size, pad.unwrap_or(0));
            TextModel::scratch_frozen(config, head, seed, spec.freeze(), DType::F32, device)?
        }
    };
    let names = || model.parameters().iter().map(|parameter| &parameter.name);
    let idle = spec.freeze().iter().filter(|part| {
        let in_name = |name: &String| name.contains(part.as_str());
        !names().any(in_name)
    });
    let errors: Vec<ParamError> = idle
        .map(|part| {
            let examples: Vec<&str> = names().take(3).map(String::as_str).collect();
            let message = format!(
                "no weight's name holds `{part}`; there are {}, ...",
                examples.join(", ")
            );
            spec.param("freeze", message)
        })
        .collect();
    if errors.is_empty() {
        Ok(model)
    } else {
        Err(LearnError::Params(errors))
    }
}

fn losses(spec: &BertSpec, splits: &TextSplits) -> Result<LossOptions, LearnError> {
    let (label, codes) = (&splits.plan.label, splits.train.labels());
    let weights = match label.task {
        Task::Regression => None,
        Task::Binary | Task::Multiclass => spec.class_weight().factors(label, codes)?,
    };
    Ok(LossOptions {
        class_weights: weights.map(|weights| weights.into_iter().map(f64::from).collect()),
        label_smoothing_factor: spec.arguments().label_smoothing_factor,
    })
}

/// The answers for all rows of each split that has any.
fn answers(
    model: &FittedText,
    spec: &BertSpec,
    splits: &TextSplits,
    cancel: &AtomicBool,
) -> Result<Vec<(Split, Vec<f64>)>, LearnError> {
    let size = spec.arguments().per_device_eval_batch_size;
    let mut all = Vec::new();
    for split in Split::ALL {
        let stored = splits.get(split);
        if !stored.is_empty() {
            all.push((split, answers_of(model, stored, size, cancel)?));
        }
    }
    Ok(all)
}

fn answers_of(
    model: &FittedText,
    stored: &StoredTexts,
    size: usize,
    cancel: &AtomicBool,
) -> Result<Vec<f64>, LearnError> {
    let mut order: Vec<usize> = (0..stored.rows()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(stored.length(row)));
    let width = model.plan().label.outputs();
    let mut answers = vec![0.0; stored.rows() * width];
    for rows in order.chunks(size) {
        if cancel.load(Ordering::Relaxed) {
            return Err(LearnError::Cancelled);
        }
        let texts = rows.iter().map(|&row| stored.read(row));
        let texts = texts.collect::<Result<Vec<_>, DeepError>>()?;
        let batch = TokenBatch::padded(&texts, model.model().config().pad_token_id);
        let told = model.as_told(model.model().scores(&batch)?);
        for (&row, answer) in rows.iter().zip(told.chunks_exact(width)) {
            answers[row * width..(row + 1) * width].copy_from_slice(answer);
        }
    }
    Ok(answers)
}

fn settle(
    finish: &Finish,
    splits: &TextSplits,
    raw: &[(Split, Vec<f64>)],
) -> Result<Settled, LearnError> {
    let validation = raw.iter().find(|(split, _)| *split == Split::Validation);
    match validation {
        None => finish.settle_without_rows(),
        Some((_, raw)) => {
            let labels = splits.validation.labels();
            finish.settle(&splits.plan.label, labels, raw, None)
        }
    }
}
