//! The least that tables cost: each query planned, run and committed to a Delta table, one after
//! the other in one session, with nothing around it. `benches/scale.py` compares a run with it.
//!
//! `bare_tables LAKEHOUSE QUERIES`: QUERIES has a line for each table, its name, a tab and its
//! SQL. Prints the seconds.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sluice_lake::delta::{CommitInfo, WriteMode};
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::{LakeCatalog, Lakehouse, Pins, TableName, sql};

/// What went wrong.
type Fault = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .thread_stack_size(8 << 20)
        .build()?;
    let mut given = std::env::args().skip(1);
    let (Some(lakehouse), Some(queries)) = (given.next(), given.next()) else {
        return Err("bare_tables LAKEHOUSE QUERIES".into());
    };
    let queries = std::fs::read_to_string(queries)?;
    let made = runtime.spawn(async move { make(&lakehouse, &queries).await });
    println!("{}", runtime.block_on(made)??);
    Ok(())
}

/// Makes all tables; the seconds that it took.
async fn make(lakehouse: &str, queries: &str) -> Result<f64, Fault> {
    let lakehouse = Lakehouse::create(lakehouse)?;
    let began = Instant::now();
    let ctx = session(&SessionOptions {
        target_partitions: 1,
        ..SessionOptions::default()
    })?;
    let catalog = LakeCatalog::new(lakehouse.clone(), Pins::new());
    ctx.register_catalog(DEFAULT_CATALOG, Arc::new(catalog));
    for line in queries.lines() {
        let (name, query) = line.split_once('\t').ok_or("a line is NAME<tab>SQL")?;
        let name: TableName = name.parse()?;
        let plan = sql::plan(&ctx, sql::parse_query(query)?).await?;
        let rows = ctx.execute_logical_plan(plan).await?;
        let info = CommitInfo {
            app_id: format!("bare/{name}"),
            txn_version: 1,
            metadata: serde_json::Map::new(),
            description: None,
            rows: Arc::default(),
        };
        let rows = rows.execute_stream().await?;
        lakehouse
            .write(&name, WriteMode::Overwrite, rows, info)
            .await?;
    }
    Ok(began.elapsed().as_secs_f64())
}
