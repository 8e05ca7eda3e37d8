//! What is behind files that cannot be read, in a plan that is to run all the same.

use super::edges::Found;
use super::{Declaration, Declared};
use crate::plan::{Asset, AssetBody, UnreadAsset};
use crate::spec::{ModelBody, ReportBody, TableBody};

/// The body of an asset that could not be checked, if that is because of files: what it depends
/// on cannot be read, or be looked into itself. `typed`: the assets before it, by position.
pub(super) fn of(
    declaration: Declaration<'_>,
    found: &Found,
    typed: &[Option<Asset>],
) -> Option<AssetBody> {
    let before = found
        .edges
        .iter()
        .filter_map(|edge| typed[edge.to].as_ref());
    let needs = before.into_iter().find(|asset| is_unread(asset))?;
    let (kind, table, register) = match declaration.body {
        Declared::Table(table) => {
            let kind = match &*table.body {
                TableBody::Ingest(_) => "ingest",
                TableBody::Sql(_) | TableBody::SqlFile(_) => "sql",
                TableBody::Predict(_) => "predict",
            };
            (kind, declaration.name.parse().ok(), None)
        }
        Declared::Tokenizer(_) => ("tokenizer", None, None),
        Declared::Model(model) => {
            let kind = match &model.body {
                ModelBody::Train(_) => "train",
                ModelBody::Sweep(_) => "sweep",
            };
            (kind, None, model.register.clone())
        }
        Declared::Report(report) => {
            let kind = match &report.body {
                ReportBody::Profile { .. } => "profile",
                ReportBody::Evaluate { .. } => "evaluate",
            };
            (kind, None, None)
        }
    };
    Some(AssetBody::Unread(Box::new(UnreadAsset {
        kind,
        table,
        reads: found.reads.iter().cloned().collect(),
        register,
        needs: needs.name.clone(),
    })))
}

fn is_unread(asset: &Asset) -> bool {
    match &asset.body {
        AssetBody::Ingest(ingest) => ingest.unread.is_some(),
        AssetBody::Unread(_) => true,
        _ => false,
    }
}
