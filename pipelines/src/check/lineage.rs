//! Which columns of a query hold outputs of `predict`: they are never features.

use std::collections::BTreeSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};
use sluice_udfs::models::Answer;

/// Whether a column of a stored table holds outputs of `predict`: told by the table's name
/// as the plan has it, and the column's.
pub(crate) type IsPredicted<'a> = &'a dyn Fn(&str, &str) -> bool;

/// The names of the plan's columns that hold outputs of `predict`, or something made of them.
pub(crate) fn predicted_columns(plan: &LogicalPlan, stored: IsPredicted<'_>) -> BTreeSet<String> {
    let fields = plan.schema().fields().iter();
    fields
        .zip(outputs(plan, stored))
        .filter(|(_, predicted)| *predicted)
        .map(|(field, _)| field.name().clone())
        .collect()
}

/// For each column of a plan, whether it is made of outputs of `predict`.
fn outputs(plan: &LogicalPlan, stored: IsPredicted<'_>) -> Vec<bool> {
    let of_exprs = |exprs: &[Expr], input: &LogicalPlan| -> Vec<bool> {
        let below = outputs(input, stored);
        exprs
            .iter()
            .map(|expr| is_made_of(expr, input, &below))
            .collect()
    };
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.to_string();
            let fields = scan.projected_schema.fields().iter();
            fields.map(|field| stored(&table, field.name())).collect()
        }
        LogicalPlan::Projection(projection) => of_exprs(&projection.expr, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let exprs = [aggregate.group_expr.as_slice(), &aggregate.aggr_expr].concat();
            of_exprs(&exprs, &aggregate.input)
        }
        LogicalPlan::Window(window) => {
            let mut all = outputs(&window.input, stored);
            all.extend(of_exprs(&window.window_expr, &window.input));
            all
        }
        LogicalPlan::Join(join) => {
            let left = || outputs(&join.left, stored);
            let right = || outputs(&join.right, stored);
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => left(),
                JoinType::RightSemi | JoinType::RightAnti => right(),
                JoinType::LeftMark => [left(), vec![false]].concat(),
                JoinType::RightMark => [right(), vec![false]].concat(),
                _ => [left(), right()].concat(),
            }
        }
        LogicalPlan::Union(union) => {
            union
                .inputs
                .iter()
                .fold(vec![false; plan.schema().fields().len()], |all, input| {
                    let input = outputs(input, stored);
                    all.iter().zip(input).map(|(a, b)| *a || b).collect()
                })
        }
        other => passed_through(other, stored),
    }
}

/// Of a node that hands on its only input's columns as they are.
fn passed_through(plan: &LogicalPlan, stored: IsPredicted<'_>) -> Vec<bool> {
    let width = plan.schema().fields().len();
    match plan.inputs().as_slice() {
        [input] if input.schema().fields().len() == width => outputs(input, stored),
        _ => vec![false; width],
    }
}

fn is_made_of(expr: &Expr, input: &LogicalPlan, below: &[bool]) -> bool {
    let mut found = false;
    let visited = expr.apply(|part| {
        found |= match part {
            Expr::ScalarFunction(call) => Answer::is_function(call.name()),
            Expr::Column(column) => is_predicted(column, input, below),
            _ => false,
        };
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found && visited.is_ok()
}

fn is_predicted(column: &Column, input: &LogicalPlan, below: &[bool]) -> bool {
    let position = input.schema().maybe_index_of_column(column);
    position.is_some_and(|position| below.get(position).copied().unwrap_or(false))
}
