//! A table's rows on their way to its profile.

use arrow::datatypes::Schema;
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use sluice_lake::delta::PinnedTable;
use sluice_lake::sql;
use sluice_report::profile::page::{Facts, page};
use sluice_report::profile::{ClassColumn, Profile, ProfileSpec, Profiler};
use sluice_udfs::session::LakeSession;

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::feed::feed;
use super::report::Pages;
use crate::plan::{Asset, ProfilePlan, ReportAsset};

/// The column of the classes; no column of a table is called so.
const CLASS_COLUMN: &str = "__sluice_class";

/// The profile of a table, as a page and as its figures.
pub(crate) async fn pages(
    run: &RunContext,
    asset: &Asset,
    report: &ReportAsset,
    profile: &ProfilePlan,
) -> Result<Pages, StageError> {
    let table = run.catalog.table(&report.of).await?;
    let table = table.ok_or_else(|| StageError::TableGone(report.of.to_string()))?;
    let facts = Facts {
        title: report.title.clone().unwrap_or_else(|| asset.name.clone()),
        comment: asset.comment.clone(),
        table: report.of.to_string(),
        version: table.version,
        pipeline: report.pipeline.clone(),
    };
    let figures = look(run, asset, report, profile, table).await?;
    blocking(move || {
        let json = serde_json::to_string_pretty(&figures);
        Ok(Pages {
            html: page(&figures, &facts),
            json: json.map_err(|error| StageError::Write {
                path: format!("the figures of {}", facts.title),
                source: error.into(),
            })?,
        })
    })
    .await
}

/// Reads the table once.
async fn look(
    run: &RunContext,
    asset: &Asset,
    report: &ReportAsset,
    profile: &ProfilePlan,
    table: PinnedTable,
) -> Result<Profile, StageError> {
    let session = run.session()?;
    let rows = with_class(&session, report, profile, table)?;
    let stream = rows.execute_stream().await?;
    let schema = stream.schema();
    let spec = ProfileSpec {
        class: profile.by.as_ref().map(|by| ClassColumn {
            column: CLASS_COLUMN.to_owned(),
            by: by.written.clone(),
            made_of: by.made_of.clone(),
        }),
        sample_rows: profile.sample_rows,
        ..ProfileSpec::default()
    };
    feed(run, &asset.name, stream, move |batches| {
        let mut profiler = Profiler::new(&schema, spec)?;
        for batch in batches {
            profiler.push(&batch?)?;
        }
        Ok(profiler.finish()?)
    })
    .await
}

/// The table without the columns that are left out, and the class of each row as a last
/// column.
fn with_class(
    session: &LakeSession,
    report: &ReportAsset,
    profile: &ProfilePlan,
    table: PinnedTable,
) -> Result<DataFrame, StageError> {
    let ctx = session.context();
    let schema = table.schema.clone();
    let rows = ctx.read_table(table.provider)?;
    let name = report.of.to_string();
    let reference = TableReference::from(name.as_str());
    let mut columns = kept(&schema, profile, &reference);
    if let Some(by) = &profile.by {
        let class = sql::plan_expression(ctx, &by.expression, &name, &schema)?;
        columns.push(class.alias(CLASS_COLUMN));
    }
    let (state, plan) = rows.into_parts();
    let plan = LogicalPlanBuilder::from(plan)
        .alias(reference)?
        .project(columns)?;
    Ok(DataFrame::new(state, plan.build()?))
}

fn kept(schema: &Schema, profile: &ProfilePlan, table: &TableReference) -> Vec<Expr> {
    let fields = schema.fields().iter();
    let kept = fields.filter(|field| !profile.exclude.contains(field.name()));
    kept.map(|field| {
        Expr::Column(Column::new(Some(table.clone()), field.name())).alias(field.name())
    })
    .collect()
}
