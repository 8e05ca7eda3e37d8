//! The files of an ingest as they are now, against those whose rows its table holds.

use std::collections::BTreeMap;

use sluice_lake::ingest::{self, SourceFile, Unmatched};
use sluice_lake::state::LedgerFile;

use super::fingerprint::Fingerprint;
use super::{Asset, AssetBody, IngestAsset};
use crate::run::error::StageError;

/// Whether an ingest only says otherwise where its files lie: what they give is the same.
pub(super) fn names_other_files(
    asset: &Asset,
    now: &Fingerprint,
    earlier: Option<&Fingerprint>,
) -> bool {
    let rest = |fingerprint: &Fingerprint| Fingerprint {
        definition: String::new(),
        settings: {
            let settings = fingerprint.settings.iter();
            let rest = settings.filter(|(name, _)| *name != "files");
            rest.map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        },
        ..fingerprint.clone()
    };
    let ingested = matches!(asset.body, AssetBody::Ingest(_));
    let known = earlier.filter(|earlier| earlier.settings.contains_key("files"));
    ingested && known.is_some_and(|earlier| rest(now) == rest(earlier))
}

/// The files of an ingest, by the names that the table knows them by. Those that did not change
/// since the check are not read.
pub(super) async fn files_now(
    ingest: &IngestAsset,
    unmatched: Unmatched,
    ledger: &BTreeMap<String, LedgerFile>,
) -> Result<Vec<SourceFile>, StageError> {
    let unmatched = match ingest.only {
        Some(_) => Unmatched::Ignore,
        None => unmatched,
    };
    let mut found = ingest::find_files(&ingest.folder, &ingest.patterns, unmatched).await?;
    if let Some(only) = &ingest.only {
        found.retain(|file| only.contains_key(&file.path));
    }
    let checked = ingest.files.iter();
    let memory = checked.map(|file| (file.path.clone(), file.remembered()));
    let mut files = ingest::identify(found, &memory.collect()).await?;
    if let Some(only) = &ingest.only {
        for file in &mut files {
            file.path.clone_from(&only[&file.found_as]);
        }
        return Ok(files);
    }
    let known = ledger.iter();
    let known = known.map(|(name, file)| (name.clone(), file.content_hash.clone()));
    let (folder, known) = (&ingest.folder, known.collect());
    Ok(ingest::call_as_known(folder, files, &known, &ingest.memory).await?)
}

/// What files are new or changed, in words.
pub(super) fn news(files: &[SourceFile], ledger: &BTreeMap<String, LedgerFile>) -> Option<String> {
    let (mut new, mut changed) = (0_usize, 0_usize);
    for file in files {
        match ledger.get(&file.path) {
            None => new += 1,
            Some(known) if known.content_hash != file.content_hash => changed += 1,
            Some(_) => {}
        }
    }
    let counted = |count: usize, word: &str| match count {
        1 => format!("1 {word} file"),
        _ => format!("{count} {word} files"),
    };
    match (new, changed) {
        (0, 0) => None,
        (new, 0) => Some(counted(new, "new")),
        (0, changed) => Some(counted(changed, "changed")),
        (new, changed) => Some(format!(
            "{}, {}",
            counted(new, "new"),
            counted(changed, "changed")
        )),
    }
}
