//! What is put on top of an encoder: the question that the model answers.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use serde_json::{Map, Value, json};

use super::config::{BertConfig, Family};
use super::encoder::{Maker, TokenBatch};
use crate::deep::error::DeepError;
use crate::deep::layer::{Linear, Pass};
use crate::deep::loss::{ClassLoss, binary_cross_entropy, cross_entropy, mean_squared_error};
use crate::deep::op;

/// The question that a text model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Which of these classes, at least two.
    Classes(Vec<String>),
    /// Which of these labels, any number of them.
    MultiLabel(Vec<String>),
    /// How much: a number.
    Regression,
    /// Where in space: the mean of the tokens' vectors, of length 1.
    Embedding,
}

impl Head {
    /// Numbers a text, where the encoder gives `hidden` a token.
    pub fn outputs(&self, hidden: usize) -> usize {
        match self {
            Self::Classes(labels) | Self::MultiLabel(labels) => labels.len(),
            Self::Regression => 1,
            Self::Embedding => hidden,
        }
    }

    /// Whether it has weights of its own.
    pub(super) fn has_weights(&self) -> bool {
        *self != Self::Embedding
    }

    /// The head that a `config.json` describes, by `architectures`, `problem_type` and
    /// `id2label`; two classes `LABEL_0` and `LABEL_1` where it names none, as in
    /// transformers.
    ///
    /// # Errors
    ///
    /// What of it cannot be understood.
    pub fn of_config(raw: &Map<String, Value>) -> Result<Self, String> {
        let architectures = raw.get("architectures").and_then(Value::as_array);
        let classifies = architectures.is_some_and(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .any(|name| name.ends_with("ForSequenceClassification"))
        });
        if !classifies {
            return Ok(Self::Embedding);
        }
        let labels = labels_of(raw)?;
        match raw.get("problem_type").and_then(Value::as_str) {
            Some("regression") => Ok(Self::Regression),
            Some("multi_label_classification") => Ok(Self::MultiLabel(labels)),
            Some("single_label_classification") => Ok(Self::Classes(labels)),
            None if labels.len() == 1 => Ok(Self::Regression),
            None => Ok(Self::Classes(labels)),
            Some(other) => Err(format!(
                "`problem_type: {other}` is none of regression, single_label_classification, multi_label_classification"
            )),
        }
    }

    /// Writes the head into a `config.json`.
    pub(super) fn describe(&self, family: Family, file: &mut Map<String, Value>) {
        let prefix = family.class_prefix();
        for key in ["architectures", "problem_type", "id2label", "label2id"] {
            file.remove(key);
        }
        let (problem, labels) = match self {
            Self::Embedding => {
                file.insert("architectures".into(), json!([format!("{prefix}Model")]));
                return;
            }
            Self::Regression => ("regression", vec!["LABEL_0".to_owned()]),
            Self::Classes(labels) => ("single_label_classification", labels.clone()),
            Self::MultiLabel(labels) => ("multi_label_classification", labels.clone()),
        };
        let class = format!("{prefix}ForSequenceClassification");
        let numbered = || labels.iter().enumerate();
        let by_id: Map<String, Value> = numbered()
            .map(|(id, label)| (id.to_string(), json!(label)))
            .collect();
        let by_label: Map<String, Value> = numbered()
            .map(|(id, label)| (label.clone(), json!(id)))
            .collect();
        file.insert("architectures".into(), json!([class]));
        file.insert("problem_type".into(), json!(problem));
        file.insert("id2label".into(), Value::Object(by_id));
        file.insert("label2id".into(), Value::Object(by_label));
    }

    /// The loss of `logits [rows, outputs]`, a scalar.
    ///
    /// # Errors
    ///
    /// Targets of another kind or number than the head's.
    pub fn loss(
        &self,
        logits: &Tensor,
        targets: &Targets,
        options: &LossOptions,
    ) -> Result<Tensor, DeepError> {
        let (rows, outputs) = logits.dims2()?;
        let wrong = |reason: String| Err(DeepError::Labels { reason });
        let numbers = |values: &[f32]| {
            Tensor::from_slice(values, (rows, outputs), &Device::Cpu)?
                .to_dtype(logits.dtype())?
                .to_device(logits.device())
        };
        match (self, targets) {
            (Self::Classes(_), Targets::Classes(classes)) => {
                if let Some(class) = classes.iter().find(|&&class| class as usize >= outputs) {
                    return wrong(format!("there is no class {class} among {outputs}"));
                }
                if classes.len() != rows {
                    return wrong(format!("{} classes for {rows} texts", classes.len()));
                }
                let loss = ClassLoss {
                    targets: Arc::from(classes.as_slice()),
                    class_weights: options.class_weights.clone(),
                    smoothing: options.label_smoothing_factor,
                };
                Ok(cross_entropy(logits, loss)?)
            }
            (Self::MultiLabel(_), Targets::Labels(labels)) if labels.len() == rows * outputs => {
                Ok(binary_cross_entropy(logits, &numbers(labels)?)?)
            }
            (Self::Regression, Targets::Numbers(values)) if values.len() == rows => {
                Ok(mean_squared_error(logits, &numbers(values)?)?)
            }
            _ => wrong(format!(
                "{} do not go with {rows} texts and {outputs} outputs of {self:?}",
                targets.words()
            )),
        }
    }
}

/// The labels of `id2label`, in the order of their numbers.
fn labels_of(raw: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(map) = raw.get("id2label").and_then(Value::as_object) else {
        let count = raw.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
        return Ok((0..count).map(|id| format!("LABEL_{id}")).collect());
    };
    let label = |id: usize| map.get(&id.to_string()).and_then(Value::as_str);
    let labels: Option<Vec<String>> = (0..map.len())
        .map(|id| label(id).map(str::to_owned))
        .collect();
    labels
        .filter(|labels| !labels.is_empty())
        .ok_or_else(|| "`id2label` must name a label for each number from \"0\" on".to_owned())
}

/// What texts should have been answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// A class each.
    Classes(Vec<u32>),
    /// 0 or 1 for each text and label, row-major.
    Labels(Vec<f32>),
    /// A number each.
    Numbers(Vec<f32>),
}

impl Targets {
    fn words(&self) -> String {
        match self {
            Self::Classes(values) => format!("{} classes", values.len()),
            Self::Labels(values) => format!("{} marks of labels", values.len()),
            Self::Numbers(values) => format!("{} numbers", values.len()),
        }
    }

    /// The targets of some rows, where each has `outputs` of them.
    pub(in crate::deep) fn select(&self, rows: &[usize], outputs: usize) -> Self {
        match self {
            Self::Classes(values) => Self::Classes(rows.iter().map(|&row| values[row]).collect()),
            Self::Numbers(values) => Self::Numbers(rows.iter().map(|&row| values[row]).collect()),
            Self::Labels(values) => Self::Labels(
                rows.iter()
                    .flat_map(|&row| &values[row * outputs..(row + 1) * outputs])
                    .copied()
                    .collect(),
            ),
        }
    }

    /// Texts that there are targets for, where each has `outputs` of them.
    pub(in crate::deep) fn rows(&self, outputs: usize) -> usize {
        match self {
            Self::Classes(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Labels(values) => values.len() / outputs.max(1),
        }
    }
}

/// How errors count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LossOptions {
    /// The weight of each class; all 1 without.
    pub class_weights: Option<Arc<[f64]>>,
    /// The share of each class that is spread over all, from 0 to below 1.
    pub label_smoothing_factor: f64,
}

/// The head's weights.
#[derive(Debug, Clone)]
pub(super) enum Top {
    Classifier {
        before: Linear,
        classifier: Linear,
        family: Family,
        dropout: f64,
    },
    MeanPooling,
}

impl Top {
    /// Takes the head's weights from the file; with `draw_others`, draws those that the
    /// file lacks or has in another shape.
    pub(super) fn build(
        config: &BertConfig,
        head: &Head,
        maker: &mut Maker<'_>,
        draw_others: bool,
    ) -> Result<Self, DeepError> {
        if !head.has_weights() {
            return Ok(Self::MeanPooling);
        }
        let width = config.hidden_size;
        let names = maker.names;
        let mut linear = |name: &dyn Fn(&str) -> String, outputs| {
            let stored = names.stored(&name("weight"));
            let found = stored.iter().find(|name| maker.source.has(name));
            let shape = found.and_then(|name| maker.source.shape_in_file(name));
            if draw_others && shape.as_deref() != Some(&[outputs, width]) {
                maker.fresh_linear(name, outputs, width)
            } else {
                maker.linear(name, outputs, width)
            }
        };
        Ok(Self::Classifier {
            before: linear(&|weight| names.before_classifier(weight), width)?,
            classifier: linear(&|weight| names.classifier(weight), head.outputs(width))?,
            family: config.family,
            dropout: config.classifier_dropout,
        })
    }

    /// From the tokens' vectors `[batch * seq, hidden]` to `[batch, outputs]`.
    pub(super) fn forward(
        &self,
        hidden: &Tensor,
        batch: &TokenBatch,
        pass: &mut Pass,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::MeanPooling => mean_pooling(hidden, batch),
            Self::Classifier {
                before,
                classifier,
                family,
                dropout,
            } => {
                let firsts: Arc<[u32]> = (0..batch.batch())
                    .map(|text| (text * batch.seq()) as u32)
                    .collect();
                let first = before.forward(&op::embedding(hidden, &firsts)?)?;
                let pooled = match family {
                    Family::Bert => first.tanh()?,
                    Family::DistilBert => first.relu()?,
                };
                classifier.forward(&pass.dropout(&pooled, *dropout)?)
            }
        }
    }
}

/// The mean of each text's vectors without those of padding, scaled to length 1:
/// `[batch, hidden]`.
fn mean_pooling(hidden: &Tensor, batch: &TokenBatch) -> candle_core::Result<Tensor> {
    let width = hidden.dim(1)?;
    let (texts, seq) = (batch.batch(), batch.seq());
    let mut shares = Vec::with_capacity(texts * seq);
    for mask in batch.mask().chunks_exact(seq.max(1)) {
        let kept = mask.iter().filter(|kept| **kept).count();
        let share = 1.0 / kept.max(1) as f64;
        shares.extend(mask.iter().map(|&kept| if kept { share } else { 0.0 }));
    }
    // [texts, 1, seq] times [texts, seq, hidden]: a weighted sum for each text.
    let shares = Tensor::from_vec(shares, (texts, 1, seq), &Device::Cpu)?
        .to_dtype(hidden.dtype())?
        .to_device(hidden.device())?;
    let mean = shares
        .matmul(&hidden.reshape((texts, seq, width))?)?
        .squeeze(1)?;
    let length = mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    mean.broadcast_div(&length.maximum(1e-12)?)
}

/// What a head's logits mean: probabilities of classes or labels, or the numbers
/// themselves; `[rows * outputs]`, row-major.
pub(super) fn scores(head: &Head, logits: &Tensor) -> candle_core::Result<Vec<f64>> {
    let (_, outputs) = logits.dims2()?;
    let mut values: Vec<f64> = logits
        .detach()
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1()?;
    match head {
        Head::Regression | Head::Embedding => {}
        Head::MultiLabel(_) => {
            for value in &mut values {
                *value = 1.0 / (1.0 + (-*value).exp());
            }
        }
        Head::Classes(_) => {
            for row in values.chunks_exact_mut(outputs) {
                let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                for value in row.iter_mut() {
                    *value = (*value - highest).exp();
                }
                let total: f64 = row.iter().sum();
                for value in row.iter_mut() {
                    *value /= total;
                }
            }
        }
    }
    Ok(values)
}
