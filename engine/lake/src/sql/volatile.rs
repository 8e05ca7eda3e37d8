//! Whether a query can give another answer on the same tables.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// The first call of a plan to a function whose answer depends on more than its arguments:
/// `random()`, `uuid()`, and also `now()` and `current_date()`, which are the same only within
/// one query. Subqueries count.
pub fn volatile_call(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            if found.is_none() {
                found = call_in(expr);
            }
            Ok(stop_if(found.is_some()))
        })?;
        Ok(stop_if(found.is_some()))
    });
    // Nothing above fails; if walking could, unknown is volatile.
    found.or_else(|| walked.is_err().then(|| "an unknown function".to_owned()))
}

fn stop_if(found: bool) -> TreeNodeRecursion {
    if found {
        TreeNodeRecursion::Stop
    } else {
        TreeNodeRecursion::Continue
    }
}

fn call_in(expr: &Expr) -> Option<String> {
    let mut found = None;
    let walked = expr.apply(|node| {
        let (name, volatility) = match node {
            Expr::ScalarFunction(call) => (call.func.name(), call.func.signature().volatility),
            Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
            Expr::WindowFunction(call) => match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => {
                    (function.name(), function.signature().volatility)
                }
                WindowFunctionDefinition::WindowUDF(function) => {
                    (function.name(), function.signature().volatility)
                }
            },
            Expr::ScalarVariable(..) => ("a variable", Volatility::Volatile),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if volatility == Volatility::Immutable {
            return Ok(TreeNodeRecursion::Continue);
        }
        found = Some(format!("{name}()"));
        Ok(TreeNodeRecursion::Stop)
    });
    found.or_else(|| walked.is_err().then(|| "an unknown function".to_owned()))
}
