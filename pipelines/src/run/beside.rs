//! What a table's stage writes beside its rows: rejected records, and rows in quarantine.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use sluice_lake::TableName;
use tokio::sync::mpsc::Receiver;

use super::context::RunContext;
use super::error::StageError;
use super::quarantine::Quarantine;
use super::rejects::{self, Collecting, Offer};
use super::side::{self, Replaces};
use super::wash::Washer;
use crate::plan::Asset;

/// What is written beside a table.
pub(crate) struct Beside {
    rejects: Option<Collecting>,
    quarantine: Option<Quarantine>,
}

/// What came of it, to be told when the table's own rows are committed.
pub(crate) struct Outcome {
    rejects: Option<rejects::Outcome>,
    quarantine: Option<side::Outcome>,
}

impl Beside {
    /// Begins to write. `key`: the table's. `offer`: where readers of files are offered a way
    /// for bad records. `aside`: what the washer puts into quarantine.
    pub(crate) async fn begin(
        run: &RunContext,
        asset: &Asset,
        (table, key): (&TableName, String),
        (replaces, offer): (Replaces, Option<Arc<Offer>>),
        washer: &Arc<Washer>,
        aside: Option<Receiver<RecordBatch>>,
    ) -> Result<(Self, Outcome), StageError> {
        let place = (table, key.as_str());
        let rejects = match offer {
            Some(offer) => {
                Some(Collecting::begin(run, asset, place, replaces.clone(), offer).await?)
            }
            None => None,
        };
        let quarantine = match aside {
            Some(rows) => Quarantine::begin(run, asset, place, replaces, washer, rows).await?,
            None => None,
        };
        let outcome = Outcome {
            rejects: rejects.as_ref().map(Collecting::outcome),
            quarantine: quarantine.as_ref().map(Quarantine::outcome),
        };
        let beside = Self {
            rejects,
            quarantine,
        };
        Ok((beside, outcome))
    }

    /// Commits it; the table's own rows are all there.
    pub(crate) async fn finish(self) -> Result<(), DataFusionError> {
        if let Some(rejects) = self.rejects {
            rejects.finish().await?;
        }
        if let Some(quarantine) = self.quarantine {
            quarantine.finish().await?;
        }
        Ok(())
    }
}

impl Outcome {
    /// Records and tells it, and lets the rest of the run see it.
    pub(crate) async fn tell(&self, run: &RunContext, asset: &Asset) -> Result<(), StageError> {
        if let Some(rejects) = &self.rejects {
            rejects.tell(run, asset).await?;
        }
        if let Some(quarantine) = &self.quarantine {
            quarantine.record(run).await?;
        }
        Ok(())
    }
}
