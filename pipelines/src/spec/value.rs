//! Values of any shape: variables, and the parameters of estimators and samplers.

use serde_json::{Number, Value as Json, json};

use super::decode::{Context, Decode};
use super::scalar::decode_all;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};
use crate::yaml::{Entry, Node, NodeKind, Scalar};

/// A JSON-like value that knows where it was written.
#[derive(Debug, Clone)]
pub struct Value {
    /// What it is.
    pub kind: ValueKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of values.
#[derive(Debug, Clone)]
pub enum ValueKind {
    /// `null`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Keys with values, in the order of the file.
    Map(Vec<(Spanned<String>, Value)>),
}

impl Value {
    /// The value without its places.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.kind {
            ValueKind::Null => Json::Null,
            ValueKind::Bool(value) => Json::Bool(*value),
            ValueKind::Number(number) => Json::Number(number.clone()),
            ValueKind::Text(text) => Json::String(text.clone()),
            ValueKind::List(items) => items.iter().map(Value::to_json).collect(),
            ValueKind::Map(entries) => {
                let entries = entries.iter();
                Json::Object(
                    entries
                        .map(|(key, value)| (key.value.clone(), value.to_json()))
                        .collect(),
                )
            }
        }
    }

    /// The value below a path of keys; a number as a key counts into a list from 0.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let Some((key, rest)) = path.split_first() else {
            return Some(self);
        };
        let below = match &self.kind {
            ValueKind::Map(entries) => {
                let entry = entries.iter().find(|(name, _)| name.value == *key);
                &entry?.1
            }
            ValueKind::List(items) => items.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
        below.get(rest)
    }

    /// Where the key at the end of a path stands.
    #[must_use]
    pub fn key_span(&self, path: &[&str]) -> Option<Span> {
        let (key, above) = path.split_last()?;
        match &self.get(above)?.kind {
            ValueKind::Map(entries) => {
                let entry = entries.iter().find(|(name, _)| name.value == *key);
                Some(entry?.0.span)
            }
            ValueKind::List(items) => Some(items.get(key.parse::<usize>().ok()?)?.span),
            _ => None,
        }
    }

    /// Where the value at the end of a path stands, else what is nearest above it.
    #[must_use]
    pub fn span_at(&self, path: &[&str]) -> Span {
        (0..=path.len())
            .rev()
            .find_map(|depth| self.get(&path[..depth]))
            .map_or(self.span, |value| value.span)
    }
}

impl Decode for Value {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let kind = match &node.kind {
            NodeKind::Refused => return None,
            NodeKind::Empty => ValueKind::Null,
            NodeKind::Scalar(text) => {
                let kind = scalar(text, node.span, cx)?;
                if let ValueKind::Text(word) = &kind
                    && text.is_plain()
                    && is_boolean_word(word)
                {
                    refuse_boolean_word(word, node.span, cx);
                    return None;
                }
                kind
            }
            NodeKind::Sequence(items) => ValueKind::List(decode_all(items, cx, Value::decode)?),
            NodeKind::Mapping(mapping) => {
                let entry = |entry: &Entry, cx: &mut Context<'_>| {
                    let value = Value::decode(&entry.value, cx)?;
                    Some((Spanned::new(entry.key.text.clone(), entry.key.span), value))
                };
                ValueKind::Map(decode_all(&mapping.entries, cx, entry)?)
            }
        };
        Some(Value {
            kind,
            span: node.span,
        })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!(true)
    }
}

/// The value of a scalar: text when quoted or in a block, else read by its looks. Variables
/// are replaced first; one that is the whole plain scalar keeps its type.
pub(super) fn scalar(scalar: &Scalar, span: Span, cx: &mut Context<'_>) -> Option<ValueKind> {
    if !scalar.is_plain() {
        return cx.text(scalar).map(ValueKind::Text);
    }
    if let Some(value) = cx.whole_variable(scalar, span) {
        return value;
    }
    let text = cx.text(scalar)?;
    match plain(&text) {
        Ok(kind) => Some(kind),
        Err(problem) => {
            cx.report(
                Diagnostic::error("ambiguous_value", problem)
                    .help(format!("quote it if it is a text: \"{text}\"")),
                span,
            );
            None
        }
    }
}

/// The value of an unquoted text, by YAML 1.2's core schema; what YAML 1.1 reads otherwise
/// (leading zeros, `True`) is an error.
pub(super) fn plain(text: &str) -> Result<ValueKind, String> {
    match text {
        "" => return Ok(ValueKind::Null),
        word if is_null_word(word) => return Ok(ValueKind::Null),
        "true" => return Ok(ValueKind::Bool(true)),
        "false" => return Ok(ValueKind::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned.to_ascii_lowercase().as_str() {
        ".inf" | ".nan" => return Err(format!("`{text}` is not a finite number")),
        _ => {}
    }
    if !looks_numeric(unsigned) {
        return Ok(ValueKind::Text(text.to_owned()));
    }
    if unsigned.len() > 1
        && unsigned.starts_with('0')
        && unsigned.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(format!("`{text}` is a number with leading zeros"));
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let number = signed
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| signed.parse::<u64>().map(Number::from));
        return number
            .map(ValueKind::Number)
            .map_err(|_| format!("`{text}` does not fit into 64 bits"));
    }
    signed
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(ValueKind::Number)
        .ok_or_else(|| format!("`{text}` is not a finite number"))
}

/// Digits with at most one point and one exponent, and at least one digit before it.
fn looks_numeric(unsigned: &str) -> bool {
    let lower = unsigned.to_ascii_lowercase();
    let (mantissa, exponent) = match lower.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (lower.as_str(), None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()) && exponent_fits
}

/// Words that YAML takes for nothing.
pub(super) fn is_null_word(text: &str) -> bool {
    matches!(text, "null" | "Null" | "NULL" | "~")
}

/// Words that some YAML readers take for a boolean and others for text.
pub(super) fn is_boolean_word(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    )
}

/// Reports such a word.
pub(super) fn refuse_boolean_word(word: &str, span: Span, cx: &mut Context<'_>) {
    let yes = matches!(
        word.to_ascii_lowercase().as_str(),
        "true" | "yes" | "on" | "y"
    );
    cx.report(
        Diagnostic::error(
            "ambiguous_value",
            format!("`{word}` may be a boolean or a text"),
        )
        .help(format!(
            "write `{yes}`, or quote it if it is a text: \"{word}\""
        )),
        span,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Json, String> {
        plain(text).map(|kind| {
            Value {
                kind,
                span: Span::default(),
            }
            .to_json()
        })
    }

    #[test]
    fn reads_plain_scalars_by_their_looks() {
        for (text, value) in [
            ("7", json!(7)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("0", json!(0)),
            ("0.50", json!(0.5)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("1e-3", json!(0.001)),
            ("18446744073709551615", json!(u64::MAX)),
            ("true", json!(true)),
            ("~", json!(null)),
            ("e5", json!("e5")),
            ("1e", json!("1e")),
            ("-", json!("-")),
            (".", json!(".")),
            ("1.2.3", json!("1.2.3")),
            ("2024-01-01", json!("2024-01-01")),
            ("inf", json!("inf")),
        ] {
            assert_eq!(json(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn refuses_what_readers_disagree_about() {
        for text in ["007", ".inf", "-.NaN", "1e999", "99999999999999999999"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
