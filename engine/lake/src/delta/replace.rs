//! Replacing some rows of a table, in one commit: those of ingested files, those of a
//! condition, or those of keys.
//!
//! Data files that hold such rows are rewritten without them, the new rows go
//! into new data files, and one commit swaps them. (deltalake's `replaceWhere`
//! would refuse new rows of files that are not in the predicate, and write a
//! predicate with every file name into the log.) Which rows go is a [`Going`]: a new way to
//! tell them is one more variant.

use std::{collections::HashSet, sync::Arc};

use arrow::{array::AsArray, compute::cast, datatypes::DataType};
use datafusion::{
    common::Column,
    error::DataFusionError,
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
    AtEnd, KeyRows,
    data_files::{DataFiles, Rows},
    draft::Staying,
    keys,
    scan::{scan, scan_with_file, spelled},
    schema_change,
    write::{Incoming, MarkedCommit},
};
use crate::{ingest::FILE_COLUMN, lakehouse::Lakehouse, name::TableName};

/// The column that the scan adds: which data file a row lies in.
const DATA_FILE_COLUMN: &str = "__sluice_data_file";

impl Lakehouse {
    /// Replaces the rows that are `going` by the incoming rows.
    pub(super) async fn replace(
        &self,
        name: &TableName,
        table: DeltaTable,
        going: Going,
        incoming: Vec<Incoming>,
        at_end: AtEnd,
        commit: &MarkedCommit,
    ) -> Result<u64, DeltaTableError> {
        if incoming.is_empty() {
            return Err(DeltaTableError::generic("there is no stream of rows"));
        }
        let scan = Scan::new(&table, going)?;
        let touched = scan.touched_data_files().await?;
        tracing::debug!(table = %name, data_files = touched.len(), "rewriting");

        let changed = match incoming.first() {
            None => Vec::new(),
            Some(first) => schema_change::actions(&table, first.schema())?,
        };
        let adds = match incoming.first() {
            None => Vec::new(),
            Some(first) => {
                let schema = Arc::clone(first.schema());
                let data_files = DataFiles::of(&table, schema, &commit.info.app_id)?;
                let streams = incoming.into_iter().map(|rows| rows.into_stream().boxed());
                let mut streams: Vec<Rows> = streams.collect();
                if !touched.is_empty()
                    && let Some(last) = streams.pop()
                {
                    let kept = scan.kept_rows(&touched).await?;
                    streams.push(last.chain(kept).boxed());
                }
                let staying = Staying::of(&table, |path| touched.contains(file_name(path)))?;
                let files = data_files.write_to_the_end(streams, staying, at_end);
                files.await?.adds
            }
        };
        let snapshot = table.snapshot()?;
        let log = snapshot.log_data();
        let removes = log
            .iter()
            .filter(|view| touched.contains(file_name(&view.path())))
            .map(|view| Action::Remove(view.remove_action(true)));
        let removes: Vec<Action> = removes.collect();
        if removes.len() != touched.len() {
            // Two data files of one name in different folders: never ours.
            return Err(DeltaTableError::generic(
                "the table's data files cannot be told apart by their names",
            ));
        }
        let mut actions = changed;
        actions.extend(removes);
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

/// Which rows of a table go.
pub(super) enum Going {
    /// Those for which a condition is TRUE.
    Where(Expr),
    /// Those of keys.
    Keys(KeyRows),
}

impl Going {
    /// The rows of ingested files.
    pub(super) fn files(files: Vec<String>) -> Self {
        let file = Expr::Column(Column::from_name(FILE_COLUMN));
        Self::Where(file.in_list(files.into_iter().map(lit).collect(), false))
    }

    /// A session that tells the rows apart.
    fn session(&self) -> Result<SessionContext, DataFusionError> {
        match self {
            Self::Where(_) => {
                let config = SessionConfig::new().with_target_partitions(1);
                Ok(SessionContext::new_with_config(config))
            }
            Self::Keys(keys) => keys::session(keys),
        }
    }

    /// Those of `rows` that go, and perhaps only these columns of them.
    async fn going(
        &self,
        context: &SessionContext,
        rows: DataFrame,
        column: &str,
    ) -> Result<DataFrame, DataFusionError> {
        let rows = match self {
            Self::Where(condition) => rows.filter(condition.clone())?,
            Self::Keys(keys) => keys::going(context, keys, rows).await?,
        };
        rows.select(vec![Expr::Column(Column::from_name(column))])
    }

    /// Those of `rows` that stay.
    fn staying(
        &self,
        context: &SessionContext,
        rows: DataFrame,
    ) -> Result<DataFrame, DataFusionError> {
        match self {
            Self::Where(condition) => rows.filter(condition.clone().is_not_true()),
            Self::Keys(keys) => keys::staying(context, keys, rows),
        }
    }
}

/// The rows that are there, and which of them go.
struct Scan<'a> {
    table: &'a DeltaTable,
    going: Going,
    context: SessionContext,
}

impl<'a> Scan<'a> {
    fn new(table: &'a DeltaTable, going: Going) -> Result<Self, DeltaTableError> {
        Ok(Self {
            table,
            context: going.session()?,
            going,
        })
    }

    /// The names of the data files that hold at least one row that goes.
    async fn touched_data_files(&self) -> Result<HashSet<String>, DeltaTableError> {
        let provider = scan_with_file(self.table, &self.context.state(), DATA_FILE_COLUMN)?;
        let rows = self.context.read_table(Arc::new(provider))?;
        let found = self.going.going(&self.context, rows, DATA_FILE_COLUMN);
        let mut batches = found.await?.execute_stream().await?;
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
            .filter(|view| touched.contains(file_name(&view.path())))
            .map(|view| spelled(&view.path()))
            .collect();
        let provider = scan(self.table, &self.context.state())?.with_file_paths(paths);
        let rows = self.context.read_table(Arc::new(provider))?;
        let kept = self.going.staying(&self.context, rows)?;
        // A reader may give the columns that the table is partitioned by last.
        let columns = snapshot.snapshot().arrow_schema();
        let columns = columns.fields().iter();
        let columns: Vec<Expr> = columns
            .map(|field| Expr::Column(Column::from_name(field.name())))
            .collect();
        Ok(kept.select(columns)?.execute_stream().await?)
    }
}

/// The last part of a data file's path or URL: it holds a UUID.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
