//! Types of declared columns, by the names that SQL has for them.

use arrow::datatypes::DataType;
use serde_json::{Value as Json, json};
use sluice_lake::ingest::{parse_type, type_names};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::Node;

/// The type of a declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType(DataType);

impl ColumnType {
    /// The Arrow type.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        self.0.clone()
    }
}

impl Decode for ColumnType {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if let Some(found) = parse_type(&text) {
            return Some(Self(found));
        }
        let names: Vec<String> = type_names().map(str::to_lowercase).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = did_you_mean(&text, names.iter().copied())
            .unwrap_or_else(|| format!("the types are {}", super::decode::list(&names)));
        let message = format!("`{text}` is no type of a column");
        let diagnostic = Diagnostic::error("unknown_word", message);
        cx.report(diagnostic.help(help), node.span);
        None
    }

    fn schema(_defs: &mut Definitions) -> Json {
        let names: Vec<String> = type_names().map(str::to_lowercase).collect();
        json!({"type": "string", "examples": names})
    }
}
