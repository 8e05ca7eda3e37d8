//! Changes of a table that a stage went on from: whether they can still be told.
//!
//! A stage that reads them needs more than the version that it read: the log between two
//! versions, and the data files that were written and removed between them.

use sluice_lake::delta::{ChangesError, Untold};
use sluice_lake::state::AssetKey;
use sluice_lake::{LakeError, Lakehouse};

use super::MadeFrom;
use super::inputs::RESTORE;
use super::outcome::{ReplayVerdict, ReplayedStage};
use crate::plan::freshness::stored_fingerprint;
use crate::plan::upkeep::Upkeeping;
use crate::plan::{Asset, AssetBody};

/// Why the changes that a stage of the run read cannot be told any more, in words.
pub(super) async fn why_untold(
    lakehouse: &Lakehouse,
    asset: &Asset,
    from: &MadeFrom,
) -> Result<Option<String>, LakeError> {
    let AssetBody::Sql(sql) = &asset.body else {
        return Ok(None);
    };
    let before = from.before.clone().map(AssetKey::from);
    let earlier = before.as_ref().and_then(stored_fingerprint);
    let (Some(table), Some(earlier), false) = (sql.upkeep.mode.from(), earlier, from.anew) else {
        return Ok(None);
    };
    let moved = Upkeeping::moved(&from.fingerprint, &earlier, &table.to_string());
    let Some((since, until)) = moved else {
        return Ok(None);
    };
    let told = async {
        let changes = lakehouse.changes(table, since.since(), until.version);
        changes.await?.require_data_files().await
    };
    match told.await {
        Ok(()) => Ok(None),
        Err(ChangesError::Lake(error)) => Err(error),
        Err(ChangesError::Untold(why @ (Untold::LogCut { .. } | Untold::Vacuumed { .. }))) => {
            Ok(Some(format!(
                "what changed in {table} from version {} to {} cannot be told any more: {why}; {RESTORE}",
                since.version, until.version
            )))
        }
        // So it was in the run.
        Err(ChangesError::Untold(_)) => Ok(None),
    }
}

/// Judges a stage that was made without those changes: from all rows there are, or not at all.
/// `why`: see [`why_untold`].
pub(super) fn could_not_follow(stage: &mut ReplayedStage, why: String) {
    match stage.verdict {
        ReplayVerdict::Equal => {
            let words = format!("it was made from all rows, and came out equal: {why}");
            stage.notes.push(words);
        }
        // Whether it would have come out so from the changes, nobody knows.
        ReplayVerdict::Differs => {
            stage.verdict = ReplayVerdict::NotReplayable;
            stage.findings = vec![why];
            stage.tables.clear();
        }
        ReplayVerdict::NotReplayable => {}
    }
}
