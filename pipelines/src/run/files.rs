//! Makes tables from files: only new and changed ones are read, as long as the table can
//! hold their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use sluice_lake::delta::types::delta_schema;
use sluice_lake::delta::{PinnedTable, WriteMode, Written};
use sluice_lake::ingest::{
    self, Difference, FILE_COLUMN, FileParts, INGESTED_AT_COLUMN, IngestError, ROW_COLUMN,
    ReadOptions, SourceFile,
};
use sluice_lake::state::{FileRecord, LedgerFile};

use super::context::RunContext;
use super::error::StageError;
use super::rejects::Offer;
use super::side::Replaces;
use super::split::SPLIT_COLUMN;
use super::table::{Output, write};
use crate::plan::freshness::Freshness;
use crate::plan::{Asset, IngestAsset};

/// The columns that ingest adds.
const ADDED: [&str; 3] = [FILE_COLUMN, ROW_COLUMN, INGESTED_AT_COLUMN];

/// Makes a table from files. `anew`: what the table holds was made otherwise, so that all
/// files are read again. The rows of files that are gone stay in either case.
pub(crate) async fn from_files(
    run: &RunContext,
    asset: &Asset,
    ingest: &IngestAsset,
    freshness: Freshness,
    anew: bool,
) -> Result<Written, StageError> {
    let session = run.session()?;
    let ctx = session.context();
    keep_order(ctx);
    let table = run.catalog.table(&ingest.table).await?;
    let stored = match &table {
        Some(table) => Some(Stored {
            schema: Arc::clone(&table.schema),
            rows: ctx.read_table(Arc::clone(&table.provider))?,
        }),
        None => None,
    };
    let ledger = &freshness.ledger;
    let offer = Arc::new(Offer::default());
    let arrivals = match stored {
        Some(stored) if !anew && fits(&table, ingest)? => {
            Arrivals::of_news(ctx, ingest, freshness.files, ledger, stored, &offer)?
        }
        stored => {
            if let Some(stored) = stored.as_ref().filter(|_| !anew && !ingest.options.evolve) {
                return Err(drift(&stored.schema, ingest, &freshness).into());
            }
            let all = Arrivals::of_all(ctx, ingest, freshness.files, ledger, stored, &offer)?;
            all.warn_of_lost(run, asset);
            all
        }
    };
    let output = Output {
        table: &ingest.table,
        mode: arrivals.mode,
        files: arrivals.records,
        in_parts: true,
        rejects: Some((arrivals.replaces, offer)),
        window: None,
        outcome: serde_json::Map::new(),
    };
    let rules = &ingest.rows;
    let fingerprint = &freshness.fingerprint;
    write(run, asset, rules, ctx, arrivals.rows, fingerprint, output).await
}

/// The table as it is.
struct Stored {
    schema: SchemaRef,
    rows: DataFrame,
}

/// What an ingest has to do.
struct Arrivals {
    /// The rows to write.
    rows: DataFrame,
    /// What happens to the rows that are there.
    mode: WriteMode,
    /// The files that the rows are of.
    records: Vec<FileRecord>,
    /// Files that are gone, and whose rows are gone too.
    lost: Vec<String>,
    /// The rejected records that make way for new ones.
    replaces: Replaces,
}

impl Arrivals {
    /// New and changed files into a table that can hold their rows.
    fn of_news(
        ctx: &SessionContext,
        ingest: &IngestAsset,
        found: Vec<SourceFile>,
        ledger: &BTreeMap<String, LedgerFile>,
        stored: Stored,
        offer: &Arc<Offer>,
    ) -> Result<Self, StageError> {
        let is_new = |file: &SourceFile| {
            let known = ledger.get(&file.path);
            known.is_none_or(|known| known.content_hash != file.content_hash)
        };
        let files: Vec<SourceFile> = found.into_iter().filter(is_new).collect();
        let known = files.iter().filter(|file| ledger.contains_key(&file.path));
        let changed: Vec<String> = known.map(|file| file.path.clone()).collect();
        let columns = joined(&stored.schema, ingest);
        Ok(Self {
            replaces: Replaces::Files(files.iter().map(|file| file.path.clone()).collect()),
            records: files.iter().map(record).collect(),
            rows: rows_of(ctx, &files, &columns, &ingest.options, offer)?,
            mode: WriteMode::ReplaceFiles(changed),
            lost: Vec::new(),
        })
    }

    /// All files, and the rows of those that are gone as the table has them.
    fn of_all(
        ctx: &SessionContext,
        ingest: &IngestAsset,
        found: Vec<SourceFile>,
        ledger: &BTreeMap<String, LedgerFile>,
        stored: Option<Stored>,
        offer: &Arc<Offer>,
    ) -> Result<Self, StageError> {
        let gone: Vec<&LedgerFile> = ledger
            .values()
            .filter(|known| !found.iter().any(|file| file.path == known.path))
            .collect();
        let paths: Vec<String> = gone.iter().map(|file| file.path.clone()).collect();
        let mut records: Vec<FileRecord> = found.iter().map(record).collect();
        let stored = stored.filter(|stored| {
            let has = |column: &&str| stored.schema.field_with_name(column).is_ok();
            !gone.is_empty() && ADDED.iter().all(has)
        });
        let (rows, lost, replaces) = match stored {
            Some(stored) => {
                let columns = joined(&stored.schema, ingest);
                let files = found.iter().map(|file| file.path.clone()).collect();
                let arriving = rows_of(ctx, &found, &columns, &ingest.options, offer)?;
                let kept = kept(stored, &paths, &ingest::output_schema(&columns))?;
                records.extend(gone.into_iter().map(|file| FileRecord {
                    path: file.path.clone(),
                    hash: file.content_hash.clone(),
                    bytes: file.bytes,
                }));
                (arriving.union(kept)?, Vec::new(), Replaces::Files(files))
            }
            None => (
                rows_of(ctx, &found, &ingest.columns, &ingest.options, offer)?,
                paths,
                Replaces::Everything,
            ),
        };
        Ok(Self {
            rows,
            mode: WriteMode::Overwrite,
            records,
            lost,
            replaces,
        })
    }

    fn warn_of_lost(&self, run: &RunContext, asset: &Asset) {
        let Some(first) = self.lost.first() else {
            return;
        };
        let files = match self.lost.len() {
            1 => format!("the file {first} is gone"),
            more => format!("{first} and {} more files are gone", more - 1),
        };
        let words = format!("{files}, and so are their rows: the table no longer holds them");
        run.warn(&asset.name, words);
    }
}

/// Whether a table has the columns of the files, in types that hold all of their values.
fn fits(table: &Option<PinnedTable>, ingest: &IngestAsset) -> Result<bool, StageError> {
    let Some(table) = table else {
        return Ok(false);
    };
    let wanted = delta_schema(&ingest.table, &joined(&table.schema, ingest))?;
    let has = |field: &Arc<Field>| {
        let stored = table.schema.field_with_name(field.name());
        stored.is_ok_and(|stored| stored.data_type() == field.data_type())
    };
    let known = |field: &&Arc<Field>| {
        let name = field.name().as_str();
        ADDED.contains(&name) || name == SPLIT_COLUMN || wanted.field_with_name(name).is_ok()
    };
    let extra = table.schema.fields().iter().any(|field| !known(&field));
    Ok(!extra && wanted.fields().iter().all(has))
}

/// How the columns of the files differ from those of the table that they do not fit.
fn drift(table: &Schema, ingest: &IngestAsset, freshness: &Freshness) -> IngestError {
    let own = file_columns(table, ingest.rows.split.is_some());
    let joined = joined(table, ingest);
    let mut differences = Vec::new();
    for (field, joined) in ingest.columns.fields().iter().zip(joined.fields()) {
        let column = field.name().clone();
        let data_type = field.data_type().clone();
        match own.field_with_name(field.name()) {
            Err(_) => differences.push(Difference::New { column, data_type }),
            Ok(stored) if stored.data_type() != joined.data_type() => {
                differences.push(Difference::Retyped {
                    column,
                    before: stored.data_type().clone(),
                    now: data_type,
                });
            }
            Ok(_) => {}
        }
    }
    for field in own.fields() {
        if ingest.columns.field_with_name(field.name()).is_err() {
            let column = field.name().clone();
            differences.push(Difference::Missing { column });
        }
    }
    let known = |file: &&SourceFile| {
        let known = freshness.ledger.get(&file.path);
        known.is_none_or(|known| known.content_hash != file.content_hash)
    };
    let mut news = freshness.files.iter().filter(known);
    let first = news
        .next()
        .map_or_else(String::new, |file| file.path.clone());
    IngestError::Drift {
        file: match news.count() {
            0 => first,
            more => format!("{first} (or one of {more} more)"),
        },
        against: "the table".to_owned(),
        differences,
    }
}

/// The columns of an ingested table that come from its files.
pub(crate) fn file_columns(table: &Schema, has_split: bool) -> Schema {
    let own = ingest::own_columns(table);
    let fields = own.fields().iter();
    let fields = fields.filter(|field| !(has_split && field.name() == SPLIT_COLUMN));
    Schema::new(fields.cloned().collect::<Vec<_>>())
}

/// The columns of the files in types that hold the rows of the table, too.
fn joined(table: &Schema, ingest: &IngestAsset) -> SchemaRef {
    let declared = |name: &str| ingest.options.columns.iter().any(|(own, _)| own == name);
    let fields = ingest.columns.fields().iter().map(|field| {
        let stored = table.field_with_name(field.name());
        match stored {
            Ok(stored) if !declared(field.name()) => {
                let data_type = common(stored.data_type(), field.data_type());
                field.as_ref().clone().with_data_type(data_type)
            }
            _ => field.as_ref().clone(),
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The type that holds the values of two columns of files, as inferring over both would say.
fn common(stored: &DataType, arriving: &DataType) -> DataType {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    match (stored, arriving) {
        (a, b) if a == b => a.clone(),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => {
            DataType::Float64
        }
        (DataType::Date32, other) | (other, DataType::Date32) if *other == timestamp => timestamp,
        _ => DataType::Utf8,
    }
}

fn record(file: &SourceFile) -> FileRecord {
    FileRecord {
        path: file.path.clone(),
        hash: file.content_hash.clone(),
        bytes: file.size_bytes,
    }
}

fn rows_of(
    ctx: &SessionContext,
    files: &[SourceFile],
    columns: &SchemaRef,
    options: &ReadOptions,
    offer: &Arc<Offer>,
) -> Result<DataFrame, StageError> {
    let most = ctx.state().config().target_partitions();
    let parts = Arc::new(FileParts::deal(files, columns, options, most));
    let partitions = (0..parts.count()).map(|part| {
        Arc::new(FileRows {
            parts: Arc::clone(&parts),
            part,
            rejects: Arc::clone(offer),
        }) as Arc<dyn PartitionStream>
    });
    let table = StreamingTable::try_new(Arc::clone(parts.schema()), partitions.collect())?;
    Ok(ctx.read_table(Arc::new(table))?)
}

/// Rows come in the order of their files, and are not dealt out again on their way.
fn keep_order(ctx: &SessionContext) {
    let state = ctx.state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    options.optimizer.enable_round_robin_repartition = false;
}

/// That a row is of one of these files.
fn of_files(paths: &[String]) -> Expr {
    let paths = paths.iter().map(|path| lit(path.as_str())).collect();
    Expr::Column(Column::from_name(FILE_COLUMN)).in_list(paths, false)
}

/// The rows of some files as the table has them, in other columns.
fn kept(stored: Stored, paths: &[String], schema: &Schema) -> Result<DataFrame, StageError> {
    let columns = schema.fields().iter().map(|field| {
        let value = match stored.schema.field_with_name(field.name()) {
            Ok(_) => Expr::Column(Column::from_name(field.name())),
            Err(_) => lit(ScalarValue::Null),
        };
        cast(value, field.data_type().clone()).alias(field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    Ok(stored.rows.filter(of_files(paths))?.select(columns)?)
}

/// The rows of a part of the files, for DataFusion.
#[derive(Debug)]
struct FileRows {
    parts: Arc<FileParts>,
    part: usize,
    rejects: Arc<Offer>,
}

impl PartitionStream for FileRows {
    fn schema(&self) -> &SchemaRef {
        self.parts.schema()
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.parts.read(self.part, self.rejects.way())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_join_as_if_inferred_together() {
        let stamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (a, b, both) in [
            (DataType::Int64, DataType::Int64, DataType::Int64),
            (DataType::Int64, DataType::Float64, DataType::Float64),
            (DataType::Date32, stamp.clone(), stamp.clone()),
            (DataType::Date32, utc.clone(), DataType::Utf8),
            (stamp, utc, DataType::Utf8),
            (DataType::Boolean, DataType::Int64, DataType::Utf8),
            (DataType::Utf8, DataType::Int64, DataType::Utf8),
        ] {
            assert_eq!(common(&a, &b), both, "{a} and {b}");
            assert_eq!(common(&b, &a), both, "{b} and {a}");
        }
    }
}
