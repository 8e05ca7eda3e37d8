//! The rows of a query on their way to work that computes: the query goes on while a batch is
//! looked at, and stops when the work does.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::mpsc::Receiver;

use super::context::RunContext;
use super::error::{StageError, blocking};
use crate::events::EventKind;

/// Batches that may wait to be looked at.
const BATCHES_AHEAD: usize = 4;
/// How often the stage says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// The batches of a stream, as the work takes them.
pub(crate) struct Batches {
    /// `None` stands behind the last batch.
    waiting: Receiver<Option<RecordBatch>>,
    ended: bool,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, StageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.waiting.blocking_recv() {
            Some(Some(batch)) => Some(Ok(batch)),
            Some(None) => {
                self.ended = true;
                None
            }
            // The stream broke off without its end: its own error is the one to tell.
            None => {
                self.ended = true;
                Some(Err(StageError::Cancelled))
            }
        }
    }
}

/// Hands all batches of a stream to `work`, which runs where it may block, and tells how many
/// rows went by.
pub(crate) async fn feed<T: Send + 'static>(
    run: &RunContext,
    asset: &str,
    mut stream: SendableRecordBatchStream,
    work: impl FnOnce(Batches) -> Result<T, StageError> + Send + 'static,
) -> Result<T, StageError> {
    let (sender, waiting) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    let batches = Batches {
        waiting,
        ended: false,
    };
    let worked = blocking(move || work(batches));
    // Owns the sender, which ends the work's wait when this ends early.
    let fed = async move {
        let (mut done, mut told) = (0, Instant::now());
        while let Some(batch) = stream.next().await {
            if run.cancel.is_cancelled() {
                return Err(StageError::Cancelled);
            }
            let batch = batch?;
            done += batch.num_rows() as u64;
            if sender.send(Some(batch)).await.is_err() {
                // The work refused a batch: its error is the one to tell.
                return Ok(());
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                run.emit(EventKind::StageProgress {
                    asset: asset.to_owned(),
                    done,
                    total: None,
                    unit: "rows",
                });
            }
        }
        // Whether it is taken shows in what comes of the work.
        let _ = sender.send(None).await;
        Ok(())
    };
    let (worked, fed) = tokio::join!(worked, fed);
    fed?;
    worked
}
