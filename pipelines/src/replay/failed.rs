//! Stages at which the run failed: whether they fail again.

use sluice_lake::state::{Stage, StageStatus};

use super::outcome::{ReplayVerdict, ReplayedStage};

/// A stage that failed before it was known what it would be made from.
pub(super) fn never_begun(then: &Stage) -> ReplayedStage {
    not_tried(then, "it failed before its inputs were looked up")
}

/// Why a stage that failed is not tried again, in words.
pub(super) fn why_not_again(then: &Stage) -> Option<&'static str> {
    if then.status != StageStatus::Failed {
        return None;
    }
    if then.transient == Some(true) {
        return Some("such an error passes, and says nothing about the definitions");
    }
    // Only a commit says so.
    (then.kind == "ingest").then_some("which files it read is not known")
}

/// A stage that is not made again, for a reason.
pub(super) fn not_tried(then: &Stage, reason: &str) -> ReplayedStage {
    let stage = |verdict| ReplayedStage::of(&then.asset, &then.kind, verdict);
    match &then.error {
        Some(error) if then.status == StageStatus::Failed => ReplayedStage {
            findings: vec![error.clone()],
            notes: vec![format!("it was not tried again: {reason}")],
            ..stage(ReplayVerdict::FailedThen)
        },
        _ => ReplayedStage {
            findings: vec![reason.to_owned()],
            ..stage(ReplayVerdict::NotReplayable)
        },
    }
}

/// Compares how a stage fails with how it failed in the run. `as_then`: a text of the replay as
/// the run would have it.
pub(super) fn compare_failures(
    replayed: &mut ReplayedStage,
    then: &Stage,
    now: Option<&Stage>,
    as_then: impl Fn(&str) -> String,
) {
    let was = then.error.clone().unwrap_or_default();
    let is = now.and_then(|now| now.error.as_deref()).map(as_then);
    let (verdict, findings) = match is {
        Some(is) if is == was => {
            replayed
                .notes
                .push("it fails again with the same error".to_owned());
            (ReplayVerdict::FailedThen, vec![was])
        }
        Some(is) => {
            let was = format!("the run failed with: {was}");
            let findings = vec![format!("the replay fails with: {is}"), was];
            (ReplayVerdict::Differs, findings)
        }
        None => {
            let words = format!("the replay does not fail; the run failed with: {was}");
            (ReplayVerdict::Differs, vec![words])
        }
    };
    replayed.verdict = verdict;
    replayed.findings = findings;
}
