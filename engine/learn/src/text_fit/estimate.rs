//! How large a training of a text model is, before it begins.

use std::fmt;

use crate::deep::DeepError;
use crate::deep::bert::BertConfig;
use crate::deep::trainer::TrainingArguments;

/// Bytes of a number.
const F32_BYTES: u64 = 4;

/// The size of a model: what its memory follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSize {
    /// Numbers in all weights.
    pub parameters: u64,
    /// Those of them that train.
    pub trainable: u64,
    hidden: u64,
    inner: u64,
    layers: u64,
    heads: u64,
}

impl TextSize {
    /// The size of a model with so many numbers, all and those that train.
    pub fn of(config: &BertConfig, (parameters, trainable): (usize, usize)) -> Self {
        Self {
            parameters: parameters as u64,
            trainable: trainable as u64,
            hidden: config.hidden_size as u64,
            inner: config.intermediate_size as u64,
            layers: config.num_hidden_layers as u64,
            heads: config.num_attention_heads as u64,
        }
    }

    /// The size of a model of this shape with a classifier, all of which trains.
    pub fn of_shape(config: &BertConfig, outputs: usize) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let tables = config.vocab_size + config.max_position_embeddings + config.type_vocab_size;
        let norm = 2 * width;
        let layer = 4 * (width * width + width)
            + (width * inner + inner)
            + (inner * width + width)
            + 2 * norm;
        let head = (width * width + width) + (width * outputs + outputs);
        let all = tables * width + norm + config.num_hidden_layers * layer + head;
        Self::of(config, (all, all))
    }

    /// Bytes of the weights, and of what trains once more for gradients and twice for the
    /// optimizer's means.
    pub fn weights_bytes(&self) -> u64 {
        (self.parameters + 3 * self.trainable) * F32_BYTES
    }

    /// Bytes of what a forward pass of `rows` texts of `seq` tokens keeps for the backward
    /// pass: of each layer about 12 vectors and two inner ones a token (queries, keys,
    /// values, attention's outcome and its projection, two residual sums, two norms and
    /// three dropped copies; before and after the activation), and attention's weights,
    /// twice.
    pub fn activations_bytes(&self, rows: u64, seq: u64) -> u64 {
        let tokens = rows * seq;
        let vectors = tokens * (12 * self.hidden + 2 * self.inner);
        let attention = 2 * rows * self.heads * seq * seq;
        (self.layers * (vectors + attention) + 4 * tokens * self.hidden) * F32_BYTES
    }

    /// The same where each layer is one operation, as it is on a processor: a token's queries,
    /// keys, values, context, both sums and both norms (8 vectors), the inner one, and
    /// attention's weights.
    pub fn block_activations_bytes(&self, rows: u64, seq: u64) -> u64 {
        let tokens = rows * seq;
        let vectors = tokens * (8 * self.hidden + self.inner);
        let attention = rows * self.heads * seq * seq;
        (self.layers * (vectors + attention) + 4 * tokens * self.hidden) * F32_BYTES
    }

    /// An error with numbers and what to lower, where it says that memory ran out.
    pub(super) fn explained(
        &self,
        error: DeepError,
        arguments: &TrainingArguments,
        longest: usize,
    ) -> DeepError {
        let DeepError::Compute(source) = error else {
            return error;
        };
        let words = source.to_string().to_lowercase();
        if !words.contains("out of memory") && !words.contains("out_of_memory") {
            return DeepError::Compute(source);
        }
        let rows = arguments.per_device_train_batch_size;
        DeepError::OutOfMemory {
            rows,
            seq: longest,
            weights: bytes(self.weights_bytes()),
            activations: bytes(self.activations_bytes(rows as u64, longest as u64)),
            source: Box::new(source),
        }
    }
}

/// What a training will be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextEstimate {
    /// The model.
    pub size: TextSize,
    /// Rows an epoch.
    pub examples: u64,
    /// Tokens an epoch, special ones included and padding not.
    pub tokens: u64,
    /// Optimizer steps of the whole training.
    pub steps: u64,
    /// Rows a batch, and tokens of the longest text.
    pub batch: (u64, u64),
    /// Times that every row is seen.
    pub epochs: f64,
    /// Whether it computes on the processor.
    pub on_cpu: bool,
}

impl TextEstimate {
    /// The training of a model of `size` on `examples` rows of `tokens` tokens together, the
    /// longest of `longest`.
    pub fn new(
        size: TextSize,
        arguments: &TrainingArguments,
        examples: u64,
        tokens: u64,
        longest: u64,
    ) -> Self {
        let rows = arguments.per_device_train_batch_size as u64;
        let an_epoch = examples
            .div_ceil(rows)
            .div_ceil(arguments.gradient_accumulation_steps as u64)
            .max(1);
        let steps = arguments
            .max_steps
            .unwrap_or(arguments.num_train_epochs * an_epoch);
        Self {
            size,
            examples,
            tokens,
            steps,
            batch: (rows.min(examples.max(1)), longest),
            epochs: steps as f64 / an_epoch as f64,
            on_cpu: arguments.device.open().is_ok_and(|device| device.is_cpu()),
        }
    }

    /// Tokens that are learned from in the whole training.
    pub fn total_tokens(&self) -> f64 {
        self.tokens as f64 * self.epochs
    }

    /// The most memory that the model takes while it trains, in bytes: weights, the optimizer's
    /// means, and the activations of the longest batch, which the gradients come to replace
    /// from the last layer to the first.
    pub fn memory_bytes(&self) -> u64 {
        let (rows, seq) = self.batch;
        let activations = match self.on_cpu {
            true => self.size.block_activations_bytes(rows, seq),
            false => self.size.activations_bytes(rows, seq),
        };
        let gradients = self.size.trainable * F32_BYTES;
        self.size.weights_bytes() - gradients + activations.max(gradients)
    }
}

impl fmt::Display for TextEstimate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, seq) = self.batch;
        write!(
            out,
            "{} parameters, {} examples of {} tokens in all, {} steps of batches up to [{rows}, {seq}], about {} of memory",
            count(self.size.parameters),
            count(self.examples),
            count(self.tokens),
            count(self.steps),
            bytes(self.memory_bytes())
        )
    }
}

/// A number with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that people read.
fn bytes(number: u64) -> String {
    const MEBI: f64 = 1024.0 * 1024.0;
    let mebi = number as f64 / MEBI;
    if mebi >= 1024.0 {
        format!("{:.1} GiB", mebi / 1024.0)
    } else {
        format!("{mebi:.0} MiB")
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::{TextEstimate, TextSize, bytes, count};
    use crate::deep::bert::{BertConfig, Head, TextModel};
    use crate::deep::device::DeviceChoice;
    use crate::deep::trainer::TrainingArguments;

    #[test]
    fn the_shape_tells_the_number_of_parameters() {
        let config = BertConfig::bert(50, 16, 3, 2, 20);
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let head = Head::Classes(labels);
        let model = TextModel::scratch(config.clone(), head, 1, DType::F32, &Device::Cpu).unwrap();
        let told = TextSize::of_shape(&config, 3);
        assert_eq!(told.parameters, model.parameters().count().0 as u64);
    }

    #[test]
    fn steps_follow_from_rows_batches_and_epochs() {
        let size = TextSize::of_shape(&BertConfig::bert(50, 16, 1, 2, 20), 2);
        let arguments = TrainingArguments {
            num_train_epochs: 2,
            gradient_accumulation_steps: 2,
            ..TrainingArguments::default()
        };
        let estimate = TextEstimate::new(size, &arguments, 101, 1010, 20);
        // 13 batches of 8, two of them a step.
        assert_eq!(estimate.steps, 14);
        assert_eq!(estimate.total_tokens(), 2020.0);
        let limited = TrainingArguments {
            max_steps: Some(7),
            ..arguments
        };
        let estimate = TextEstimate::new(size, &limited, 101, 1010, 20);
        assert_eq!(estimate.total_tokens(), 1010.0);
    }

    #[test]
    fn gradients_take_the_place_of_activations() {
        let size = TextSize::of_shape(&BertConfig::bert(30_522, 384, 6, 12, 512), 2);
        let of_batch = |rows| {
            let arguments = TrainingArguments {
                per_device_train_batch_size: rows,
                device: DeviceChoice::Cpu,
                ..TrainingArguments::default()
            };
            TextEstimate::new(size, &arguments, 8_074, 200_000, 64).memory_bytes()
        };
        assert_eq!(of_batch(1), size.weights_bytes());
        // What MiniLM took with batches of [32, 64]: 457 MB.
        assert_eq!(of_batch(32) / 1_000_000, 549);
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(3 * 1024 * 1024), "3 MiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
