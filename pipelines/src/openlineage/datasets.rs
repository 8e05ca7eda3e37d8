//! Tables, models and files as datasets of OpenLineage, named as its naming specification names
//! what lies in a file system: namespace `file`, name the absolute path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value as Json, json};

use super::facets;
use crate::lineage::ColumnLineage;
use crate::plan::{Asset, AssetBody, Plan, TokenizerSource};

/// The namespace of what lies in the local file system.
const NAMESPACE: &str = "file";

/// What is known of the datasets of a project.
pub(super) struct Datasets {
    /// The lakehouse's folder, absolute.
    lakehouse: PathBuf,
    /// The columns of tables, by lower-case name.
    schemas: BTreeMap<String, SchemaRef>,
    /// What columns are made of.
    columns: Vec<ColumnLineage>,
}

impl Datasets {
    pub(super) fn new(plan: &Plan, columns: Vec<ColumnLineage>) -> Self {
        let schemas = plan.schemas.iter();
        let schemas = schemas.map(|(name, schema)| {
            let name = name.to_string().to_lowercase();
            (name, Arc::clone(schema))
        });
        Self {
            lakehouse: absolute(&plan.lakehouse),
            schemas: schemas.collect(),
            columns,
        }
    }

    /// The inputs and outputs of a stage. `rows` and `version`: what it came to, if it has.
    pub(super) fn of(
        &self,
        plan: &Plan,
        asset: &Asset,
        rows: Option<u64>,
        version: Option<i64>,
    ) -> (Vec<Json>, Vec<Json>) {
        let tables = asset.reads().into_iter();
        let mut inputs: Vec<Json> = tables
            .map(|table| self.table(plan, &table.to_string(), Map::new()))
            .collect();
        for applied in asset.uses() {
            inputs.push(self.model(&applied.uri.name));
        }
        inputs.extend(files(asset).iter().map(|path| dataset(path, Map::new())));
        let mut outputs: Vec<Json> = Vec::new();
        for table in asset.makes() {
            let name = table.to_string();
            let mut more = Map::new();
            more.insert("columnLineage".to_owned(), self.lineage(&name));
            let own = asset.table() == Some(table);
            if let Some(version) = version.filter(|_| own) {
                more.insert("version".to_owned(), facets::version(version));
            }
            let mut output = self.table(plan, &name, more);
            if let Some(rows) = rows.filter(|_| own) {
                output["outputFacets"] = json!({"outputStatistics": facets::statistics(rows)});
            }
            outputs.push(output);
        }
        if let Some(register) = asset.registers() {
            outputs.push(self.registered(register.name.as_str(), version));
        } else if let AssetBody::Tokenizer(_) = asset.body {
            outputs.push(self.registered(&asset.name, version));
        }
        (inputs, outputs)
    }

    fn path_of(&self, table: &str) -> PathBuf {
        table
            .split('.')
            .fold(self.lakehouse.clone(), |path, part| path.join(part))
    }

    fn table(&self, plan: &Plan, name: &str, mut facets: Map<String, Json>) -> Json {
        if let Some(schema) = self.schemas.get(&name.to_lowercase()) {
            facets.insert("schema".to_owned(), facets::schema(schema));
        }
        let namespace = format!("sluice://{}", plan.pipeline);
        let symlink = facets::symlink(&namespace, name);
        facets.insert("symlinks".to_owned(), symlink);
        dataset(&self.path_of(name), facets)
    }

    fn lineage(&self, table: &str) -> Json {
        let own = |column: &&ColumnLineage| column.asset.eq_ignore_ascii_case(table);
        let columns = self.columns.iter().filter(own);
        let columns = columns.map(|column| (column.column.as_str(), column.from.as_slice()));
        facets::column_lineage(columns, |table| {
            let path = self.path_of(table);
            (NAMESPACE.to_owned(), path.display().to_string())
        })
    }

    /// A model or a tokenizer of the registry.
    fn model(&self, name: &str) -> Json {
        dataset(&self.lakehouse.join("_models").join(name), Map::new())
    }

    fn registered(&self, name: &str, version: Option<i64>) -> Json {
        let version = version.map(|version| ("version".to_owned(), facets::version(version)));
        let path = self.lakehouse.join("_models").join(name);
        dataset(&path, version.into_iter().collect())
    }
}

fn dataset(path: &Path, facets: Map<String, Json>) -> Json {
    json!({"namespace": NAMESPACE, "name": path.display().to_string(), "facets": facets})
}

/// The folders and files that an ingest or a tokenizer reads: of a pattern the folder from which
/// it is looked for, so that ten thousand files are one dataset.
fn files(asset: &Asset) -> BTreeSet<PathBuf> {
    match &asset.body {
        AssetBody::Ingest(ingest) => {
            let patterns = ingest.patterns.iter();
            patterns
                .map(|pattern| absolute(&ingest.folder.join(without_pattern(pattern))))
                .collect()
        }
        AssetBody::Tokenizer(tokenizer) => match &tokenizer.source {
            TokenizerSource::File { path, .. } => BTreeSet::from([absolute(path)]),
            _ => BTreeSet::new(),
        },
        _ => BTreeSet::new(),
    }
}

/// The part of a path before its first component with a wildcard.
fn without_pattern(pattern: &str) -> PathBuf {
    let parts = Path::new(pattern).components();
    let plain = |part: &Component<'_>| {
        let text = part.as_os_str().to_string_lossy();
        !text.contains(['*', '?', '[', '{'])
    };
    parts.take_while(plain).collect()
}

/// A path from the root, without `.` and `..`; what cannot be told stays as it is.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut out = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_their_folders() {
        for (pattern, folder) in [
            ("data/wine-*.csv", "data"),
            ("data/orders.csv", "data/orders.csv"),
            ("/a/b/**/c.csv", "/a/b"),
            ("*.csv", ""),
        ] {
            assert_eq!(without_pattern(pattern), Path::new(folder), "{pattern}");
        }
        assert_eq!(absolute(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}
