//! What each column of a query is made of: columns of tables, and answers of models.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};
use sluice_udfs::models::Answer;

use crate::plan::origins::{ColumnOrigins, Origins, SourceColumn};

/// The columns of a query with what they are made of. Only what goes into a value counts: not
/// the conditions that choose its row.
pub(crate) fn column_origins(plan: &LogicalPlan) -> Vec<ColumnOrigins> {
    let fields = plan.schema().fields().iter();
    let columns = fields.zip(origins(plan));
    columns
        .map(|(field, origins)| ColumnOrigins {
            column: field.name().clone(),
            origins,
        })
        .collect()
}

/// For each column of a plan, what it is made of.
fn origins(plan: &LogicalPlan) -> Vec<Origins> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = table_name(&scan.table_name);
            let fields = scan.projected_schema.fields().iter();
            fields
                .map(|field| {
                    Origins::of_column(SourceColumn {
                        table: table.clone(),
                        column: field.name().clone(),
                    })
                })
                .collect()
        }
        LogicalPlan::Projection(projection) => of_exprs(&projection.expr, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let exprs = [aggregate.group_expr.as_slice(), &aggregate.aggr_expr].concat();
            padded(of_exprs(&exprs, &aggregate.input), plan)
        }
        LogicalPlan::Window(window) => {
            let mut all = origins(&window.input);
            all.extend(of_exprs(&window.window_expr, &window.input));
            all
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of_exprs(&on.select_expr, &on.input),
        LogicalPlan::Join(join) => {
            let left = || origins(&join.left);
            let right = || origins(&join.right);
            let mark = || vec![Origins::default()];
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => left(),
                JoinType::RightSemi | JoinType::RightAnti => right(),
                JoinType::LeftMark => [left(), mark()].concat(),
                JoinType::RightMark => [right(), mark()].concat(),
                _ => [left(), right()].concat(),
            }
        }
        LogicalPlan::Unnest(unnest) => {
            let below = origins(&unnest.input);
            let from = unnest.dependency_indices.iter();
            from.map(|from| below.get(*from).cloned().unwrap_or_default())
                .collect()
        }
        LogicalPlan::RecursiveQuery(query) => {
            let parts = [&query.static_term, &query.recursive_term];
            merged(plan, parts.into_iter().map(AsRef::as_ref))
        }
        LogicalPlan::Union(union) => merged(plan, union.inputs.iter().map(AsRef::as_ref)),
        other => handed_on(other),
    }
}

/// Of a node whose inputs have its columns, each.
fn merged<'a>(plan: &LogicalPlan, inputs: impl Iterator<Item = &'a LogicalPlan>) -> Vec<Origins> {
    let mut all = vec![Origins::default(); plan.schema().fields().len()];
    for input in inputs {
        for (column, more) in all.iter_mut().zip(origins(input)) {
            column.add(more);
        }
    }
    all
}

/// Of a node that hands on its only input's columns as they are. What is known of no other
/// node is that each of its columns may be made of all that goes in.
fn handed_on(plan: &LogicalPlan) -> Vec<Origins> {
    let width = plan.schema().fields().len();
    let inputs = plan.inputs();
    if let [input] = inputs.as_slice()
        && input.schema().fields().len() == width
    {
        return origins(input);
    }
    let mut everything = Origins::default();
    for input in inputs {
        for more in origins(input) {
            everything.add(more);
        }
    }
    vec![everything; width]
}

/// Grouping sets have a column of their own, made of nothing.
fn padded(mut all: Vec<Origins>, plan: &LogicalPlan) -> Vec<Origins> {
    all.resize(plan.schema().fields().len(), Origins::default());
    all
}

fn of_exprs(exprs: &[Expr], input: &LogicalPlan) -> Vec<Origins> {
    let below = origins(input);
    let of_expr = |expr| of_expr(expr, input, &below);
    exprs.iter().map(of_expr).collect()
}

fn of_expr(expr: &Expr, input: &LogicalPlan, below: &[Origins]) -> Origins {
    let mut found = Origins::default();
    let visited = expr.apply(|part| {
        match part {
            Expr::ScalarFunction(call) if Answer::is_function(call.name()) => {
                found.models.extend(call.args.first().and_then(address));
            }
            Expr::Column(column) => found.add(of_column(column, input, below)),
            Expr::ScalarSubquery(query) => {
                let answers = origins(&query.subquery);
                answers.into_iter().for_each(|answer| found.add(answer));
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visit never fails");
    found
}

/// The address of the model that a call applies.
fn address(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Alias(alias) => address(&alias.expr),
        _ => None,
    }
}

fn of_column(column: &Column, input: &LogicalPlan, below: &[Origins]) -> Origins {
    let position = input.schema().maybe_index_of_column(column);
    let found = position.and_then(|position| below.get(position));
    found.cloned().unwrap_or_default()
}

/// `layer.table`.
fn table_name(table: &TableReference) -> String {
    match table.schema() {
        Some(schema) => format!("{schema}.{}", table.table()),
        None => table.table().to_owned(),
    }
}

/// The columns that hold answers of models, or something made of them. `stored`: whether a
/// column of a table does.
pub(crate) fn predicted_columns(
    columns: &[ColumnOrigins],
    stored: impl Fn(&SourceColumn) -> bool,
) -> BTreeSet<String> {
    columns
        .iter()
        .filter(|column| {
            let origins = &column.origins;
            !origins.models.is_empty() || origins.columns.iter().any(&stored)
        })
        .map(|column| column.column.clone())
        .collect()
}
