//! Text models as the trainer takes them.

use candle_core::Tensor;

use super::encoder::TokenBatch;
use super::head::{self, Head, LossOptions, Targets};
use super::model::TextModel;
use crate::deep::error::DeepError;
use crate::deep::layer::Pass;
use crate::deep::parameters::Parameters;
use crate::deep::tokenizer::Tokens;
use crate::deep::trainer::{Examples, LOSS, Trainable};
use crate::features::Task;
use crate::metric::{Goal, METRICS, Metric};

/// Texts with what they should be answered with, in memory.
#[derive(Debug, Clone)]
pub struct TextExamples {
    texts: Vec<Tokens>,
    targets: Targets,
    outputs: usize,
    pad_token_id: u32,
}

/// Some of them.
#[derive(Debug, Clone)]
pub struct TextBatch {
    tokens: TokenBatch,
    targets: Targets,
}

impl TextBatch {
    /// Texts and as many targets.
    pub fn new(tokens: TokenBatch, targets: Targets) -> Self {
        Self { tokens, targets }
    }
}

impl TextExamples {
    /// `texts` with their `targets`, for `model`.
    ///
    /// # Errors
    ///
    /// Another number of targets than of texts, or targets of another kind than the head's.
    pub fn new(texts: Vec<Tokens>, targets: Targets, model: &TextModel) -> Result<Self, DeepError> {
        let outputs = model.outputs();
        let wrong = |reason| Err(DeepError::Labels { reason });
        if targets.rows(outputs) != texts.len() {
            let (rows, texts) = (targets.rows(outputs), texts.len());
            return wrong(format!("there are {rows} targets for {texts} texts"));
        }
        let fits = matches!(
            (model.head(), &targets),
            (Head::Classes(_), Targets::Classes(_))
                | (Head::MultiLabel(_), Targets::Labels(_))
                | (Head::Regression, Targets::Numbers(_))
        );
        if !fits {
            return wrong(format!("{:?} cannot be trained with them", model.head()));
        }
        Ok(Self {
            texts,
            targets,
            outputs,
            pad_token_id: model.config().pad_token_id,
        })
    }
}

impl Examples for TextExamples {
    type Batch = TextBatch;

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn length(&self, row: usize) -> usize {
        self.texts[row].ids.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<TextBatch, DeepError> {
        let texts = rows.iter().map(|&row| &self.texts[row]);
        Ok(TextBatch {
            tokens: TokenBatch::padded(texts, self.pad_token_id),
            targets: self.targets.select(rows, self.outputs),
        })
    }

    fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for text in &self.texts {
            hash.update(&(text.ids.len() as u64).to_le_bytes());
            hash.update(&(text.first as u64).to_le_bytes());
            for id in &text.ids {
                hash.update(&id.to_le_bytes());
            }
        }
        let mut number = |value: u32| {
            hash.update(&value.to_le_bytes());
        };
        match &self.targets {
            Targets::Classes(values) => values.iter().for_each(|&value| number(value)),
            Targets::Labels(values) | Targets::Numbers(values) => {
                values.iter().for_each(|value| number(value.to_bits()));
            }
        }
        hash.finalize().to_hex().to_string()
    }
}

/// A text model with the way its errors count.
#[derive(Debug)]
pub struct TextTask<'a> {
    /// The model.
    pub model: &'a TextModel,
    /// How errors count while it trains; an evaluation counts them plainly.
    pub options: LossOptions,
}

impl TextTask<'_> {
    /// The registry's task, where the registry has one.
    fn task(&self) -> Option<Task> {
        match self.model.head() {
            Head::Classes(labels) if labels.len() == 2 => Some(Task::Binary),
            Head::Classes(_) => Some(Task::Multiclass),
            Head::Regression => Some(Task::Regression),
            Head::MultiLabel(_) | Head::Embedding => None,
        }
    }

    fn figures(&self) -> impl Iterator<Item = &'static Metric> {
        let task = self.task();
        METRICS
            .iter()
            .filter(move |metric| task.is_some_and(|task| metric.judges(task)))
    }
}

/// The share of texts whose every label is right, at probability 0.5.
const EXACT_MATCH: &str = "exact_match";
/// F1 over all texts and labels together, at probability 0.5.
const F1_MICRO: &str = "f1_micro";

impl Trainable for TextTask<'_> {
    type Batch = TextBatch;

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn loss(&self, batch: &TextBatch, pass: &mut Pass) -> Result<Tensor, DeepError> {
        let logits = self.model.logits(&batch.tokens, pass)?;
        let head = self.model.head();
        head.loss(&logits, &batch.targets, &self.options)
    }

    fn tokens(&self, batch: &TextBatch) -> usize {
        batch.tokens.tokens()
    }

    fn metrics(&self) -> Vec<(&'static str, Goal)> {
        if matches!(self.model.head(), Head::MultiLabel(_)) {
            return vec![(EXACT_MATCH, Goal::Maximize), (F1_MICRO, Goal::Maximize)];
        }
        self.figures()
            .map(|metric| (metric.name, metric.goal))
            .collect()
    }

    fn evaluate(
        &self,
        batches: &mut dyn Iterator<Item = Result<TextBatch, DeepError>>,
    ) -> Result<Vec<(&'static str, f64)>, DeepError> {
        let head = self.model.head();
        let (mut losses, mut rows) = (0.0, 0);
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            let logits = self
                .model
                .logits(&batch.tokens, &mut Pass::evaluation())?
                .detach();
            let loss = head.loss(&logits, &batch.targets, &LossOptions::default())?;
            let loss = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
            losses += loss * batch.tokens.batch() as f64;
            rows += batch.tokens.batch();
            scores.extend(head::scores(head, &logits)?);
            match batch.targets {
                Targets::Classes(values) => labels.extend(values.iter().map(|&c| c as f32)),
                Targets::Labels(values) | Targets::Numbers(values) => labels.extend(values),
            }
        }
        let mut figures = vec![(LOSS, losses / rows.max(1) as f64)];
        match self.task() {
            None => figures.extend(of_labels(&scores, &labels, self.model.outputs())),
            Some(task) => {
                if task == Task::Binary {
                    // The registry judges by the second class alone.
                    scores = scores.into_iter().skip(1).step_by(2).collect();
                }
                let computed = self
                    .figures()
                    .map(|metric| (metric.name, metric.compute(task, &labels, &scores)));
                figures.extend(computed);
            }
        }
        Ok(figures)
    }
}

/// The figures of several labels a text.
fn of_labels(scores: &[f64], labels: &[f32], outputs: usize) -> [(&'static str, f64); 2] {
    let (mut both, mut either, mut exact) = (0.0, 0.0, 0.0);
    let texts = scores
        .chunks_exact(outputs)
        .zip(labels.chunks_exact(outputs));
    let count = texts.len() as f64;
    for (scores, labels) in texts {
        let mut right = true;
        for (&score, &label) in scores.iter().zip(labels) {
            let (said, is) = (score > 0.5, label > 0.5);
            both += f64::from(u8::from(said && is));
            either += f64::from(u8::from(said)) + f64::from(u8::from(is));
            right &= said == is;
        }
        exact += f64::from(u8::from(right));
    }
    let f1 = if either > 0.0 {
        2.0 * both / either
    } else {
        0.0
    };
    [(EXACT_MATCH, exact / count), (F1_MICRO, f1)]
}
