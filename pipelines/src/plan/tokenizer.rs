//! Tokenizers: each time one changes, it becomes the next version of a registered one of its
//! name.

use std::path::PathBuf;

use sluice_lake::TableName;
use sluice_learn::deep::tokenizer::TokenizerSpec;

/// A tokenizer, registered under the asset's name.
#[derive(Debug, Clone)]
pub struct TokenizerAsset {
    /// Where it comes from.
    pub source: TokenizerSource,
    /// The definition as JSON: of a file its content, of a training all that it depends on
    /// besides the texts.
    pub definition: serde_json::Value,
}

/// Where a tokenizer comes from.
#[derive(Debug, Clone)]
pub enum TokenizerSource {
    /// A file: its content, and nothing else, decides what the tokenizer is.
    File {
        /// The `tokenizer.json`.
        path: PathBuf,
        /// The hash of its content when the project was checked: see [`content_hash`].
        content: String,
    },
    /// Texts that it is trained on.
    Train {
        /// The table with the texts.
        from: TableName,
        /// Their column, as the table spells it.
        column: String,
        /// How it is trained.
        training: TokenizerSpec,
    },
}

/// Digits of a content's hash.
const DIGITS: usize = 16;

/// What identifies the content of a `tokenizer.json`: short, since people are shown it.
pub(crate) fn content_hash(json: &str) -> String {
    blake3::hash(json.as_bytes()).to_hex()[..DIGITS].to_owned()
}

impl TokenizerAsset {
    /// The table that it is trained on, if it is.
    pub fn table(&self) -> Option<&TableName> {
        match &self.source {
            TokenizerSource::File { .. } => None,
            TokenizerSource::Train { from, .. } => Some(from),
        }
    }
}
