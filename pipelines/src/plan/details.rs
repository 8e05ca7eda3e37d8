//! What a run would work on, for programs: the columns of each table, and how many rows and
//! bytes there are to read.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use serde::Serialize;
use sluice_lake::TableName;
use sluice_lake::delta::TableSize;

use super::preview::{Step, preview};
use super::{Asset, AssetBody, Plan};
use crate::check::World;

/// A step with what it works on.
#[derive(Debug, Clone, Serialize)]
pub struct DetailedStep {
    /// What a run would do.
    #[serde(flatten)]
    pub step: Step,
    /// The columns of the table that it makes; empty for other assets.
    pub columns: Vec<ColumnDetail>,
    /// Rows of the table as it is.
    pub rows: Option<u64>,
    /// Size of the data files of the table as it is.
    pub bytes: Option<u64>,
    /// The stored tables that it reads, as they are.
    pub reads: Vec<Read>,
    /// The files that it is made from, as they are, those included that were read before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
}

/// Files that a table is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Files {
    /// How many there are.
    pub count: usize,
    /// Their size.
    pub bytes: u64,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnDetail {
    /// Its name.
    pub name: String,
    /// Arrow's name of its type.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A table that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Its name.
    pub table: String,
    /// Its rows, where the log says.
    pub rows: Option<u64>,
    /// The size of its data files; `None` where it is not there yet.
    pub bytes: Option<u64>,
}

/// The steps of [`preview`], with what each works on. Reads the logs of the tables.
pub async fn detailed(plan: &Plan, world: &World) -> Vec<DetailedStep> {
    let mut sizes = Sizes {
        world,
        known: BTreeMap::new(),
    };
    let mut all = Vec::new();
    for step in preview(plan, world).await {
        let Some(position) = plan.position(&step.asset) else {
            continue;
        };
        let asset = &plan.assets[position];
        let own = match asset.table() {
            Some(table) => sizes.of(table).await,
            None => None,
        };
        let mut reads = Vec::new();
        for table in asset.reads() {
            let size = sizes.of(table).await;
            reads.push(Read {
                table: table.to_string(),
                rows: size.and_then(|size| size.rows),
                bytes: size.map(|size| size.bytes),
            });
        }
        all.push(DetailedStep {
            step,
            columns: columns(asset, plan),
            rows: own.and_then(|size| size.rows),
            bytes: own.map(|size| size.bytes),
            reads,
            files: files(asset),
        });
    }
    all
}

/// Sizes of tables, each looked up once. What cannot be read is not known.
struct Sizes<'a> {
    world: &'a World,
    known: BTreeMap<TableName, Option<TableSize>>,
}

impl Sizes<'_> {
    async fn of(&mut self, table: &TableName) -> Option<TableSize> {
        if let Some(known) = self.known.get(table) {
            return *known;
        }
        let size = self.world.lakehouse.size(table, None).await;
        let size = size.ok().flatten();
        self.known.insert(table.clone(), size);
        size
    }
}

fn columns(asset: &Asset, plan: &Plan) -> Vec<ColumnDetail> {
    let schema = asset.table().and_then(|table| plan.schemas.get(table));
    schema.map_or_else(Vec::new, |schema| of_schema(schema))
}

fn files(asset: &Asset) -> Option<Files> {
    match &asset.body {
        AssetBody::Ingest(ingest) => Some(Files {
            count: ingest.files.len(),
            bytes: ingest.files.iter().map(|file| file.size_bytes).sum(),
        }),
        _ => None,
    }
}

fn of_schema(schema: &Schema) -> Vec<ColumnDetail> {
    let fields = schema.fields().iter();
    fields
        .map(|field| ColumnDetail {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
        .collect()
}
