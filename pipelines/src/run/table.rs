//! Makes tables: from queries, and from whatever rows there are, by the table's rules.

use std::sync::{Arc, PoisonError};

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

use super::audit::{Audit, Finding, refusal};
use super::beside::Beside;
use super::commit::commit;
use super::context::RunContext;
use super::error::StageError;
use super::file_rows::FileRows;
use super::quarantine::Ward;
use super::rejects::Offer;
use super::rules::{flag_column, forbidden, report};
use super::side::{Replaces, Window};
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
            in_parts: false,
            rejects: None,
            window: None,
            outcome: serde_json::Map::new(),
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
    /// Whether the rows come in parts, in order, that may be written side by side.
    pub(crate) in_parts: bool,
    /// What the bad records of files replace, and where their reader is offered a way.
    pub(crate) rejects: Option<(Replaces, Arc<Offer>)>,
    /// What the rows are asked for, where the table is made by intervals.
    pub(crate) window: Option<Window>,
    /// What else the commit is to say about the table.
    pub(crate) outcome: serde_json::Map<String, serde_json::Value>,
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
    let input = flagged.schema().as_arrow();
    let (ward, aside) = match &rules.quarantine {
        Some(_) => {
            let (ward, aside) = Ward::new(run, &own_columns(input, rules), output.window);
            (Some(ward), Some(aside))
        }
        None => (None, None),
    };
    let washer = Arc::new(washer(rules, input).with_ward(ward));
    let place = (output.table, fingerprint.key());
    let (replaces, offer) = match output.rejects {
        Some((replaces, offer)) => (replaces, Some(offer)),
        None => (Replaces::like(&output.mode, output.window), None),
    };
    let replaces = (replaces, offer);
    let (beside, outcome) = Beside::begin(run, asset, place, replaces, &washer, aside).await?;
    let file_rows = FileRows::default();
    let files: Vec<String> = output.files.iter().map(|file| file.path.clone()).collect();
    let parts = streams(flagged, output.in_parts).await?.into_iter();
    let parts = parts.enumerate();
    let judge = Arc::clone(&washer);
    let audit = Audit::new(run, output.table, &rules.table_rules);
    let findings = audit.findings();
    let rows = RowParts {
        schema: Arc::new(rules.contract.applied_to(&washer.schema())),
        required: rules.contract.required.clone(),
        partition_by: Some(asset.maintenance.partition_by.clone()),
        parts: parts
            .map(|(part, rows)| match files.is_empty() {
                true => washer.wash(part, rows),
                false => file_rows.watch(washer.wash(part, rows)),
            })
            .collect(),
        at_end: Box::new(move |draft| {
            Box::pin(async move {
                // All rules are looked at, so that all that is broken is told at once.
                let looked = match audit.is_empty() {
                    true => Ok(()),
                    false => audit.look(draft.rows().await?).await,
                };
                judge.verdict()?;
                looked?;
                beside.finish().await
            })
        }),
    };
    let mode = output.mode;
    let written = commit(
        run,
        asset,
        output.table,
        mode,
        rows,
        fingerprint,
        (output.files, output.outcome),
    )
    .await;
    let findings = std::mem::take(&mut *findings.lock().unwrap_or_else(PoisonError::into_inner));
    let reported = report(run, asset, rules, &washer, &findings).await;
    match written {
        Ok(written) => {
            reported?;
            if !files.is_empty() {
                let counted = file_rows.of(files.iter().map(String::as_str));
                run.state
                    .count_rows(&run.project, &asset.name, &counted)
                    .await?;
            }
            outcome.tell(run, asset).await?;
            Ok(written)
        }
        Err(StageError::Cancelled) => Err(StageError::Cancelled),
        Err(error) => Err(refused(asset, rules, &washer, &findings).unwrap_or(error)),
    }
}

/// The columns before the flags of the rules.
fn own_columns(input: &Schema, rules: &RowPlan) -> Schema {
    Schema::new(input.fields()[..input.fields().len() - rules.rules.len()].to_vec())
}

/// What applies rules and split to rows with these columns, of which the last are their flags.
pub(crate) fn washer(rules: &RowPlan, input: &Schema) -> Washer {
    let own = own_columns(input, rules);
    let split = rules
        .split
        .as_ref()
        .map(|split| Splitter::new(&own, &split.parts, split.seed, &split.by));
    let row_rules = rules.rules.iter().map(RowRule::of).collect();
    Washer::new(input, row_rules, split)
}

/// The error that a broken rule is, if one forbids the table.
fn refused(
    asset: &Asset,
    rules: &RowPlan,
    washer: &Washer,
    findings: &[Finding],
) -> Option<StageError> {
    forbidden(asset, rules, washer).or_else(|| refused_by_table(findings))
}

/// The error that a broken rule on the whole table is, if one forbids it.
pub(crate) fn refused_by_table(findings: &[Finding]) -> Option<StageError> {
    let (name, what) = refusal(findings)?;
    Some(StageError::TableRule {
        name: name.to_owned(),
        what: what.to_owned(),
    })
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
pub(crate) fn with_flags(
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
