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
}

/// Where a tokenizer comes from.
#[derive(Debug, Clone)]
pub enum TokenizerSource {
    /// A file: its content, and nothing else, decides what the tokenizer is.
    File {
        /// The `tokenizer.json`.
        path: PathBuf,
    },
    /// Texts that it is trained on.
    Train {
        /// The table with the texts.
        from: TableName,
        /// Their column, as the table spells it.
        column: String,
        /// How it is trained.
        training: TokenizerSpec,
        /// The definition as JSON: what identifies the training, besides the texts.
        definition: serde_json::Value,
    },
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
