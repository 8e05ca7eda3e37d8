//! The catalog: any layer, any case, one version for a run.

use std::sync::Arc;

use datafusion::{catalog::MemorySchemaProvider, prelude::SessionContext};
use sluice_lake::{
    LakeCatalog, Pins,
    delta::WriteMode,
    session::{DEFAULT_CATALOG, SessionOptions, session},
};

use crate::fixture::{TestLake, lines, name, words};

fn open(catalog: &LakeCatalog) -> SessionContext {
    let context = session(&SessionOptions::default()).unwrap();
    context.register_catalog(DEFAULT_CATALOG, Arc::new(catalog.clone()));
    context
}

async fn ask(context: &SessionContext, sql: &str) -> Result<Vec<String>, String> {
    let frame = context.sql(sql).await.map_err(|e| e.to_string())?;
    let batches = frame.collect().await.map_err(|e| e.to_string())?;
    Ok(lines(&batches))
}

#[tokio::test]
async fn tables_are_found_in_any_layer_and_case() {
    let test = TestLake::new();
    test.write(
        "raw_Stuff.Wine",
        WriteMode::Append,
        vec![words(&[(1, "a"), (2, "b")])],
        1,
    )
    .await
    .unwrap();
    let catalog = LakeCatalog::new(test.lake.clone(), Pins::new());
    let context = open(&catalog);
    for table in ["raw_Stuff.Wine", "raw_stuff.wine", "lake.RAW_STUFF.WINE"] {
        let sql = format!("SELECT word FROM {table} WHERE id > 1");
        assert_eq!(ask(&context, &sql).await.unwrap(), ["b"], "{table}");
    }
    assert!(ask(&context, "SELECT * FROM Wine").await.is_err());
    assert!(ask(&context, "SELECT * FROM other.Wine").await.is_err());
    assert!(
        ask(&context, "SELECT * FROM other.\"no such/thing\"")
            .await
            .is_err()
    );
    let listed = ask(
        &context,
        "SELECT table_schema, table_name FROM information_schema.tables \
         WHERE table_schema <> 'information_schema'",
    );
    assert_eq!(listed.await.unwrap(), ["raw_Stuff|Wine"]);
    assert_eq!(catalog.table_names(), ["raw_Stuff.Wine"]);
}

#[tokio::test]
async fn a_table_that_comes_later_is_found_and_read_at_its_pin() {
    let test = TestLake::new();
    let pins = Pins::new();
    let catalog = LakeCatalog::new(test.lake.clone(), pins.clone());
    let context = open(&catalog);
    let sql = "SELECT id FROM silver.t";
    assert!(ask(&context, sql).await.is_err());
    assert!(pins.versions().is_empty());

    test.write("silver.t", WriteMode::Append, vec![words(&[(1, "a")])], 1)
        .await
        .unwrap();
    assert_eq!(ask(&context, sql).await.unwrap(), ["1"]);
    assert_eq!(pins.get(&name("silver.t")), Some(0));

    // Somebody else commits: this run does not see it.
    let written = test
        .write("silver.t", WriteMode::Append, vec![words(&[(2, "b")])], 2)
        .await
        .unwrap();
    assert_eq!(ask(&context, sql).await.unwrap(), ["1"]);
    // This run commits: it does.
    pins.set(&name("silver.t"), written.version);
    assert_eq!(ask(&context, sql).await.unwrap(), ["1", "2"]);
    let all: Vec<_> = pins.versions().into_iter().collect();
    assert_eq!(all, [(name("silver.t"), 1)]);

    let fresh = open(&LakeCatalog::new(test.lake.clone(), Pins::new()));
    assert_eq!(ask(&fresh, sql).await.unwrap(), ["1", "2"]);
}

#[tokio::test]
async fn joins_and_aggregates_work_on_delta_tables() {
    let test = TestLake::new();
    for (txn, row) in [(1, (1, "a")), (2, (2, "b")), (3, (3, "a"))] {
        test.write("silver.t", WriteMode::Append, vec![words(&[row])], txn)
            .await
            .unwrap();
    }
    let context = open(&LakeCatalog::new(test.lake.clone(), Pins::new()));
    let sql = "SELECT l.word, count(*) AS n, sum(r.id) AS total \
               FROM silver.t l JOIN silver.t r ON l.word = r.word GROUP BY l.word";
    assert_eq!(ask(&context, sql).await.unwrap(), ["a|4|8", "b|1|2"]);
}

#[tokio::test]
async fn other_schemas_stand_beside_the_layers() {
    let test = TestLake::new();
    let system = Arc::new(MemorySchemaProvider::new());
    let catalog = LakeCatalog::new(test.lake.clone(), Pins::new());
    let catalog = catalog.with_schema("system", system);
    let context = open(&catalog);
    let frame = context.read_batch(words(&[(7, "run")])).unwrap();
    context
        .register_table("system.runs", frame.into_view())
        .unwrap();
    assert_eq!(
        ask(&context, "SELECT id FROM system.runs").await.unwrap(),
        ["7"]
    );
    assert_eq!(catalog.table_names(), ["system.runs"]);
}
