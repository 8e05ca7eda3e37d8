//! Statements to logical plans.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as PlannedStatement;
use datafusion::sql::sqlparser::ast::ExprWithAlias;

use super::diagnose::diagnose;
use super::error::SqlError;
use super::resolve::resolve;
use super::schemas::{TableSchemas, table_schemas};
use super::scope::{Columns, Relation, Scope};
use super::statement::{Expression, Statement, read_only};
use super::supported::check_supported;
use super::walk::{Clause, Walker};

/// Plans a statement against the tables of a session.
///
/// The plan is checked as far as it can be without running it: names, types,
/// arguments of functions. It is not optimised.
///
/// # Errors
/// The first mistake, with its place: SQL that is not a question or that Sluice
/// does not run, unknown or ambiguous names (with the nearest valid one), and
/// whatever else the planner finds.
pub async fn plan(ctx: &SessionContext, statement: Statement) -> Result<LogicalPlan, SqlError> {
    read_only(&statement)?;
    check_supported(&statement.ast, statement.text())?;
    let schemas = table_schemas(ctx, &statement).await?;
    plan_with(ctx, statement, &schemas).await
}

async fn plan_with(
    ctx: &SessionContext,
    mut statement: Statement,
    schemas: &TableSchemas,
) -> Result<LogicalPlan, SqlError> {
    let unresolved = resolve(&mut statement, schemas)?;
    let state = ctx.state();
    let planned = PlannedStatement::Statement(Box::new(statement.ast.clone()));
    let result = state.statement_to_plan(planned).await;
    let checked = result.and_then(|plan| {
        check_types(&state, &plan)?;
        Ok(plan)
    });
    checked.map_err(|error| match unresolved.into_iter().next() {
        Some(unknown) => unknown.caused_by(error),
        None => diagnose(&state, &statement.ast, statement.text(), error)
            .or_at_first_word(statement.text(), statement.span()),
    })
}

/// Runs the analyzer, which finds what does not fit together, and forgets what
/// it made: running the plan does it again.
fn check_types(state: &SessionState, plan: &LogicalPlan) -> datafusion::error::Result<()> {
    let inner = match plan {
        LogicalPlan::Explain(explain) => explain.plan.as_ref(),
        LogicalPlan::Analyze(analyze) => analyze.input.as_ref(),
        plan => plan,
    };
    let options = state.config_options();
    let analyzer = state.analyzer();
    analyzer.execute_and_check(inner.clone(), options, |_, _| {})?;
    Ok(())
}

/// Plans an expression over the rows of one table, such as the rule of an
/// expectation.
///
/// # Errors
/// As [`plan()`]; the expression cannot hold subqueries, aggregates or window
/// functions.
pub fn plan_expression(
    ctx: &SessionContext,
    expression: &Expression,
    table: &str,
    schema: &SchemaRef,
) -> Result<Expr, SqlError> {
    check_supported(&expression.ast, expression.text())?;
    let mut ast = expression.ast.clone();
    let mut walker = Walker::new(expression.shared_text());
    let parts: Vec<String> = table.split('.').map(str::to_owned).collect();
    walker.scopes.push(Scope {
        relations: vec![Relation {
            declared: parts.clone(),
            qualifier: parts,
            columns: Columns::of_schema(schema),
            aliased: false,
        }],
        ..Scope::default()
    });
    walker.expressions(&mut ast, Clause::Tables)?;
    let unresolved = walker.unresolved.into_iter().next();
    let state = ctx.state();
    let planned = DFSchema::try_from_qualified_schema(TableReference::from(table), schema)
        .and_then(|columns| {
            let with_alias = ExprWithAlias {
                expr: ast.clone(),
                alias: None,
            };
            let planned = state.create_logical_expr_from_sql_expr(with_alias, &columns)?;
            // Finds what does not fit together, as planning a query would.
            state.create_physical_expr(planned.clone(), &columns)?;
            Ok(planned)
        });
    planned.map_err(|error| match unresolved {
        Some(unknown) => unknown.caused_by(error),
        None => diagnose(&state, &ast, expression.text(), error).or_at(expression.span()),
    })
}

/// The columns that a plan gives.
pub fn output_schema(plan: &LogicalPlan) -> SchemaRef {
    Arc::new(plan.schema().as_arrow().clone())
}
