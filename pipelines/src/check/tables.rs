//! Looks inside tables: their files ([`super::ingest`]), queries ([`super::queries`]), rules
//! ([`super::row_rules`], [`super::table_rules`]) and splits.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sluice_lake::TableName;
use sluice_lake::delta::types::delta_schema;

use super::contract::{Agreed, check_contract};
use super::edges::Found;
use super::ingest::check_ingest;
use super::known::{Known, load_stored};
use super::quarantine::check_quarantine;
use super::queries::check_query;
use super::row_rules::check_rows;
use super::scored::check_scored;
use super::table_rules::check_table_rules;
use super::world::error_chain;
use super::{Checker, Declaration, tokenizers};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::{AssetBody, IngestAsset, RowPlan, ScoredAsset, SqlAsset};
use crate::run::split::{SPLIT_COLUMN, Splitter};
use crate::source::{Span, Spanned};
use crate::spec::{TableBody, TableSpec};

/// Checks a table. `None` if it, or something that it reads, is broken.
pub(crate) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    table: &TableSpec,
    found: &Found,
) -> Option<AssetBody> {
    let (body, _) = look(checker, known, declaration, table, found).await?;
    Some(body)
}

/// The body of a table, and its columns, which become known. `None` if it, or something that it reads, is broken.
pub(super) async fn look(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    table: &TableSpec,
    found: &Found,
) -> Option<(AssetBody, SchemaRef)> {
    let name: TableName = declaration.name.parse().ok()?;
    if found.broken || !load_stored(checker, known, found, declaration.span).await {
        return None;
    }
    let (body, schema) = match &*table.body {
        TableBody::Ingest(ingest) => {
            check_ingest(checker, ingest, &name, table.split.is_some()).await?
        }
        TableBody::Sql(sql) => check_query(checker, known, table, sql, &name, found).await?,
        TableBody::SqlFile(file) => {
            check_query(checker, known, table, &file.sql, &name, found).await?
        }
        TableBody::Predict(scored) => check_scored(checker, known, scored, &name, found)?,
    };
    if schema.fields().is_empty() {
        // Files that cannot be read, of a table that was never made.
        return Some((body, schema));
    }
    let tokenizers = tokenizers::settled(checker, &found.tokenizers, known.models.tokenizers());
    let tokenizers = tokenizers.await;
    let rows = check_rows(checker, known, table, &name, &schema, &tokenizers);
    let quarantine = check_quarantine(checker, known, table, &name, &schema);
    let schema = match (&table.split, schema.field_with_name(SPLIT_COLUMN)) {
        (Some(_), Err(_)) => Arc::new(Splitter::schema(&schema)),
        _ => schema,
    };
    let agreed = match table.columns.is_empty() {
        true => Some(Agreed::default()),
        false => check_contract(checker, table, &name, &schema),
    };
    let promised = agreed.as_ref().map(|agreed| &agreed.plan);
    let schema = promised.map_or(schema.clone(), |plan| Arc::new(plan.applied_to(&schema)));
    known.add(&name, Arc::clone(&schema)).ok()?;
    let table_rules = check_table_rules(checker, known, table, &name, &schema).await;
    // All of it is looked at, so that all that is wrong is told at once.
    let (rows, agreed, mut table_rules) = (rows?, agreed?, table_rules?);
    let quarantine = quarantine.ok()?;
    table_rules.extend(agreed.key);
    let mut row_rules = rows.rules;
    row_rules.extend(agreed.rules);
    let rows = RowPlan {
        rules: row_rules,
        contract: agreed.plan,
        tokenizers: found.tokenizers.clone(),
        table_rules,
        rule_reads: found.rule_reads.clone(),
        quarantine,
        ..rows
    };
    let body = match body {
        AssetBody::Ingest(ingest) => AssetBody::Ingest(Box::new(IngestAsset { rows, ..*ingest })),
        AssetBody::Sql(sql) => AssetBody::Sql(Box::new(SqlAsset {
            rows,
            schema: Arc::clone(&schema),
            ..*sql
        })),
        AssetBody::Scored(scored) => AssetBody::Scored(Box::new(ScoredAsset { rows, ..*scored })),
        other @ (AssetBody::Tokenizer(_)
        | AssetBody::Model(_)
        | AssetBody::Report(_)
        | AssetBody::Unread(_)) => other,
    };
    Some((body, schema))
}

pub(super) fn storable(
    checker: &mut Checker<'_>,
    name: &TableName,
    schema: &Schema,
    span: Span,
) -> bool {
    match delta_schema(name, schema) {
        Ok(_) => true,
        Err(error) => {
            checker.error(Diagnostic::error("bad_column", error_chain(&error)), span);
            false
        }
    }
}

/// The spelling of a column that the pipeline names.
pub(super) fn find_column(
    checker: &mut Checker<'_>,
    schema: &Schema,
    column: &Spanned<String>,
    table: &TableName,
) -> Option<String> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    if let Some(name) = names().find(|name| name.eq_ignore_ascii_case(&column.value)) {
        return Some(name.to_owned());
    }
    let help = did_you_mean(&column.value, names());
    let diagnostic = Diagnostic::error(
        "unknown_column",
        format!("`{table}` has no column `{column}`"),
    )
    .maybe_help(help);
    checker.error(diagnostic, column.span);
    None
}
