//! A table's rows on their way to a learner.

use arrow::array::RecordBatch;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use sluice_learn::dataset::{DatasetBuilder, Straddling};
use sluice_learn::{LearnError, Splits};
use tokio::sync::mpsc::Sender;

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
    let stream = ctx
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
    let (built, fed) = tokio::join!(built, feed(run, stream, sender));
    fed?;
    let splits = built?;
    tell_straddling(run, asset, splits.straddling);
    Ok(splits)
}

/// Sends batches to where they are learned from, until there are no more.
pub(super) async fn feed(
    run: &RunContext,
    mut batches: SendableRecordBatchStream,
    to: Sender<RecordBatch>,
) -> Result<(), StageError> {
    while let Some(batch) = batches.next().await {
        if run.cancel.is_cancelled() {
            return Err(StageError::Cancelled);
        }
        if to.send(batch?).await.is_err() {
            // The learner refused a batch: its error is the one to tell.
            break;
        }
    }
    Ok(())
}

/// Warns of rows that flatter the figures.
pub(super) fn tell_straddling(run: &RunContext, asset: &Asset, shared: Straddling) {
    if shared.validation + shared.test > 0 {
        run.warn(
            &asset.name,
            format!(
                "{} validation and {} test rows are also train rows: their metrics flatter the model",
                shared.validation, shared.test
            ),
        );
    }
}

/// Of several errors in the data's description the first; the check has told all of them.
pub(super) fn first(errors: Vec<LearnError>) -> StageError {
    let none = || LearnError::Params(Vec::new());
    errors.into_iter().next().unwrap_or_else(none).into()
}
