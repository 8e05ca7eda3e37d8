//! What there was when a run began: tables and models for its replay.

use std::collections::{BTreeMap, BTreeSet};

use sluice_lake::registry::{ModelUri, Registry};
use sluice_lake::state::Run;
use sluice_lake::{Lakehouse, TableName};

use super::error::ReplayError;
use super::failed::why_not_again;
use super::inputs::{History, Inputs};
use super::{Made, MadeFrom};
use crate::check::World;
use crate::plan::upkeep::Pinned;
use crate::run::{quarantine, rejects};
use crate::spec::Spec;

/// Whether a table is one that the stage of another makes beside it.
pub(super) fn is_beside(table: &TableName, other: &TableName) -> bool {
    let added = other.table().strip_prefix(table.table());
    let suffixes = [quarantine::SUFFIX, rejects::SUFFIX];
    table.layer() == other.layer() && added.is_some_and(|added| suffixes.contains(&added))
}

/// The tables that a stage read, and their versions.
pub(super) fn read_by(from: &MadeFrom) -> Vec<(TableName, u64)> {
    let parsed = from.tables().filter_map(|(name, identity)| {
        let version = Pinned::parse(identity)?.version;
        Some((name.parse().ok()?, version))
    });
    parsed.collect()
}

/// By name: what the run did to tables, or why a stage cannot be made again.
pub(super) type Tables = (BTreeMap<String, History>, BTreeMap<String, String>);

/// Looks at the tables that stages made and read.
pub(super) async fn tables(
    lakehouse: &Lakehouse,
    run: &Run,
    made: &BTreeMap<String, Made>,
    inputs: &Inputs,
) -> Result<Tables, ReplayError> {
    let (mut histories, mut gone) = (BTreeMap::new(), BTreeMap::new());
    for (key, made_or_failed) in made {
        let Made { stage, from } = made_or_failed;
        if let Some(why) = why_not_again(stage) {
            gone.insert(stage.asset.clone(), why.to_owned());
            continue;
        }
        for (name, identity) in from.tables() {
            let Ok(table) = name.parse::<TableName>() else {
                continue;
            };
            if let Some(why) = inputs.why_gone(&table, identity).await? {
                gone.insert(stage.asset.clone(), why);
            }
        }
        let is_table = ["ingest", "sql", "predict"].contains(&stage.kind.as_str());
        let Some(table) = stage.asset.parse::<TableName>().ok().filter(|_| is_table) else {
            continue;
        };
        let run_id = run.run_id.as_str();
        // Or all of it is written anew.
        let goes_on = !from.anew || stage.kind == "ingest";
        let then_ms = stage.start_time_ms;
        let history = match made_or_failed.failed() {
            false => History::of(lakehouse, &table, run_id, stage.version).await?,
            // What it would have gone on from.
            true => match History::of_or_at(lakehouse, &table, run_id, then_ms).await? {
                Some(history) => Ok(history),
                None => continue,
            },
        };
        match history {
            Ok(history) => {
                if let Some(base) = history.base.filter(|_| goes_on)
                    && let Some(why) = inputs.why_version_gone(&table, base).await?
                {
                    gone.insert(stage.asset.clone(), why);
                }
                histories.insert(key.clone(), history);
            }
            Err(why) => drop(gone.insert(stage.asset.clone(), why)),
        }
        for beside in lakehouse.tables_beside(&table)? {
            let key_beside = beside.to_string().to_ascii_lowercase();
            if !is_beside(&table, &beside) || made.contains_key(&key_beside) {
                continue;
            }
            let history = History::of_or_at(lakehouse, &beside, run_id, then_ms).await?;
            let Some(history) = history else { continue };
            if let Some(base) = history.base.filter(|_| goes_on)
                && let Some(why) = inputs.why_version_gone(&beside, base).await?
            {
                gone.insert(stage.asset.clone(), why);
            }
            histories.insert(key_beside, history);
        }
    }
    Ok((histories, gone))
}

/// Looks at the tables that reports make beside their pages; each is made whole.
pub(super) async fn tables_of_reports(
    lakehouse: &Lakehouse,
    run: &Run,
    spec: &Spec,
    histories: &mut BTreeMap<String, History>,
) -> Result<(), ReplayError> {
    for (_, report) in spec.reports.iter() {
        let table = report.body.makes().map(|table| table.value.parse());
        let Some(Ok(table)) = table else {
            continue;
        };
        let history = History::of(lakehouse, &table, run.run_id.as_str(), None);
        if let Ok(history) = history.await? {
            histories.insert(table.to_string().to_ascii_lowercase(), history);
        }
    }
    Ok(())
}

/// Puts tables there before the project is checked: what is only read as it was read, what is
/// made again as it was before.
pub(super) async fn place_all(
    inputs: &mut Inputs,
    made: &BTreeMap<String, Made>,
    histories: &BTreeMap<String, History>,
    stays: &BTreeSet<String>,
) -> Result<(), ReplayError> {
    let again = |table: &TableName| {
        let found = made.get(&table.to_string().to_ascii_lowercase());
        found.is_some_and(|made| stays.contains(&made.stage.asset))
    };
    for made in made
        .values()
        .filter(|made| stays.contains(&made.stage.asset))
    {
        for (table, version) in read_by(&made.from) {
            if !again(&table) {
                inputs.place_to_read(&table, version).await?;
            }
        }
    }
    for history in histories.values().filter(|history| again(&history.table)) {
        inputs.place_to_write(&history.table, history.base).await?;
    }
    Ok(())
}

/// Puts models there as they were when the run began, and those that stages applied and the
/// replay does not make itself.
pub(super) async fn models(
    from: &World,
    to: &Registry,
    run: &Run,
    made: &BTreeMap<String, Made>,
    stays: &BTreeSet<String>,
) -> Result<(), ReplayError> {
    from.registry
        .copy_versions_before(run.start_time_ms, to)
        .await?;
    let end = run.end_time_ms.unwrap_or(i64::MAX);
    from.registry.copy_moves_until(end, to).await?;
    let stages = made
        .values()
        .filter(|made| stays.contains(&made.stage.asset));
    for (address, number) in stages.flat_map(|made| made.from.fingerprint.model_versions()) {
        let Ok(uri) = address.parse::<ModelUri>() else {
            continue;
        };
        let versions = from.registry.versions(&uri.name).await?;
        let version = versions.into_iter().find(|found| found.version == number);
        let made_again = |asset: &str| stays.contains(asset);
        if let Some(version) = version
            && version.creation_time_ms >= run.start_time_ms
            && !made_again(&version.asset)
        {
            from.registry.copy_version(&uri.name, number, to).await?;
        }
    }
    Ok(())
}
