//! Decoding of single values: text, numbers, booleans, and lists of them.

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use super::value::{self, ValueKind};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::Spanned;
use crate::yaml::{Node, NodeKind};

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        T::decode(node, cx).map(|value| Spanned::new(value, node.span))
    }

    fn schema(defs: &mut Definitions) -> Json {
        T::schema(defs)
    }
}

/// Text: any single value, as it is written.
impl Decode for String {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            cx.wrong_type("a text", node);
            return None;
        };
        if scalar.is_plain() && value::is_null_word(&scalar.text) {
            let message = format!("`{}` is nothing in YAML, not a text", scalar.text);
            let help = format!("leave the key out, or quote the text: \"{}\"", scalar.text);
            cx.report(
                Diagnostic::error("ambiguous_value", message).help(help),
                node.span,
            );
            return None;
        }
        cx.text(scalar)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string"})
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Scalar(scalar) = &node.kind
            && scalar.is_plain()
        {
            match value::scalar(scalar, node.span, cx)? {
                ValueKind::Bool(value) => return Some(value),
                ValueKind::Text(text) if value::is_boolean_word(&text) => {
                    value::refuse_boolean_word(&text, node.span, cx);
                    return None;
                }
                _ => {}
            }
        }
        cx.wrong_type("`true` or `false`", node);
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let variable = variable(defs);
        json!({"anyOf": [{"type": "boolean"}, variable]})
    }
}

impl Decode for u64 {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Scalar(scalar) = &node.kind
            && scalar.is_plain()
            && let ValueKind::Number(number) = value::scalar(scalar, node.span, cx)?
            && let Some(number) = number.as_u64()
        {
            return Some(number);
        }
        cx.wrong_type("a whole number, 0 or more", node);
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let variable = variable(defs);
        json!({"anyOf": [{"type": "integer", "minimum": 0}, variable]})
    }
}

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Scalar(scalar) = &node.kind
            && scalar.is_plain()
            && let ValueKind::Number(number) = value::scalar(scalar, node.span, cx)?
            && let Some(number) = number.as_f64()
        {
            return Some(number);
        }
        cx.wrong_type("a number", node);
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let variable = variable(defs);
        json!({"anyOf": [{"type": "number"}, variable]})
    }
}

/// A list; a single value counts as a list of one.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Sequence(items) = &node.kind else {
            return T::decode(node, cx).map(|item| vec![item]);
        };
        decode_all(items, cx, T::decode)
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn schema(defs: &mut Definitions) -> Json {
        let item = T::schema(defs);
        json!({"anyOf": [item, {"type": "array", "items": item}]})
    }
}

/// All items of a list, or `None` when one was reported. All are looked at, so that all errors
/// come at once, unless there are more than are told.
pub(super) fn decode_all<N, T>(
    items: &[N],
    cx: &mut Context<'_>,
    decode: impl Fn(&N, &mut Context<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut decoded = Some(Vec::with_capacity(items.len()));
    for item in items {
        if cx.diagnostics.is_full() {
            return None;
        }
        let value = decode(item, cx);
        decoded = decoded.zip(value).map(|(mut decoded, value)| {
            decoded.push(value);
            decoded
        });
    }
    decoded
}

/// A list that cannot be left out or empty; a single value counts as a list of one.
#[derive(Debug, Clone, PartialEq)]
pub struct AtLeastOne<T>(Vec<T>);

impl<T> std::ops::Deref for AtLeastOne<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Decode> Decode for AtLeastOne<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let items = Vec::<T>::decode(node, cx)?;
        if items.is_empty() {
            cx.error("missing_value", "this list is empty", node.span);
            return None;
        }
        Some(Self(items))
    }

    fn schema(defs: &mut Definitions) -> Json {
        let item = T::schema(defs);
        json!({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})
    }
}

/// A value whose key must stand, though it could be empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Required<T>(T);

impl<T> std::ops::Deref for Required<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Decode> Decode for Required<T> {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        T::decode(node, cx).map(Self)
    }

    fn schema(defs: &mut Definitions) -> Json {
        T::schema(defs)
    }
}

/// The schema of a value that a variable stands for.
pub(super) fn variable(defs: &mut Definitions) -> Json {
    defs.reference("Variable", |_| {
        json!({
            "description": "The value of a variable or of the environment: ${name}, ${env:NAME}.",
            "type": "string",
            "pattern": "\\$\\{[^}]+\\}"
        })
    })
}

/// Decodes one of a few words.
pub(super) fn word<T: Copy>(
    what: &str,
    words: &[(&'static str, T)],
    node: &Node,
    cx: &mut Context<'_>,
) -> Option<T> {
    let text = String::decode(node, cx)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let listed = names.join("`, `");
    cx.report(
        Diagnostic::error("unknown_word", format!("`{text}` is no {what}"))
            .label(format!("one of `{listed}`"))
            .maybe_help(did_you_mean(&text, names)),
        node.span,
    );
    None
}
