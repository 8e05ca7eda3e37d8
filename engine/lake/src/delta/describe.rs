//! A table's description: what other tools show as its comment.

use deltalake::DeltaTable;
use deltalake::operations::update_table_metadata::TableMetadataUpdate;

use super::CommitInfo;
use super::failure::delta_error;
use super::write::MarkedCommit;
use crate::error::LakeError;
use crate::fail_points::{self, Moment};
use crate::lakehouse::Lakehouse;
use crate::name::TableName;

impl Lakehouse {
    /// Gives a table another description, and leaves its rows as they are; `None` when it has
    /// that description already.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`]; [`LakeError::Conflict`] when somebody else committed
    /// meanwhile; [`LakeError::Delta`].
    pub async fn change_description(
        &self,
        name: &TableName,
        description: &str,
        commit: CommitInfo,
    ) -> Result<Option<u64>, LakeError> {
        let failed = |error| delta_error(name, self.table_path(name), "describe the table", error);
        let Some(table) = self.open_delta(name, None).await? else {
            return Err(self.unknown_table(name));
        };
        let current = table.snapshot().map_err(failed)?.metadata().description();
        if current.unwrap_or_default() == description {
            return Ok(None);
        }
        fail_points::pass(Moment::Before, "describe a table");
        let described = table
            .update_table_metadata()
            .with_update(TableMetadataUpdate {
                name: None,
                description: Some(description.to_owned()),
            })
            .with_commit_properties(MarkedCommit::new(commit).properties())
            .await
            .map_err(failed)?;
        fail_points::pass(Moment::After, "describe a table");
        Ok(described.version())
    }

    /// Gives a table that is there its description, in a commit of its own, unless it has it.
    pub(super) async fn describe(
        &self,
        name: &TableName,
        table: DeltaTable,
        description: Option<&str>,
    ) -> Result<DeltaTable, LakeError> {
        let failed = |error| delta_error(name, self.table_path(name), "describe the table", error);
        let Some(description) = description else {
            return Ok(table);
        };
        let current = table.snapshot().map_err(failed)?.metadata().description();
        if current == Some(description) {
            return Ok(table);
        }
        fail_points::pass(Moment::Before, "describe a table");
        let described = table
            .update_table_metadata()
            .with_update(TableMetadataUpdate {
                name: None,
                description: Some(description.to_owned()),
            })
            .await
            .map_err(failed)?;
        fail_points::pass(Moment::After, "describe a table");
        Ok(described)
    }
}
