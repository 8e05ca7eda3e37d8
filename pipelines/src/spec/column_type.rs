//! Types of declared columns, by the names that SQL has for them.

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::Node;

/// The type of a declared column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `tinyint`: 8 bits
    TinyInt,
    /// `smallint`: 16 bits
    SmallInt,
    /// `int`: 32 bits
    Int,
    /// `bigint`: 64 bits
    BigInt,
    /// `float`: 32 bits
    Float,
    /// `double`: 64 bits
    Double,
    /// `string`
    String,
    /// `date`
    Date,
    /// `timestamp`: microseconds, UTC
    Timestamp,
}

/// Every name with its type; the first name of a type is the one that is shown.
const NAMES: &[(&str, ColumnType)] = &[
    ("boolean", ColumnType::Boolean),
    ("tinyint", ColumnType::TinyInt),
    ("smallint", ColumnType::SmallInt),
    ("int", ColumnType::Int),
    ("bigint", ColumnType::BigInt),
    ("float", ColumnType::Float),
    ("double", ColumnType::Double),
    ("string", ColumnType::String),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("bool", ColumnType::Boolean),
    ("integer", ColumnType::Int),
    ("long", ColumnType::BigInt),
    ("real", ColumnType::Float),
    ("text", ColumnType::String),
    ("varchar", ColumnType::String),
];

impl ColumnType {
    /// The Arrow type.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

impl Decode for ColumnType {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let lower = text.to_ascii_lowercase();
        if let Some((_, found)) = NAMES.iter().find(|(name, _)| *name == lower) {
            return Some(*found);
        }
        let names = NAMES.iter().map(|(name, _)| *name);
        let help = did_you_mean(&lower, names.clone()).unwrap_or_else(|| {
            let listed: Vec<&str> = names.take(10).collect();
            format!("the types are {}", super::decode::list(&listed))
        });
        let message = format!("`{text}` is no type of a column");
        cx.report(
            Diagnostic::error("unknown_word", message).help(help),
            node.span,
        );
        None
    }

    fn schema(_defs: &mut Definitions) -> Json {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        json!({"enum": names})
    }
}
