//! What the registry holds, as rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
use sluice_lake::registry::{Labels, ModelVersion, RegisteredModel, Registry, moment_text};
use sluice_lake::state::State;

use crate::cli::error::CliError;
use crate::cli::pairs::{write_columns, write_fields};
use crate::results::Format;

/// One line a model.
pub(super) async fn list(registry: &Registry, format: Format) -> Result<(), CliError> {
    let models = registry.list().await?;
    let mut created = Vec::with_capacity(models.len());
    for model in &models {
        let versions = registry.versions(&model.name).await?;
        created.push(versions.last().map(|version| version.creation_time_ms));
    }
    let mut labels = Vec::with_capacity(models.len());
    for model in &models {
        labels.push(registry.labels(&model.name, None).await?);
    }
    let names = models.iter().map(|model| Some(model.name.clone()));
    let aliases = models.iter().map(|model| Some(aliases(model)));
    let count = |model: &RegisteredModel| i64::try_from(model.versions.len()).unwrap_or(i64::MAX);
    let mut columns = vec![
        ("name", texts(names)),
        (
            "versions",
            numbers(models.iter().map(|model| Some(count(model)))),
        ),
        (
            "latest",
            numbers(models.iter().map(|model| model.versions.last().copied())),
        ),
        ("aliases", texts(aliases)),
        ("latest_created", times(created)),
    ];
    columns.extend(label_columns(&labels));
    write_columns(columns, format)
}

/// What people say, in two columns.
fn label_columns(labels: &[Labels]) -> [(&'static str, ArrayRef); 2] {
    let descriptions = labels.iter().map(|labels| labels.description.clone());
    let tags = labels.iter().map(|labels| {
        let pairs = labels
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        Some(pairs.collect::<Vec<_>>().join(", "))
    });
    [("description", texts(descriptions)), ("tags", texts(tags))]
}

fn aliases(model: &RegisteredModel) -> String {
    let pairs = model.aliases.iter();
    let pairs: Vec<String> = pairs
        .map(|(alias, version)| format!("@{alias} {version}"))
        .collect();
    pairs.join(", ")
}

/// One line a version of a model.
pub(super) async fn versions(
    registry: &Registry,
    model: &RegisteredModel,
    format: Format,
) -> Result<(), CliError> {
    let versions = registry.versions(&model.name).await?;
    let mut labels = Vec::with_capacity(versions.len());
    for version in &versions {
        labels.push(registry.labels(&model.name, Some(version.version)).await?);
    }
    let all = || versions.iter();
    let mut columns = vec![
        (
            "version",
            numbers(all().map(|version| Some(version.version))),
        ),
        (
            "status",
            texts(all().map(|version| Some(version.status().to_owned()))),
        ),
        (
            "aliases",
            texts(all().map(|version| Some(naming(model, version)))),
        ),
        (
            "asset",
            texts(all().map(|version| Some(version.asset.clone()))),
        ),
        ("data", texts(all().map(|version| Some(data(version))))),
        (
            "created",
            times(
                all()
                    .map(|version| Some(version.creation_time_ms))
                    .collect(),
            ),
        ),
        (
            "run_id",
            texts(all().map(|version| Some(version.run_id.to_string()))),
        ),
    ];
    columns.extend(label_columns(&labels));
    write_columns(columns, format)
}

fn naming(model: &RegisteredModel, version: &ModelVersion) -> String {
    let named = model.aliases.iter();
    let named: Vec<String> = named
        .filter(|(_, number)| **number == version.version)
        .map(|(alias, _)| format!("@{alias}"))
        .collect();
    named.join(", ")
}

fn data(version: &ModelVersion) -> String {
    let tables = version.inputs.iter();
    let tables: Vec<String> = tables
        .map(|table| format!("{} version {}", table.name, table.version))
        .collect();
    tables.join(", ")
}

/// All that is known of a version, one line each.
pub(super) async fn version(
    registry: &Registry,
    state: Option<&State>,
    version: &ModelVersion,
    format: Format,
) -> Result<(), CliError> {
    let models = registry.list().await?;
    let model = models.iter().find(|model| model.name == version.name);
    let mut rows = vec![
        ("name".to_owned(), version.name.clone()),
        ("version".to_owned(), version.version.to_string()),
        ("status".to_owned(), version.status().to_owned()),
        (
            "aliases".to_owned(),
            model
                .map(|model| naming(model, version))
                .unwrap_or_default(),
        ),
        ("created".to_owned(), moment_text(version.creation_time_ms)),
        ("asset".to_owned(), version.asset.clone()),
        ("data".to_owned(), data(version)),
        ("run_id".to_owned(), version.run_id.to_string()),
        ("folder".to_owned(), version.path.display().to_string()),
    ];
    if let Some(retired) = &version.retired {
        rows.push(("retired".to_owned(), moment_text(retired.timestamp_ms)));
        rows.push(("retired.reason".to_owned(), retired.reason.clone()));
    }
    let labels = registry
        .labels(&version.name, Some(version.version))
        .await?;
    if let Some(description) = labels.description {
        rows.push(("description".to_owned(), description));
    }
    let tags = labels.tags.into_iter();
    rows.extend(tags.map(|(key, value)| (format!("tags.{key}"), value)));
    for decision in registry.decisions(version).await? {
        let what = if decision.moved {
            "moved to it"
        } else {
            "stayed"
        };
        let value = format!("{what}: {}", decision.reason);
        rows.push((format!("decision.@{}", decision.alias), value));
    }
    if let Some(state) = state {
        let tables = state
            .tables_made_with(&version.name, version.version)
            .await?;
        rows.push(("made the rows of".to_owned(), tables.join(", ")));
    }
    rows.extend(figures(state, version).await?);
    write_fields(&rows, format)
}

/// Versions side by side: a line a field, a column a version.
pub(super) async fn compare(
    state: Option<&State>,
    versions: &[ModelVersion],
    all: bool,
    format: Format,
) -> Result<(), CliError> {
    let mut sides: Vec<BTreeMap<String, String>> = Vec::with_capacity(versions.len());
    for version in versions {
        let mut fields = BTreeMap::from([
            ("asset".to_owned(), version.asset.clone()),
            ("data".to_owned(), data(version)),
            ("status".to_owned(), version.status().to_owned()),
        ]);
        fields.extend(figures(state, version).await?);
        sides.push(fields);
    }
    let fields: BTreeSet<&String> = sides.iter().flat_map(BTreeMap::keys).collect();
    let differs = |field: &&String| {
        let mut values = sides.iter().map(|side| side.get(*field));
        let first = values.next();
        all || values.any(|value| Some(value) != first)
    };
    let fields: Vec<&String> = fields.into_iter().filter(differs).collect();
    let titles: Vec<String> = versions
        .iter()
        .enumerate()
        .map(|(position, version)| {
            let title = format!("{}/{}", version.name, version.version);
            let twice = versions[..position]
                .iter()
                .any(|other| other.path == version.path);
            // Two columns of one name would be one in JSON.
            if twice {
                format!("{title} ({})", position + 1)
            } else {
                title
            }
        })
        .collect();
    let mut columns = vec![(
        "field",
        texts(fields.iter().map(|field| Some((*field).clone()))),
    )];
    for (title, side) in titles.iter().zip(&sides) {
        let values = fields.iter().map(|field| side.get(*field).cloned());
        columns.push((title.as_str(), texts(values)));
    }
    write_columns(columns, format)
}

/// Parameters and metrics of a version.
async fn figures(
    state: Option<&State>,
    version: &ModelVersion,
) -> Result<Vec<(String, String)>, CliError> {
    let mut figures = Vec::new();
    if let Some(state) = state {
        let params = state.params(&version.run_id).await?;
        figures.extend(
            params
                .into_iter()
                .map(|(name, value)| (format!("params.{name}"), value)),
        );
    }
    let metrics = version.metrics.iter();
    figures.extend(metrics.map(|(name, value)| (format!("metrics.{name}"), value.to_string())));
    Ok(figures)
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn times(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
}
