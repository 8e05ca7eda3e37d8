//! The committed JSON Schema of events is the one of the code, and says a word about every field.

use serde_json::Value;
use sluice_pipelines::events::json_schema;

use crate::schema::assert_current;

#[test]
fn the_committed_event_schema_is_current() {
    assert_current("schema/events.schema.json", &json_schema());
}

#[test]
fn every_event_and_field_is_described() {
    let schema = json_schema();
    let kinds = schema["oneOf"].as_array().unwrap();
    assert!(kinds.len() >= 19, "{}", kinds.len());
    let words = |value: &Value| value["description"].as_str().unwrap_or_default().len();
    for kind in kinds {
        assert!(words(kind) > 10, "{}", kind["title"]);
        for (name, field) in kind["properties"].as_object().unwrap() {
            assert!(words(field) > 3, "{}.{name}", kind["title"]);
        }
    }
}
