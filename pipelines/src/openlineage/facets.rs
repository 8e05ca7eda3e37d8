//! The facets of OpenLineage: what is said about runs, jobs and datasets.

use arrow::datatypes::Schema;
use serde_json::{Map, Value as Json, json};
use sluice_lake::ingest::type_name;

use super::PRODUCER;
use crate::plan::origins::SourceColumn;

/// A facet with the fields that all of them have.
pub(super) fn facet(version: &str, name: &str, fields: Json) -> Json {
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), PRODUCER.into());
    let url = format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}");
    facet.insert("_schemaURL".to_owned(), url.into());
    if let Json::Object(fields) = fields {
        facet.extend(fields);
    }
    Json::Object(facet)
}

/// What computes.
pub(super) fn engine() -> Json {
    let engine = json!({
        "name": "sluice",
        "version": env!("CARGO_PKG_VERSION"),
        "openlineageAdapterVersion": env!("CARGO_PKG_VERSION"),
    });
    facet("1-1-1", "ProcessingEngineRunFacet", engine)
}

/// Why something failed.
pub(super) fn error(words: &str) -> Json {
    let error = json!({"message": words, "programmingLanguage": "SQL"});
    facet("1-0-0", "ErrorMessageRunFacet", error)
}

/// What kind of work a job is.
pub(super) fn job_type(kind: &str) -> Json {
    let job = json!({"processingType": "BATCH", "integration": "SLUICE", "jobType": kind});
    facet("2-0-3", "JobTypeJobFacet", job)
}

/// The columns of a table.
pub(super) fn schema(schema: &Schema) -> Json {
    let fields = schema.fields().iter();
    let fields: Vec<Json> = fields
        .map(|field| json!({"name": field.name(), "type": type_name(field.data_type())}))
        .collect();
    facet("1-1-1", "SchemaDatasetFacet", json!({"fields": fields}))
}

/// What columns are made of: each with its sources, which `dataset` gives a namespace and a name.
pub(super) fn column_lineage<'a>(
    columns: impl Iterator<Item = (&'a str, &'a [SourceColumn])>,
    dataset: impl Fn(&str) -> (String, String),
) -> Json {
    let mut fields = Map::new();
    for (column, from) in columns {
        let inputs: Vec<Json> = from
            .iter()
            .map(|source| {
                let (namespace, name) = dataset(&source.table);
                json!({"namespace": namespace, "name": name, "field": source.column})
            })
            .collect();
        fields.insert(column.to_owned(), json!({"inputFields": inputs}));
    }
    facet(
        "1-2-0",
        "ColumnLineageDatasetFacet",
        json!({"fields": fields}),
    )
}

/// The version of a table.
pub(super) fn version(version: i64) -> Json {
    let version = json!({"datasetVersion": version.to_string()});
    facet("1-0-1", "DatasetVersionDatasetFacet", version)
}

/// The name by which SQL knows a table.
pub(super) fn symlink(namespace: &str, name: &str) -> Json {
    let identifier = json!({"namespace": namespace, "name": name, "type": "TABLE"});
    facet(
        "1-0-1",
        "SymlinksDatasetFacet",
        json!({"identifiers": [identifier]}),
    )
}

/// How many rows were written.
pub(super) fn statistics(rows: u64) -> Json {
    let rows = json!({"rowCount": rows});
    facet("1-0-2", "OutputStatisticsOutputDatasetFacet", rows)
}
