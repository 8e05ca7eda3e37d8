//! Small data files written together into larger ones, in an order that lets readers pass over
//! more of them.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroU64,
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use datafusion::{common::Column, logical_expr::Expr, prelude::DataFrame};
use deltalake::{
    DeltaTable, DeltaTableError,
    kernel::{Action, Add, transaction::CommitBuilder},
    protocol::DeltaOperation,
};
use futures::StreamExt;

use super::super::{
    CommitInfo,
    data_files::{DataFiles, Rows},
    failure::delta_error,
    scan::{SORTED_BYTES, bounded_session, scan, spelled},
    write::MarkedCommit,
};
use super::{is_small, property, rank};
use crate::{
    error::LakeError,
    fail_points::{self, Moment},
    lakehouse::Lakehouse,
    name::TableName,
};

/// How data files are written together.
#[derive(Debug, Clone)]
pub struct OptimizeOptions {
    /// How large a data file shall be, in bytes.
    pub target_bytes: NonZeroU64,
    /// The columns whose near values shall lie together, in all files; none leaves rows in
    /// their order, and large files as they are.
    pub zorder_by: Vec<String>,
    /// How many files are written side by side.
    pub threads: usize,
}

/// What was written together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optimized {
    /// The version that it made.
    pub version: u64,
    /// Data files of the table before, and after.
    pub files: (u64, u64),
    /// Their size before and after, in bytes.
    pub bytes: (u64, u64),
}

/// Data files that are written together: their paths as the log gives them, decoded.
pub(super) type Bin = Vec<String>;

/// A data file of a partition.
struct DataFile {
    written_ms: i64,
    path: String,
    bytes: u64,
}

/// The data files by partition, each in the order in which they were written.
fn partitions(table: &DeltaTable) -> Result<Vec<Vec<DataFile>>, DeltaTableError> {
    let mut partitions: BTreeMap<Vec<(String, Option<String>)>, Vec<DataFile>> = BTreeMap::new();
    for file in table.snapshot()?.log_data().iter() {
        let mut values: Vec<_> = file.partition_values_map().into_iter().collect();
        values.sort();
        partitions.entry(values).or_default().push(DataFile {
            written_ms: file.modification_time(),
            path: file.path().into_owned(),
            bytes: u64::try_from(file.size()).unwrap_or(0),
        });
    }
    let mut partitions: Vec<Vec<DataFile>> = partitions.into_values().collect();
    for files in &mut partitions {
        files.sort_by(|a, b| (a.written_ms, &a.path).cmp(&(b.written_ms, &b.path)));
    }
    Ok(partitions)
}

/// Small files of one partition that together are no larger than `target_bytes`.
pub(super) fn bins(table: &DeltaTable, target_bytes: u64) -> Result<Vec<Bin>, DeltaTableError> {
    let mut bins = Vec::new();
    for files in partitions(table)? {
        let (mut bin, mut bytes) = (Bin::new(), 0);
        for file in files {
            if !is_small(file.bytes, target_bytes) {
                continue;
            }
            if bytes + file.bytes > target_bytes {
                bins.push(std::mem::take(&mut bin));
                bytes = 0;
            }
            bytes += file.bytes;
            bin.push(file.path);
        }
        bins.push(bin);
    }
    bins.retain(|bin| bin.len() > 1);
    Ok(bins)
}

impl Lakehouse {
    /// Writes small data files of a table together, in one commit that changes no row; `None`
    /// where there is nothing to gain. Rows stream through; with `zorder_by` those of one
    /// partition are sorted in bounded memory, and on disk.
    ///
    /// # Errors
    /// [`LakeError::UnknownTable`]; [`LakeError::NotOptimizable`] for tables with column
    /// mapping; [`LakeError::Conflict`] when somebody else committed meanwhile;
    /// [`LakeError::Unwritable`] and [`LakeError::Delta`].
    pub async fn optimize(
        &self,
        name: &TableName,
        options: &OptimizeOptions,
        commit: CommitInfo,
    ) -> Result<Option<Optimized>, LakeError> {
        let failed = |error| delta_error(name, self.table_path(name), "optimize the table", error);
        let Some(table) = self.open_delta(name, None).await? else {
            return Err(self.unknown_table(name));
        };
        self.check_txn(name, &table, &commit).await?;
        if property(&table, "delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            return Err(LakeError::NotOptimizable {
                table: name.clone(),
                reason: "its columns are mapped (delta.columnMapping.mode)".to_owned(),
            });
        }
        let bins = match options.zorder_by.is_empty() {
            true => bins(&table, options.target_bytes.get()),
            false => partitions(&table).map(|partitions| {
                let paths = |files: Vec<DataFile>| files.into_iter().map(|file| file.path);
                partitions
                    .into_iter()
                    .map(|files| paths(files).collect())
                    .collect()
            }),
        };
        let bins: Vec<Bin> = bins.map_err(failed)?;
        if bins.is_empty() {
            return Ok(None);
        }
        let marked = MarkedCommit::new(commit);
        let rewriting = Rewriting {
            lakehouse: self,
            name,
            table: &table,
            options,
        };
        let optimized = rewriting.commit(&bins, &marked).await.map_err(failed)?;
        Ok(Some(optimized))
    }
}

/// Data files on their way into larger ones.
struct Rewriting<'a> {
    lakehouse: &'a Lakehouse,
    name: &'a TableName,
    table: &'a DeltaTable,
    options: &'a OptimizeOptions,
}

impl Rewriting<'_> {
    async fn commit(
        &self,
        bins: &[Bin],
        commit: &MarkedCommit,
    ) -> Result<Optimized, DeltaTableError> {
        let snapshot = self.table.snapshot()?;
        // Delta's own strings are `Utf8`: the schema is the log's, not a reader's.
        let schema: SchemaRef = snapshot.snapshot().arrow_schema();
        let app_id = &commit.info.app_id;
        let target = self.options.target_bytes;
        let files = DataFiles::of_size(self.table, Arc::clone(&schema), app_id, target)?;
        let adds = self.write(&files, &schema, bins).await?;
        let gone: HashSet<&str> = bins.iter().flatten().map(String::as_str).collect();
        let log = snapshot.log_data();
        let (mut before, mut after) = ((0, 0), (0, 0));
        let mut actions = Vec::with_capacity(gone.len() + adds.len());
        for file in log.iter() {
            let bytes = u64::try_from(file.size()).unwrap_or(0);
            before = (before.0 + 1, before.1 + bytes);
            match gone.contains(file.path().as_ref()) {
                true => actions.push(Action::Remove(file.remove_action(false))),
                false => after = (after.0 + 1, after.1 + bytes),
            }
        }
        for add in &adds {
            let bytes = u64::try_from(add.size).unwrap_or(0);
            after = (after.0 + 1, after.1 + bytes);
            actions.push(Action::Add(Add {
                data_change: false,
                ..add.clone()
            }));
        }
        fail_points::pass(Moment::Before, "optimize a table");
        let committed = CommitBuilder::from(commit.properties())
            .with_actions(actions)
            .build(
                Some(snapshot),
                self.table.log_store(),
                DeltaOperation::Optimize {
                    predicate: None,
                    target_size: i64::try_from(target.get()).unwrap_or(i64::MAX),
                },
            )
            .await;
        let version = match committed {
            Ok(committed) => committed.version(),
            // What failed may have been the tidying up after the commit. Files without a commit
            // are removed by whoever asked, who looks into the log before.
            Err(error) => {
                let (lakehouse, write_id) = (self.lakehouse, &commit.write_id);
                match lakehouse.version_of_write(self.name, write_id).await {
                    Ok(Some(version)) => version,
                    _ => return Err(error),
                }
            }
        };
        fail_points::pass(Moment::After, "optimize a table");
        Ok(Optimized {
            version,
            files: (before.0, after.0),
            bytes: (before.1, after.1),
        })
    }

    /// Writes some bins side by side, one batch of them after the other.
    async fn write(
        &self,
        files: &DataFiles,
        schema: &SchemaRef,
        bins: &[Bin],
    ) -> Result<Vec<Add>, DeltaTableError> {
        let mut adds = Vec::new();
        for some in bins.chunks(self.options.threads.max(1)) {
            let mut streams: Vec<Rows> = Vec::with_capacity(some.len());
            for bin in some {
                match self.rows(schema, bin).await {
                    Ok(rows) => streams.push(rows),
                    Err(error) => {
                        files.take_back(&adds).await;
                        return Err(error);
                    }
                }
            }
            match files.write(streams).await {
                Ok(written) => adds.extend(written),
                Err(error) => {
                    files.take_back(&adds).await;
                    return Err(error);
                }
            }
        }
        Ok(adds)
    }

    /// The rows of a bin, in the order in which they are to lie.
    async fn rows(&self, schema: &SchemaRef, bin: &Bin) -> Result<Rows, DeltaTableError> {
        let memory = SORTED_BYTES / self.options.threads.max(1);
        let context = bounded_session(memory)?;
        let paths = bin.iter().map(|path| spelled(path));
        let provider = scan(self.table, &context.state())?.with_file_paths(paths);
        let columns = schema.fields().iter();
        let columns: Vec<Expr> = columns
            .map(|field| Expr::Column(Column::from_name(field.name())))
            .collect();
        let rows = context
            .read_table(Arc::new(provider))?
            .select(columns.clone())?;
        let rows: DataFrame = match self.options.zorder_by.is_empty() {
            true => rows,
            false => {
                let key = rank::key(&rows, &self.options.zorder_by).await?;
                rows.sort(vec![key.sort(true, true)])?.select(columns)?
            }
        };
        Ok(rows.execute_stream().await?.boxed())
    }
}
