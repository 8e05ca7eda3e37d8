//! What a run would do, and why, without doing it.

use std::sync::Arc;

use serde::Serialize;
use sluice_lake::TableName;
use sluice_lake::catalog::{LakeCatalog, Pins};
use sluice_lake::registry::VersionSpec;

use super::fingerprint::Fingerprint;
use super::forecast::{Sources, forecast};
use super::freshness::{Freshness, Lookup, Outlook, Verdict};
use super::{Asset, AssetBody, Fit, Plan, ScoredAsset};
use crate::check::{World, error_chain};
use crate::run::text::checkpoints;
use crate::run::{resume, scored as scoring};
use sluice_report::number;

/// What a run would do with one asset.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The asset.
    pub asset: String,
    /// `ingest`, `sql`, `tokenizer`, `train`, `sweep`, or the kind of a report.
    pub kind: &'static str,
    /// Run or skip.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// Whether an asset would be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It would be made.
    Run,
    /// What is there is right.
    Skip,
    /// It depends on what its inputs turn out to be.
    Maybe,
    /// It would fail: what is there cannot be brought up to date.
    Refuse,
}

/// The steps that a run would take, in an order in which it could.
pub async fn preview(plan: &Plan, world: &World) -> Vec<Step> {
    let catalog = LakeCatalog::new(world.lakehouse.clone(), Pins::new());
    let project = world.lakehouse.existing_project_uuid(&plan.pipeline);
    let project = project.ok().flatten().map(|uuid| uuid.to_string());
    let lookup = Lookup {
        catalog: &catalog,
        registry: &world.registry,
        state: world.state.as_ref(),
        project: project.as_deref(),
        event_time: plan.event_time,
    };
    if world.state.is_none() && project.is_some() {
        return forgotten(plan);
    }
    let mut steps: Vec<Step> = Vec::with_capacity(plan.assets.len());
    for (position, asset) in plan.assets.iter().enumerate() {
        let (action, reason) = if !plan.chosen.contains(&position) {
            (Action::Skip, "it is not selected".to_owned())
        } else if let Some(upstream) = upstream(plan, asset, &steps) {
            match plan.refreshed.contains(&position) {
                true => upstream,
                // Whatever becomes of what it reads, it is not this project's yet.
                false => match taken_over(&lookup, asset).await {
                    Some(taken_over) => taken_over,
                    None => foreseen(&lookup, asset, upstream).await,
                },
            }
        } else {
            verdict(&lookup, asset, plan.refreshed.contains(&position)).await
        };
        steps.push(Step {
            asset: asset.name.clone(),
            kind: asset.kind(),
            action,
            reason,
        });
    }
    let chosen = |(position, step)| plan.chosen.contains(&position).then_some(step);
    steps.into_iter().enumerate().filter_map(chosen).collect()
}

/// The steps when the project has run, but the store that knows of it is lost.
fn forgotten(plan: &Plan) -> Vec<Step> {
    let step = |asset: &Arc<Asset>| Step {
        asset: asset.name.clone(),
        kind: asset.kind(),
        action: Action::Maybe,
        reason: "the state store is gone: a run tells it again from the lakehouse first".to_owned(),
    };
    let chosen = plan.chosen.iter();
    chosen
        .map(|position| step(&plan.assets[*position]))
        .collect()
}

async fn verdict(lookup: &Lookup<'_>, asset: &Asset, refreshed: bool) -> (Action, String) {
    let mut freshness = lookup.freshness(asset).await;
    if let Ok(freshness) = &mut freshness
        && refreshed
    {
        freshness.refresh(asset, lookup.event_time);
    }
    match freshness {
        Ok(freshness) => match &freshness.verdict {
            Verdict::Fresh { reason, version } => {
                pin(lookup, asset, *version).await;
                (Action::Skip, skipped(&freshness, asset, reason))
            }
            Verdict::Rekey { reason, version } => {
                pin(lookup, asset, *version).await;
                (Action::Skip, reason.clone())
            }
            Verdict::Refused { reason, help } => (Action::Refuse, format!("{reason}; {help}")),
            Verdict::Stale { reason, anew } => {
                if let AssetBody::Scored(scored) = &asset.body {
                    let models = &freshness.fingerprint;
                    let rows = scored_rows(lookup, scored, models, *anew).await;
                    return (Action::Run, reason.clone() + &rows.unwrap_or_default());
                }
                stale(lookup, asset, &freshness.fingerprint, reason.clone()).await
            }
        },
        Err(error) => (Action::Run, error_chain(&error)),
    }
}

/// What becomes of a table that something else made. What cannot be told now is told when it
/// is made.
async fn taken_over(lookup: &Lookup<'_>, asset: &Asset) -> Option<(Action, String)> {
    match lookup.taken_over(asset).await.ok()?? {
        Verdict::Refused { reason, help } => Some((Action::Refuse, format!("{reason}; {help}"))),
        Verdict::Stale { reason, .. } => Some((Action::Run, reason)),
        Verdict::Fresh { .. } | Verdict::Rekey { .. } => None,
    }
}

/// What is made from a table that is not made reads the rows that were.
async fn pin(lookup: &Lookup<'_>, asset: &Asset, version: Option<i64>) {
    // What cannot be read now is told when it is read.
    if let (Some(table), Some(version)) = (asset.table(), version)
        && let Ok(version) = lookup.version_to_read(table, version).await
    {
        lookup.catalog.pins().set(table, version);
    }
}

/// Why a table is not made, and what is done about it all the same.
fn skipped(freshness: &Freshness, asset: &Asset, reason: &str) -> String {
    match freshness.new_description(asset) {
        Some(_) => format!("{reason}; only its comment changes"),
        None => reason.to_owned(),
    }
}

/// What becomes of an asset that is not up to date.
async fn stale(
    lookup: &Lookup<'_>,
    asset: &Asset,
    fingerprint: &Fingerprint,
    reason: String,
) -> (Action, String) {
    // What cannot be read now is made anew then, or tells why not.
    match lookup.outlook(asset, fingerprint).await.ok().flatten() {
        Some(Outlook::Reuses(words)) => (Action::Run, format!("{reason}; {words}")),
        Some(Outlook::RowsDecide(words)) => (Action::Maybe, format!("{reason}; {words}")),
        None => {
            let resumes = resumes(lookup, asset, fingerprint).await;
            let size = size(lookup, asset).await.unwrap_or_default();
            (Action::Run, reason + &resumes.unwrap_or_default() + &size)
        }
    }
}

/// How many rows a model would score, in words that follow a reason. What cannot be read now
/// is told when it is made.
async fn scored_rows(
    lookup: &Lookup<'_>,
    scored: &ScoredAsset,
    fingerprint: &Fingerprint,
    anew: bool,
) -> Option<String> {
    let (catalog, registry) = (lookup.catalog.clone(), lookup.registry.clone());
    // On the heap: planning and executing a query takes a good deal of stack in itself.
    let counted = Box::pin(scoring::outlook(
        catalog,
        registry,
        scored,
        fingerprint,
        anew,
    ));
    let counts = counted.await.ok()?;
    let rows = |count: u64| match count {
        1 => "1 row".to_owned(),
        _ => format!("{} rows", number::count(count)),
    };
    let all = counts.scored + counts.kept;
    if anew {
        return Some(format!("; all {} are scored", rows(all)));
    }
    let gone = match counts.removed {
        0 => String::new(),
        removed => format!(", {} gone", number::count(removed)),
    };
    let new = number::count(counts.scored);
    Some(format!("; {new} of {} new or changed{gone}", rows(all)))
}

/// How large a training of a text model will be, in words that follow a reason.
async fn size(lookup: &Lookup<'_>, asset: &Asset) -> Option<String> {
    let AssetBody::Model(model) = &asset.body else {
        return None;
    };
    let Fit::Text(text) = &model.fit else {
        return None;
    };
    let sources = Sources {
        catalog: lookup.catalog,
        registry: lookup.registry,
        state: lookup.state,
        project: lookup.project,
    };
    // What cannot be looked at now is told when it is made.
    let forecast = forecast(&sources, asset, model, text).await.ok()??;
    Some(format!("; {forecast}"))
}

/// How far earlier runs got with a sweep or a training in steps, in words that follow a reason.
async fn resumes(lookup: &Lookup<'_>, asset: &Asset, fingerprint: &Fingerprint) -> Option<String> {
    let AssetBody::Model(model) = &asset.body else {
        return None;
    };
    if let Fit::Text(_) = &model.fit {
        let stored = (lookup.state?, lookup.catalog.lakehouse());
        let progress = checkpoints::progress(stored, lookup.project?, model, fingerprint);
        return Some(format!("; {}", progress.await.ok()??));
    }
    let progress = resume::progress(lookup.state?, lookup.project?, model, fingerprint);
    let progress = progress.await.ok()??;
    (progress.done > 0).then(|| format!("; {progress}"))
}

/// What is known already of an asset whose inputs will be made, besides that.
async fn foreseen(
    lookup: &Lookup<'_>,
    asset: &Asset,
    (action, reason): (Action, String),
) -> (Action, String) {
    // What cannot be looked at now is told when it is made.
    match lookup.foreseen(asset).await.ok().flatten() {
        Some(Verdict::Refused { reason: why, help }) => {
            let action = match action {
                Action::Run => Action::Refuse,
                other => other,
            };
            (action, format!("{reason}; {why}; {help}"))
        }
        Some(Verdict::Stale { reason: why, .. }) => (action, format!("{reason}; {why}")),
        _ => (action, reason),
    }
}

/// What follows from an input that would itself be made.
fn upstream(plan: &Plan, asset: &Asset, steps: &[Step]) -> Option<(Action, String)> {
    let made = |step: &&Step| matches!(step.action, Action::Run | Action::Maybe);
    let tables = asset.reads();
    let is_read = |made: &TableName| tables.iter().any(|table| made.matches(table));
    let makes = |asset: &Asset| asset.makes().any(is_read);
    let mut made_before = plan.assets.iter().zip(steps);
    let table = made_before.find(|(asset, step)| made(step) && makes(asset));
    if let Some((_, step)) = table {
        let words = match step.action {
            Action::Maybe => "may be made",
            Action::Refuse => "is refused",
            _ => "will be made",
        };
        return Some((step.action, format!("{} {words}", step.asset)));
    }
    asset.uses().find_map(|applied| {
        let makers = plan.makers(&applied.uri);
        let step = steps
            .iter()
            .enumerate()
            .find(|(at, step)| makers.contains(at) && made(step))?;
        let reason = match applied.uri.version {
            VersionSpec::Latest => format!("{} may be made anew", step.1.asset),
            _ => format!("{} may move {}", step.1.asset, applied.written),
        };
        Some((Action::Maybe, reason))
    })
}
