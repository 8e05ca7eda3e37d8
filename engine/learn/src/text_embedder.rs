//! Texts as vectors: any encoder in a Hugging Face folder, fitted here or elsewhere.
//!
//! A vector is the mean of the last layer's vectors of a text's tokens, scaled to length 1, as
//! sentence-transformers computes it for models with mean pooling. A head for classes or
//! numbers, where the folder has one, is left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{Array, ArrayRef, Float32Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use candle_core::Device;
use serde_json::Value;

use crate::deep::bert::{CONFIG_FILE, TOKENIZER_FILE, TextModel, TextPredictor, WEIGHTS_FILE};
use crate::deep::tokenizer::TextTokenizer;
use crate::error::LearnError;
use crate::features::category_texts;
use crate::model::{FEATURES_FILE, MODEL_FILE};

/// The file in which sentence-transformers says how many tokens of a text count.
pub const SENTENCE_FILE: &str = "sentence_bert_config.json";

/// Texts that are computed at a time.
const BATCH_ROWS: usize = 32;

/// An encoder with its tokenizer. Cheap to clone and safe to share between threads.
#[derive(Debug, Clone)]
pub struct TextEmbedder {
    predictor: TextPredictor,
}

impl TextEmbedder {
    /// Reads the encoder of a folder. Texts are cut at the tokens that [`FEATURES_FILE`] says,
    /// else [`SENTENCE_FILE`], else at as many as the encoder has positions for; what its
    /// `tokenizer.json` says of cutting and padding does not count.
    ///
    /// # Errors
    ///
    /// A folder of something else; a file that is missing, damaged, or that does not go with
    /// the others.
    pub fn load(dir: &Path) -> Result<Self, LearnError> {
        Self::check(dir)?;
        let model = TextModel::open(dir, &Device::Cpu)?.embedder();
        let tokenizer = TextTokenizer::read(&dir.join(TOKENIZER_FILE))?;
        let positions = model.config().max_position_embeddings;
        let written = [
            (FEATURES_FILE, "max_length"),
            (SENTENCE_FILE, "max_seq_length"),
        ];
        let written = written
            .iter()
            .find_map(|(file, key)| number_in(&dir.join(file), key));
        let max_length = written.map_or(positions, |written| written.min(positions));
        let predictor = TextPredictor::new(Arc::new(model), &tokenizer, max_length, BATCH_ROWS)?;
        Ok(Self { predictor })
    }

    /// The same encoder, which gives up between two batches of texts once `stop` is true.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Self {
        Self {
            predictor: self.predictor.stopped_by(stop),
        }
    }

    /// Whether a folder holds an encoder of texts, without reading it.
    ///
    /// # Errors
    ///
    /// What it holds instead, or which file is missing.
    pub fn check(dir: &Path) -> Result<(), LearnError> {
        let has = |file: &str| dir.join(file).is_file();
        let missing = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE]
            .into_iter()
            .find(|file| !has(file));
        let Some(missing) = missing else {
            return Ok(());
        };
        Err(LearnError::NoEncoder {
            path: dir.to_owned(),
            reason: match (has(MODEL_FILE), has(TOKENIZER_FILE)) {
                (true, _) => "it is a model of trees".to_owned(),
                (false, true) if !has(CONFIG_FILE) => "it is a tokenizer".to_owned(),
                _ => format!("it has no {missing}"),
            },
        })
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.predictor.model().outputs()
    }

    /// The type of [`Self::embed`]: a list of `f32`.
    pub fn data_type() -> DataType {
        DataType::List(item())
    }

    /// The vector of each text `[rows][width]`, of length 1; NULL where the text is missing.
    ///
    /// # Errors
    ///
    /// A column that is no text; a text that the tokenizer refuses.
    pub fn embed(&self, column: &ArrayRef) -> Result<ListArray, LearnError> {
        let texts = category_texts("text", column)?;
        let present: Vec<&str> = texts.iter().flatten().collect();
        let vectors = self.predictor.predict(&present)?;
        let values = Float32Array::from_iter_values(vectors.iter().map(|&value| value as f32));
        let width = self.width();
        let lengths = (0..texts.len()).map(|row| match texts.is_valid(row) {
            true => width,
            false => 0,
        });
        let offsets = OffsetBuffer::from_lengths(lengths);
        let nulls = texts.nulls().cloned();
        Ok(ListArray::new(item(), offsets, Arc::new(values), nulls))
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Float32, true))
}

/// The number of a key in a JSON file, where there is one.
fn number_in(path: &Path, key: &str) -> Option<usize> {
    let text = std::fs::read(path).ok()?;
    let file: Value = serde_json::from_slice(&text).ok()?;
    usize::try_from(file.get(key)?.as_u64()?).ok()
}
