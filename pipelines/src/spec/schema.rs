//! The JSON Schema of the language, for editors.

use serde_json::{Value as Json, json};

use super::decode::{Definitions, ObjectSchema, Part};
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
