//! One named thing with parameters, such as `random_forest: {n_estimators: 10}`.

use serde_json::{Map, Value as Json, json};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use super::value::{Value, ValueKind};
use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned};
use crate::yaml::{Node, NodeKind};

/// An estimator or a sampler: its name and its parameters.
#[derive(Debug, Clone)]
pub struct Component {
    /// The name, as written.
    pub name: Spanned<String>,
    /// The parameters: always a [`ValueKind::Map`].
    pub params: Value,
}

impl Component {
    /// The parameters without their places.
    #[must_use]
    pub fn params_json(&self) -> Map<String, Json> {
        match self.params.to_json() {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Where a parameter's name stands, else the component's name; a path goes on into
    /// nested parameters.
    #[must_use]
    pub fn key_span(&self, path: &[&str]) -> Span {
        self.params.key_span(path).unwrap_or(self.name.span)
    }

    /// Where a parameter's value stands, else what is nearest above it.
    #[must_use]
    pub fn value_span(&self, path: &[&str]) -> Span {
        match self.params.get(path) {
            Some(value) => value.span,
            None => self.key_span(path),
        }
    }
}

impl Decode for Component {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Scalar(scalar) = &node.kind {
            let name = &scalar.text;
            cx.report(
                Diagnostic::error("wrong_type", format!("`{name}` needs its parameters"))
                    .help(format!("write `{name}: {{}}` on a line below, indented")),
                node.span,
            );
            return None;
        }
        let mapping = cx.mapping("a name with parameters", node)?;
        let [entry] = mapping.entries.as_slice() else {
            let message = match mapping.entries.len() {
                0 => "expected a name with parameters, found nothing".to_owned(),
                n => format!("expected one name with parameters, found {n}"),
            };
            let span = mapping
                .entries
                .get(1)
                .map_or(cx.visible(node), |second| second.key.span);
            cx.report(
                Diagnostic::error("wrong_type", message)
                    .help("parameters are indented below the name they belong to"),
                span,
            );
            return None;
        };
        let name = Spanned::new(entry.key.text.clone(), entry.key.span);
        let params = match &entry.value.kind {
            NodeKind::Empty => Value {
                kind: ValueKind::Map(Vec::new()),
                span: entry.value.span,
            },
            NodeKind::Mapping(_) => Value::decode(&entry.value, cx)?,
            _ => {
                cx.wrong_type(&format!("the parameters of `{name}`"), &entry.value);
                return None;
            }
        };
        Some(Self { name, params })
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": {"type": ["object", "null"]}
        })
    }
}
