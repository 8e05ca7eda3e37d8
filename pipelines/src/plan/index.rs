//! Where in a plan an asset stands, by its name and by the tables that it makes.

use std::collections::HashMap;
use std::sync::Arc;

use sluice_lake::TableName;

use super::Asset;

/// The positions of the assets of a plan; case is ignored, as names are looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct AssetIndex {
    by_name: HashMap<String, usize>,
    by_table: HashMap<String, usize>,
}

impl AssetIndex {
    /// Of assets in the order of their positions.
    pub(crate) fn of(assets: &[Arc<Asset>]) -> Self {
        let mut index = Self::default();
        for (position, asset) in assets.iter().enumerate() {
            let name = asset.name.to_ascii_lowercase();
            index.by_name.entry(name).or_insert(position);
            for table in asset.makes() {
                let table = table.to_string().to_ascii_lowercase();
                index.by_table.entry(table).or_insert(position);
            }
        }
        index
    }

    /// The position of the asset of this name.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// The position of the asset that makes a table.
    pub(crate) fn making(&self, table: &TableName) -> Option<usize> {
        let table = table.to_string().to_ascii_lowercase();
        self.by_table.get(&table).copied()
    }
}
