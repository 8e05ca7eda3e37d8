//! What a project left in its lakehouse, in a form that can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::sandbox::Sandbox;

/// Row multisets (less `_ingested_at`) by table, and for each alias the bytes of the
/// model that it names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    tables: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    /// Reads the lakehouse through the binary.
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let tables = sandbox.rows(
            "SELECT table_schema AS layer, table_name AS name FROM information_schema.tables
             WHERE table_schema NOT IN ('system', 'information_schema')",
        );
        let tables = tables
            .iter()
            .map(|table| {
                let name = format!(
                    "{}.{}",
                    table["layer"].as_str().unwrap(),
                    table["name"].as_str().unwrap()
                );
                let mut rows: Vec<String> = sandbox
                    .rows(&format!("SELECT * FROM {name}"))
                    .into_iter()
                    .map(|mut row| {
                        row.as_object_mut().unwrap().remove("_ingested_at");
                        row.to_string()
                    })
                    .collect();
                rows.sort_unstable();
                (name, rows)
            })
            .collect();
        let aliases = sandbox
            .rows("SELECT name, alias, version FROM system.aliases")
            .iter()
            .map(|alias| {
                let name = alias["name"].as_str().unwrap();
                let model = model(sandbox.path(), name, alias["version"].as_i64().unwrap());
                (
                    format!("{name}@{}", alias["alias"].as_str().unwrap()),
                    model,
                )
            })
            .collect();
        Self { tables, aliases }
    }

    /// Fails with the first difference.
    pub(crate) fn assert_same(&self, other: &Self, context: &str) {
        let names = |outcome: &Self| outcome.tables.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{context}: tables");
        for (name, rows) in &self.tables {
            assert_eq!(rows, &other.tables[name], "{context}: rows of {name}");
        }
        let names = |outcome: &Self| outcome.aliases.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{context}: aliases");
        for (alias, model) in &self.aliases {
            assert!(
                model == &other.aliases[alias],
                "{context}: model of {alias}"
            );
        }
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Vec<&str> {
        self.tables.keys().map(String::as_str).collect()
    }

    /// The names of the aliases, as `model@alias`.
    pub(crate) fn aliases(&self) -> Vec<&str> {
        self.aliases.keys().map(String::as_str).collect()
    }
}

/// The bytes of a version's `model.json`.
fn model(project: &Path, name: &str, version: i64) -> Vec<u8> {
    let folder = project.join("lakehouse/_models").join(name);
    let bytes = fs::read(folder.join(version.to_string()).join("model.json")).unwrap();
    assert!(!bytes.is_empty());
    bytes
}
