//! Every call of a function, to be looked at or rewritten where columns do not matter.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, ObjectNamePart, VisitMut, visit_expressions_mut,
};

use super::error::SqlError;
use super::statement::{Expression, Statement};

/// The name of the function that is called, as it is written, when it has one part.
pub fn call_name(function: &Function) -> Option<&str> {
    match function.name.0.as_slice() {
        [only] => only.as_ident().map(|ident| ident.value.as_str()),
        _ => None,
    }
}

/// Makes a call one of another function.
pub fn rename_call(function: &mut Function, name: &str) {
    if let [ObjectNamePart::Identifier(ident)] = function.name.0.as_mut_slice() {
        name.clone_into(&mut ident.value);
    }
}

/// Shows `each` every call in a statement, those in its arguments before a call itself;
/// `each` may rewrite it. No name is resolved.
///
/// # Errors
/// The first error of `each`.
pub fn rewrite_calls(
    statement: &mut Statement,
    each: &mut dyn FnMut(&mut Function) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    rewrite(&mut statement.ast, each)
}

/// As [`rewrite_calls`], in an expression.
///
/// # Errors
/// The first error of `each`.
pub fn rewrite_calls_in_expression(
    expression: &mut Expression,
    each: &mut dyn FnMut(&mut Function) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    rewrite(&mut expression.ast, each)
}

fn rewrite(
    node: &mut impl VisitMut,
    each: &mut dyn FnMut(&mut Function) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let done = visit_expressions_mut(node, |expr| match expr {
        Expr::Function(function) => match each(function) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        },
        _ => ControlFlow::Continue(()),
    });
    match done {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}
