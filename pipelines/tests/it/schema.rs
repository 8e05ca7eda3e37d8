//! The committed JSON Schema is the one of the code, and says what the decoder says.

use serde_json::{Map, Value, json};
use sluice_pipelines::diagnostic::Diagnostics;
use sluice_pipelines::source::SourceFile;
use sluice_pipelines::spec::json_schema;
use sluice_pipelines::yaml::{self, Node, NodeKind};

#[test]
fn the_committed_schema_is_current() {
    assert_current("schema/pipeline.schema.json", &json_schema());
}

/// That a committed schema is the one of the code. Set `SLUICE_UPDATE_SCHEMA=1` to write the file
/// anew.
pub(crate) fn assert_current(file: &str, schema: &Value) {
    let mut current = serde_json::to_string_pretty(schema).unwrap();
    current.push('\n');
    if std::env::var_os("SLUICE_UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &current).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap();
    assert!(
        committed == current,
        "{file} is out of date: run this test with SLUICE_UPDATE_SCHEMA=1"
    );
}

#[test]
fn every_key_is_described() {
    fn visit(value: &Value, path: &str, seen: &mut usize) {
        if let Some(Value::Object(properties)) = value.get("properties") {
            for (key, schema) in properties {
                let words = schema["description"].as_str().unwrap_or_default();
                assert!(words.len() > 10, "{path}/{key} has no description");
                *seen += 1;
            }
        }
        match value {
            Value::Object(map) => map
                .iter()
                .for_each(|(k, v)| visit(v, &format!("{path}/{k}"), seen)),
            Value::Array(items) => items.iter().for_each(|item| visit(item, path, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    visit(&json_schema(), "", &mut seen);
    assert!(seen >= 38, "only {seen} keys");
}

#[test]
fn it_accepts_the_examples() {
    for file in [
        "tests/it/good/pipeline.yaml",
        "../examples/wine/pipeline.yaml",
    ] {
        let value = read(file);
        assert_eq!(violations(&value), Vec::<String>::new(), "{file}");
    }
}

#[test]
fn it_refuses_what_the_decoder_refuses() {
    for name in [
        "unknown_keys",
        "missing_and_conflicting",
        "sweep",
        "wrong_types",
    ] {
        let value = read(&format!("tests/it/specs/{name}.yaml"));
        assert!(!violations(&value).is_empty(), "{name}");
    }
}

fn read(file: &str) -> Value {
    let source = std::sync::Arc::new(SourceFile::new(
        file,
        std::fs::read_to_string(file).unwrap(),
    ));
    to_json(&yaml::parse(&source, &mut Diagnostics::new()).unwrap())
}

fn to_json(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Empty | NodeKind::Refused => Value::Null,
        NodeKind::Scalar(scalar) if scalar.is_plain() => {
            serde_json::from_str(&scalar.text).unwrap_or_else(|_| json!(scalar.text))
        }
        NodeKind::Scalar(scalar) => json!(scalar.text),
        NodeKind::Sequence(items) => items.iter().map(to_json).collect(),
        NodeKind::Mapping(mapping) => {
            let entries = mapping.entries.iter();
            Value::Object(
                entries
                    .map(|e| (e.key.text.clone(), to_json(&e.value)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

/// What breaks the schema, for the keywords that it uses.
fn violations(value: &Value) -> Vec<String> {
    let schema = json_schema();
    let mut found = Vec::new();
    check(value, &schema, &schema, "", &mut found);
    found
}

fn check(value: &Value, schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
    let Value::Object(keywords) = schema else {
        assert_eq!(schema, &json!(true));
        return;
    };
    let passes = |schema: &Value| {
        let mut found = Vec::new();
        check(value, schema, root, path, &mut found);
        found.is_empty()
    };
    for (keyword, argument) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let name = argument.as_str().unwrap().strip_prefix("#").unwrap();
                check(value, root.pointer(name).unwrap(), root, path, found);
                true
            }
            "type" => has_type(value, argument),
            "enum" => argument.as_array().unwrap().contains(value),
            "minimum" => value
                .as_f64()
                .is_none_or(|v| v >= argument.as_f64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|v| v.len() as u64 >= argument.as_u64().unwrap()),
            "minItems" => value
                .as_array()
                .is_none_or(|v| v.len() as u64 >= argument.as_u64().unwrap()),
            "minProperties" => value
                .as_object()
                .is_none_or(|v| v.len() as u64 >= argument.as_u64().unwrap()),
            "maxProperties" => value
                .as_object()
                .is_none_or(|v| v.len() as u64 <= argument.as_u64().unwrap()),
            "anyOf" => argument.as_array().unwrap().iter().any(passes),
            "allOf" => argument.as_array().unwrap().iter().all(passes),
            "oneOf" => {
                argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|s| passes(s))
                    .count()
                    == 1
            }
            "required" => argument
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(item, argument, root, path, found);
                }
                true
            }
            "properties" => {
                for (key, schema) in argument.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(value, schema, root, &format!("{path}/{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if keywords
                        .get("properties")
                        .is_some_and(|known| known.get(key).is_some())
                    {
                        continue;
                    }
                    if argument == &json!(false) {
                        found.push(format!("{path}: unknown key {key}"));
                    } else {
                        check(value, argument, root, &format!("{path}/{key}"), found);
                    }
                }
                true
            }
            "pattern" | "propertyNames" | "maxLength" | "description" | "examples" | "title"
            | "$schema" | "$defs" => true,
            other => panic!("the schema has come to use `{other}`: teach it to this test"),
        };
        if !holds {
            found.push(format!("{path}: {keyword} {argument}"));
        }
    }
}

fn has_type(value: &Value, types: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    };
    match types {
        Value::String(name) => is(name),
        types => types
            .as_array()
            .unwrap()
            .iter()
            .any(|name| is(name.as_str().unwrap())),
    }
}
