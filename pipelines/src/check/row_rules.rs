//! Looks at the rules for single rows, and at the split of a table.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable;
use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};
use sluice_lake::TableName;
use sluice_lake::sql::{self, SqlError, parse_expression};
use sluice_udfs::text::bind_expression;

use super::known::Known;
use super::tables::find_column;
use super::{Checker, sql_errors};
use crate::diagnostic::Diagnostic;
use crate::plan::{RowExpectation, RowPlan, SplitPlan};
use crate::run::split::SPLIT_COLUMN;
use crate::source::Span;
use crate::spec::{Rule, SqlText, TableSpec};
pub(super) fn check_rows(
    checker: &mut Checker<'_>,
    known: &Known,
    table: &TableSpec,
    name: &TableName,
    schema: &SchemaRef,
    tokenizers: &BTreeMap<String, String>,
) -> Option<RowPlan> {
    let before = checker.diagnostics.len();
    let mut rows = RowPlan::default();
    for (rule, expectation) in &table.expect {
        // Rules of the whole table: `table_rules` looks at them once its columns are known.
        let Rule::That(text) = &expectation.rule else {
            continue;
        };
        match row_rule(known, text, name, schema, tokenizers) {
            Ok(that) => rows.rules.push(RowExpectation {
                name: rule.value.clone(),
                that,
                otherwise: expectation.otherwise(),
                of_contract: false,
            }),
            Err(diagnostic) => checker.diagnostics.push(*diagnostic),
        }
    }
    if let Some(split) = &table.split {
        let written = schema
            .fields()
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case(SPLIT_COLUMN));
        if written {
            let message = format!("`{name}` writes `{SPLIT_COLUMN}` itself, and has a `split:`");
            let diagnostic =
                Diagnostic::error("conflicting_keys", message).help("leave one of them out");
            let span = split
                .parts
                .iter()
                .next()
                .map_or(Span::default(), |(part, _)| part.span);
            checker.error(diagnostic, span);
        }
        rows.split = Some(SplitPlan {
            parts: split
                .parts
                .iter()
                .map(|(part, share)| (part.value.clone(), share.value))
                .collect(),
            seed: split.seed.map_or(0, |seed| seed.value),
            by: split
                .by
                .iter()
                .filter_map(|column| find_column(checker, schema, column, name))
                .collect(),
        });
    }
    (checker.diagnostics.len() == before).then_some(rows)
}

/// A condition on single rows. `None` after having reported what is wrong.
pub(super) fn row_condition(
    checker: &mut Checker<'_>,
    known: &Known,
    text: &SqlText,
    name: &TableName,
    schema: &SchemaRef,
) -> Option<sql::Expression> {
    match row_rule(known, text, name, schema, &BTreeMap::new()) {
        Ok(condition) => Some(condition),
        Err(diagnostic) => {
            checker.diagnostics.push(*diagnostic);
            None
        }
    }
}

fn row_rule(
    known: &Known,
    text: &SqlText,
    name: &TableName,
    schema: &SchemaRef,
    tokenizers: &BTreeMap<String, String>,
) -> Result<sql::Expression, Box<Diagnostic>> {
    let shown = |error: SqlError| Box::new(sql_errors::diagnostic(&error, text));
    let that = parse_expression(&text.text).map_err(shown)?;
    if let Some(what) = beyond_the_row(known, &that) {
        let message = format!("a rule looks at one row at a time: it cannot hold {what}");
        return Err(Box::new(
            Diagnostic::error("wrong_rule", message)
                .help("make it a column in the table's SQL, and compare that here")
                .at_location(text.to_source(0..text.text.trim_end().len())),
        ));
    }
    let mut settled = that.clone();
    bind_expression(&mut settled, tokenizers).map_err(shown)?;
    let planned =
        sql::plan_expression(&known.ctx, &settled, &name.to_string(), schema).map_err(shown)?;
    let columns = DFSchema::try_from_qualified_schema(name.to_string().as_str(), schema);
    let data_type = columns.and_then(|columns| planned.get_type(&columns));
    match data_type {
        Ok(DataType::Boolean | DataType::Null) | Err(_) => Ok(that),
        Ok(other) => Err(Box::new(
            Diagnostic::error(
                "wrong_type",
                format!("a rule must be TRUE or FALSE, but this is {other}"),
            )
            .help("compare it with something, such as `... > 0`")
            .at_location(text.to_source(0..text.text.trim_end().len())),
        )),
    }
}

/// What in an expression needs other rows than the one it is about.
pub(super) fn beyond_the_row(known: &Known, that: &sql::Expression) -> Option<&'static str> {
    let state = known.ctx.state_ref();
    let state = state.read();
    let found = visit_expressions(that.ast(), |part| match part {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
            ControlFlow::Break("a subquery")
        }
        Expr::Function(call) if call.over.is_some() => ControlFlow::Break("a window function"),
        Expr::Function(call) => {
            let name = call.name.to_string().to_lowercase();
            if state.aggregate_functions().contains_key(&name) {
                ControlFlow::Break("an aggregate function")
            } else {
                ControlFlow::Continue(())
            }
        }
        _ => ControlFlow::Continue(()),
    });
    found.break_value()
}
