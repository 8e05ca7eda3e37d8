//! The columns of tables and models, as far as they are known: a session that plans queries
//! over tables without rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;
use sluice_lake::TableName;
use sluice_lake::session::{DEFAULT_CATALOG, SessionOptions, session};
use sluice_lake::system::SystemSchema;
use sluice_learn::features::Interface;
use sluice_udfs::models::ModelSet;

use super::Checker;
use super::edges::{Found, made_beside};
use super::world::error_chain;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
/// The tables and models whose columns are known so far.
pub(crate) struct Known {
    pub(super) ctx: SessionContext,
    catalog: Arc<MemoryCatalogProvider>,
    pub(super) models: Arc<ModelSet>,
    /// Columns of the tables, by name.
    pub(crate) tables: BTreeMap<TableName, SchemaRef>,
    /// Columns that hold outputs of `predict`, by table.
    pub(crate) predicted: BTreeMap<TableName, BTreeSet<String>>,
    /// Inputs of the models of the project, by asset.
    pub(crate) interfaces: HashMap<usize, Interface>,
}

impl Known {
    /// A session with nothing but `system` in it.
    pub(crate) fn new(checker: &Checker<'_>) -> Result<Self, Box<Diagnostic>> {
        let broken = |error: datafusion::error::DataFusionError| {
            Box::new(Diagnostic::error("session", error_chain(&error)))
        };
        let options = SessionOptions {
            target_partitions: 1,
            ..SessionOptions::default()
        };
        let ctx = session(&options).map_err(broken)?;
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let system = SystemSchema::new(checker.world.state.clone()).map_err(broken)?;
        catalog
            .register_schema(SystemSchema::NAME, Arc::new(system))
            .map_err(broken)?;
        ctx.register_catalog(
            DEFAULT_CATALOG,
            Arc::clone(&catalog) as Arc<dyn CatalogProvider>,
        );
        let models = Arc::new(ModelSet::default());
        sluice_udfs::register(&ctx, &models);
        Ok(Self {
            ctx,
            catalog,
            models,
            tables: BTreeMap::new(),
            predicted: BTreeMap::new(),
            interfaces: HashMap::new(),
        })
    }

    /// Makes the columns of a table known, in place of those that were.
    pub(super) fn add(
        &mut self,
        name: &TableName,
        schema: SchemaRef,
    ) -> datafusion::error::Result<()> {
        let layer = match self.catalog.schema(name.layer()) {
            Some(layer) => layer,
            None => {
                let layer = Arc::new(MemorySchemaProvider::new());
                self.catalog
                    .register_schema(name.layer(), Arc::clone(&layer) as Arc<dyn SchemaProvider>)?;
                layer
            }
        };
        layer.deregister_table(name.table())?;
        layer.register_table(
            name.table().to_owned(),
            Arc::new(EmptyTable::new(Arc::clone(&schema))),
        )?;
        self.tables.insert(name.clone(), schema);
        Ok(())
    }
}

/// Makes the columns of the stored tables known that an asset reads and the project does not
/// make. False when one that the project makes is broken.
pub(crate) async fn load_stored(
    checker: &mut Checker<'_>,
    known: &mut Known,
    found: &Found,
    span: Span,
) -> bool {
    for name in found.reads.iter().chain(&found.rule_reads) {
        if known.tables.contains_key(name) {
            continue;
        }
        let written = name.to_string();
        if checker.find(&written).is_some() || made_beside(checker, &written).is_some() {
            return false;
        }
        let added = match checker.world.lakehouse.load(name, None).await {
            Ok(table) => known
                .add(name, table.schema)
                .map_err(|error| error_chain(&error)),
            Err(error) => Err(error_chain(&error)),
        };
        if let Err(words) = added {
            checker.error(Diagnostic::error("unreadable_table", words), span);
            return false;
        }
    }
    true
}
