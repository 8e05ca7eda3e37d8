//! What can be told of a table before the tables that it reads are made: their columns are known
//! once the project is checked, their rows are not.

use super::fingerprint::Fingerprint;
use super::freshness::{Lookup, Verdict};
use super::ranges::Ranges;
use super::upkeep::Upkeeping;
use super::{Asset, AssetBody};
use crate::run::error::StageError;

impl Lookup<'_> {
    /// What becomes of a table that keeps its rows, if its columns will be others than they are:
    /// it is made anew whatever rows come, or refused.
    pub(crate) async fn foreseen(&self, asset: &Asset) -> Result<Option<Verdict>, StageError> {
        let AssetBody::Sql(sql) = &asset.body else {
            return Ok(None);
        };
        if !sql.upkeep.keeps_rows() || self.stored(asset).await?.is_none() {
            return Ok(None);
        }
        let (now, intervals) = (Fingerprint::of_definition(asset), Ranges::default());
        let upkeep = Upkeeping {
            lakehouse: self.catalog.lakehouse(),
            sql,
            now: &now,
            earlier: None,
            version: None,
            intervals: &intervals,
            event_time: self.event_time,
            all_intervals: self.all_intervals(sql),
        };
        let difference = self.other_columns(&upkeep).await?;
        Ok(difference.map(|difference| upkeep.anew(&difference)))
    }
}
