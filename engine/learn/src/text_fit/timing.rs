//! How fast this machine trains a model of some shape, from a few small steps of one that is
//! drawn for it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::DType;

use super::estimate::TextSize;
use super::spec::BertSpec;
use crate::deep::DeepError;
use crate::deep::bert::{
    BertConfig, Head, LossOptions, Targets, TextExamples, TextModel, TextTask,
};
use crate::deep::tokenizer::Tokens;
use crate::deep::trainer::{IntervalStrategy, TrainEvent, TrainRun, TrainingArguments, train};
use crate::error::LearnError;

/// Steps of each size; the first warms up, of the others the fastest counts.
const STEPS: u64 = 3;
/// Tokens of the smaller batch, at most; the larger one has twice as many.
const TOKENS: u64 = 256;
/// Computations that all steps together may take: some seconds of two cores.
const OPERATIONS: u64 = 300_000_000_000;
/// The most that weights, gradients and the optimizer's means may take, in bytes: a larger
/// model is not drawn only to tell how fast it is.
const WEIGHTS_BYTES: u64 = 2 << 30;

/// How long a step takes: so long whatever its batch, and so much longer with each token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepTime {
    /// What a step takes besides its tokens: the optimizer above all.
    pub fixed_seconds: f64,
    /// What each token adds.
    pub token_seconds: f64,
}

impl StepTime {
    /// Measures steps of a model of shape `config` on texts of `length` tokens, on the device
    /// and with the precision of `spec`. Takes some seconds. `None` where the model is so
    /// large that drawing it would be no small matter.
    ///
    /// # Errors
    ///
    /// A shape that is none, or a device that is not there.
    pub fn measured(
        spec: &BertSpec,
        config: &BertConfig,
        length: usize,
        threads: NonZeroUsize,
    ) -> Result<Option<Self>, LearnError> {
        let size = TextSize::of_shape(config, 2);
        if size.weights_bytes() > WEIGHTS_BYTES {
            return Ok(None);
        }
        let labels = ["a", "b"].map(str::to_owned).to_vec();
        let device = spec.arguments().device.open()?;
        let model = TextModel::scratch_frozen(
            config.clone(),
            Head::Classes(labels),
            spec.arguments().seed,
            spec.freeze(),
            DType::F32,
            &device,
        )?;
        // A token costs two operations a parameter forward, and twice as many back.
        let affordable = OPERATIONS / (6 * size.parameters.max(1)) / (3 * STEPS);
        let length = length.clamp(1, config.max_position_embeddings);
        let rows = (affordable.min(TOKENS) as usize / length).max(1);
        let one = fastest_step(&model, spec, (rows, length), threads)?;
        let two = fastest_step(&model, spec, (2 * rows, length), threads)?;
        Ok(Some(Self::through(one, two, (rows * length) as f64)))
    }

    /// From the seconds of a step with `tokens` and of one with twice as many.
    fn through(one: f64, two: f64, tokens: f64) -> Self {
        let fixed_seconds = (2.0 * one - two).clamp(0.0, one);
        Self {
            fixed_seconds,
            token_seconds: (two - fixed_seconds) / (2.0 * tokens),
        }
    }

    /// What `steps` of `tokens` in all take.
    pub fn seconds(&self, steps: u64, tokens: f64) -> f64 {
        self.fixed_seconds * steps as f64 + self.token_seconds * tokens
    }
}

/// Seconds of a step on `rows` texts of `length` tokens.
fn fastest_step(
    model: &TextModel,
    spec: &BertSpec,
    (rows, length): (usize, usize),
    threads: NonZeroUsize,
) -> Result<f64, DeepError> {
    let vocabulary = model.config().vocab_size.max(1);
    let texts = (0..rows).map(|row| Tokens {
        // All of them different, as those of real texts are.
        ids: (0..length)
            .map(|place| ((row * 977 + place * 131) % vocabulary) as u32)
            .collect(),
        first: length,
    });
    let targets = Targets::Classes((0..rows).map(|row| (row % 2) as u32).collect());
    let examples = TextExamples::new(texts.collect(), targets, model)?;
    let usual = TrainingArguments::default();
    let arguments = TrainingArguments {
        // The user's may be such that the training diverges, which is for the training to tell.
        learning_rate: usual.learning_rate,
        max_grad_norm: usual.max_grad_norm,
        max_steps: Some(STEPS),
        per_device_train_batch_size: rows,
        gradient_accumulation_steps: 1,
        logging_steps: 1,
        eval_strategy: IntervalStrategy::No,
        save_strategy: IntervalStrategy::No,
        load_best_model_at_end: false,
        ..spec.arguments().clone()
    };
    let task = TextTask {
        model,
        options: LossOptions::default(),
    };
    let (mut since, mut times) = (Instant::now(), Vec::new());
    let mut on_event = |event: &TrainEvent| {
        if matches!(event, TrainEvent::Logged { .. }) {
            times.push(since.elapsed().as_secs_f64());
        }
        since = Instant::now();
    };
    let run = TrainRun {
        arguments: &arguments,
        // Nothing is saved.
        output_dir: Path::new(""),
        resume: true,
        threads,
        cancel: &AtomicBool::new(false),
        on_event: &mut on_event,
    };
    train(&task, &examples, None, run)?;
    let warm = times.iter().skip(1).copied();
    Ok(warm.fold(f64::INFINITY, f64::min))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use serde_json::json;

    use super::StepTime;
    use crate::deep::bert::BertConfig;
    use crate::text_fit::BertSpec;

    #[test]
    fn two_sizes_tell_the_fixed_part_from_the_tokens() {
        let time = StepTime::through(0.3, 0.5, 100.0);
        assert!((time.fixed_seconds - 0.1).abs() < 1e-12);
        assert!((time.seconds(10, 1_000.0) - 3.0).abs() < 1e-12);
        // Noise makes the smaller one slower: nothing is fixed, or all of it.
        assert_eq!(StepTime::through(0.2, 0.5, 100.0).fixed_seconds, 0.0);
        assert_eq!(StepTime::through(0.3, 0.2, 100.0).fixed_seconds, 0.3);
    }

    fn spec() -> BertSpec {
        let params = json!({"tokenizer": "t", "device": "cpu", "logging_steps": 50,
            "learning_rate": 1e30, "max_grad_norm": 0});
        BertSpec::parse(params.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_small_model_is_timed() {
        let config = BertConfig::bert(50, 16, 1, 2, 20);
        let time = StepTime::measured(&spec(), &config, 7, NonZeroUsize::MIN).unwrap();
        let time = time.unwrap();
        assert!(time.token_seconds.is_finite() && time.seconds(1, 7.0) > 0.0);
    }

    #[test]
    fn a_model_too_large_to_draw_is_not_timed() {
        let config = BertConfig::bert(50_000, 8_192, 24, 64, 512);
        let time = StepTime::measured(&spec(), &config, 7, NonZeroUsize::MIN);
        assert_eq!(time.unwrap(), None);
    }
}
