//! Replacing the rows of some ingested files, in one commit.
//!
//! Data files that hold such rows are rewritten without them, the new rows go
//! into new data files, and one commit swaps them. (deltalake's `replaceWhere`
//! would refuse new rows of files that are not in the predicate, and write a
//! predicate with every file name into the log.)

use std::{collections::HashSet, sync::Arc};

use arrow::{array::AsArray, compute::cast, datatypes::DataType};
use datafusion::{
    common::Column,
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, lit},
    prelude::{DataFrame, SessionConfig, SessionContext},
};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{Action, transaction::CommitBuilder},
    protocol::{DeltaOperation, SaveMode},
};
use futures::{StreamExt, TryStreamExt};

use super::{
    AtEnd,
    data_files::{DataFiles, Rows},
    draft::Staying,
    write::{Incoming, MarkedCommit},
};
use crate::{ingest::FILE_COLUMN, lakehouse::Lakehouse, name::TableName};

/// The column that the scan adds: which data file a row lies in.
const DATA_FILE_COLUMN: &str = "__sluice_data_file";

impl Lakehouse {
    /// Replaces the rows of the ingested `files` by the incoming rows.
    pub(super) async fn replace_files(
        &self,
        name: &TableName,
        table: DeltaTable,
        files: Vec<String>,
        incoming: Vec<Incoming>,
        at_end: AtEnd,
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        let replaced = Expr::Column(Column::from_name(FILE_COLUMN))
            .in_list(files.into_iter().map(lit).collect(), false);
        let scan = Scan::new(&table, replaced);
        let touched = scan.touched_data_files().await?;
        tracing::debug!(table = %name, data_files = touched.len(), "rewriting");

        let adds = match incoming.first() {
            None => Vec::new(),
            Some(first) => {
                let data_files = DataFiles::of(&table, Arc::clone(first.schema()))?;
                let streams = incoming.into_iter().map(|rows| rows.into_stream().boxed());
                let mut streams: Vec<Rows> = streams.collect();
                if !touched.is_empty()
                    && let Some(last) = streams.pop()
                {
                    let kept = scan.kept_rows(&touched).await?;
                    streams.push(last.chain(kept).boxed());
                }
                let staying = Staying::of(&table, |path| touched.contains(file_name(path)))?;
                data_files
                    .write_to_the_end(streams, staying, at_end)
                    .await?
            }
        };
        let snapshot = table.snapshot()?;
        let log = snapshot.log_data();
        let removes = log
            .iter()
            .filter(|view| touched.contains(file_name(&view.path())))
            .map(|view| Action::Remove(view.remove_action(true)));
        let mut actions: Vec<Action> = removes.collect();
        if actions.len() != touched.len() {
            // Two data files of one name in different folders: never ours.
            return Err(DeltaTableError::generic(
                "the table's data files cannot be told apart by their names",
            ));
        }
        actions.extend(adds.into_iter().map(Action::Add));
        let committed = CommitBuilder::from(commit.properties())
            .with_actions(actions)
            .build(
                Some(snapshot),
                table.log_store(),
                DeltaOperation::Write {
                    mode: SaveMode::Overwrite,
                    partition_by: None,
                    predicate: None,
                },
            )
            .await?;
        Ok(committed.version())
    }
}

/// The rows that are there, and which of them go.
struct Scan<'a> {
    table: &'a DeltaTable,
    replaced: Expr,
    context: SessionContext,
}

impl<'a> Scan<'a> {
    fn new(table: &'a DeltaTable, replaced: Expr) -> Self {
        let config = SessionConfig::new()
            .set_bool(
                "datafusion.execution.parquet.schema_force_view_types",
                false,
            )
            .with_target_partitions(1);
        Self {
            table,
            replaced,
            context: SessionContext::new_with_config(config),
        }
    }

    /// The names of the data files that hold at least one row that goes.
    async fn touched_data_files(&self) -> Result<HashSet<String>, DeltaTableError> {
        let provider = self
            .table
            .table_provider()
            .with_session(Arc::new(self.context.state()))
            .with_file_column(DATA_FILE_COLUMN)
            .await?;
        let found: DataFrame = self
            .context
            .read_table(provider)?
            .filter(self.replaced.clone())?
            .select(vec![Expr::Column(Column::from_name(DATA_FILE_COLUMN))])?;
        let mut batches = found.execute_stream().await?;
        let mut names = HashSet::new();
        while let Some(batch) = batches.try_next().await? {
            let paths = cast(batch.column(0), &DataType::Utf8)?;
            let mut last = None;
            for path in paths.as_string::<i32>().iter().flatten() {
                // Rows come file by file: one look at each run of equal paths.
                if last != Some(path) {
                    names.insert(file_name(path).to_owned());
                    last = Some(path);
                }
            }
        }
        Ok(names)
    }

    /// The rows of these data files that stay.
    async fn kept_rows(
        &self,
        touched: &HashSet<String>,
    ) -> Result<SendableRecordBatchStream, DeltaTableError> {
        let snapshot = self.table.snapshot()?;
        let paths: Vec<String> = snapshot
            .log_data()
            .iter()
            .map(|view| view.path().into_owned())
            .filter(|path| touched.contains(file_name(path)))
            .collect();
        let provider = self
            .table
            .table_provider()
            .with_session(Arc::new(self.context.state()))
            .with_file_paths(paths)
            .await?;
        let kept = self
            .context
            .read_table(provider)?
            .filter(self.replaced.clone().is_not_true())?;
        Ok(kept.execute_stream().await?)
    }
}

/// The last part of a data file's path or URL: it holds a UUID.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
