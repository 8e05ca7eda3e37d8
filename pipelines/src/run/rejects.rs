//! Bad records of an ingest into a table of their own: see [`super::side`].

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::DataFusionError;
use sluice_lake::ingest::{Rejects, RejectsSeen, rejects_schema};
use sluice_lake::{LakeError, TableName};

use super::context::RunContext;
use super::error::StageError;
use super::side::{self, Replaces, Side, Writing};
use crate::plan::Asset;

/// What follows a table's name in the name of its rejected records.
pub(crate) const SUFFIX: &str = "__rejected";

/// The table that holds the bad records of an ingest.
pub(crate) fn table_of(ingest: &TableName) -> Result<TableName, StageError> {
    let name = format!("{}{SUFFIX}", ingest.table());
    Ok(TableName::new(ingest.layer(), &name).map_err(LakeError::from)?)
}

/// The bad records of one ingest, on their way.
pub(crate) struct Collecting {
    /// Where the readers find the way for them.
    offered: Arc<Offer>,
    rejects: Rejects,
    writing: Writing,
}

/// The way for bad records, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Offer(Mutex<Option<Rejects>>);

impl Offer {
    /// For a reader, which holds it open as long as it reads.
    pub(crate) fn way(&self) -> Option<Rejects> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn put(&self, rejects: Rejects) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rejects);
    }
}

impl Collecting {
    /// Begins to collect: readers that ask `offered` send their bad records.
    pub(crate) async fn begin(
        run: &RunContext,
        asset: &Asset,
        (ingest, key): (&TableName, &str),
        replaces: Replaces,
        offered: Arc<Offer>,
    ) -> Result<Self, StageError> {
        let side = Side {
            table: table_of(ingest)?,
            schema: rejects_schema(),
            description: format!(
                "Records of the files of {} that could not be taken, with the reason.",
                asset.name
            ),
            replaces,
            always: false,
        };
        let (rejects, receiver) = Rejects::channel();
        let writing = Writing::begin(run, asset, key, side, receiver).await?;
        offered.put(rejects.clone());
        Ok(Self {
            offered,
            rejects,
            writing,
        })
    }

    /// The records that came, to be asked when the rows are committed.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            rejects: self.rejects.seen(),
            side: self.writing.outcome(),
        }
    }

    /// Commits the bad records; the good rows are all there.
    pub(crate) async fn finish(self) -> Result<(), DataFusionError> {
        self.writing.complete();
        self.offered.close();
        drop(self.rejects);
        self.writing.finish().await
    }
}

/// What came of an ingest's bad records.
pub(crate) struct Outcome {
    rejects: Arc<RejectsSeen>,
    side: side::Outcome,
}

impl Outcome {
    /// Tells it, and lets the rest of the run see it.
    pub(crate) async fn tell(&self, run: &RunContext, asset: &Asset) -> Result<(), StageError> {
        self.side.record(run).await?;
        let rows = self.rejects.rows();
        if rows == 0 {
            return Ok(());
        }
        let counted = match rows {
            1 => "1 record was".to_owned(),
            rows => format!("{rows} records were"),
        };
        let first = self.rejects.first().unwrap_or_default();
        run.warn(
            &asset.name,
            format!(
                "{counted} rejected: see {}; the first is {first}",
                self.side.table
            ),
        );
        Ok(())
    }
}
