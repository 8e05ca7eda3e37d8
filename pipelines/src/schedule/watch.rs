//! What begins a run besides the clock: files that are new, and versions of tables.

use sluice_lake::TableName;
use sluice_lake::catalog::{LakeCatalog, Pins};

use super::Trigger;
use crate::check::{World, error_chain};
use crate::plan::freshness::{Freshness, Lookup, Verdict};
use crate::plan::{AssetBody, Plan};

/// Something new that begins a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// `new_files` or `table`.
    pub cause: &'static str,
    /// Names what is new: the same for whoever looks, as long as no run has taken it in.
    pub name: String,
    /// What is new, in words.
    pub why: String,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing is new.
    Nothing,
    /// This is.
    News(News),
    /// It cannot be told: why, in words.
    Unclear(String),
}

/// Looks for what begins a run of `plan`; writes nothing. Files are told by size, times and
/// inode, and only those that differ are read.
pub async fn look(plan: &Plan, world: &World, trigger: &Trigger) -> Look {
    match trigger {
        Trigger::NewFiles(table) => new_files(plan, world, table).await,
        Trigger::Table(table) => new_version(world, table).await,
    }
}

async fn new_files(plan: &Plan, world: &World, table: &TableName) -> Look {
    let asset = plan.maker_of(table).map(|position| &plan.assets[position]);
    let Some(asset) = asset.filter(|asset| matches!(asset.body, AssetBody::Ingest(_))) else {
        return Look::Unclear(format!(
            "the pipeline has no table {table} that reads files"
        ));
    };
    let project = match world.lakehouse.existing_project_uuid(&plan.pipeline) {
        Ok(project) => project.map(|uuid| uuid.to_string()),
        Err(error) => return Look::Unclear(error_chain(&error)),
    };
    let catalog = LakeCatalog::new(world.lakehouse.clone(), Pins::new());
    let lookup = Lookup {
        catalog: &catalog,
        registry: &world.registry,
        state: world.state.as_ref(),
        project: project.as_deref(),
        event_time: plan.event_time,
    };
    let freshness = match lookup.freshness(asset).await {
        Ok(freshness) => freshness,
        Err(error) => return Look::Unclear(error_chain(&error)),
    };
    let Verdict::Stale { reason, .. } = &freshness.verdict else {
        return Look::Nothing;
    };
    // Files that come back as they were are news again once a run took in others.
    match world.lakehouse.latest_version(table).await {
        Ok(version) => Look::News(News {
            cause: "new_files",
            name: format!("{table} {}", digest(&freshness, version)),
            why: format!("{table}: {reason}"),
        }),
        Err(error) => Look::Unclear(error_chain(&error)),
    }
}

/// Stands for the files, what is made of them, and what there is.
fn digest(freshness: &Freshness, version: Option<u64>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(freshness.fingerprint.key().as_bytes());
    hasher.update(&version.map_or(0, |version| version + 1).to_le_bytes());
    for file in &freshness.files {
        for part in [&file.path, &file.content_hash] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

async fn new_version(world: &World, table: &TableName) -> Look {
    let latest = match world.lakehouse.latest_version(table).await {
        Ok(Some(latest)) => latest,
        Ok(None) => return Look::Nothing,
        Err(error) => return Look::Unclear(error_chain(&error)),
    };
    match world.lakehouse.load(table, Some(latest)).await {
        Ok(loaded) => Look::News(News {
            cause: "table",
            // A table that was made anew counts from 0 again; one whose data files were written
            // together has nothing new.
            name: format!(
                "{table} version {} of {}",
                loaded.data_version, loaded.table_id
            ),
            why: format!("{table} has version {}", loaded.data_version),
        }),
        Err(error) => Look::Unclear(error_chain(&error)),
    }
}
