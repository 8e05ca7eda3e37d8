//! The signature of a model: what goes in and what comes out, in MLflow's types.

use std::fmt::Write as _;

/// MLflow's column types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `integer`: 32 bits, signed.
    Integer,
    /// `long`: 64 bits, signed.
    Long,
    /// `float`: 32 bits.
    Float,
    /// `double`: 64 bits.
    Double,
    /// `string`
    String,
    /// `datetime`
    Datetime,
}

impl ColumnType {
    /// The word in the MLmodel file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Datetime => "datetime",
        }
    }
}

/// One column that goes in or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureColumn {
    /// Its name; an output may have none.
    pub name: Option<String>,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it must be there; its values may be missing in any case.
    pub required: bool,
}

/// What goes in and what comes out of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The features, in the order of the model.
    pub inputs: Vec<SignatureColumn>,
    /// What it predicts.
    pub outputs: Vec<SignatureColumn>,
}

/// The columns as the JSON text that stands in the MLmodel file, in ASCII as
/// Python's `json.dumps` writes it.
pub(super) fn columns_json(columns: &[SignatureColumn]) -> String {
    let mut text = String::from("[");
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str("{\"type\": \"");
        text.push_str(column.column_type.as_str());
        text.push('"');
        if let Some(name) = &column.name {
            text.push_str(", \"name\": ");
            push_ascii_json(&mut text, name);
        }
        text.push_str(", \"required\": ");
        text.push_str(if column.required { "true" } else { "false" });
        text.push('}');
    }
    text.push(']');
    text
}

fn push_ascii_json(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' '..='~' => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").expect("writing to a string never fails");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_ascii_json() {
        let name = "pH \"α\" \\ 🍷\n'";
        let column = SignatureColumn {
            name: Some(name.to_owned()),
            column_type: ColumnType::Double,
            required: true,
        };
        let text = columns_json(&[column]);
        assert!(text.is_ascii(), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{"type": "double", "name": name, "required": true}])
        );
    }
}
