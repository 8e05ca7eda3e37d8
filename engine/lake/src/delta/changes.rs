//! What changed in a table from one version to another, row by row.
//!
//! Entry point: [`Lakehouse::changes`], which reads the log, and then [`Changes::net`] or
//! [`Changes::feed`], which read rows. A commit that only adds data files is told by their
//! rows. One that removes some, too, is told by what differs: rows that a rewrite kept cancel
//! out. That needs nothing of Delta's change data feed (`delta.enableChangeDataFeed`), which a
//! table would have to be made with; where other programs wrote `cdc` files, the data files of
//! the same commit say the same. Commits that change no data (`OPTIMIZE`) are passed over.
//!
//! Differences are taken by a hash aggregation over all columns, which keeps to the memory
//! limit of the session that it runs in and spills beyond it; rows that were only added
//! stream through.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use datafusion::{
    catalog::TableProvider,
    common::{Column, ScalarValue},
    dataframe::DataFrame,
    error::DataFusionError,
    functions_aggregate::expr_fn::sum,
    functions_nested::expr_fn::array_repeat,
    logical_expr::{Expr, cast, lit, when},
    prelude::SessionContext,
};
use url::Url;

use super::{
    change_log::{ChangedCommit, entries},
    failure::{delta_error, rows_error},
    read::{READER, blocking, read_entry},
    scan::scan,
};
use crate::{error::LakeError, lakehouse::Lakehouse, name::TableName};

/// The column of [`Changes::feed`] that says whether a row came (`insert`) or went (`delete`).
pub const CHANGE_TYPE_COLUMN: &str = "_change_type";
/// The column of [`Changes::feed`] with the version that a row came or went with.
pub const COMMIT_VERSION_COLUMN: &str = "_commit_version";
/// The column of [`Changes::feed`] with the time of that version's commit.
pub const COMMIT_TIMESTAMP_COLUMN: &str = "_commit_timestamp";

/// How often a row came more often than it went.
const COPIES: &str = "__sluice_copies";

/// Why the changes of a table since a version cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// The table of that name is another one.
    #[error("{table} was created anew")]
    Recreated {
        /// The table.
        table: TableName,
    },
    /// The version is not there yet, or not any more.
    #[error("{table} went back to version {until} (was {since})")]
    WentBack {
        /// The table.
        table: TableName,
        /// The version that was read.
        since: u64,
        /// The latest version.
        until: u64,
    },
    /// The version that was read was lost, and another commit has its number.
    #[error("{table} was restored and written again: its version {since} is another one")]
    Rewritten {
        /// The table.
        table: TableName,
        /// The version that was read.
        since: u64,
    },
    /// The log does not reach back so far.
    #[error("the log of {table} does not say any more what version {version} changed")]
    LogCut {
        /// The table.
        table: TableName,
        /// The first version whose entry is gone.
        version: u64,
    },
    /// Data files are gone.
    #[error("data files that version {version} of {table} changed were removed by VACUUM")]
    Vacuumed {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
    },
    /// The columns are others, so that rows cannot be compared.
    #[error("the columns of {table} changed: {difference}")]
    Columns {
        /// The table.
        table: TableName,
        /// The first difference.
        difference: String,
    },
}

/// Why changes were not read.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// They cannot be told.
    #[error(transparent)]
    Untold(#[from] Untold),
    /// The table cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// What was read of a table.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// The table's identity: [`PinnedTable::table_id`](super::PinnedTable).
    pub table_id: &'a str,
    /// The version.
    pub version: u64,
    /// What tells its commit from others of that number, where it is known:
    /// [`PinnedTable::data_commit`](super::PinnedTable).
    pub commit: Option<&'a str>,
}

impl<'a> Since<'a> {
    /// A version, whose commit is not known.
    pub fn version(table_id: &'a str, version: u64) -> Self {
        Self {
            table_id,
            version,
            commit: None,
        }
    }
}

/// What changed in a table after one version, up to another.
#[derive(Debug, Clone)]
pub struct Changes {
    lakehouse: Lakehouse,
    table: TableName,
    /// The version from which on, not included.
    pub since: u64,
    /// The version up to which, included.
    pub until: u64,
    /// The commits that changed rows, in order.
    pub commits: Vec<ChangedCommit>,
    schema: SchemaRef,
    /// The columns that are looked at; all where it is empty.
    looked_at: BTreeSet<String>,
}

/// What changed in sum: rows that came and went again are in neither.
#[derive(Debug, Clone)]
pub struct Net {
    /// The rows that are there now and were not.
    pub inserts: DataFrame,
    /// The rows that were there and are not now; `None` when no commit removed any.
    pub deletes: Option<DataFrame>,
}

impl Lakehouse {
    /// What changed in a table since it was read, up to version `until`. Reads the log only.
    ///
    /// # Errors
    /// [`ChangesError::Untold`] with the reason why it cannot be told;
    /// [`ChangesError::Lake`] when the log cannot be read.
    pub async fn changes(
        &self,
        name: &TableName,
        read: Since<'_>,
        until: u64,
    ) -> Result<Changes, ChangesError> {
        let since = read.version;
        let now = self.load(name, Some(until)).await?;
        if now.table_id != read.table_id {
            return Err(Untold::Recreated {
                table: name.clone(),
            }
            .into());
        }
        if since > until {
            let table = name.clone();
            return Err(Untold::WentBack {
                table,
                since,
                until,
            }
            .into());
        }
        let log = self.table_path(name).join("_delta_log");
        if let Some(commit) = read.commit {
            let log = log.clone();
            let entry = blocking(move || read_entry(&log, since)).await?;
            // An entry that is gone tells nothing.
            let mark = entry.and_then(|entry| entry.mark());
            if mark.is_some_and(|mark| mark != commit) {
                let table = name.clone();
                return Err(Untold::Rewritten { table, since }.into());
            }
        }
        let table = name.clone();
        let entries = blocking(move || entries(&log, &table, since, until)).await?;
        let mut commits = Vec::new();
        let mut columns_changed = false;
        for entry in entries? {
            columns_changed |= entry.columns;
            if !(entry.commit.adds.is_empty() && entry.commit.removes.is_empty()) {
                commits.push(entry.commit);
            }
        }
        if columns_changed {
            let before = self.load(name, Some(since)).await?;
            if let Some(difference) = incomparable(&before.schema, &now.schema) {
                let table = name.clone();
                return Err(Untold::Columns { table, difference }.into());
            }
        }
        Ok(Changes {
            lakehouse: self.clone(),
            table: name.clone(),
            since,
            until,
            commits,
            schema: now.schema,
            looked_at: BTreeSet::new(),
        })
    }
}

impl Changes {
    /// The table's columns, at the later version.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The same changes, of these columns only: the others are NULL in all rows, and rows that
    /// differ in nothing else are equal. No column at all means all of them.
    #[must_use]
    pub fn looking_at(mut self, columns: BTreeSet<String>) -> Self {
        self.looked_at = columns;
        self
    }

    /// How many rows came, where the log says so and no commit removed any.
    pub fn appended_rows(&self) -> Option<u64> {
        let rows = |commit: &ChangedCommit| commit.added_rows.filter(|_| !commit.rewrites);
        self.commits.iter().map(rows).sum()
    }

    /// The first commit that removed data files.
    pub fn first_rewrite(&self) -> Option<&ChangedCommit> {
        self.commits.iter().find(|commit| commit.rewrites)
    }

    /// What changed in sum, to be read in the session `ctx`.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub async fn net(&self, ctx: &SessionContext) -> Result<Net, ChangesError> {
        let mut parts = Vec::new();
        for commit in &self.commits {
            parts.extend(self.signed(ctx, commit).await?);
        }
        if self.first_rewrite().is_none() {
            let inserts = parts.into_iter().map(|(_, rows)| rows).collect();
            let inserts = self.planned(self.union(ctx, inserts))?;
            return Ok(Net {
                inserts,
                deletes: None,
            });
        }
        let sums = self.planned(self.summed(ctx, parts))?;
        Ok(Net {
            inserts: self.planned(self.copies(sums.clone(), false))?,
            deletes: Some(self.planned(self.copies(sums, true))?),
        })
    }

    /// Each change of each commit: the table's columns, then `_change_type` (`insert` or
    /// `delete`), `_commit_version` and `_commit_timestamp`, as Delta's change data feed calls
    /// them. A changed row is a `delete` and an `insert`.
    ///
    /// # Errors
    /// [`Untold::Vacuumed`]; a table that cannot be read.
    pub async fn feed(&self, ctx: &SessionContext) -> Result<DataFrame, ChangesError> {
        let mut all = Vec::new();
        for commit in &self.commits {
            let parts = self.signed(ctx, commit).await?;
            let told = |rows: DataFrame, change: &str| self.told(rows, change, commit);
            if !commit.rewrites {
                for (_, rows) in parts {
                    all.push(self.planned(told(rows, "insert"))?);
                }
                continue;
            }
            let sums = self.planned(self.summed(ctx, parts))?;
            for (gone, change) in [(true, "delete"), (false, "insert")] {
                let rows = self.planned(self.copies(sums.clone(), gone))?;
                all.push(self.planned(told(rows, change))?);
            }
        }
        if all.is_empty() {
            let nothing = self.planned(self.union(ctx, Vec::new()))?;
            let commit = ChangedCommit {
                version: self.until,
                timestamp_ms: 0,
                added_rows: Some(0),
                rewrites: false,
                adds: Vec::new(),
                removes: Vec::new(),
            };
            return self.planned(self.told(nothing, "insert", &commit));
        }
        self.planned(self.union(ctx, all))
    }

    /// The rows of the data files that a commit added (1) and removed (-1).
    async fn signed(
        &self,
        ctx: &SessionContext,
        commit: &ChangedCommit,
    ) -> Result<Vec<(i64, DataFrame)>, ChangesError> {
        let mut parts = Vec::new();
        let files = [
            (1_i64, commit.version, &commit.adds),
            (-1, commit.version.saturating_sub(1), &commit.removes),
        ];
        for (sign, version, paths) in files {
            if paths.is_empty() {
                continue;
            }
            self.require_files(commit.version, paths).await?;
            let provider = self.files_at(version, paths).await?;
            let rows = ctx.read_table(provider).and_then(|rows| self.aligned(rows));
            parts.push((sign, self.planned(rows)?));
        }
        Ok(parts)
    }

    /// Refuses changes whose rows cannot be read any more.
    ///
    /// # Errors
    /// [`Untold::Vacuumed`] for the first commit whose data files are gone.
    pub async fn require_data_files(&self) -> Result<(), ChangesError> {
        for commit in &self.commits {
            for paths in [&commit.adds, &commit.removes] {
                self.require_files(commit.version, paths).await?;
            }
        }
        Ok(())
    }

    /// Refuses data files that are not there any more.
    async fn require_files(&self, version: u64, paths: &[String]) -> Result<(), ChangesError> {
        let folder = self.lakehouse.table_path(&self.table);
        let root = Url::from_directory_path(&folder).ok();
        let file = |path: &String| -> Option<PathBuf> {
            root.as_ref()?.join(path).ok()?.to_file_path().ok()
        };
        let files: Vec<PathBuf> = paths.iter().filter_map(file).collect();
        let all = blocking(move || Ok(files.iter().all(|file| file.exists()))).await?;
        match all {
            true => Ok(()),
            false => Err(Untold::Vacuumed {
                table: self.table.clone(),
                version,
            }
            .into()),
        }
    }

    /// Some data files, as a version of the table has them: deletion vectors included.
    async fn files_at(
        &self,
        version: u64,
        paths: &[String],
    ) -> Result<Arc<dyn TableProvider>, ChangesError> {
        let path = self.lakehouse.table_path(&self.table);
        let table = self
            .lakehouse
            .open_delta(&self.table, Some(version))
            .await?;
        let table = table.ok_or_else(|| self.lakehouse.unknown_table(&self.table))?;
        let provider = scan(&table, &*READER);
        let provider = provider.map(|scan| scan.with_file_paths(paths.iter().cloned()));
        let provider = provider.map(|scan| Arc::new(scan) as Arc<dyn TableProvider>);
        provider.map_err(|error| {
            delta_error(
                &self.table,
                path,
                "read the changes of the table",
                error.into(),
            )
            .into()
        })
    }

    /// The columns of the later version; those that were not there yet are NULL.
    fn aligned(&self, rows: DataFrame) -> Result<DataFrame, DataFusionError> {
        let own = Arc::new(rows.schema().as_arrow().clone());
        let columns = self.schema.fields().iter().map(|field| {
            let looked_at = self.looked_at.is_empty() || self.looked_at.contains(field.name());
            let stored = own.field_with_name(field.name());
            let value = match stored {
                _ if !looked_at => cast(lit(ScalarValue::Null), field.data_type().clone()),
                Ok(same) if same.data_type() == field.data_type() => column(field.name()),
                Ok(_) => cast(column(field.name()), field.data_type().clone()),
                Err(_) => cast(lit(ScalarValue::Null), field.data_type().clone()),
            };
            value.alias(field.name())
        });
        rows.select(columns.collect::<Vec<_>>())
    }

    fn union(
        &self,
        ctx: &SessionContext,
        parts: Vec<DataFrame>,
    ) -> Result<DataFrame, DataFusionError> {
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else {
            let none = arrow::array::RecordBatch::new_empty(Arc::clone(&self.schema));
            return ctx.read_batch(none);
        };
        parts.try_fold(first, DataFrame::union)
    }

    /// Each row once, with how often it came more often than it went; those that came as often
    /// as they went are left out.
    fn summed(
        &self,
        ctx: &SessionContext,
        parts: Vec<(i64, DataFrame)>,
    ) -> Result<DataFrame, DataFusionError> {
        let signed: Result<Vec<DataFrame>, DataFusionError> = parts
            .into_iter()
            .map(|(sign, rows)| rows.with_column(COPIES, lit(sign)))
            .collect();
        let all = self.union(ctx, signed?)?;
        let columns: Vec<Expr> = self.columns().collect();
        let copies = sum(column(COPIES)).alias(COPIES);
        all.aggregate(columns, vec![copies])?
            .filter(column(COPIES).not_eq(lit(0_i64)))
    }

    /// The rows that came (or went) more often, as often as they did.
    fn copies(&self, sums: DataFrame, gone: bool) -> Result<DataFrame, DataFusionError> {
        let (which, count) = match gone {
            true => (column(COPIES).lt(lit(0_i64)), lit(0_i64) - column(COPIES)),
            false => (column(COPIES).gt(lit(0_i64)), column(COPIES)),
        };
        let count = when(count.clone().gt(lit(0_i64)), count).otherwise(lit(0_i64))?;
        let columns: Vec<Expr> = self.columns().collect();
        let repeated = array_repeat(lit(true), count).alias(COPIES);
        sums.filter(which)?
            .select(
                columns
                    .iter()
                    .cloned()
                    .chain([repeated])
                    .collect::<Vec<_>>(),
            )?
            .unnest_columns(&[COPIES])?
            .select(columns)
    }

    fn told(
        &self,
        rows: DataFrame,
        change: &str,
        commit: &ChangedCommit,
    ) -> Result<DataFrame, DataFusionError> {
        let version = i64::try_from(commit.version).unwrap_or(i64::MAX);
        let moment = ScalarValue::TimestampMillisecond(Some(commit.timestamp_ms), None);
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let columns = self.columns().chain([
            lit(change).alias(CHANGE_TYPE_COLUMN),
            lit(version).alias(COMMIT_VERSION_COLUMN),
            cast(lit(moment), utc).alias(COMMIT_TIMESTAMP_COLUMN),
        ]);
        rows.select(columns.collect::<Vec<_>>())
    }

    fn columns(&self) -> impl Iterator<Item = Expr> {
        let fields = self.schema.fields().iter();
        fields.map(|field| column(field.name()))
    }

    fn planned<T>(&self, planned: Result<T, DataFusionError>) -> Result<T, ChangesError> {
        planned.map_err(|error| rows_error(&self.table, error).into())
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Why rows of the two schemas cannot be compared: a column that is gone or has another type.
fn incomparable(before: &Schema, now: &Schema) -> Option<String> {
    before.fields().iter().find_map(|field| {
        let name = field.name();
        match now.field_with_name(name) {
            Err(_) => Some(format!("`{name}` is gone")),
            Ok(same) if same.data_type() != field.data_type() => Some(format!(
                "`{name}` is {} (was {})",
                same.data_type(),
                field.data_type()
            )),
            Ok(_) => None,
        }
    })
}
