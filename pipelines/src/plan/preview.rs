//! What a run would do, and why, without doing it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use sluice_lake::catalog::{LakeCatalog, Pins};

use super::fingerprint::Fingerprint;
use super::freshness::{Lookup, Verdict};
use super::{Asset, AssetBody, Plan};
use crate::check::{World, error_chain};
use crate::run::resume;

/// What a run would do with one asset.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The asset.
    pub asset: String,
    /// `ingest`, `sql`, `train`, `sweep`, or the kind of a report.
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
    };
    if world.state.is_none() && project.is_some() {
        return forgotten(plan);
    }
    let mut steps: Vec<Step> = Vec::with_capacity(plan.assets.len());
    for asset in &plan.assets {
        let (action, reason) = match upstream(plan, asset, &steps) {
            Some(upstream) => upstream,
            None => verdict(&lookup, asset).await,
        };
        steps.push(Step {
            asset: asset.name.clone(),
            kind: asset.kind(),
            action,
            reason,
        });
    }
    steps
}

/// The steps when the project has run, but the store that knows of it is lost.
fn forgotten(plan: &Plan) -> Vec<Step> {
    let step = |asset: &Arc<Asset>| Step {
        asset: asset.name.clone(),
        kind: asset.kind(),
        action: Action::Maybe,
        reason: "the state store is gone: a run tells it again from the lakehouse first".to_owned(),
    };
    plan.assets.iter().map(step).collect()
}

async fn verdict(lookup: &Lookup<'_>, asset: &Asset) -> (Action, String) {
    match lookup.freshness(asset).await {
        Ok(freshness) => match freshness.verdict {
            Verdict::Fresh { reason, .. } => (Action::Skip, reason),
            Verdict::Stale { reason, .. } => {
                let resumes = resumes(lookup, asset, &freshness.fingerprint).await;
                (Action::Run, reason + &resumes.unwrap_or_default())
            }
        },
        Err(error) => (Action::Run, error_chain(&error)),
    }
}

/// How far earlier runs got with a sweep, in words that follow a reason.
async fn resumes(lookup: &Lookup<'_>, asset: &Asset, fingerprint: &Fingerprint) -> Option<String> {
    let AssetBody::Model(model) = &asset.body else {
        return None;
    };
    let done = resume::done(lookup.state?, lookup.project?, model, fingerprint);
    // What cannot be read now is made anew then, or tells why not.
    let (done, total) = done.await.ok()??;
    (done > 0).then(|| format!("; {done} of {total} trials are done"))
}

/// What follows from an input that would itself be made.
fn upstream(plan: &Plan, asset: &Asset, steps: &[Step]) -> Option<(Action, String)> {
    let made = |step: &&Step| step.action != Action::Skip;
    let tables = reads(asset);
    let table = steps
        .iter()
        .filter(made)
        .find(|step| tables.contains(&step.asset.to_lowercase()));
    if let Some(step) = table {
        let words = match step.action {
            Action::Maybe => "may be made",
            _ => "will be made",
        };
        return Some((step.action, format!("{} {words}", step.asset)));
    }
    let AssetBody::Sql(sql) = &asset.body else {
        return None;
    };
    sql.applies.iter().find_map(|applied| {
        let makers = plan.makers(&applied.uri);
        let step = steps
            .iter()
            .enumerate()
            .find(|(at, step)| makers.contains(at) && made(step))?;
        let reason = format!("{} may move {}", step.1.asset, applied.written);
        Some((Action::Maybe, reason))
    })
}

fn reads(asset: &Asset) -> BTreeSet<String> {
    match &asset.body {
        AssetBody::Ingest(_) => BTreeSet::new(),
        AssetBody::Sql(sql) => sql
            .reads
            .iter()
            .map(|table| table.to_string().to_lowercase())
            .collect(),
        AssetBody::Model(model) => BTreeSet::from([model.from.to_string().to_lowercase()]),
        AssetBody::Report(report) => BTreeSet::from([report.of.to_string().to_lowercase()]),
    }
}
