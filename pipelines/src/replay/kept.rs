//! What a run keeps of what it runs.

use serde::{Deserialize, Serialize};
use sluice_lake::{LakeError, Lakehouse};

use crate::plan::Plan;
use crate::spec::PipelineDefinitions;

/// What a run ran: the definitions, and what was asked of it. Equal ones are stored once,
/// whatever the number of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRun {
    #[serde(flatten)]
    pub(crate) definitions: PipelineDefinitions,
    /// The assets that were selected, where not all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) selected: Option<Vec<String>>,
    /// The assets that `--full-refresh` named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) full_refresh: Vec<String>,
    /// `--event-time-start` and `--event-time-end`, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_time: Option<(i64, i64)>,
}

impl KeptRun {
    /// What a plan comes to.
    pub(crate) fn of(plan: &Plan) -> Self {
        let named = |positions: &mut dyn Iterator<Item = &usize>| {
            let names = positions.map(|position| plan.assets[*position].name.clone());
            names.collect::<Vec<_>>()
        };
        let all = plan.chosen.len() == plan.assets.len();
        Self {
            definitions: PipelineDefinitions::clone(&plan.definitions),
            selected: (!all).then(|| named(&mut plan.chosen.iter())),
            full_refresh: named(&mut plan.refreshed.iter()),
            event_time: plan.event_time.window.map(|(start, end)| (start.0, end.0)),
        }
    }

    /// Keeps it, before anything of the run of `pipeline` is written. Returns its hash.
    ///
    /// # Errors
    /// A lakehouse that cannot be written.
    pub(crate) fn keep(&self, pipeline: &str, lakehouse: &Lakehouse) -> Result<String, LakeError> {
        let mut text = serde_json::to_vec_pretty(self)
            .expect("structs of texts and maps by text have a JSON form");
        text.push(b'\n');
        lakehouse.put_definitions(pipeline, &text)
    }

    /// What [`KeptRun::keep`] kept under a hash; `None` where it is gone.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what was kept.
    pub(crate) fn read(
        pipeline: &str,
        hash: &str,
        lakehouse: &Lakehouse,
    ) -> Result<Option<Self>, LakeError> {
        let Some(text) = lakehouse.definitions(pipeline, hash)? else {
            return Ok(None);
        };
        let kept = serde_json::from_slice(&text);
        kept.map(Some).map_err(|error| LakeError::Damaged {
            path: lakehouse.sluice_path().join("definitions").join(pipeline),
            reason: error.to_string(),
        })
    }
}
