//! Tokenizers that are loaded: once a process, shared by all queries and partitions.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde::Deserialize;
use sluice_learn::deep::tokenizer::TextTokenizer;
use tokenizers::{PaddingParams, PostProcessorWrapper, Tokenizer, TruncationParams};

use super::TextError;
use super::configured::{Length, configure};
use super::options::Options;

/// A tokenizer, and what its own file says of lengths: that is only applied when it is asked
/// for.
pub struct LoadedTokenizer {
    tokenizer: TextTokenizer,
    own: OwnLengths,
    /// The same tokenizer without what is put around texts; made when it is wanted.
    unframed: OnceLock<Arc<Tokenizer>>,
    /// The same tokenizer with lengths that calls have asked for: a query has few of them.
    lengths: RwLock<HashMap<Length, Arc<Tokenizer>>>,
}

/// What a `tokenizer.json` says of lengths.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OwnLengths {
    #[serde(default)]
    pub(super) truncation: Option<TruncationParams>,
    #[serde(default)]
    pub(super) padding: Option<PaddingParams>,
}

impl fmt::Debug for LoadedTokenizer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LoadedTokenizer")
            .field("tokens", &self.tokenizer.vocab_size())
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl LoadedTokenizer {
    /// Reads a `tokenizer.json`. Reads files: call it where blocking is fine.
    ///
    /// # Errors
    /// A file that cannot be read or describes no tokenizer.
    pub fn open(file: &Path) -> Result<Self, TextError> {
        let tokenizer = TextTokenizer::read(file)?;
        let own: OwnLengths = serde_json::from_str(tokenizer.json())?;
        Ok(Self {
            tokenizer,
            own,
            unframed: OnceLock::new(),
            lengths: RwLock::default(),
        })
    }

    /// The tokenizer, which neither cuts nor pads.
    pub(super) fn plain(&self) -> &Tokenizer {
        self.tokenizer.inner()
    }

    /// Appends the numbers of a text's tokens, whole and without padding, to `ids`.
    pub(super) fn append_ids(
        &self,
        text: &str,
        special: bool,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        if !self.quick_ids(self.plain(), text, special, ids) {
            ids.extend_from_slice(self.plain().encode_fast(text, special)?.get_ids());
        }
        Ok(())
    }

    /// As [`TextTokenizer::quick_ids`].
    pub(super) fn quick_ids(
        &self,
        like: &Tokenizer,
        text: &str,
        special: bool,
        ids: &mut Vec<u32>,
    ) -> bool {
        self.tokenizer.quick_ids(like, text, special, ids)
    }

    /// The tokenizer, which puts nothing around texts.
    pub(super) fn unframed(&self) -> Arc<Tokenizer> {
        let make = || {
            let mut tokenizer = Tokenizer::clone(self.plain());
            tokenizer.with_post_processor(None::<PostProcessorWrapper>);
            Arc::new(tokenizer)
        };
        Arc::clone(self.unframed.get_or_init(make))
    }

    /// The tokenizer with the lengths that a call asks for.
    ///
    /// # Errors
    /// Lengths that it cannot have, in words.
    pub(super) fn with_lengths(
        &self,
        options: &Options,
        pair: bool,
    ) -> Result<Arc<Tokenizer>, TextError> {
        let length = Length::asked(options, pair);
        if length.is_none() {
            return Ok(Arc::clone(self.tokenizer.inner()));
        }
        let lengths = self.lengths.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = lengths.get(&length) {
            return Ok(Arc::clone(ready));
        }
        drop(lengths);
        let made = Arc::new(configure(self.plain(), &self.own, &length)?);
        let mut lengths = self.lengths.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(lengths.entry(length).or_insert(made)))
    }
}

/// The tokenizers that a session applies, by the address of one version.
#[derive(Default)]
pub struct TokenizerSet {
    tokenizers: RwLock<HashMap<String, Arc<LoadedTokenizer>>>,
}

impl fmt::Debug for TokenizerSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokenizers = self.tokenizers.read();
        let tokenizers = tokenizers.unwrap_or_else(PoisonError::into_inner);
        out.debug_set().entries(tokenizers.keys()).finish()
    }
}

impl TokenizerSet {
    /// The tokenizer at an address of one version, if it is here.
    pub fn get(&self, address: &str) -> Option<Arc<LoadedTokenizer>> {
        let tokenizers = self.tokenizers.read();
        let tokenizers = tokenizers.unwrap_or_else(PoisonError::into_inner);
        tokenizers.get(address).cloned()
    }

    /// Adds a tokenizer, or keeps the one that is already at that address.
    pub fn insert(&self, address: &str, tokenizer: LoadedTokenizer) -> Arc<LoadedTokenizer> {
        let tokenizers = self.tokenizers.write();
        let mut tokenizers = tokenizers.unwrap_or_else(PoisonError::into_inner);
        let entry = tokenizers.entry(address.to_owned());
        Arc::clone(entry.or_insert_with(|| Arc::new(tokenizer)))
    }
}
