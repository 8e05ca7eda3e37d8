//! A text model: an encoder with a head.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::config::BertConfig;
use super::encoder::{Encoder, Maker, TokenBatch};
use super::folder::{self, CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use super::head::{self, Head, Top};
use super::names::Names;
use crate::deep::error::DeepError;
use crate::deep::layer::Pass;
use crate::deep::parameters::{ParameterSource, Parameters};
use crate::deep::tokenizer::TextTokenizer;

/// An encoder with a head.
#[derive(Debug, Clone)]
pub struct TextModel {
    config: BertConfig,
    head: Head,
    encoder: Encoder,
    top: Top,
    parameters: Parameters,
}

impl TextModel {
    /// Opens a folder to apply the model in it: with the head that the folder describes,
    /// and no weight trains.
    ///
    /// # Errors
    ///
    /// A folder that holds no such model, or not all of it.
    pub fn open(dir: &Path, device: &Device) -> Result<Self, DeepError> {
        let config = BertConfig::read(&dir.join(CONFIG_FILE))?;
        let head = Head::of_config(&config.raw).map_err(|problem| DeepError::Config {
            path: dir.join(CONFIG_FILE),
            problems: vec![problem],
        })?;
        let weights = dir.join(WEIGHTS_FILE);
        let source = ParameterSource::file(&weights, 0, DType::F32, device)?.frozen();
        Self::build(config, head, source, false)
    }

    /// Opens a folder to train the model in it further. Weights of `head` that the folder
    /// lacks or has in another shape are drawn by `seed`
    /// ([`Parameters::fresh`] names them); those whose name contains one of `frozen` do
    /// not train.
    ///
    /// # Errors
    ///
    /// A folder that holds no such encoder, or not all of it.
    pub fn fine_tune(
        dir: &Path,
        head: Head,
        seed: u64,
        frozen: &[String],
        dtype: DType,
        device: &Device,
    ) -> Result<Self, DeepError> {
        let config = BertConfig::read(&dir.join(CONFIG_FILE))?;
        Self::fine_tune_as(dir, config, head, seed, frozen, dtype, device)
    }

    /// As [`fine_tune`](Self::fine_tune), with `config` in place of the folder's: other rates
    /// of dropout, say.
    ///
    /// # Errors
    ///
    /// As [`fine_tune`](Self::fine_tune).
    pub fn fine_tune_as(
        dir: &Path,
        config: BertConfig,
        head: Head,
        seed: u64,
        frozen: &[String],
        dtype: DType,
        device: &Device,
    ) -> Result<Self, DeepError> {
        let weights = dir.join(WEIGHTS_FILE);
        let source = ParameterSource::file(&weights, seed, dtype, device)?.freeze(frozen);
        Self::build(config, head, source, true)
    }

    /// Draws a model by `seed`, to train it from scratch.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be.
    pub fn scratch(
        config: BertConfig,
        head: Head,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, DeepError> {
        Self::scratch_frozen(config, head, seed, &[], dtype, device)
    }

    /// As [`scratch`](Self::scratch); weights whose name contains one of `frozen` do not
    /// train.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be.
    pub fn scratch_frozen(
        config: BertConfig,
        head: Head,
        seed: u64,
        frozen: &[String],
        dtype: DType,
        device: &Device,
    ) -> Result<Self, DeepError> {
        config.check()?;
        let source = ParameterSource::fresh(seed, dtype, device).freeze(frozen);
        Self::build(config, head, source, false)
    }

    fn build(
        config: BertConfig,
        head: Head,
        mut source: ParameterSource,
        draw_head: bool,
    ) -> Result<Self, DeepError> {
        if let Head::Classes(labels) = &head
            && labels.len() < 2
        {
            let reason = "a classifier needs two classes or more".to_owned();
            return Err(DeepError::Labels { reason });
        }
        let mut maker = Maker {
            source: &mut source,
            names: Names::new(config.family, head.has_weights()),
            deviation: config.initializer_range,
            epsilon: config.layer_norm_eps,
        };
        let encoder = Encoder::build(&config, &mut maker)?;
        let top = Top::build(&config, &head, &mut maker, draw_head)?;
        Ok(Self {
            config,
            head,
            encoder,
            top,
            parameters: source.finish()?,
        })
    }

    /// The same encoder, asked for where texts stand in place of what its head answers.
    #[must_use]
    pub fn embedder(&self) -> Self {
        Self {
            head: Head::Embedding,
            top: Top::MeanPooling,
            ..self.clone()
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The question that it answers.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Numbers a text.
    pub fn outputs(&self) -> usize {
        self.head.outputs(self.config.hidden_size)
    }

    /// The last layer's vector of each token: `[batch * seq, hidden]`. What heads over
    /// tokens and spans start from.
    ///
    /// # Errors
    ///
    /// Texts that are too long, tokens that the vocabulary lacks.
    pub fn token_vectors(&self, batch: &TokenBatch, pass: &mut Pass) -> Result<Tensor, DeepError> {
        if batch.seq() > self.config.max_position_embeddings {
            return Err(DeepError::TooLong {
                max_length: batch.seq(),
                positions: self.config.max_position_embeddings,
            });
        }
        Ok(self.encoder.forward(batch, pass)?)
    }

    /// The head's numbers before any softmax: `[batch, outputs]`.
    ///
    /// # Errors
    ///
    /// As [`token_vectors`](Self::token_vectors).
    pub fn logits(&self, batch: &TokenBatch, pass: &mut Pass) -> Result<Tensor, DeepError> {
        let hidden = self.token_vectors(batch, pass)?;
        Ok(self.top.forward(&hidden, batch, pass)?)
    }

    /// The answers for some texts, row-major `[batch * outputs]`: probabilities of classes
    /// or labels, numbers, or vectors of length 1.
    ///
    /// # Errors
    ///
    /// As [`token_vectors`](Self::token_vectors).
    pub fn scores(&self, batch: &TokenBatch) -> Result<Vec<f64>, DeepError> {
        let logits = self.logits(batch, &mut Pass::evaluation())?;
        Ok(head::scores(&self.head, &logits)?)
    }

    /// Checks that the model has an embedding for every token of `tokenizer` and a position
    /// for each of `max_length` tokens.
    ///
    /// # Errors
    ///
    /// One of the two does not fit.
    pub fn check_fit(&self, tokenizer: &TextTokenizer, max_length: usize) -> Result<(), DeepError> {
        if tokenizer.last_id() as usize >= self.config.vocab_size {
            return Err(DeepError::Vocabulary {
                tokens: tokenizer.vocab_size(),
                last_id: tokenizer.last_id(),
                vocab_size: self.config.vocab_size,
            });
        }
        if max_length > self.config.max_position_embeddings {
            return Err(DeepError::TooLong {
                max_length,
                positions: self.config.max_position_embeddings,
            });
        }
        Ok(())
    }

    /// Writes the model's folder, whole or not at all: `config.json`, `model.safetensors`
    /// and, where there is one, the `tokenizer.json` it goes with.
    ///
    /// # Errors
    ///
    /// Files that cannot be written.
    pub fn save(&self, dir: &Path, tokenizer: Option<&TextTokenizer>) -> Result<(), DeepError> {
        folder::replace_folder(dir, |dir| self.write_into(dir, tokenizer))
    }

    /// Writes the same files into the existing folder `dir`, one after the other.
    ///
    /// # Errors
    ///
    /// Files that cannot be written.
    pub fn write_into(
        &self,
        dir: &Path,
        tokenizer: Option<&TextTokenizer>,
    ) -> Result<(), DeepError> {
        let mut config = self.config.to_json();
        self.head.describe(self.config.family, &mut config);
        let mut text = format!("{:#}", Value::Object(config));
        text.push('\n');
        folder::write(&dir.join(CONFIG_FILE), text.as_bytes())?;
        if let Some(tokenizer) = tokenizer {
            folder::write(&dir.join(TOKENIZER_FILE), tokenizer.json().as_bytes())?;
        }
        self.parameters.write(&dir.join(WEIGHTS_FILE))
    }
}
