//! Tokenizers: read from a `tokenizer.json` or trained, and applied with our own settings.
//!
//! A `tokenizer.json` carries its own truncation and padding (that of all-MiniLM-L6-v2 cuts
//! at 128 and pads to 128). Both stay in the file and are never applied: how long a text
//! may be is said where it is encoded, and padding is the batch's business.

mod training;
mod word_piece;

pub use training::{TokenizerKind, TokenizerSpec, TokenizerTrainer};

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use tokenizers::{
    EncodeInput, Encoding, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy,
};

use super::error::DeepError;
use word_piece::WordPieceTable;

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tokens {
    /// Their numbers, with those of special tokens.
    pub ids: Vec<u32>,
    /// How many of them belong to the first text of a pair: all, where there is no second.
    pub first: usize,
}

impl Tokens {
    fn of(encoding: &Encoding) -> Self {
        let types = encoding.get_type_ids().iter();
        Self {
            ids: encoding.get_ids().to_vec(),
            first: types.take_while(|kind| **kind == 0).count(),
        }
    }
}

/// A tokenizer, shared by all that use it.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    json: Arc<str>,
    inner: Arc<Tokenizer>,
    table: Option<Arc<WordPieceTable>>,
    last_id: u32,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or describes no tokenizer.
    pub fn read(path: &Path) -> Result<Self, DeepError> {
        let json = fs::read_to_string(path).map_err(DeepError::io("read", path))?;
        Self::from_json(json, &format!("be read from {}", path.display()))
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// Text that describes no tokenizer.
    pub fn parse(json: impl Into<String>) -> Result<Self, DeepError> {
        Self::from_json(json.into(), "be read")
    }

    fn from_json(json: String, action: &str) -> Result<Self, DeepError> {
        let failed = |source| DeepError::Tokenizer {
            action: action.to_owned(),
            source,
        };
        let mut inner = Tokenizer::from_bytes(json.as_bytes()).map_err(failed)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed)?;
        let last_id = inner.get_vocab(true).into_values().max().unwrap_or(0);
        Ok(Self {
            json: json.into(),
            table: WordPieceTable::of(&inner).map(Arc::new),
            inner: Arc::new(inner),
            last_id,
        })
    }

    /// The content of its `tokenizer.json`, as it was read.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The tokenizer of the library, which neither cuts nor pads.
    pub fn inner(&self) -> &Arc<Tokenizer> {
        &self.inner
    }

    /// How many tokens it knows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest number of a token.
    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// The number of `token`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of `ids`, without special tokens.
    ///
    /// # Errors
    ///
    /// A decoder that refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DeepError> {
        self.inner
            .decode(ids, true)
            .map_err(|source| DeepError::Tokenizer {
                action: "decode tokens".to_owned(),
                source,
            })
    }

    /// An encoder that cuts texts at `max_length` tokens, special tokens included; `None`
    /// cuts nothing. Of a pair, the longer text is cut first.
    ///
    /// # Errors
    ///
    /// A length with no room for a token beside the special ones.
    pub fn encoder(&self, max_length: Option<usize>) -> Result<TextEncoder, DeepError> {
        let Some(max_length) = max_length else {
            return Ok(TextEncoder {
                inner: Arc::clone(&self.inner),
                table: self.table.clone(),
            });
        };
        let added = self.inner.get_post_processor().map_or(0, |processor| {
            tokenizers::PostProcessor::added_tokens(processor, true)
        });
        let wrong = |source| DeepError::Tokenizer {
            action: format!("cut texts at {max_length} tokens"),
            source,
        };
        if max_length <= added {
            let reason = format!(
                "it adds up to {added} special tokens, so `max_length` must be {} or more",
                added + 1
            );
            return Err(wrong(reason.into()));
        }
        let mut inner = Tokenizer::clone(&self.inner);
        let cut = TruncationParams {
            max_length,
            ..TruncationParams::default()
        };
        inner.with_truncation(Some(cut)).map_err(wrong)?;
        Ok(TextEncoder {
            inner: Arc::new(inner),
            table: self.table.clone(),
        })
    }

    /// Appends the numbers of a text's tokens to `ids`, those of special tokens too if it is
    /// `framed`, as `like` would: this tokenizer, or a copy of it that cuts texts. All of them
    /// are of type 0. False, with nothing appended, where the library has to be asked: for
    /// tokenizers that are not BERT's, for texts that may hold a special token, for padding.
    pub fn quick_ids(
        &self,
        like: &Tokenizer,
        text: &str,
        framed: bool,
        ids: &mut Vec<u32>,
    ) -> bool {
        let table = self.table.as_deref();
        table.is_some_and(|table| quick_ids(table, like, text, framed, ids))
    }
}

fn quick_ids(
    table: &WordPieceTable,
    like: &Tokenizer,
    text: &str,
    framed: bool,
    ids: &mut Vec<u32>,
) -> bool {
    if like.get_padding().is_some() {
        return false;
    }
    match like.get_truncation() {
        None => table.encode(text, framed, None, ids),
        Some(cut) => {
            let plain = cut.direction == TruncationDirection::Right
                && cut.strategy == TruncationStrategy::LongestFirst;
            plain && table.encode(text, framed, Some(cut.max_length), ids)
        }
    }
}

/// A tokenizer with a length to cut at.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    inner: Arc<Tokenizer>,
    table: Option<Arc<WordPieceTable>>,
}

impl TextEncoder {
    /// Each text as tokens, in order, on the threads of rayon's current pool.
    ///
    /// # Errors
    ///
    /// A text that the tokenizer refuses.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Tokens>, DeepError> {
        let Some(table) = &self.table else {
            return self.encode_all(texts.iter().map(|&text| text.into()).collect());
        };
        let tokens = texts.par_iter().map(|&text| {
            let mut ids = Vec::new();
            if quick_ids(table, &self.inner, text, true, &mut ids) {
                let first = ids.len();
                return Ok(Tokens { ids, first });
            }
            let encoding = self.inner.encode_fast(text, true).map_err(refused)?;
            Ok(Tokens::of(&encoding))
        });
        tokens.collect()
    }

    /// Each pair of texts as tokens, as [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// A text that the tokenizer refuses.
    pub fn encode_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Tokens>, DeepError> {
        self.encode_all(pairs.iter().map(|&pair| pair.into()).collect())
    }

    fn encode_all(&self, inputs: Vec<EncodeInput<'_>>) -> Result<Vec<Tokens>, DeepError> {
        let encodings = self.inner.encode_batch_fast(inputs, true);
        let encodings = encodings.map_err(refused)?;
        Ok(encodings.iter().map(Tokens::of).collect())
    }
}

fn refused(source: tokenizers::Error) -> DeepError {
    DeepError::Tokenizer {
        action: "encode texts".to_owned(),
        source,
    }
}
