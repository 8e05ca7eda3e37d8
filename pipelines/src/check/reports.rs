//! Looks inside reports.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};
use sluice_lake::TableName;
use sluice_lake::sql::{self, SqlError, parse_expression};
use sluice_report::profile::SAMPLE_ROWS;

use super::edges::Found;
use super::evaluate::Evaluation;
use super::known::{Known, load_stored};
use super::row_rules::beyond_the_row;
use super::tables::find_column;
use super::{Checker, Declaration, sql_errors};
use crate::diagnostic::Diagnostic;
use crate::plan::{AssetBody, ByPlan, ProfilePlan, ReportAsset, ReportKind};
use crate::spec::{ProfileOptions, ReportBody, ReportSpec, SqlText};

/// Checks a report. `None` if it, or the table that it is about, is broken.
pub(crate) async fn check(
    checker: &mut Checker<'_>,
    known: &mut Known,
    declaration: Declaration<'_>,
    report: &ReportSpec,
    found: &Found,
) -> Option<AssetBody> {
    if found.broken || !load_stored(checker, known, found, declaration.span).await {
        return None;
    }
    let of = found.reads.first()?;
    let schema = known.tables.get(of)?.clone();
    let kind = match &report.body {
        ReportBody::Profile { options, .. } => ReportKind::Profile(Box::new(check_profile(
            checker, known, options, of, &schema,
        )?)),
        ReportBody::Evaluate { of: model, options } => {
            let evaluation = Evaluation {
                report: declaration.name,
                model,
                options,
                of,
                schema: &schema,
            };
            ReportKind::Evaluate(evaluation.check(checker, known, found).await?)
        }
    };
    Some(AssetBody::Report(Box::new(ReportAsset {
        pipeline: checker.spec.pipeline.value.clone(),
        title: report.title.as_ref().map(|title| title.value.clone()),
        of: of.clone(),
        kind,
    })))
}

fn check_profile(
    checker: &mut Checker<'_>,
    known: &Known,
    options: &ProfileOptions,
    of: &TableName,
    schema: &SchemaRef,
) -> Option<ProfilePlan> {
    let before = checker.diagnostics.len();
    let mut exclude = Vec::new();
    for column in &options.exclude {
        exclude.extend(find_column(checker, schema, column, of));
    }
    let by = match &options.by {
        None => None,
        Some(text) => match class_of(known, text, of, schema) {
            Ok(by) => Some(by),
            Err(diagnostic) => {
                checker.diagnostics.push(*diagnostic);
                None
            }
        },
    };
    let left = schema.fields().iter().filter(|field| {
        let name = field.name();
        !name.starts_with('_') && !exclude.contains(name)
    });
    if left.count() == 0 {
        let message = format!("no column of `{of}` is left to profile");
        let help = "take some out of `exclude:`; columns that begin with `_` are technical";
        let span = options
            .exclude
            .first()
            .map_or(options.span, |column| column.span);
        checker.error(
            Diagnostic::error("nothing_to_profile", message).help(help),
            span,
        );
    }
    (checker.diagnostics.len() == before).then(|| ProfilePlan {
        by,
        exclude,
        sample_rows: options
            .sample_rows
            .and_then(|rows| usize::try_from(rows.value).ok())
            .unwrap_or(SAMPLE_ROWS),
    })
}

/// What gives each row its class: an expression on one row, of a type that has classes.
fn class_of(
    known: &Known,
    text: &SqlText,
    of: &TableName,
    schema: &SchemaRef,
) -> Result<ByPlan, Box<Diagnostic>> {
    let shown = |error: SqlError| Box::new(sql_errors::diagnostic(&error, text));
    let whole = || text.to_source(0..text.text.trim_end().len());
    let by = parse_expression(&text.text).map_err(shown)?;
    if let Some(what) = beyond_the_row(known, &by) {
        let message = format!("a class is told from one row at a time: it cannot hold {what}");
        let diagnostic = Diagnostic::error("wrong_class", message);
        return Err(Box::new(
            diagnostic
                .help("make it a column of the table, and name that here")
                .at_location(whole()),
        ));
    }
    let planned = sql::plan_expression(&known.ctx, &by, &of.to_string(), schema).map_err(shown)?;
    let columns = DFSchema::try_from_qualified_schema(of.to_string().as_str(), schema);
    let data_type = columns.and_then(|columns| planned.get_type(&columns));
    if let Ok(data_type) = &data_type
        && let ControlFlow::Break(help) = has_classes(data_type)
    {
        let message = format!(
            "the values of `{}` are no classes, but {data_type}",
            text.text.trim()
        );
        let diagnostic = Diagnostic::error("wrong_type", message).help(help);
        return Err(Box::new(diagnostic.at_location(whole())));
    }
    Ok(ByPlan {
        written: text.text.trim().to_owned(),
        made_of: columns_of(&planned),
        expression: by,
    })
}

/// Goes on for the types whose values can be classes; breaks with what to do instead.
pub(super) fn has_classes(data_type: &DataType) -> ControlFlow<&'static str> {
    match data_type {
        DataType::Null => ControlFlow::Break("compare it with something, such as `... > 0`"),
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            ControlFlow::Continue(())
        }
        DataType::Dictionary(_, values) => has_classes(values),
        other if other.is_integer() => ControlFlow::Continue(()),
        other if other.is_numeric() => ControlFlow::Break(
            "compare it with a value, such as `... >= 7`, or cut it with `floor(...)::INT`",
        ),
        other if other.is_temporal() => ControlFlow::Break(
            "compare it with a value, or take a part of it: `date_part('year', ...)::INT`",
        ),
        _ => ControlFlow::Break("name a column of text, whole numbers or booleans, or compare it"),
    }
}

fn columns_of(expression: &Expr) -> Vec<String> {
    let columns: BTreeSet<String> = expression
        .column_refs()
        .into_iter()
        .map(|column| column.name.clone())
        .collect();
    columns.into_iter().collect()
}
