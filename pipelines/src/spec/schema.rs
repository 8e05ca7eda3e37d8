//! The JSON Schema of the language, for editors, built up by the types that decode it.

use serde_json::{Map, Value as Json, json};

use super::decode::Part;
use super::pipeline::PipelineFile;

/// The schema (draft 2020-12) of a pipeline file, made from the definitions that decode it.
#[must_use]
pub fn json_schema() -> Json {
    let mut defs = Definitions::default();
    let mut object = ObjectSchema::default();
    PipelineFile::schema_part(&mut object, &mut defs);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluice pipeline",
    });
    let root = object.into_json("A pipeline: what should exist, in no order.");
    if let (Json::Object(schema), Json::Object(root)) = (&mut schema, root) {
        schema.extend(root);
        schema.insert("$defs".to_owned(), defs.into_json());
    }
    schema
}

/// The `$defs` of the schema.
#[derive(Default)]
pub(crate) struct Definitions {
    defs: Map<String, Json>,
}

impl Definitions {
    /// A reference to a definition, which `make` gives when it is not there yet.
    pub(crate) fn reference(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Definitions) -> Json,
    ) -> Json {
        if !self.defs.contains_key(name) {
            self.defs.insert(name.to_owned(), Json::Null);
            let made = make(self);
            self.defs.insert(name.to_owned(), made);
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }

    /// All definitions, sorted by name.
    pub(crate) fn into_json(self) -> Json {
        let mut defs: Vec<(String, Json)> = self.defs.into_iter().collect();
        defs.sort_by(|a, b| a.0.cmp(&b.0));
        Json::Object(defs.into_iter().collect())
    }
}

/// The schema of a mapping while its parts add to it.
#[derive(Default)]
pub(crate) struct ObjectSchema {
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    choices: Vec<Json>,
    /// For each kind of thing that it can be the keys that it needs.
    kinds: Vec<Vec<&'static str>>,
}

impl ObjectSchema {
    /// Adds a key.
    pub(crate) fn property(&mut self, key: &'static str, schema: Json, doc: &str, required: bool) {
        self.properties
            .insert(key.to_owned(), described(schema, doc));
        if required {
            self.required.push(key);
        }
    }

    /// Demands exactly one of some keys.
    pub(crate) fn one_of(&mut self, keys: &[&str]) {
        let options: Vec<Json> = keys.iter().map(|key| json!({"required": [key]})).collect();
        self.choices.push(json!({"oneOf": options}));
    }

    /// Adds the keys of a kind, which `key` chooses; what they need, only that kind needs.
    pub(crate) fn kind(&mut self, key: &'static str, options: Self) {
        self.properties.extend(options.properties);
        self.choices.extend(options.choices);
        self.kinds.push([vec![key], options.required].concat());
    }

    /// Demands exactly one of the kinds.
    pub(crate) fn one_kind(&mut self) {
        let kinds = std::mem::take(&mut self.kinds);
        let options: Vec<Json> = kinds.iter().map(|keys| json!({"required": keys})).collect();
        self.choices.push(json!({"oneOf": options}));
    }

    /// The finished schema.
    pub(crate) fn into_json(self, doc: &str) -> Json {
        let mut object = Map::new();
        object.insert("description".to_owned(), doc.trim().into());
        object.insert("type".to_owned(), "object".into());
        object.insert("properties".to_owned(), Json::Object(self.properties));
        object.insert("additionalProperties".to_owned(), false.into());
        if !self.required.is_empty() {
            object.insert("required".to_owned(), json!(self.required));
        }
        if !self.choices.is_empty() {
            object.insert("allOf".to_owned(), Json::Array(self.choices));
        }
        Json::Object(object)
    }
}

/// A schema with a description (draft 2020-12 allows one beside `$ref`).
fn described(schema: Json, doc: &str) -> Json {
    match schema {
        Json::Object(mut object) => {
            object.insert("description".to_owned(), doc.trim().into());
            Json::Object(object)
        }
        other => other,
    }
}
