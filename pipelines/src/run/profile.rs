//! A table's rows on their way to its profile.

use std::time::{Duration, Instant};

use arrow::datatypes::Schema;
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use futures::StreamExt;
use sluice_lake::delta::PinnedTable;
use sluice_lake::sql;
use sluice_report::profile::page::{Facts, page};
use sluice_report::profile::{ClassColumn, Profile, ProfileSpec, Profiler};
use sluice_udfs::session::LakeSession;

use super::context::RunContext;
use super::error::{StageError, blocking};
use super::report::Pages;
use crate::events::EventKind;
use crate::plan::{Asset, ProfilePlan, ReportAsset};

/// Batches that may wait to be looked at.
const BATCHES_AHEAD: usize = 4;
/// How often the stage says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
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
    let mut stream = rows.execute_stream().await?;
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
    let (sender, mut batches) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    let looked = blocking(move || {
        let mut profiler = Profiler::new(&schema, spec)?;
        while let Some(batch) = batches.blocking_recv() {
            match batch {
                Some(batch) => profiler.push(&batch)?,
                None => return Ok(profiler.finish()?),
            }
        }
        // The stream broke off without its end: its own error is the one to tell.
        Err(StageError::Cancelled)
    });
    // Owns the sender, which ends the profiler's wait when this ends early.
    let feed = async move {
        let (mut done, mut told) = (0, Instant::now());
        while let Some(batch) = stream.next().await {
            if run.cancel.is_cancelled() {
                return Err(StageError::Cancelled);
            }
            let batch = batch?;
            done += batch.num_rows() as u64;
            if sender.send(Some(batch)).await.is_err() {
                // The profiler refused a batch: its error is the one to tell.
                return Ok(());
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                run.emit(EventKind::StageProgress {
                    asset: asset.name.clone(),
                    done,
                    total: None,
                    unit: "rows",
                });
            }
        }
        // Whether it is taken shows in what comes of the profiler.
        let _ = sender.send(None).await;
        Ok(())
    };
    let (looked, fed) = tokio::join!(looked, feed);
    fed?;
    looked
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
