//! Makes tables: from queries and from files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use sluice_lake::delta::{WriteMode, Written};
use sluice_lake::ingest::{self, CsvOptions, SourceFile};
use sluice_lake::sql;
use sluice_lake::state::{ExpectationResult, FileRecord};

use super::commit::commit;
use super::context::RunContext;
use super::error::StageError;
use super::split::Splitter;
use super::wash::{RowRule, Washer};
use crate::events::EventKind;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::{Asset, IngestAsset, RowPlan, SqlAsset};
use crate::spec::Otherwise;

/// Makes a table from a query.
pub(crate) async fn from_query(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    fingerprint: &Fingerprint,
) -> Result<Written, StageError> {
    let ctx = run.session()?;
    let plan = ctx.plan(sql.statement.clone()).await?;
    let rows = DataFrame::new(ctx.context().state(), plan);
    write(
        run,
        asset,
        &sql.rows,
        ctx.context(),
        rows,
        fingerprint,
        Output {
            table: &sql.table,
            mode: WriteMode::Overwrite,
            files: Vec::new(),
        },
    )
    .await
}

/// What an ingest has to do.
pub(crate) struct Arrivals {
    /// The files whose rows are not in the table yet.
    pub(crate) files: Vec<SourceFile>,
    /// What happens to the rows that are.
    pub(crate) mode: WriteMode,
}

/// Makes a table from files.
pub(crate) async fn from_files(
    run: &RunContext,
    asset: &Asset,
    ingest: &IngestAsset,
    arrivals: Arrivals,
    fingerprint: &Fingerprint,
) -> Result<Written, StageError> {
    let columns = match (&arrivals.mode, run.catalog.table(&ingest.table).await?) {
        (WriteMode::ReplaceFiles(_) | WriteMode::Append, Some(table)) => own_columns(&table.schema),
        _ => ingest::infer_schema(&arrivals.files, &ingest.options).await?,
    };
    let ctx = run.session()?;
    let records = arrivals.files.iter().map(|file| FileRecord {
        path: file.path.clone(),
        hash: file.content_hash.clone(),
        bytes: file.size_bytes,
    });
    let files = records.collect();
    let source = FileRows::new(arrivals.files, columns, ingest.options.clone());
    let table = StreamingTable::try_new(Arc::clone(&source.schema), vec![Arc::new(source)])?;
    let rows = ctx.context().read_table(Arc::new(table))?;
    write(
        run,
        asset,
        &ingest.rows,
        ctx.context(),
        rows,
        fingerprint,
        Output {
            table: &ingest.table,
            mode: arrivals.mode,
            files,
        },
    )
    .await
}

/// The columns of an ingested table that come from its files.
fn own_columns(table: &Schema) -> SchemaRef {
    let fields = table.fields().iter();
    let own = fields
        .filter(|field| !field.name().starts_with('_'))
        .cloned();
    Arc::new(Schema::new(own.collect::<Vec<_>>()))
}

/// The rows of files, for DataFusion.
#[derive(Debug)]
struct FileRows {
    files: Vec<SourceFile>,
    columns: SchemaRef,
    options: CsvOptions,
    schema: SchemaRef,
}

impl FileRows {
    fn new(files: Vec<SourceFile>, columns: SchemaRef, options: CsvOptions) -> Self {
        let schema = ingest::output_schema(&columns);
        Self {
            files,
            columns,
            options,
            schema,
        }
    }
}

impl PartitionStream for FileRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        ingest::read(&self.files, &self.columns, &self.options)
    }
}

struct Output<'a> {
    table: &'a sluice_lake::TableName,
    mode: WriteMode,
    files: Vec<FileRecord>,
}

/// Applies rules and split to rows, and commits them.
async fn write(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    ctx: &SessionContext,
    rows: DataFrame,
    fingerprint: &Fingerprint,
    output: Output<'_>,
) -> Result<Written, StageError> {
    check_unique(run, asset, rules, &rows).await?;
    let flagged = with_flags(ctx, &asset.name, rules, rows)?;
    let input = flagged.schema().as_arrow().clone();
    let own = Schema::new(input.fields()[..input.fields().len() - rules.rules.len()].to_vec());
    let split = rules
        .split
        .as_ref()
        .map(|split| Splitter::new(&own, &split.parts, split.seed, &split.by));
    let row_rules = rules
        .rules
        .iter()
        .map(|rule| RowRule::new(rule.name.clone(), rule.otherwise))
        .collect();
    let washer = Arc::new(Washer::new(&input, row_rules, split));
    let stream = washer.wash(flagged.execute_stream().await?);
    let written = commit(
        run,
        asset,
        output.table,
        output.mode,
        stream,
        fingerprint,
        output.files,
    )
    .await;
    let outcome = report_rules(run, asset, rules, &washer).await;
    match written {
        Ok(written) => {
            outcome?;
            Ok(written)
        }
        Err(StageError::Cancelled) => Err(StageError::Cancelled),
        Err(error) => Err(forbidden(asset, rules, &washer).unwrap_or(error)),
    }
}

/// Adds one column of TRUE, FALSE or NULL for each row rule behind the table's own.
fn with_flags(
    ctx: &SessionContext,
    asset: &str,
    rules: &RowPlan,
    rows: DataFrame,
) -> Result<DataFrame, StageError> {
    if rules.rules.is_empty() {
        return Ok(rows);
    }
    let schema = Arc::new(rows.schema().as_arrow().clone());
    let mut columns: Vec<Expr> = Vec::new();
    let table = TableReference::from(asset);
    for field in schema.fields() {
        let column = Column::new(Some(table.clone()), field.name());
        columns.push(Expr::Column(column).alias(field.name()));
    }
    for (index, rule) in rules.rules.iter().enumerate() {
        let planned = sql::plan_expression(ctx, &rule.that, asset, &schema)?;
        columns.push(planned.is_true().alias(format!("__rule_{index}")));
    }
    let (state, plan) = rows.into_parts();
    let named = LogicalPlanBuilder::from(plan)
        .alias(table)?
        .project(columns)?;
    Ok(DataFrame::new(state, named.build()?))
}

/// Counts the rows that stand in the way of `unique` rules. Runs the query once more, in
/// memory bounded by the number of distinct values.
async fn check_unique(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    rows: &DataFrame,
) -> Result<(), StageError> {
    for rule in &rules.unique {
        let group: Vec<Expr> = rule
            .columns
            .iter()
            .map(|name| Expr::Column(Column::from_name(name)))
            .collect();
        let counts = rows
            .clone()
            .aggregate(group, vec![count(lit(1_i64)).alias("__n")])?
            .aggregate(
                vec![],
                vec![
                    sum(col("__n")).alias("__rows"),
                    sum(col("__n") - lit(1_i64)).alias("__extra"),
                ],
            )?;
        let collected = tokio::select! {
            collected = counts.collect() => collected?,
            () = run.cancel.cancelled() => return Err(StageError::Cancelled),
        };
        let figure = |position: usize| {
            let batch = collected.iter().find(|batch| batch.num_rows() > 0);
            let value =
                batch.map(|batch| batch.column(position).as_primitive::<Int64Type>().value(0));
            u64::try_from(value.unwrap_or(0)).unwrap_or(0)
        };
        let (all, failed) = (figure(0), figure(1));
        let words = format!("unique: [{}]", rule.columns.join(", "));
        record(run, asset, &rule.name, &words, rule.otherwise, all, failed).await?;
        if failed > 0 && rule.otherwise == Otherwise::Fail {
            let list = rule.columns.join("\", \"");
            return Err(StageError::Expectation {
                name: rule.name.clone(),
                failed,
                rows: all,
                query: format!(
                    "SELECT \"{list}\", count(*) FROM ({}) GROUP BY ALL HAVING count(*) > 1",
                    source_text(asset)
                ),
            });
        }
    }
    Ok(())
}

async fn report_rules(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    washer: &Washer,
) -> Result<(), StageError> {
    for (rule, counted) in rules.rules.iter().zip(washer.rules()) {
        let words = rule.that.text().trim();
        record(
            run,
            asset,
            &rule.name,
            words,
            rule.otherwise,
            washer.rows(),
            counted.failed(),
        )
        .await?;
    }
    let straddling = washer.straddling_rows();
    if straddling > 0 {
        run.warn(
            &asset.name,
            format!("{straddling} rows have an equal in another part of the split: `by:` lets them straddle"),
        );
    }
    Ok(())
}

async fn record(
    run: &RunContext,
    asset: &Asset,
    name: &str,
    rule: &str,
    otherwise: Otherwise,
    rows: u64,
    failed: u64,
) -> Result<(), StageError> {
    run.emit(EventKind::Expectation {
        asset: asset.name.clone(),
        name: name.to_owned(),
        otherwise: otherwise.name(),
        rows,
        failed,
    });
    let result = ExpectationResult {
        asset: asset.name.clone(),
        name: name.to_owned(),
        rule: rule.to_owned(),
        otherwise: otherwise.name().to_owned(),
        rows: i64::try_from(rows).unwrap_or(i64::MAX),
        failed: i64::try_from(failed).unwrap_or(i64::MAX),
    };
    Ok(run
        .state
        .record_expectations(&run.run_id, &[result])
        .await?)
}

/// The error of the first broken rule that forbids the table, if there is one.
fn forbidden(asset: &Asset, rules: &RowPlan, washer: &Washer) -> Option<StageError> {
    let pairs = rules.rules.iter().zip(washer.rules());
    let (rule, counted) = pairs
        .into_iter()
        .find(|(rule, counted)| rule.otherwise == Otherwise::Fail && counted.failed() > 0)?;
    Some(StageError::Expectation {
        name: rule.name.clone(),
        failed: counted.failed(),
        rows: washer.rows(),
        query: format!(
            "SELECT * FROM ({}) WHERE ({}) IS NOT TRUE",
            source_text(asset),
            rule.that.text().trim()
        ),
    })
}

/// What a table is made from, for a query that a user can try.
fn source_text(asset: &Asset) -> String {
    match &asset.body {
        crate::plan::AssetBody::Sql(sql) => {
            let words: Vec<&str> = sql.sql.text.split_whitespace().collect();
            words.join(" ").trim_end_matches(';').to_owned()
        }
        _ => format!("... {}", asset.name),
    }
}

/// What an ingest has to do: all files when the table is new or the definition changed, else
/// those that are new or whose content changed. `None` when there are none.
pub(crate) fn arrivals(
    found: Vec<SourceFile>,
    ledger: &BTreeMap<String, String>,
    anew: bool,
) -> Option<Arrivals> {
    if anew {
        return Some(Arrivals {
            files: found,
            mode: WriteMode::Overwrite,
        });
    }
    let files: Vec<SourceFile> = found
        .into_iter()
        .filter(|file| ledger.get(&file.path) != Some(&file.content_hash))
        .collect();
    let changed: Vec<String> = files
        .iter()
        .filter(|file| ledger.contains_key(&file.path))
        .map(|file| file.path.clone())
        .collect();
    (!files.is_empty()).then_some(Arrivals {
        files,
        mode: WriteMode::ReplaceFiles(changed),
    })
}
