//! A table's rows on their way to a learner.

use futures::StreamExt;
use sluice_learn::dataset::DatasetBuilder;
use sluice_learn::{LearnError, Splits};

use super::context::RunContext;
use super::error::{StageError, blocking};
use crate::plan::{Asset, ModelAsset};

/// Batches that may wait for the learner's side.
const BATCHES_AHEAD: usize = 4;

/// Reads the table that a model learns from into its three parts, in memory: 4 bytes for each
/// value of each feature.
pub(crate) async fn splits(
    run: &RunContext,
    asset: &Asset,
    model: &ModelAsset,
    seed: u64,
) -> Result<Splits, StageError> {
    let table = run.catalog.table(&model.from).await?;
    let table = table.ok_or_else(|| StageError::TableGone(model.from.to_string()))?;
    let spec = model.data.clone();
    let ctx = run.session()?;
    let mut stream = ctx
        .context()
        .read_table(table.provider)?
        .execute_stream()
        .await?;
    let schema = stream.schema();
    let (sender, mut batches) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    let built = blocking(move || {
        let mut builder = DatasetBuilder::new(&schema, &spec).map_err(first)?;
        while let Some(batch) = batches.blocking_recv() {
            builder.push(&batch)?;
        }
        Ok(builder.build(seed)?)
    });
    let feed = async {
        while let Some(batch) = stream.next().await {
            if run.cancel.is_cancelled() {
                return Err(StageError::Cancelled);
            }
            if sender.send(batch?).await.is_err() {
                // The learner refused a batch: its error is the one to tell.
                break;
            }
        }
        drop(sender);
        Ok(())
    };
    let (built, fed) = tokio::join!(built, feed);
    fed?;
    let splits = built?;
    let shared = splits.straddling;
    if shared.validation + shared.test > 0 {
        run.warn(
            &asset.name,
            format!(
                "{} validation and {} test rows are also train rows: their metrics flatter the model",
                shared.validation, shared.test
            ),
        );
    }
    Ok(splits)
}

/// Of several errors in the data's description the first; the check has told all of them.
pub(super) fn first(errors: Vec<LearnError>) -> StageError {
    let none = || LearnError::Params(Vec::new());
    errors.into_iter().next().unwrap_or_else(none).into()
}
