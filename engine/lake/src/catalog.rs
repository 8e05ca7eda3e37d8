//! The lakehouse as DataFusion sees it: layers are schemas, found lazily, and
//! every table is read at the version that its first reader found.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    datasource::TableType,
    error::{DataFusionError, Result as DataFusionResult},
};

use crate::{
    delta::PinnedTable,
    error::LakeError,
    lakehouse::Lakehouse,
    name::{TableName, check_part},
};

/// The versions at which tables are read: shared by everything that belongs to
/// one run. Clones share the same pins.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    versions: Arc<Mutex<BTreeMap<TableName, u64>>>,
}

impl Pins {
    /// Nothing pinned yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pins a table to a version, for example the one that this run has committed.
    pub fn set(&self, name: &TableName, version: u64) {
        self.lock().insert(name.clone(), version);
    }

    /// Lets go of a table: its next reader finds its latest version.
    pub fn forget(&self, name: &TableName) {
        self.lock().remove(name);
    }

    /// The version that a table is pinned to.
    pub fn get(&self, name: &TableName) -> Option<u64> {
        self.lock().get(name).copied()
    }

    /// Every pin, in the order of the names.
    pub fn versions(&self) -> BTreeMap<TableName, u64> {
        self.lock().clone()
    }

    /// The version that is pinned, after pinning `found` when there is none: of
    /// readers that race all get the same one.
    fn pin(&self, name: &TableName, found: u64) -> u64 {
        *self.lock().entry(name.clone()).or_insert(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TableName, u64>> {
        // A map of numbers is whole whatever its holder panicked about.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lakehouse's tables at pinned versions, and schemas of another make.
#[derive(Debug, Clone)]
pub struct LakeCatalog {
    shared: Arc<Shared>,
    extra: BTreeMap<String, Arc<dyn SchemaProvider>>,
    /// Rows that SQL reads in place of a table's.
    instead: Option<(TableName, Arc<dyn TableProvider>)>,
}

#[derive(Debug)]
struct Shared {
    lakehouse: Lakehouse,
    pins: Pins,
    /// What has been loaded: reading a table twice reads its log once.
    loaded: Mutex<BTreeMap<(TableName, u64), PinnedTable>>,
}

impl LakeCatalog {
    /// The tables of `lakehouse`, read at `pins`.
    pub fn new(lakehouse: Lakehouse, pins: Pins) -> Self {
        Self {
            shared: Arc::new(Shared {
                lakehouse,
                pins,
                loaded: Mutex::default(),
            }),
            extra: BTreeMap::new(),
            instead: None,
        }
    }

    /// The same catalog, in which SQL reads other rows in place of those of one table: such as
    /// those that are new in it. [`LakeCatalog::table`] still gives the table.
    #[must_use]
    pub fn with_rows_instead(mut self, name: &TableName, rows: Arc<dyn TableProvider>) -> Self {
        self.instead = Some((name.clone(), rows));
        self
    }

    /// Adds a schema that is not a layer, such as `system`.
    #[must_use]
    pub fn with_schema(mut self, name: &str, schema: Arc<dyn SchemaProvider>) -> Self {
        self.extra.insert(name.to_owned(), schema);
        self
    }

    /// The lakehouse whose tables these are.
    pub fn lakehouse(&self) -> &Lakehouse {
        &self.shared.lakehouse
    }

    /// The versions that are read.
    pub fn pins(&self) -> &Pins {
        &self.shared.pins
    }

    /// The table that SQL means by `name` (case ignored), at its pinned version;
    /// the first call pins its latest. None when there is no such table.
    ///
    /// # Errors
    /// As [`Lakehouse::load`].
    pub async fn table(&self, name: &TableName) -> Result<Option<PinnedTable>, LakeError> {
        self.shared.table(name).await
    }

    /// Every table that SQL can name, `system` ones included, as `schema.table`.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .shared
            .lakehouse
            .list_tables()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        for (schema, provider) in &self.extra {
            let tables = provider.table_names().into_iter();
            names.extend(tables.map(|table| format!("{schema}.{table}")));
        }
        names
    }
}

impl Shared {
    async fn table(&self, name: &TableName) -> Result<Option<PinnedTable>, LakeError> {
        let Some(name) = self.lakehouse.find_table(name)? else {
            return Ok(None);
        };
        let version = match self.pins.get(&name) {
            Some(version) => version,
            None => match self.lakehouse.latest_version(&name).await? {
                Some(latest) => self.pins.pin(&name, latest),
                None => return Ok(None),
            },
        };
        let key = (name, version);
        if let Some(table) = self.loaded().get(&key) {
            return Ok(Some(table.clone()));
        }
        let table = self.lakehouse.load(&key.0, Some(version)).await?;
        self.loaded().insert(key, table.clone());
        Ok(Some(table))
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, BTreeMap<(TableName, u64), PinnedTable>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.shared.lakehouse.list_layers().unwrap_or_default();
        names.extend(self.extra.keys().cloned());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let extra = self.extra.iter();
        if let Some((_, schema)) = extra
            .into_iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
        {
            return Some(Arc::clone(schema));
        }
        // A layer whose first table is still to come is a schema too.
        check_part("layer", name).ok()?;
        Some(Arc::new(Layer {
            shared: Arc::clone(&self.shared),
            instead: self.instead.clone(),
            name: name.to_owned(),
        }))
    }
}

/// One layer: a schema whose tables are looked up when they are asked for.
#[derive(Debug)]
struct Layer {
    shared: Arc<Shared>,
    instead: Option<(TableName, Arc<dyn TableProvider>)>,
    name: String,
}

impl Layer {
    fn table_name(&self, table: &str) -> Option<TableName> {
        TableName::new(&self.name, table).ok()
    }
}

#[async_trait]
impl SchemaProvider for Layer {
    fn table_names(&self) -> Vec<String> {
        let layers = self.shared.lakehouse.list_layers().unwrap_or_default();
        layers
            .iter()
            .filter(|layer| layer.eq_ignore_ascii_case(&self.name))
            .flat_map(|layer| {
                let tables = self.shared.lakehouse.list_tables_of(layer);
                tables.unwrap_or_default()
            })
            .map(|name| name.table().to_owned())
            .collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let Some(name) = self.table_name(name) else {
            return Ok(None);
        };
        if let Some((other, rows)) = &self.instead
            && other.matches(&name)
        {
            return Ok(Some(Arc::clone(rows)));
        }
        let table = self.shared.table(&name).await;
        match table {
            Ok(table) => Ok(table.map(|table| table.provider)),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    async fn table_type(&self, name: &str) -> DataFusionResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        let instead = |name: &TableName| {
            let instead = self.instead.as_ref();
            instead.is_some_and(|(other, _)| other.matches(name))
        };
        self.table_name(name)
            .is_some_and(|name| instead(&name) || self.shared.lakehouse.has_table(&name))
    }
}
