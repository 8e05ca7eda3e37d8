//! Writes of several streams of rows, which deltalake's own writer would encode on one
//! thread, mixing their rows.

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
    WriteMode,
    data_files::{AtEnd, DataFiles, Rows},
    failure::is_conflict,
    write::{Incoming, MarkedCommit},
};
use crate::{error::LakeError, lakehouse::Lakehouse, name::TableName};

/// How often rows that are added go on top of what others have committed meanwhile.
const RACES: usize = 50;

/// Whether a write can be done so: rows are added, or there are several streams and the columns
/// of the table stay as they are, if it is there.
pub(super) fn can(existing: &Option<DeltaTable>, mode: &WriteMode, rows: &[Incoming]) -> bool {
    match (existing, rows) {
        (Some(_), [_, ..]) if mode.keeps_columns() => true,
        (None, [_, _, ..]) => true,
        (Some(table), [first, _, ..]) => table.snapshot().is_ok_and(|snapshot| {
            // Delta's own strings are `Utf8`: the schema is the log's, not a reader's.
            snapshot.snapshot().arrow_schema() == *first.schema()
        }),
        _ => false,
    }
}

impl Lakehouse {
    /// Writes several streams of rows: to a new table, to those that are there, or in
    /// their place.
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
        let data_files = DataFiles::of(&table, schema, &commit.info.app_id)?;
        let adds = data_files.write_to_the_end(streams, at_end).await?;
        let mut actions: Vec<Action> = adds.into_iter().map(Action::Add).collect();
        if !mode.replaces_all() {
            return self.add_files(name, table, &actions, commit).await;
        }
        let gone = table.snapshot()?.log_data();
        actions.extend(
            gone.iter()
                .map(|view| Action::Remove(view.remove_action(true))),
        );
        commit_files(&table, actions, SaveMode::Overwrite, commit).await
    }

    /// Adds data files. A race that is lost to others who add rows, too, or who write files
    /// together, is run again with the same files on top of theirs.
    async fn add_files(
        &self,
        name: &TableName,
        mut table: DeltaTable,
        actions: &[Action],
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        let mut races = 0;
        loop {
            let added = commit_files(&table, actions.to_vec(), SaveMode::Append, commit).await;
            let lost = match added {
                Err(error) if is_conflict(&error) && races < RACES => error,
                other => return other,
            };
            races += 1;
            let other = |error: LakeError| DeltaTableError::GenericError {
                source: Box::new(error),
            };
            let class = self.conflict_class(name, table.version()).await;
            if !class.map_err(other)?.lets_append() {
                return Err(lost);
            }
            let newer = self.open_delta(name, None).await.map_err(other)?;
            table = newer.ok_or(DeltaTableError::NotInitialized)?;
            let ours = self.check_txn(name, &table, &commit.info);
            // Somebody counts as we do: what comes of it is looked at by whoever asked.
            if ours.await.is_err() {
                return Err(lost);
            }
        }
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
        let data_files = DataFiles::of_new(&table, schema, &commit.info.app_id);
        let adds = data_files.write_to_the_end(streams, at_end).await?;
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

/// Commits data files that are written onto the table as it was read.
async fn commit_files(
    table: &DeltaTable,
    actions: Vec<Action>,
    mode: SaveMode,
    commit: &MarkedCommit,
) -> Result<u64, DeltaTableError> {
    let operation = DeltaOperation::Write {
        mode,
        partition_by: None,
        predicate: None,
    };
    let committed = CommitBuilder::from(commit.properties())
        .with_actions(actions)
        .build(Some(table.snapshot()?), table.log_store(), operation)
        .await?;
    Ok(committed.version())
}
