//! `sluice replay`: makes a run again, in a lakehouse of its own, and compares.
//!
//! Entry point: [`replay`]. The definitions are those that the run kept ([`kept`]); each stage
//! that the run made is made again by the ordinary runner from the very versions of tables and
//! models that the run made it from ([`made_from`], [`inputs`]), whatever the stages before it
//! come to in the replay: so a difference is told where it arises, and nowhere else. Tables are
//! compared in [`rows`], models, reports and decisions in [`learned`]; a stage at which the run
//! failed is tried again, too ([`failed`]).
//!
//! The lakehouse of the run is only read.

mod error;
mod failed;
mod followed;
mod inputs;
pub(crate) mod kept;
mod learned;
pub(crate) mod made_from;
mod outcome;
mod project;
mod rows;
mod searches;
mod stages;
mod then;

use std::num::NonZeroUsize;
use std::path::PathBuf;

pub use error::ReplayError;
use kept::KeptRun;
use made_from::MadeFrom;
pub use outcome::{ComparedTable, Replay, ReplayVerdict, ReplayedStage};
use sluice_lake::state::{Run, RunKind, Stage, StageStatus, State};
use sluice_lake::{Lakehouse, ScratchFolder};
use tokio_util::sync::CancellationToken;

use crate::check::World;
use crate::events::EventSink;
use crate::project::Project;
use crate::spec::Environment;

/// What to replay, and how.
#[derive(Debug)]
pub struct ReplayRequest {
    /// The run.
    pub run: Run,
    /// Where the project lies now: paths of data are relative to its folder, which by default is
    /// the one that the run was in. Its files are not read.
    pub project: Option<Project>,
    /// Values of variables that the run did not keep.
    pub set: Vec<(String, String)>,
    /// Where values of `${env:NAME}` come from that the run did not keep.
    pub environment: Environment,
    /// A folder that gets what the replay makes; by default it is gone afterwards.
    pub into: Option<PathBuf>,
    /// Leaves what the replay makes where it is, in the lakehouse.
    pub keep: bool,
    /// Threads that one query may use, and that fits and sweeps share.
    pub parallelism: NonZeroUsize,
}

/// A stage that the run made, or at which it failed.
pub(crate) struct Made {
    pub(crate) stage: Stage,
    pub(crate) from: MadeFrom,
}

impl Made {
    /// Whether it failed.
    pub(crate) fn failed(&self) -> bool {
        self.stage.status == StageStatus::Failed
    }
}

/// What a run did.
struct Done {
    /// The stages that can be tried again.
    made: Vec<Made>,
    /// Those that failed before it was known what they would be made from.
    never_begun: Vec<Stage>,
}

/// Makes every stage of a run again that it made, and compares. `world` is what the run was of.
///
/// # Errors
/// A run that kept too little, or definitions that this release does not read; a lakehouse that
/// cannot be read. What becomes of a stage is no error.
pub async fn replay(
    request: ReplayRequest,
    world: &World,
    sink: EventSink,
    cancel: CancellationToken,
) -> Result<Replay, ReplayError> {
    let run = &request.run;
    let state = world.state.as_ref().ok_or(ReplayError::NoHistory)?;
    if run.kind != RunKind::Run {
        return Err(ReplayError::NoProjectRun {
            run: run.run_id.to_string(),
            kind: run.kind,
            parent: run.parent.as_ref().map(ToString::to_string),
        });
    }
    let kept = kept_by(run, state, &world.lakehouse).await?;
    let Done { made, never_begun } = done_by(run, state).await?;
    let (place, scratch) = place(&request, &world.lakehouse)?;
    let stages = stages::Replayer::prepare(&request, world, (kept, made), &place, (sink, cancel));
    let mut stages = stages.await?.walk().await?;
    stages.extend(never_begun.iter().map(failed::never_begun));
    let stays = match scratch {
        Some(scratch) if request.keep => {
            scratch.keep();
            true
        }
        Some(_) => false,
        None => true,
    };
    Ok(Replay {
        run_id: run.run_id.to_string(),
        pipeline: run.pipeline.clone(),
        stages,
        lakehouse: stays.then(|| place.display().to_string()),
    })
}

/// The definitions that a run kept.
async fn kept_by(run: &Run, state: &State, lakehouse: &Lakehouse) -> Result<KeptRun, ReplayError> {
    let hash = state.definitions_of(&run.run_id).await?;
    let Some(hash) = hash else {
        return Err(ReplayError::NothingKept {
            run: run.run_id.to_string(),
        });
    };
    let kept = KeptRun::read(&run.pipeline, &hash, lakehouse)?;
    kept.ok_or_else(|| ReplayError::DefinitionsGone {
        run: run.run_id.to_string(),
        hash,
    })
}

/// The stages that a run made, or at which it failed, with what they were made from.
async fn done_by(run: &Run, state: &State) -> Result<Done, ReplayError> {
    let mut from = state.made_from(&run.run_id).await?;
    let (mut made, mut never_begun) = (Vec::new(), Vec::new());
    for stage in state.stages(&run.run_id).await? {
        let failed = match stage.status {
            StageStatus::Success => false,
            StageStatus::Failed => true,
            _ => continue,
        };
        let text = from.remove(&stage.asset);
        let read = text.and_then(|text| serde_json::from_str(&text).ok());
        match read {
            Some(from) => made.push(Made { stage, from }),
            None if failed => never_begun.push(stage),
            None => {
                return Err(ReplayError::NothingKept {
                    run: run.run_id.to_string(),
                });
            }
        }
    }
    Ok(Done { made, never_begun })
}

/// Where the replay works, and what removes it.
fn place(
    request: &ReplayRequest,
    lakehouse: &Lakehouse,
) -> Result<(PathBuf, Option<ScratchFolder>), ReplayError> {
    let Some(into) = &request.into else {
        let scratch = lakehouse.scratch_folder()?;
        return Ok((scratch.path().to_owned(), Some(scratch)));
    };
    let first = std::fs::read_dir(into).ok().and_then(|mut all| all.next());
    if first.is_some() {
        return Err(ReplayError::NotEmpty { path: into.clone() });
    }
    Ok((into.clone(), None))
}
