//! Writes of one or several streams of rows: data files first, each stream's on a thread of
//! its own; then whatever has to look at them; then the commit. (deltalake's own writer would
//! encode on one thread, mix the rows, and commit before anybody has looked.)

use arrow::datatypes::SchemaRef;
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, StructType, engine::arrow_conversion::TryIntoKernel, transaction::CommitBuilder,
    },
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
};
use futures::StreamExt;

use super::{
    AtEnd, WriteMode,
    data_files::{DataFiles, Rows},
    draft::Staying,
    schema_change,
    write::{Incoming, MarkedCommit},
};
use crate::{lakehouse::Lakehouse, name::TableName};

impl Lakehouse {
    /// Writes streams of rows: to a new table, to those that are there, or in their place.
    pub(super) async fn write_side_by_side(
        &self,
        name: &TableName,
        existing: Option<DeltaTable>,
        mode: WriteMode,
        rows: Vec<Incoming>,
        at_end: AtEnd,
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        let Some(first) = rows.first() else {
            return Err(DeltaTableError::generic("there is no stream of rows"));
        };
        let schema = SchemaRef::clone(first.schema());
        let streams: Vec<Rows> = rows
            .into_iter()
            .map(|rows| rows.into_stream().boxed())
            .collect();
        let Some(table) = existing else {
            return self.make_of(name, schema, streams, at_end, commit).await;
        };
        let staying = match mode.keeps_columns() {
            true => Staying::of(&table, |_| false)?,
            false => Staying::nothing(),
        };
        let mut actions = schema_change::actions(&table, &schema)?;
        let data_files = DataFiles::of(&table, schema)?;
        let adds = data_files
            .write_to_the_end(streams, staying, at_end)
            .await?;
        let snapshot = table.snapshot()?;
        actions.extend(adds.into_iter().map(Action::Add));
        let mode = match mode {
            mode if mode.replaces_all() => {
                let gone = snapshot.log_data();
                actions.extend(
                    gone.iter()
                        .map(|view| Action::Remove(view.remove_action(true))),
                );
                SaveMode::Overwrite
            }
            _ => SaveMode::Append,
        };
        let operation = DeltaOperation::Write {
            mode,
            partition_by: None,
            predicate: None,
        };
        let committed = CommitBuilder::from(commit.properties())
            .with_actions(actions)
            .build(Some(snapshot), table.log_store(), operation)
            .await?;
        Ok(committed.version())
    }

    async fn make_of(
        &self,
        name: &TableName,
        schema: SchemaRef,
        streams: Vec<Rows>,
        at_end: AtEnd,
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        let builder = self
            .table_builder(name)
            .map_err(|error| DeltaTableError::GenericError {
                source: Box::new(error),
            })?;
        let table = builder.build()?;
        let columns: StructType = schema.as_ref().try_into_kernel()?;
        let data_files = DataFiles::of_new(&table, schema);
        let adds = data_files
            .write_to_the_end(streams, Staying::nothing(), at_end)
            .await?;
        let mut create = CreateBuilder::new()
            .with_log_store(table.log_store())
            .with_table_name(name.to_string())
            .with_columns(columns.fields().cloned())
            .with_actions(adds.into_iter().map(Action::Add))
            .with_commit_properties(commit.properties());
        if let Some(description) = &commit.info.description {
            create = create.with_comment(description);
        }
        match create.await {
            Ok(table) => table.version().ok_or(DeltaTableError::NotInitialized),
            // Whoever made the table meanwhile has won.
            Err(_) if self.has_table(name) => Err(DeltaTableError::VersionAlreadyExists(0)),
            Err(error) => Err(error),
        }
    }
}
