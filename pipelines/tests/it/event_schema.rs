//! The committed JSON Schema of events is the one of the code, and says a word about every field.

use serde_json::Value;
use sluice_pipelines::events::json_schema;

const COMMITTED: &str = "schema/events.schema.json";

/// Set `SLUICE_UPDATE_SCHEMA=1` to write the file anew.
#[test]
fn the_committed_event_schema_is_current() {
    let mut current = serde_json::to_string_pretty(&json_schema()).unwrap();
    current.push('\n');
    if std::env::var_os("SLUICE_UPDATE_SCHEMA").is_some() {
        std::fs::write(COMMITTED, &current).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap();
    assert!(
        committed == current,
        "{COMMITTED} is out of date: run this test with SLUICE_UPDATE_SCHEMA=1"
    );
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
