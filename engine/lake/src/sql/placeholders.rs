//! Placeholders (`$name`), which only a pipeline's own SQL has, and only until it is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Value, visit_expressions, visit_expressions_mut};

use super::statement::{Expression, Statement};

/// The names of a statement's placeholders, with their dollar, each as often as it stands.
pub fn placeholders(statement: &Statement) -> Vec<String> {
    let mut names = Vec::new();
    let _always_continues = visit_expressions(statement.ast(), |expr| {
        names.extend(name(expr).map(str::to_owned));
        ControlFlow::<()>::Continue(())
    });
    names
}

/// Puts expressions where placeholders stand: `value` gives one by the name, with its dollar.
/// Those that it gives nothing for stay, and planning refuses them.
pub fn fill_placeholders(statement: &mut Statement, value: impl Fn(&str) -> Option<Expression>) {
    let _always_continues = visit_expressions_mut(&mut statement.ast, |expr| {
        if let Some(value) = name(expr).and_then(&value) {
            *expr = Expr::Nested(Box::new(value.ast));
        }
        ControlFlow::<()>::Continue(())
    });
}

fn name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}
