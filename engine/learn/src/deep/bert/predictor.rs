//! Many texts through one model: equal ones once, like lengths together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::encoder::TokenBatch;
use super::model::TextModel;
use crate::deep::error::DeepError;
use crate::deep::tokenizer::{TextEncoder, TextTokenizer, Tokens};
use crate::error::LearnError;

/// A model with the tokenizer it goes with. A clone shares both.
#[derive(Debug, Clone)]
pub struct TextPredictor {
    model: Arc<TextModel>,
    encoder: TextEncoder,
    batch_size: usize,
    stop: Arc<AtomicBool>,
}

impl TextPredictor {
    /// A predictor that cuts texts at `max_length` tokens and computes `batch_size` (from 1
    /// up) texts at a time.
    ///
    /// # Errors
    ///
    /// A tokenizer or a length that does not fit the model.
    pub fn new(
        model: Arc<TextModel>,
        tokenizer: &TextTokenizer,
        max_length: usize,
        batch_size: usize,
    ) -> Result<Self, DeepError> {
        model.check_fit(tokenizer, max_length)?;
        Ok(Self {
            encoder: tokenizer.encoder(Some(max_length))?,
            model,
            batch_size: batch_size.max(1),
            stop: Arc::default(),
        })
    }

    /// The same predictor, which gives up between two batches once `stop` is true.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Self {
        Self { stop, ..self }
    }

    /// The model.
    pub fn model(&self) -> &TextModel {
        &self.model
    }

    /// The answers for `texts`, row-major `[texts * outputs]`, as [`TextModel::scores`]
    /// gives them. Texts of the same tokens are computed once and answered alike; what else
    /// is in a batch changes an answer by no more than rounding.
    ///
    /// # Errors
    ///
    /// A text that the tokenizer refuses; [`LearnError::Cancelled`] when it is stopped.
    pub fn predict(&self, texts: &[&str]) -> Result<Vec<f64>, DeepError> {
        let tokens = self.encoder.encode(texts)?;
        let mut numbers: HashMap<&Tokens, usize> = HashMap::new();
        let mut different: Vec<&Tokens> = Vec::new();
        let of_row: Vec<usize> = tokens
            .iter()
            .map(|tokens| {
                *numbers.entry(tokens).or_insert_with(|| {
                    different.push(tokens);
                    different.len() - 1
                })
            })
            .collect();
        let mut order: Vec<usize> = (0..different.len()).collect();
        order.sort_by_key(|&number| different[number].ids.len());
        let outputs = self.model.outputs();
        let mut scores = vec![0.0; different.len() * outputs];
        for batch in order.chunks(self.batch_size) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(LearnError::Cancelled.into());
            }
            let texts = batch.iter().map(|&number| different[number]);
            let padded = TokenBatch::padded(texts, self.model.config().pad_token_id);
            let computed = self.model.scores(&padded)?;
            for (&number, values) in batch.iter().zip(computed.chunks_exact(outputs)) {
                scores[number * outputs..(number + 1) * outputs].copy_from_slice(values);
            }
        }
        Ok(of_row
            .iter()
            .flat_map(|&number| &scores[number * outputs..(number + 1) * outputs])
            .copied()
            .collect())
    }
}
