//! A table's description: what other tools show as its comment.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Metadata, MetadataExt, StructType};
use deltalake::operations::update_table_metadata::TableMetadataUpdate;
use deltalake::protocol::DeltaOperation;
use deltalake::{DeltaTable, DeltaTableError};

use super::CommitInfo;
use super::failure::delta_error;
use super::types::COMMENT_KEY;
use super::write::MarkedCommit;
use crate::error::LakeError;
use crate::fail_points::{self, Moment};
use crate::lakehouse::Lakehouse;
use crate::name::TableName;

impl Lakehouse {
    /// Gives a table another description, and its columns other comments, and leaves its rows as
    /// they are; `None` when it has those already. `comments`: all of them, by column; `None`
    /// leaves them as they are.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`]; [`LakeError::Conflict`] when somebody else committed
    /// meanwhile; [`LakeError::Delta`].
    pub async fn change_description(
        &self,
        name: &TableName,
        description: &str,
        comments: Option<&BTreeMap<String, String>>,
        commit: CommitInfo,
    ) -> Result<Option<u64>, LakeError> {
        let failed = |error| delta_error(name, self.table_path(name), "describe the table", error);
        let Some(table) = self.open_delta(name, None).await? else {
            return Err(self.unknown_table(name));
        };
        let metadata = described(&table, description, comments).map_err(failed)?;
        let Some(metadata) = metadata else {
            return Ok(None);
        };
        let snapshot = table.snapshot().map_err(failed)?;
        let update = TableMetadataUpdate {
            name: None,
            description: Some(description.to_owned()),
        };
        let operation = DeltaOperation::UpdateTableMetadata {
            metadata_update: update,
        };
        fail_points::pass(Moment::Before, "describe a table");
        let committed = CommitBuilder::from(MarkedCommit::new(commit).properties())
            .with_actions(vec![Action::Metadata(metadata)])
            .build(Some(snapshot), table.log_store(), operation)
            .await
            .map_err(failed)?;
        fail_points::pass(Moment::After, "describe a table");
        Ok(Some(committed.version()))
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
            // Entries of the log stay, and nothing goes on top of what nobody has looked at.
            .with_commit_properties(
                CommitProperties::default()
                    .with_max_retries(0)
                    .with_cleanup_expired_logs(Some(false)),
            )
            .await
            .map_err(failed)?;
        fail_points::pass(Moment::After, "describe a table");
        Ok(described)
    }
}

/// What the log says of a table with other words; `None` where it has these.
fn described(
    table: &DeltaTable,
    description: &str,
    comments: Option<&BTreeMap<String, String>>,
) -> Result<Option<Metadata>, DeltaTableError> {
    let snapshot = table.snapshot()?;
    let current = snapshot.metadata();
    let mut metadata = None;
    if current.description().unwrap_or_default() != description {
        metadata = Some(current.clone().with_description(description.to_owned())?);
    }
    if let Some(comments) = comments {
        let columns = snapshot.snapshot().arrow_schema();
        let fields = columns.fields().iter().map(|field| {
            let mut words = field.metadata().clone();
            words.remove(COMMENT_KEY);
            let comment = comments.get(field.name());
            words.extend(comment.map(|comment| (COMMENT_KEY.to_owned(), comment.clone())));
            field.as_ref().clone().with_metadata(words)
        });
        let commented = Schema::new(fields.collect::<Vec<_>>());
        if commented != *columns {
            let commented: StructType = (&commented).try_into_kernel()?;
            let metadata_now = metadata.unwrap_or_else(|| current.clone());
            metadata = Some(metadata_now.with_schema(&commented)?);
        }
    }
    Ok(metadata)
}
