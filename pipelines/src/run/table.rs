//! Makes tables: from queries, and from whatever rows there are, by the table's rules.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use sluice_lake::TableName;
use sluice_lake::delta::{RowParts, WriteMode, Written};
use sluice_lake::sql;
use sluice_lake::state::FileRecord;
use sluice_udfs::text::Tokenizers;

use super::commit::commit;
use super::context::RunContext;
use super::error::StageError;
use super::file_rows::FileRows;
use super::rejects::{Collecting, Offer, Replaces};
use super::rules::{check_unique, flag_column, forbidden, report_rules};
use super::split::Splitter;
use super::wash::{RowRule, Washer};
use crate::plan::fingerprint::Fingerprint;
use crate::plan::{Asset, RowPlan, SqlAsset};

/// Makes a table from a query.
pub(crate) async fn from_query(
    run: &RunContext,
    asset: &Asset,
    sql: &SqlAsset,
    fingerprint: &Fingerprint,
) -> Result<Written, StageError> {
    let ctx = run.session()?;
    let versions = fingerprint.model_versions();
    let plan = ctx.plan_with(sql.statement.clone(), &versions).await?;
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
            staying: None,
            in_parts: false,
            rejects: None,
        },
    )
    .await
}

/// Where rows go.
pub(crate) struct Output<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) mode: WriteMode,
    /// The files that the rows are of.
    pub(crate) files: Vec<FileRecord>,
    /// The rows of the table that stay where they are; `None` when all are replaced.
    pub(crate) staying: Option<DataFrame>,
    /// Whether the rows come in parts, in order, that may be written side by side.
    pub(crate) in_parts: bool,
    /// What the bad records of files replace, and where their reader is offered a way.
    pub(crate) rejects: Option<(Replaces, Arc<Offer>)>,
}

/// Applies rules and split to rows, and commits them.
pub(crate) async fn write(
    run: &RunContext,
    asset: &Asset,
    rules: &RowPlan,
    ctx: &SessionContext,
    rows: DataFrame,
    fingerprint: &Fingerprint,
    output: Output<'_>,
) -> Result<Written, StageError> {
    let rules = &settled(run, rules, fingerprint).await?;
    let flagged = with_flags(ctx, &asset.name, rules, rows)?;
    check_unique(run, asset, rules, &flagged, output.staying.as_ref()).await?;
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
    let collecting = match output.rejects {
        Some((replaces, offer)) => {
            let key = fingerprint.key();
            Some(Collecting::begin(run, asset, (output.table, &key), replaces, offer).await?)
        }
        None => None,
    };
    let rejected = collecting.as_ref().map(Collecting::outcome);
    let file_rows = FileRows::default();
    let files: Vec<String> = output.files.iter().map(|file| file.path.clone()).collect();
    let parts = streams(flagged, output.in_parts).await?.into_iter();
    let parts = parts.enumerate();
    let judge = Arc::clone(&washer);
    let rows = RowParts {
        schema: washer.schema(),
        parts: parts
            .map(|(part, rows)| match files.is_empty() {
                true => washer.wash(part, rows),
                false => file_rows.watch(washer.wash(part, rows)),
            })
            .collect(),
        at_end: Box::new(move |_| {
            Box::pin(async move {
                judge.verdict()?;
                match collecting {
                    Some(collecting) => collecting.finish().await,
                    None => Ok(()),
                }
            })
        }),
    };
    let written = commit(
        run,
        asset,
        output.table,
        output.mode,
        rows,
        fingerprint,
        output.files,
    )
    .await;
    let outcome = report_rules(run, asset, rules, &washer).await;
    match written {
        Ok(written) => {
            outcome?;
            if !files.is_empty() {
                let counted = file_rows.of(files.iter().map(String::as_str));
                run.state
                    .count_rows(&run.project, &asset.name, &counted)
                    .await?;
            }
            if let Some(rejected) = rejected {
                rejected.tell(run, asset).await?;
            }
            Ok(written)
        }
        Err(StageError::Cancelled) => Err(StageError::Cancelled),
        Err(error) => Err(forbidden(asset, rules, &washer).unwrap_or(error)),
    }
}

/// The rows of a query in their order.
async fn streams(
    rows: DataFrame,
    in_parts: bool,
) -> Result<Vec<SendableRecordBatchStream>, StageError> {
    Ok(match in_parts {
        true => rows.execute_stream_partitioned().await?,
        false => vec![rows.execute_stream().await?],
    })
}

/// The same rules with their tokenizers settled to the versions of the asset's key.
async fn settled(
    run: &RunContext,
    rules: &RowPlan,
    fingerprint: &Fingerprint,
) -> Result<RowPlan, StageError> {
    let mut rules = rules.clone();
    if rules.tokenizers.is_empty() {
        return Ok(rules);
    }
    let tokenizers = Tokenizers {
        registry: &run.world.registry,
        set: run.models.tokenizers(),
        versions: &fingerprint.model_versions(),
    };
    for rule in &mut rules.rules {
        tokenizers.settle_expression(&mut rule.that).await?;
    }
    Ok(rules)
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
        columns.push(planned.is_true().alias(flag_column(index)));
    }
    let (state, plan) = rows.into_parts();
    let named = LogicalPlanBuilder::from(plan)
        .alias(table)?
        .project(columns)?;
    Ok(DataFrame::new(state, named.build()?))
}
