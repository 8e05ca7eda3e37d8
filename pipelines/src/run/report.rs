//! Makes reports: a page at a place that stays the same, and the same page and its figures
//! among the artifacts of the run.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sluice_lake::state::{Artifact, AssetKey};

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::evaluate::evaluate;
use super::profile;
use crate::events::EventKind;
use crate::plan::fingerprint::{Fingerprint, METADATA_KEY};
use crate::plan::lost::{BESIDE_KEY, PAGE_HASH};
use crate::plan::{Asset, ReportAsset, ReportKind};

/// What a report shows, ready to be written.
pub(crate) struct Pages {
    /// The page.
    pub(crate) html: String,
    /// What it was drawn from.
    pub(crate) json: String,
}

/// Makes a report asset: gives the figures that are worth a glance. No page is written before
/// all of it is there.
pub(crate) async fn make(
    run: &RunContext,
    asset: &Asset,
    report: &ReportAsset,
    fingerprint: &Fingerprint,
) -> Result<BTreeMap<String, f64>, StageError> {
    let (pages, metrics, beside) = match &report.kind {
        ReportKind::Profile(profile) => {
            let pages = profile::pages(run, asset, report, profile).await?;
            (pages, BTreeMap::new(), None)
        }
        ReportKind::Evaluate(plan) => {
            let made = evaluate(run, asset, report, plan, fingerprint).await?;
            (made.pages, made.metrics, made.beside)
        }
    };
    if run.cancel.is_cancelled() {
        return Err(StageError::Cancelled);
    }
    let (lakehouse, run_id) = (run.world.lakehouse.clone(), run.run_id.clone());
    let (pipeline, name) = (report.pipeline.clone(), asset.name.clone());
    let artifacts = blocking(move || {
        let mut artifacts = Vec::new();
        for (extension, text) in [("html", &pages.html), ("json", &pages.json)] {
            let path = format!("reports/{name}.{extension}");
            let hash = lakehouse.put_artifact(run_id.as_str(), &path, text.as_bytes())?;
            artifacts.push(Artifact {
                path,
                hash,
                bytes: text.len() as u64,
            });
        }
        lakehouse.write_report(&pipeline, &name, &pages.html)?;
        Ok(artifacts)
    })
    .await?;
    let page_hash = artifacts.first().map(|page| page.hash.clone());
    run.state.log_artifacts(&run.run_id, &artifacts).await?;
    let outcome = Map::from_iter([
        (PAGE_HASH.to_owned(), page_hash.into()),
        (BESIDE_KEY.to_owned(), beside.into()),
        (
            METADATA_KEY.to_owned(),
            serde_json::to_value(fingerprint).unwrap_or_default(),
        ),
    ]);
    let record = AssetKey {
        key: fingerprint.key(),
        semantics: i64::from(asset.semantics()),
        outcome: Value::Object(outcome),
        run_id: run.run_id.clone(),
    };
    run.state
        .put_asset_key(&run.project, &asset.name, &record)
        .await?;
    let place = run
        .world
        .lakehouse
        .report_path(&report.pipeline, &asset.name);
    // As the user wrote the lakehouse, not from the root of the file system.
    let place = match place.strip_prefix(run.world.lakehouse.root()) {
        Ok(below) => run.plan.lakehouse.join(below),
        Err(_) => place,
    };
    run.emit(EventKind::Report {
        asset: asset.name.clone(),
        path: place.display().to_string(),
    });
    Ok(metrics)
}
