//! Whether a query can give another answer on the same tables.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// Whether a plan calls a function whose answer depends on more than its
/// arguments: `random()`, `uuid()`, and also `now()` and `current_date`, which
/// are the same only within one query. Subqueries count.
pub fn is_volatile(plan: &LogicalPlan) -> bool {
    let mut volatile = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            volatile |= expression_is_volatile(expr);
            Ok(stop_if(volatile))
        })?;
        Ok(stop_if(volatile))
    });
    // Nothing above fails; if walking could, unknown is volatile.
    volatile || walked.is_err()
}

fn stop_if(found: bool) -> TreeNodeRecursion {
    if found {
        TreeNodeRecursion::Stop
    } else {
        TreeNodeRecursion::Continue
    }
}

fn expression_is_volatile(expr: &Expr) -> bool {
    let found = expr.exists(|node| {
        let volatility = match node {
            Expr::ScalarFunction(call) => call.func.signature().volatility,
            Expr::AggregateFunction(call) => call.func.signature().volatility,
            Expr::WindowFunction(call) => match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => function.signature().volatility,
                WindowFunctionDefinition::WindowUDF(function) => function.signature().volatility,
            },
            Expr::ScalarVariable(..) => Volatility::Volatile,
            _ => Volatility::Immutable,
        };
        Ok(volatility != Volatility::Immutable)
    });
    found.unwrap_or(true)
}
