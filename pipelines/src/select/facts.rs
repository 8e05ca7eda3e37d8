//! What the lakehouse remembers of each asset.

use std::collections::HashMap;

use sluice_lake::state::StageStatus;

use super::syntax::{AssetResult, SelectError};
use crate::check::{World, error_chain};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::freshness::stored_fingerprint;
use crate::plan::preview::{Action, preview};
use crate::plan::{Asset, Plan};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// How definitions stand to what was made.
    pub(super) state: bool,
    /// How the last run ended.
    pub(super) result: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By the position of the asset, if asked for.
    pub(super) states: Vec<KnownState>,
    /// By the name of the asset, if asked for: of the last run.
    pub(super) results: HashMap<String, AssetResult>,
    /// Whether there is a last run.
    pub(super) has_run: bool,
}

/// How an asset stands to what was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownState {
    pub(super) is_new: bool,
    pub(super) is_modified: bool,
    pub(super) is_stale: bool,
}

impl Facts {
    /// Looks at what is asked for, and at nothing else.
    pub(super) async fn gather(self, plan: &Plan, world: &World) -> Result<Known, SelectError> {
        let mut known = Known::default();
        let unreadable = |error: &dyn std::error::Error| SelectError::Unreadable {
            reason: error_chain(error),
        };
        let project = world.lakehouse.existing_project_uuid(&plan.pipeline);
        let project = project.map_err(|error| unreadable(&error))?;
        let project = project.map(|uuid| uuid.to_string());
        let remembered = world.state.as_ref().zip(project.as_deref());
        if self.state {
            let steps = preview(plan, world).await;
            for (asset, step) in plan.assets.iter().zip(&steps) {
                let stored = match remembered {
                    None => None,
                    Some((state, project)) => {
                        let key = state.asset_key(project, &asset.name).await;
                        key.map_err(|error| unreadable(&error))?
                    }
                };
                let earlier = stored.as_ref().and_then(stored_fingerprint);
                known.states.push(KnownState {
                    is_new: stored.is_none(),
                    is_modified: earlier.is_none_or(|earlier| is_modified(asset, &earlier)),
                    is_stale: step.action != Action::Skip,
                });
            }
        }
        if self.result
            && let Some((state, project)) = remembered
        {
            let latest = state.latest_runs(project, 1).await;
            let latest = latest.map_err(|error| unreadable(&error))?;
            if let Some(run) = latest.first() {
                known.has_run = true;
                let stages = state.stages(&run.run_id).await;
                let stages = stages.map_err(|error| unreadable(&error))?;
                known.results = stages
                    .into_iter()
                    .filter_map(|stage| Some((stage.asset, result(stage.status)?)))
                    .collect();
            }
        }
        Ok(known)
    }
}

impl Known {
    /// Why nothing was found, where that can be told.
    pub(super) fn why_nothing(&self, asked_result: bool) -> Option<String> {
        (asked_result && !self.has_run).then(|| "the project has not run yet".to_owned())
    }
}

fn is_modified(asset: &Asset, earlier: &Fingerprint) -> bool {
    let now = Fingerprint::of_definition(asset);
    let own = |fingerprint: &Fingerprint| {
        (
            fingerprint.kind.clone(),
            fingerprint.semantics,
            fingerprint.definition.clone(),
            fingerprint.decided.clone(),
        )
    };
    own(&now) != own(earlier)
}

fn result(status: StageStatus) -> Option<AssetResult> {
    match status {
        StageStatus::Running => None,
        StageStatus::Success => Some(AssetResult::Success),
        StageStatus::Skipped => Some(AssetResult::Skipped),
        StageStatus::Failed => Some(AssetResult::Error),
        StageStatus::Cancelled => Some(AssetResult::Cancelled),
        StageStatus::Blocked => Some(AssetResult::Blocked),
    }
}
