//! SQL against real tables in memory.

mod calls;
mod errors;
mod identity;
mod identity_property;
mod names;
mod reading;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::MemTable;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::prelude::SessionContext;
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::sql::{SqlError, Statement, parse, plan};

/// A session with a few small tables in four layers.
pub(crate) fn lake() -> SessionContext {
    let ctx = session(&SessionOptions {
        target_partitions: 2,
        ..SessionOptions::default()
    })
    .unwrap();
    let catalog = Arc::new(MemoryCatalogProvider::new());
    add(&catalog, "silver", "wine", wine());
    add(&catalog, "bronze", "wine", wine());
    add(&catalog, "gold", "Wineries", wineries());
    add(&catalog, "gold", "prices", prices());
    add(&catalog, "gold", "visits", visits());
    ctx.register_catalog(DEFAULT_CATALOG, catalog);
    ctx
}

fn add(catalog: &Arc<MemoryCatalogProvider>, layer: &str, name: &str, batch: RecordBatch) {
    if catalog.schema(layer).is_none() {
        let schema = Arc::new(MemorySchemaProvider::new());
        catalog.register_schema(layer, schema).unwrap();
    }
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let schema = catalog.schema(layer).unwrap();
    schema
        .register_table(name.to_owned(), Arc::new(table))
        .unwrap();
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn wine() -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("pH", Arc::new(Float64Array::from(vec![3.1, 3.3, 3.2]))),
        ("Quality", Arc::new(Int64Array::from(vec![5, 7, 5]))),
        (
            "is_red",
            Arc::new(BooleanArray::from(vec![true, false, true])),
        ),
        ("winery", Arc::new(StringArray::from(vec!["A", "B", "A"]))),
    ])
}

fn wineries() -> RecordBatch {
    let place = StructArray::from(vec![
        (
            Arc::new(Field::new("Town", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["Porto", "Braga"])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("zip", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![4000, 4700])) as ArrayRef,
        ),
    ]);
    batch(vec![
        ("winery", Arc::new(StringArray::from(vec!["A", "B"]))),
        ("Place", Arc::new(place)),
    ])
}

fn prices() -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("Price", Arc::new(Float64Array::from(vec![9.5, 12.0, 7.0]))),
    ])
}

fn visits() -> RecordBatch {
    batch(vec![
        ("ID", Arc::new(Int64Array::from(vec![1, 1, 2]))),
        ("day", Arc::new(Int64Array::from(vec![10, 11, 10]))),
    ])
}

/// The schema that queries over no rows at all are planned against.
pub(crate) fn schema_of(columns: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = columns
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(crate) fn one(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap();
    assert_eq!(statements.len(), 1, "one statement in {sql}");
    statements.remove(0)
}

/// The names of the columns and the rows that a query gives, one row a line,
/// as `a=1 b=x`.
pub(crate) async fn rows(sql: &str) -> Vec<String> {
    let ctx = lake();
    let plan = match plan(&ctx, one(sql)).await {
        Ok(plan) => plan,
        Err(error) => panic!("{sql}: {error} ({:?})", error.source),
    };
    let frame = ctx.execute_logical_plan(plan).await.unwrap();
    let batches = frame.collect().await.unwrap();
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines = table.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let Some(header) = lines.next().map(cells) else {
        return Vec::new();
    };
    let rows = lines.map(|line| {
        let pairs = header.iter().zip(cells(line));
        let pairs: Vec<String> = pairs.map(|(name, cell)| format!("{name}={cell}")).collect();
        pairs.join(" ")
    });
    rows.collect()
}

/// The error of planning a text, as `line:column 'text there' message (help)`.
pub(crate) async fn mistake(sql: &str) -> String {
    let result = match parse(sql) {
        Ok(mut statements) => plan(&lake(), statements.remove(0)).await.map(drop),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => panic!("planned: {sql}"),
        Err(error) => render(sql, &error),
    }
}

pub(crate) fn render(sql: &str, error: &SqlError) -> String {
    let place = error.span.map_or_else(
        || "nowhere".to_owned(),
        |span| format!("{}:{} '{}'", span.line, span.column, &sql[span.range()]),
    );
    let help = error.help.as_ref().map(|help| format!(" ({help})"));
    format!("{place} {}{}", error.message, help.unwrap_or_default())
}
