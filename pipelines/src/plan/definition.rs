//! What an asset's definition says, normalised: equal ones make the same of the same inputs.

use serde_json::{Value, json};
use sluice_lake::ingest::ReadOptions;
use sluice_lake::sql::{normalise, normalise_expression};

use super::difference;
use super::fingerprint::{Fingerprint, settings};
use super::{Asset, AssetBody, RowPlan, TableExpectation, TableRule};

impl Fingerprint {
    /// What an asset's definition says, without its inputs.
    pub(crate) fn of_definition(asset: &Asset) -> Self {
        let (own, decisions) = match &asset.body {
            AssetBody::Ingest(_) | AssetBody::Sql(_) => (definition(asset), json!({})),
            AssetBody::Tokenizer(tokenizer) => (tokenizer.definition.clone(), json!({})),
            AssetBody::Model(model) => (model.definition.clone(), decided(asset)),
            AssetBody::Scored(scored) => (partitioned(scored.settings(), asset), json!({})),
            AssetBody::Report(report) => (report.settings(), json!({})),
            AssetBody::Unread(_) => (json!({}), json!({})),
        };
        let mut settings_now = settings(&own);
        settings_now.extend(difference::of_variables(&asset.variables));
        Self {
            kind: asset.kind().to_owned(),
            semantics: asset.semantics(),
            definition: hashed(&definition(asset)),
            settings: settings_now,
            decided: settings(&decisions),
            ..Self::default()
        }
    }
}

/// The setting that names the registered model.
pub(super) const REGISTERED_AS: &str = "register.as";

/// What is decided about a model once it is trained.
fn decided(asset: &Asset) -> Value {
    match asset.registers() {
        None => json!({}),
        Some(register) => json!({"register": {
            "as": register.name.as_str(),
            "alias": register.alias.as_ref().map(|alias| alias.as_str()),
            "when": register.when.as_ref().map(|when| when.text.value.as_str()),
        }}),
    }
}

fn hashed(definition: &Value) -> String {
    blake3::hash(definition.to_string().as_bytes())
        .to_hex()
        .to_string()
}

/// An asset's normalised definition.
fn definition(asset: &Asset) -> Value {
    partitioned(definition_of(asset), asset)
}

/// A definition, with the columns that the table is partitioned by, if it is.
fn partitioned(mut definition: Value, asset: &Asset) -> Value {
    let by = &asset.maintenance.partition_by;
    if !by.is_empty() {
        definition["partition_by"] = by.join(", ").into();
    }
    definition
}

fn definition_of(asset: &Asset) -> Value {
    match &asset.body {
        AssetBody::Ingest(ingest) => json!({
            "files": ingest.patterns,
            "csv": format!("{:?}", identity(&ingest.options)),
            "rows": rows(&ingest.rows),
        }),
        AssetBody::Sql(sql) => {
            let mut definition = json!({
                "sql": normalise(&sql.statement),
                "rows": rows(&sql.rows),
            });
            if let Some(mode) = sql.upkeep.mode.identity() {
                definition["mode"] = mode;
            }
            definition
        }
        AssetBody::Scored(scored) => json!({
            "predict": scored.settings(),
            "rows": rows(&scored.rows),
        }),
        AssetBody::Tokenizer(tokenizer) => tokenizer.definition.clone(),
        AssetBody::Model(model) => model.definition.clone(),
        AssetBody::Report(report) => report.definition(),
        // It is not made, and not compared.
        AssetBody::Unread(unread) => json!({ "needs": unread.needs }),
    }
}

/// The options that decide what rows a file gives: not whether the table may follow when
/// columns change, which would make it anew.
fn identity(options: &ReadOptions) -> ReadOptions {
    ReadOptions {
        evolve: false,
        ..options.clone()
    }
}

fn rows(rows: &RowPlan) -> Value {
    let rules = rows.rules.iter().map(|rule| {
        json!([
            rule.name,
            normalise_expression(&rule.that),
            rule.otherwise.name()
        ])
    });
    let mut unique = Vec::new();
    let mut others = Vec::new();
    for TableExpectation {
        name,
        rule,
        otherwise,
    } in &rows.table_rules
    {
        match rule {
            TableRule::Unique(columns) => unique.push(json!([name, columns, otherwise.name()])),
            other => others.push(json!([name, other.identity(), otherwise.name()])),
        }
    }
    let split = rows
        .split
        .as_ref()
        .map(|split| json!([split.parts, split.seed, split.by]));
    let mut definition = json!({
        "rules": rules.collect::<Vec<_>>(),
        "unique": unique,
        "split": split,
    });
    // Only what is written, so that definitions of before these keys keep their identity.
    if !others.is_empty() {
        definition["table_rules"] = others.into();
    }
    definition
}
