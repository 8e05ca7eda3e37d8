//! The tree.

use granit_parser::ScalarStyle;

use super::text_map::TextMap;
use crate::source::Span;

/// A value in a YAML file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The bytes of the value; of a collection from its first to its last byte.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Nothing was written where a value could stand.
    Empty,
    /// A text in any of YAML's notations, not yet interpreted.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in the order of the file.
    Mapping(Mapping),
    /// Something refused, and already reported; decoding it stays silent.
    Refused,
}

/// A text and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text, unquoted, unescaped, unfolded.
    pub text: String,
    /// The notation.
    pub style: ScalarStyle,
    /// From bytes of `text` to bytes of the file.
    pub map: TextMap,
}

impl Scalar {
    /// True for a text without quotes or block indicator, which YAML may read as a number.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.style == ScalarStyle::Plain
    }
}

/// Keys with values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// True when written as `{...}`.
    pub flow: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// The key of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The text.
    pub text: String,
    /// Its bytes.
    pub span: Span,
}

impl Mapping {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.key.text == key)?;
        Some(&entry.value)
    }
}

impl Node {
    /// What the value is, in words: "a list".
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Empty => "nothing",
            NodeKind::Scalar(_) => "a single value",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
            NodeKind::Refused => "something refused",
        }
    }
}
