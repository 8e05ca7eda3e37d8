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
    failure::is_conflict,
    schema_change,
    write::{Incoming, MarkedCommit},
};
use crate::{error::LakeError, lakehouse::Lakehouse, name::TableName};

/// How often rows that are added go on top of what others have committed meanwhile.
const RACES: usize = 50;

impl Lakehouse {
    /// Writes streams of rows: to a new table, to those that are there, or in their place.
    pub(super) async fn write_side_by_side(
        &self,
        name: &TableName,
        existing: Option<DeltaTable>,
        (mode, partition_by): (WriteMode, Option<Vec<String>>),
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
            let layout = (schema, partition_by.unwrap_or_default());
            return self.make_of(name, layout, streams, at_end, commit).await;
        };
        let staying = match mode.keeps_columns() {
            true => Staying::of(&table, |_| false)?,
            false => Staying::nothing(),
        };
        let app_id = &commit.info.app_id;
        let (mut actions, data_files) = match partition_by.filter(|_| mode.replaces_all()) {
            Some(columns) => (
                schema_change::actions_with(&table, &schema, &columns)?,
                DataFiles::of_other_partitions(&table, schema, app_id, columns)?,
            ),
            None => (
                schema_change::actions(&table, &schema)?,
                DataFiles::of(&table, schema, app_id)?,
            ),
        };
        let columns_stay = actions.is_empty();
        let files = data_files
            .write_to_the_end(streams, staying, at_end)
            .await?;
        actions.extend(files.adds.into_iter().map(Action::Add));
        if mode.replaces_all() {
            let gone = table.snapshot()?.log_data();
            actions.extend(
                gone.iter()
                    .map(|view| Action::Remove(view.remove_action(true))),
            );
            return commit_files(&table, actions, SaveMode::Overwrite, commit).await;
        }
        // A table that somebody has judged may only become that table.
        let races = match columns_stay && !files.judged {
            true => RACES,
            false => 0,
        };
        self.add_files(name, table, &actions, races, commit).await
    }

    /// Adds data files. A race that is lost to others who add rows, too, or who write files
    /// together, is run again, so often, with the same files on top of theirs.
    async fn add_files(
        &self,
        name: &TableName,
        mut table: DeltaTable,
        actions: &[Action],
        mut races: usize,
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        loop {
            let added = commit_files(&table, actions.to_vec(), SaveMode::Append, commit).await;
            let lost = match added {
                Err(error) if is_conflict(&error) && races > 0 => error,
                other => return other,
            };
            races -= 1;
            let other = |error: LakeError| DeltaTableError::GenericError {
                source: Box::new(error),
            };
            // In this order: what is committed after it was opened, the next race meets.
            let newer = self.open_delta(name, None).await.map_err(other)?;
            let newer = newer.ok_or(DeltaTableError::NotInitialized)?;
            let class = self.conflict_class(name, table.version()).await;
            if !class.map_err(other)?.lets_append() {
                return Err(lost);
            }
            table = newer;
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
        (schema, partition_by): (SchemaRef, Vec<String>),
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
        let app_id = &commit.info.app_id;
        let data_files = DataFiles::of_new(&table, schema, app_id, partition_by.clone());
        let files = data_files
            .write_to_the_end(streams, Staying::nothing(), at_end)
            .await?;
        let mut create = CreateBuilder::new()
            .with_log_store(table.log_store())
            .with_table_name(name.to_string())
            .with_columns(columns.fields().cloned())
            .with_partition_columns(partition_by)
            .with_actions(files.adds.into_iter().map(Action::Add))
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
