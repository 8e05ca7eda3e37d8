//! The state store as SQL tables: the schema `system`.
//!
//! Start at [`SystemSchema`]. `tables.rs` lists the tables and their columns,
//! named as in MLflow; adding a table is one entry there. `scan.rs` streams rows.

mod scan;
mod tables;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider, streaming::StreamingTable},
    error::Result,
};

use crate::state::State;

use scan::StatePartition;
use tables::TABLES;

/// The schema `system`: runs, tracking, registry, expectations and files.
///
/// Every query reads what is in the store at that moment. Where there is no
/// store yet the tables are there and empty.
#[derive(Debug)]
pub struct SystemSchema {
    tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
}

impl SystemSchema {
    /// The name of the schema in the catalog.
    pub const NAME: &'static str = "system";

    /// The tables over a store, or over none.
    ///
    /// # Errors
    /// A DataFusion error when a table cannot be planned.
    pub fn new(state: Option<State>) -> Result<Self> {
        let mut tables: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
        for table in TABLES {
            let partition = StatePartition::new(state.clone(), table);
            let schema = table.schema();
            let provider = StreamingTable::try_new(schema, vec![Arc::new(partition)])?;
            tables.insert(table.name, Arc::new(provider));
        }
        Ok(Self { tables })
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self
            .tables
            .get(name.to_ascii_lowercase().as_str())
            .map(Arc::clone))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}
