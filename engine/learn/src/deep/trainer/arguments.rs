//! How a training goes, by the names of Hugging Face's `TrainingArguments`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::deep::device::{DeviceChoice, UnknownDevice};
use crate::deep::error::DeepError;
use crate::deep::optimizer::{AdamWOptions, Schedule, SchedulerType};
use crate::error::ParamError;
use crate::estimator::params::{Bounds, Param, Params};

/// When something is done during a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalStrategy {
    /// Never.
    No,
    /// Every so many steps.
    Steps,
    /// After each epoch.
    Epoch,
}

impl IntervalStrategy {
    const WORDS: [&'static str; 3] = ["no", "steps", "epoch"];

    fn of(word: &str) -> Self {
        match word {
            "no" => Self::No,
            "steps" => Self::Steps,
            _ => Self::Epoch,
        }
    }
}

/// How a training goes. The defaults are transformers', except that batches are grouped by
/// length, and that a training is evaluated and saved after each epoch and ends with its
/// best weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingArguments {
    /// Times that every row is seen.
    pub num_train_epochs: u64,
    /// Steps after which the training ends; overrides `num_train_epochs`.
    pub max_steps: Option<u64>,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the rate changes.
    pub lr_scheduler_type: SchedulerType,
    /// The share of all steps in which the rate rises to its highest.
    pub warmup_ratio: f64,
    /// Steps in which it does; overrides `warmup_ratio` unless 0.
    pub warmup_steps: u64,
    /// Rows a batch.
    pub per_device_train_batch_size: usize,
    /// Rows a batch of an evaluation.
    pub per_device_eval_batch_size: usize,
    /// Batches a step.
    pub gradient_accumulation_steps: usize,
    /// The optimizer's own.
    pub adamw: AdamWOptions,
    /// What the gradients' norm is cut to; `None` cuts nothing.
    pub max_grad_norm: Option<f64>,
    /// The share of each class that is spread over all.
    pub label_smoothing_factor: f64,
    /// Whether rows of like length share a batch, for less padding.
    pub group_by_length: bool,
    /// When the model is judged.
    pub eval_strategy: IntervalStrategy,
    /// Steps between two evaluations.
    pub eval_steps: u64,
    /// When a checkpoint is written.
    pub save_strategy: IntervalStrategy,
    /// Steps between two checkpoints.
    pub save_steps: u64,
    /// Checkpoints that are kept besides the best, the newest ones.
    pub save_total_limit: usize,
    /// Steps between two reports of the loss.
    pub logging_steps: u64,
    /// Whether the training ends with the best weights that an evaluation has seen.
    pub load_best_model_at_end: bool,
    /// By which figure of an evaluation weights are best.
    pub metric_for_best_model: String,
    /// Evaluations without a better figure after which the training ends.
    pub early_stopping_patience: Option<u64>,
    /// By how much a figure must be better to count as such for the patience.
    pub early_stopping_threshold: f64,
    /// Decides the order of the rows and what drops out.
    pub seed: u64,
    /// Whether steps compute in bfloat16. Weights, the optimizer's means and the loss stay in
    /// `f32`, as do evaluations, which judge what will be applied.
    pub bf16: bool,
    /// Where the model is to compute: whoever makes it asks here. The trainer computes
    /// where the model lies, and a training may go on elsewhere than it started.
    pub device: DeviceChoice,
}

impl Default for TrainingArguments {
    fn default() -> Self {
        Self {
            num_train_epochs: 3,
            max_steps: None,
            learning_rate: 5e-5,
            lr_scheduler_type: SchedulerType::Linear,
            warmup_ratio: 0.0,
            warmup_steps: 0,
            per_device_train_batch_size: 8,
            per_device_eval_batch_size: 8,
            gradient_accumulation_steps: 1,
            adamw: AdamWOptions::default(),
            max_grad_norm: Some(1.0),
            label_smoothing_factor: 0.0,
            group_by_length: true,
            eval_strategy: IntervalStrategy::Epoch,
            eval_steps: 500,
            save_strategy: IntervalStrategy::Epoch,
            save_steps: 500,
            save_total_limit: 1,
            logging_steps: 10,
            load_best_model_at_end: true,
            metric_for_best_model: super::LOSS.to_owned(),
            early_stopping_patience: None,
            early_stopping_threshold: 0.0,
            seed: 42,
            bf16: false,
            device: DeviceChoice::Auto,
        }
    }
}

const fn param(name: &'static str, aliases: &'static [&'static str], doc: &'static str) -> Param {
    Param { name, aliases, doc }
}

/// Every argument as users write it.
pub static ARGUMENTS: &[Param] = &[
    param(
        "num_train_epochs",
        &["epochs"],
        "times that every row is seen",
    ),
    param(
        "max_steps",
        &[],
        "steps after which the training ends; overrides the epochs",
    ),
    param("learning_rate", &["lr"], "the highest learning rate"),
    param(
        "lr_scheduler_type",
        &[],
        "linear, cosine, constant or constant_with_warmup",
    ),
    param(
        "warmup_ratio",
        &[],
        "the share of all steps in which the rate rises",
    ),
    param(
        "warmup_steps",
        &[],
        "steps in which the rate rises; overrides the ratio",
    ),
    param(
        "per_device_train_batch_size",
        &["batch_size", "train_batch_size"],
        "rows a batch",
    ),
    param(
        "per_device_eval_batch_size",
        &["eval_batch_size"],
        "rows a batch of an evaluation",
    ),
    param("gradient_accumulation_steps", &[], "batches a step"),
    param(
        "weight_decay",
        &[],
        "the share of a weight that a step of rate 1 takes away",
    ),
    param(
        "adam_beta1",
        &[],
        "how slowly the mean of the gradients forgets",
    ),
    param(
        "adam_beta2",
        &[],
        "how slowly the mean of their squares forgets",
    ),
    param("adam_epsilon", &[], "added to the denominator"),
    param(
        "max_grad_norm",
        &[],
        "what the gradients' norm is cut to; 0 cuts nothing",
    ),
    param(
        "label_smoothing_factor",
        &[],
        "the share of each class that is spread over all",
    ),
    param(
        "group_by_length",
        &[],
        "whether rows of like length share a batch",
    ),
    param(
        "eval_strategy",
        &["evaluation_strategy"],
        "no, steps or epoch",
    ),
    param("eval_steps", &[], "steps between two evaluations"),
    param("save_strategy", &[], "no, steps or epoch"),
    param("save_steps", &[], "steps between two checkpoints"),
    param(
        "save_total_limit",
        &[],
        "checkpoints that are kept besides the best, the newest ones",
    ),
    param(
        "logging_steps",
        &[],
        "steps between two reports of the loss",
    ),
    param(
        "load_best_model_at_end",
        &[],
        "whether the best weights are those that stay",
    ),
    param(
        "metric_for_best_model",
        &[],
        "by which figure weights are best",
    ),
    param(
        "early_stopping_patience",
        &[],
        "evaluations without a better figure to end after",
    ),
    param(
        "early_stopping_threshold",
        &[],
        "by how much a figure must be better",
    ),
    param(
        "seed",
        &["random_state"],
        "decides the order of the rows and what drops out",
    ),
    param(
        "bf16",
        &[],
        "whether steps compute in bfloat16, with weights in f32",
    ),
    param(
        "device",
        &[],
        "where the model computes: auto, cpu, cuda or cuda:N",
    ),
];

impl TrainingArguments {
    /// Reads arguments as users write them.
    ///
    /// # Errors
    ///
    /// Every argument that cannot be used.
    pub fn parse(map: &Map<String, Value>) -> Result<Self, DeepError> {
        /// More than any training has of anything.
        const MANY: usize = 1_000_000_000;
        let mut given = Params::new(map, ARGUMENTS);
        let default = Self::default();
        let mut count = |name, default: u64| given.whole(name, default as usize, 1..=MANY) as u64;
        let num_train_epochs = count("num_train_epochs", default.num_train_epochs);
        let eval_steps = count("eval_steps", default.eval_steps);
        let save_steps = count("save_steps", default.save_steps);
        let logging_steps = count("logging_steps", default.logging_steps);
        let save_total_limit = count("save_total_limit", 1) as usize;
        let train_batch = count("per_device_train_batch_size", 8) as usize;
        let eval_batch = count("per_device_eval_batch_size", 8) as usize;
        let accumulated = count("gradient_accumulation_steps", 1) as usize;
        let beta = Bounds::Inside(0.0, 1.0);
        let adamw = AdamWOptions {
            adam_beta1: given.real("adam_beta1", default.adamw.adam_beta1, beta),
            adam_beta2: given.real("adam_beta2", default.adamw.adam_beta2, beta),
            adam_epsilon: given.real("adam_epsilon", 1e-8, Bounds::Positive),
            weight_decay: given.real("weight_decay", 0.0, Bounds::NonNegative),
        };
        let schedulers = SchedulerType::ALL.map(SchedulerType::as_str);
        let scheduler = given.word("lr_scheduler_type", "linear", &schedulers);
        let words = &IntervalStrategy::WORDS;
        let eval_strategy = IntervalStrategy::of(given.word("eval_strategy", "epoch", words));
        let save_strategy = IntervalStrategy::of(given.word("save_strategy", "epoch", words));
        let arguments = Self {
            num_train_epochs,
            max_steps: given.limit("max_steps", None, 1..=MANY).map(|n| n as u64),
            learning_rate: given.real("learning_rate", 5e-5, Bounds::Positive),
            lr_scheduler_type: SchedulerType::ALL
                .into_iter()
                .find(|kind| kind.as_str() == scheduler)
                .unwrap_or(default.lr_scheduler_type),
            warmup_ratio: ratio(&mut given, "warmup_ratio"),
            warmup_steps: given.whole("warmup_steps", 0, 0..=MANY) as u64,
            per_device_train_batch_size: train_batch,
            per_device_eval_batch_size: eval_batch,
            gradient_accumulation_steps: accumulated,
            adamw,
            max_grad_norm: max_grad_norm(&mut given),
            label_smoothing_factor: ratio(&mut given, "label_smoothing_factor"),
            group_by_length: given.flag("group_by_length", true),
            eval_strategy,
            eval_steps,
            save_strategy,
            save_steps,
            save_total_limit,
            logging_steps,
            load_best_model_at_end: given.flag("load_best_model_at_end", true),
            metric_for_best_model: metric(&mut given),
            early_stopping_patience: given
                .limit("early_stopping_patience", None, 1..=MANY)
                .map(|n| n as u64),
            early_stopping_threshold: given.real(
                "early_stopping_threshold",
                0.0,
                Bounds::NonNegative,
            ),
            seed: match given.value("seed") {
                Some(_) => given.seed("seed"),
                None => default.seed,
            },
            bf16: given.flag("bf16", false),
            device: device(&mut given),
        };
        given.finish().map_err(DeepError::Params)?;
        if arguments.early_stopping_patience.is_some()
            && arguments.eval_strategy == IntervalStrategy::No
        {
            return Err(DeepError::Params(vec![ParamError::new(
                "early_stopping_patience",
                "needs evaluations to look at, and `eval_strategy` is `no`",
            )]));
        }
        Ok(arguments)
    }

    /// All arguments by their names, as [`parse`](Self::parse) takes them: what a run records.
    pub fn to_map(&self) -> Map<String, Value> {
        let all = [
            ("num_train_epochs", json!(self.num_train_epochs)),
            ("max_steps", json!(self.max_steps)),
            ("learning_rate", json!(self.learning_rate)),
            ("lr_scheduler_type", json!(self.lr_scheduler_type.as_str())),
            ("warmup_ratio", json!(self.warmup_ratio)),
            ("warmup_steps", json!(self.warmup_steps)),
            (
                "per_device_train_batch_size",
                json!(self.per_device_train_batch_size),
            ),
            (
                "per_device_eval_batch_size",
                json!(self.per_device_eval_batch_size),
            ),
            (
                "gradient_accumulation_steps",
                json!(self.gradient_accumulation_steps),
            ),
            ("weight_decay", json!(self.adamw.weight_decay)),
            ("adam_beta1", json!(self.adamw.adam_beta1)),
            ("adam_beta2", json!(self.adamw.adam_beta2)),
            ("adam_epsilon", json!(self.adamw.adam_epsilon)),
            ("max_grad_norm", json!(self.max_grad_norm.unwrap_or(0.0))),
            ("label_smoothing_factor", json!(self.label_smoothing_factor)),
            ("group_by_length", json!(self.group_by_length)),
            ("eval_strategy", json!(self.eval_strategy)),
            ("eval_steps", json!(self.eval_steps)),
            ("save_strategy", json!(self.save_strategy)),
            ("save_steps", json!(self.save_steps)),
            ("save_total_limit", json!(self.save_total_limit)),
            ("logging_steps", json!(self.logging_steps)),
            ("load_best_model_at_end", json!(self.load_best_model_at_end)),
            ("metric_for_best_model", json!(self.metric_for_best_model)),
            (
                "early_stopping_patience",
                json!(self.early_stopping_patience),
            ),
            (
                "early_stopping_threshold",
                json!(self.early_stopping_threshold),
            ),
            ("seed", json!(self.seed)),
            ("device", json!(self.device.to_string())),
            ("bf16", json!(self.bf16)),
        ];
        let named = all.into_iter();
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The learning rates of a training of `total_steps` steps.
    pub fn schedule(&self, total_steps: u64) -> Schedule {
        let warmup_steps = match self.warmup_steps {
            0 => (self.warmup_ratio * total_steps as f64).ceil() as u64,
            steps => steps,
        };
        Schedule {
            kind: self.lr_scheduler_type,
            learning_rate: self.learning_rate,
            warmup_steps,
            total_steps,
        }
    }
}

/// A share: from 0 to below 1.
fn ratio(given: &mut Params<'_>, name: &'static str) -> f64 {
    let value = given.real(name, 0.0, Bounds::NonNegative);
    if value >= 1.0 {
        given.reject(name, "a number from 0 to below 1");
    }
    value
}

fn device(given: &mut Params<'_>) -> DeviceChoice {
    const NAME: &str = "device";
    let Some(value) = given.value(NAME) else {
        return DeviceChoice::Auto;
    };
    let parsed = value.as_str().unwrap_or_default().parse();
    parsed.unwrap_or_else(|error: UnknownDevice| {
        let hint = error
            .nearest
            .map(|name| format!(" (did you mean `{name}`?)"));
        let needs = format!("auto, cpu, cuda or cuda:N{}", hint.unwrap_or_default());
        given.reject(NAME, &needs);
        DeviceChoice::Auto
    })
}

fn max_grad_norm(given: &mut Params<'_>) -> Option<f64> {
    match given.value("max_grad_norm") {
        None => Some(1.0),
        Some(value) if value.as_f64() == Some(0.0) => None,
        Some(_) => Some(given.real("max_grad_norm", 1.0, Bounds::Positive)),
    }
}

fn metric(given: &mut Params<'_>) -> String {
    const NAME: &str = "metric_for_best_model";
    match given.value(NAME).map(Value::as_str) {
        None => super::LOSS.to_owned(),
        Some(Some(name)) => name.strip_prefix("eval_").unwrap_or(name).to_owned(),
        Some(None) => {
            given.reject(NAME, "the name of a metric");
            super::LOSS.to_owned()
        }
    }
}
