//! What a call of a text function says besides its texts and its tokenizer.

use serde::{Deserialize, Serialize};

/// What is said in a call; what is not, is `None`.
///
/// A settled call carries it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The most tokens of a text, special ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Whether and how texts are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<Truncation>,
    /// Whether texts are filled up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// Whether to tell where in the text each token stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<bool>,
    /// Whether tokens such as `[CLS]` are put around a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_special_tokens: Option<bool>,
    /// Whether tokens such as `[CLS]` are left out of a text that is made of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_special_tokens: Option<bool>,
    /// Tokens of a chunk, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Tokens that a chunk shares with the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
}

/// How texts are cut, by the names of Hugging Face's `transformers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Not at all.
    DoNotTruncate,
    /// By `max_length`, else as the tokenizer's own file says; of a pair the longer one first.
    LongestFirst,
    /// Only the first text of a pair.
    OnlyFirst,
    /// Only the second text of a pair.
    OnlySecond,
}

/// Whether texts are filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Not at all.
    DoNotPad,
    /// To `max_length`, else as the tokenizer's own file says.
    MaxLength,
}

impl Options {
    /// What is said, as SQL says it: `max_length => 64`.
    pub(crate) fn shown(&self) -> String {
        let said = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(said)) => said,
            _ => return String::new(),
        };
        let said = said.iter().map(|(name, value)| match value.as_str() {
            Some(word) => format!("{name} => '{word}'"),
            None => format!("{name} => {value}"),
        });
        said.collect::<Vec<_>>().join(", ")
    }
}
