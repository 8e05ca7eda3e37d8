//! Checkpoints: what a table is, in one file, so that readers need not read its log from the
//! beginning. The log stays: it tells a lost store what was read.

use deltalake::checkpoints::create_checkpoint;

use super::super::failure::delta_error;
use crate::error::LakeError;
use crate::fail_points::{self, Moment};
use crate::lakehouse::Lakehouse;
use crate::name::TableName;

impl Lakehouse {
    /// Writes a checkpoint of a table's latest version, which it returns.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`], [`LakeError::Unwritable`], [`LakeError::Delta`].
    pub async fn checkpoint(&self, name: &TableName) -> Result<u64, LakeError> {
        let failed =
            |error| delta_error(name, self.table_path(name), "write a checkpoint of", error);
        let Some(table) = self.open_delta(name, None).await? else {
            return Err(self.unknown_table(name));
        };
        fail_points::pass(Moment::Before, "checkpoint a table");
        create_checkpoint(&table, None).await.map_err(failed)?;
        fail_points::pass(Moment::After, "checkpoint a table");
        Ok(table.snapshot().map_err(failed)?.version())
    }
}
