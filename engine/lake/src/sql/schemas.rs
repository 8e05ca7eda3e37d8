//! The schemas of the tables that a statement reads, looked up once.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider;
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;

use super::error::{SqlError, SqlErrorKind};
use super::messages::plain_words;
use super::references::{TableRef, table_refs};
use super::scope::same;
use super::statement::Statement;
use crate::nearest::nearest;

/// DataFusion's own schema, which no catalog lists.
const INFORMATION_SCHEMA: &str = "information_schema";

/// One table that a statement names.
#[derive(Debug, Clone)]
struct KnownTable {
    /// As the statement names it.
    written: Vec<String>,
    /// The same parts as the catalog spells them.
    spelled: Vec<String>,
    schema: SchemaRef,
}

/// The schemas of the tables that a statement reads.
///
/// [`table_schemas`] takes them from a session's catalogs; where there are no
/// tables yet, [`TableSchemas::insert`] says what they will look like.
#[derive(Debug, Clone, Default)]
pub struct TableSchemas {
    tables: Vec<KnownTable>,
}

impl TableSchemas {
    /// No tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a table by its parts (`[layer, table]`) as they are spelled; a
    /// table of the same name, ignoring case, is replaced.
    pub fn insert(&mut self, parts: &[&str], schema: SchemaRef) {
        let spelled: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        self.insert_as(spelled.clone(), spelled, schema);
    }

    fn insert_as(&mut self, written: Vec<String>, spelled: Vec<String>, schema: SchemaRef) {
        self.tables
            .retain(|table| !same_parts(&table.written, &written));
        self.tables.push(KnownTable {
            written,
            spelled,
            schema,
        });
    }

    /// The parts of a table's name as they are spelled, and its schema.
    pub fn get(&self, parts: &[&str]) -> Option<(&[String], &SchemaRef)> {
        let table = self.tables.iter().find(|table| {
            table.written.len() == parts.len()
                && table.written.iter().zip(parts).all(|(a, b)| same(a, b))
        })?;
        Some((&table.spelled, &table.schema))
    }
}

fn same_parts(left: &[String], right: &[String]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
}

/// Looks up every table that a statement reads in the catalogs of a session,
/// ignoring case.
///
/// # Errors
/// The first table, in the order of the text, that does not exist (with the
/// nearest that does) or cannot be opened.
pub async fn table_schemas(
    ctx: &SessionContext,
    statement: &Statement,
) -> Result<TableSchemas, SqlError> {
    let mut schemas = TableSchemas::new();
    let mut refs = table_refs(statement);
    refs.sort_by_key(|table| table.span.map(|span| span.start));
    for table in refs {
        let parts: Vec<&str> = table.parts.iter().map(String::as_str).collect();
        if schemas.get(&parts).is_some() {
            continue;
        }
        let (spelled, schema) = find_table(ctx, &table).await?;
        schemas.insert_as(table.parts.clone(), spelled, schema);
    }
    Ok(schemas)
}

async fn find_table(
    ctx: &SessionContext,
    table: &TableRef,
) -> Result<(Vec<String>, SchemaRef), SqlError> {
    let defaults = ctx.state_ref().read().config_options().catalog.clone();
    let (catalog_name, layer, name) = match table.parts.as_slice() {
        [name] => (&defaults.default_catalog, &defaults.default_schema, name),
        [layer, name] => (&defaults.default_catalog, layer, name),
        [catalog, layer, name] => (catalog, layer, name),
        _ => return Err(too_many_parts(table)),
    };
    let Some(catalog_name) = spelling(&ctx.catalog_names(), catalog_name) else {
        return Err(unknown_catalog(ctx, table, catalog_name));
    };
    let found = open_table(ctx, &catalog_name, layer, name, table).await?;
    let Some((layer, name, schema)) = found else {
        let help = help_for_table(ctx, &catalog_name, table);
        return Err(SqlError::new(
            SqlErrorKind::UnknownTable,
            format!("unknown table `{}`", table.parts.join(".")),
        )
        .at(table.span)
        .with_help(help));
    };
    let all = [catalog_name, layer, name];
    let spelled = all[all.len() - table.parts.len()..].to_vec();
    Ok((spelled, schema))
}

async fn open_table(
    ctx: &SessionContext,
    catalog: &str,
    layer: &str,
    name: &str,
    table: &TableRef,
) -> Result<Option<(String, String, SchemaRef)>, SqlError> {
    let mut layers = ctx
        .catalog(catalog)
        .map_or_else(Vec::new, |c| c.schema_names());
    layers.push(INFORMATION_SCHEMA.to_owned());
    let layer = spelling(&layers, layer).unwrap_or_else(|| layer.to_owned());
    let reference = TableReference::full(catalog, layer.as_str(), name);
    // Fails only for a catalog or a layer that does not exist.
    // A copy of the state would copy every function that there is.
    let found = ctx.state_ref().read().schema_for_ref(reference);
    let Ok(schema) = found else {
        return Ok(None);
    };
    let name = table_spelling(schema.as_ref(), name);
    let provider = schema.table(&name).await.map_err(|error| {
        SqlError::new(
            SqlErrorKind::Catalog,
            format!(
                "cannot open the table `{layer}.{name}`: {}",
                plain_words(&error.strip_backtrace())
            ),
        )
        .at(table.span)
        .caused_by(error)
    })?;
    Ok(provider.map(|provider| (layer, name, Arc::clone(&provider.schema()))))
}

fn table_spelling(schema: &dyn SchemaProvider, name: &str) -> String {
    // A layer may hold very many tables: they are only listed for another spelling.
    if schema.table_exist(name) {
        return name.to_owned();
    }
    spelling(&schema.table_names(), name).unwrap_or_else(|| name.to_owned())
}

/// `name` as one of `names` spells it: exactly so if there is one.
fn spelling(names: &[String], name: &str) -> Option<String> {
    let exact = names.iter().find(|candidate| *candidate == name);
    exact
        .or_else(|| names.iter().find(|candidate| same(candidate, name)))
        .cloned()
}

fn too_many_parts(table: &TableRef) -> SqlError {
    SqlError::new(
        SqlErrorKind::UnknownTable,
        format!("`{}` has too many parts", table.parts.join(".")),
    )
    .at(table.span)
    .with_help(Some("write layer.table or catalog.layer.table".to_owned()))
}

fn unknown_catalog(ctx: &SessionContext, table: &TableRef, catalog: &str) -> SqlError {
    let names = ctx.catalog_names();
    let help = nearest(catalog, &names).map(|name| format!("did you mean `{name}`?"));
    SqlError::new(
        SqlErrorKind::UnknownTable,
        format!("unknown catalog `{catalog}`"),
    )
    .at(table.span)
    .with_help(help)
}

/// Every `layer.table` of a catalog, sorted.
fn all_tables(ctx: &SessionContext, catalog: &str) -> Vec<String> {
    let Some(catalog) = ctx.catalog(catalog) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for layer in catalog.schema_names() {
        if layer == INFORMATION_SCHEMA {
            continue;
        }
        if let Some(schema) = catalog.schema(&layer) {
            let tables = schema.table_names().into_iter();
            names.extend(tables.map(|table| format!("{layer}.{table}")));
        }
    }
    names.sort();
    names
}

fn help_for_table(ctx: &SessionContext, catalog: &str, table: &TableRef) -> Option<String> {
    let names = all_tables(ctx, catalog);
    let asked = table.parts.last()?;
    let homes: Vec<&String> = names
        .iter()
        .filter(|name| {
            name.split_once('.')
                .is_some_and(|(_, table)| same(table, asked))
        })
        .collect();
    if table.parts.len() == 1 && !homes.is_empty() {
        let homes: Vec<String> = homes.iter().map(|name| format!("`{name}`")).collect();
        return Some(format!("write its layer too: {}", homes.join(" or ")));
    }
    let asked = table.parts[table.parts.len().saturating_sub(2)..].join(".");
    if table.parts.len() > 1 {
        let near = nearest(&asked, homes.iter().copied())
            .or_else(|| homes.first().map(|home| home.as_str()))
            .or_else(|| nearest(&asked, &names));
        return near.map(|name| format!("did you mean `{name}`?"));
    }
    let shorts: Vec<&str> = names
        .iter()
        .filter_map(|name| name.split_once('.').map(|(_, table)| table))
        .collect();
    let Some(near) = nearest(&asked, shorts.iter().copied()) else {
        return Some("tables are named layer.table".to_owned());
    };
    let full = names
        .iter()
        .find(|name| name.split_once('.').is_some_and(|(_, table)| table == near));
    full.map(|full| format!("did you mean `{full}`?"))
}
