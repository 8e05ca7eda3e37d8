//! The JSON Schema of events, from the definitions that emit them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use sluice_lake::state::Fault;

use super::{EVENT_VERSION, EventKind, LeaderboardRow, RunStatus};

/// Defines the kinds of events: an enum as it stands, and the words about it as data.
macro_rules! events {
    (
        $(#[doc = $doc:literal])*
        #[derive($($derived:ident),*)]
        #[serde($($how:tt)*)]
        pub enum $name:ident {
            $(
                $(#[doc = $kind_doc:literal])*
                $kind:ident {
                    $(
                        $(#[doc = $field_doc:literal])*
                        $(#[serde($($field_how:tt)*)])?
                        $field:ident : $ty:ty
                    ),* $(,)?
                }
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive($($derived),*)]
        #[serde($($how)*)]
        pub enum $name {
            $(
                $(#[doc = $kind_doc])*
                $kind {
                    $(
                        $(#[doc = $field_doc])*
                        $(#[serde($($field_how)*)])?
                        $field: $ty
                    ),*
                }
            ),*
        }

        impl $name {
            /// All kinds with their fields.
            pub(crate) fn described() -> Vec<$crate::events::describe::Kind> {
                use $crate::events::describe::{Field, Kind, Typed};
                vec![$(
                    Kind {
                        name: stringify!($kind),
                        doc: concat!($($kind_doc, "\n"),*),
                        fields: vec![$(
                            Field {
                                name: stringify!($field),
                                doc: concat!($($field_doc, "\n"),*),
                                schema: <$ty as Typed>::schema(),
                                may_be_left_out: !concat!($($(stringify!($field_how)),*)?).is_empty(),
                            }
                        ),*],
                    }
                ),*]
            }
        }
    };
}
pub(crate) use events;

/// A kind of event.
pub(crate) struct Kind {
    /// In Rust.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: Vec<Field>,
}

/// A field of an event.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) schema: Json,
    /// Whether it is not written where it has nothing to say.
    pub(crate) may_be_left_out: bool,
}

/// What a field can hold, as JSON Schema has it.
pub(crate) trait Typed {
    fn schema() -> Json;
}

macro_rules! typed {
    ($($ty:ty => $schema:expr),* $(,)?) => {
        $(impl Typed for $ty {
            fn schema() -> Json {
                $schema
            }
        })*
    };
}

typed! {
    String => json!({"type": "string"}),
    &'static str => json!({"type": "string"}),
    bool => json!({"type": "boolean"}),
    u32 => json!({"type": "integer", "minimum": 0}),
    u64 => json!({"type": "integer", "minimum": 0}),
    i64 => json!({"type": "integer"}),
    // What is no number is written as null.
    f64 => json!({"type": ["number", "null"]}),
    Json => json!(true),
    RunStatus => json!({"enum": ["finished", "failed", "cancelled"]}),
    Fault => json!({"enum": ["user", "data", "system"]}),
    (String, f64) => json!({
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": ["number", "null"]}],
        "minItems": 2,
        "maxItems": 2
    }),
    LeaderboardRow => json!({
        "type": "object",
        "properties": {
            "number": {"type": "integer", "description": "The trial's number, from 1."},
            "run_id": {"type": "string", "description": "Identifier of the trial's run."},
            "value": {"type": ["number", "null"], "description": "The objective."},
            "params": {"type": "object", "description": "The parameters that the search chose."}
        },
        "required": ["number", "run_id", "value", "params"],
        "additionalProperties": false
    }),
}

impl<T: Typed> Typed for Option<T> {
    fn schema() -> Json {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
}

impl<T: Typed> Typed for Vec<T> {
    fn schema() -> Json {
        json!({"type": "array", "items": T::schema()})
    }
}

impl<T: Typed> Typed for BTreeMap<String, T> {
    fn schema() -> Json {
        json!({"type": "object", "additionalProperties": T::schema()})
    }
}

/// What every event has.
const ENVELOPE: [&str; 5] = ["format_version", "run", "seq", "time_ms", "event"];

/// The schema (draft 2020-12) of one event, as a line of `--json` and `--events` has it.
#[must_use]
pub fn json_schema() -> Json {
    let kinds: Vec<Json> = EventKind::described().iter().map(kind).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluice event",
        "description": format!(
            "One thing that happened in a run: a line of `sluice run --json` and `--events FILE`. \
             Version {EVENT_VERSION}: new kinds and new fields may come; what is here stays as it is."
        ),
        "oneOf": kinds,
    })
}

fn kind(kind: &Kind) -> Json {
    let mut properties = Map::new();
    let mut required: Vec<&str> = ENVELOPE.to_vec();
    let envelope = [
        (
            "format_version",
            json!({"const": EVENT_VERSION}),
            "The version of the events.",
        ),
        (
            "run",
            String::schema(),
            "Identifier of the run that it belongs to.",
        ),
        (
            "seq",
            u64::schema(),
            "Its place among the events of the run, from 1; 0 for what hooks tell after its end.",
        ),
        (
            "time_ms",
            i64::schema(),
            "When, in milliseconds since the Unix epoch (UTC).",
        ),
        (
            "event",
            json!({"const": snake_case(kind.name)}),
            "The kind of event.",
        ),
    ];
    for (name, schema, doc) in envelope {
        properties.insert(name.to_owned(), with_words(schema, doc));
    }
    for field in &kind.fields {
        properties.insert(
            field.name.to_owned(),
            with_words(field.schema.clone(), field.doc),
        );
        if !field.may_be_left_out {
            required.push(field.name);
        }
    }
    json!({
        "title": snake_case(kind.name),
        "description": kind.doc.trim(),
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn with_words(schema: Json, words: &str) -> Json {
    match schema {
        Json::Object(mut object) => {
            object.insert("description".to_owned(), words.trim().into());
            Json::Object(object)
        }
        _ => json!({"description": words.trim()}),
    }
}

/// `RunStarted` as it is written: `run_started`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    /// A key that is there twice would be read as either.
    #[test]
    fn no_field_is_called_as_what_every_event_has() {
        for kind in EventKind::described() {
            for field in kind.fields {
                assert!(
                    !ENVELOPE.contains(&field.name),
                    "{}.{}",
                    kind.name,
                    field.name
                );
            }
        }
    }

    /// An event is written with exactly the keys that its description has.
    #[test]
    fn events_are_written_as_they_are_described() {
        let started = EventKind::RunStarted {
            run_id: "r".into(),
            pipeline: "p".into(),
            lakehouse: "l".into(),
            assets: vec![],
        };
        let finished = EventKind::RunFinished {
            run_id: "r".into(),
            status: RunStatus::Cancelled,
            made: 1,
            skipped: 2,
            failed: 3,
            seconds: 0.5,
        };
        let schema = json_schema();
        for kind in [started, finished] {
            let written = serde_json::to_value(Event::new(0, kind)).unwrap();
            let described = schema["oneOf"].as_array().unwrap();
            let described = described
                .iter()
                .find(|kind| kind["title"] == written["event"])
                .unwrap();
            let keys: Vec<&String> = described["properties"]
                .as_object()
                .unwrap()
                .keys()
                .collect();
            let written: Vec<&String> = written.as_object().unwrap().keys().collect();
            assert_eq!(keys, written);
        }
    }
}
