//! Deep expressions, which would overflow the stack of a thread.
//!
//! The parser makes of `a OR b OR c ...` a tree as deep as the chain is long.
//! Parsing and printing grow the stack as they need; copying, comparing and
//! planning do not. Long chains of `AND` and `OR` are therefore balanced, which
//! changes nothing that they mean, and what is still too deep is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, VisitMut, VisitorMut};

use super::error::{SqlError, SqlErrorKind};

/// Chains of this many terms and more are balanced.
const LONG: usize = 32;

/// The deepest expression that is planned. A thread of 2 MiB bears it in a debug
/// build.
const DEEPEST: usize = 200;

/// Balances long chains, and refuses what is too deep all the same.
pub(crate) fn limit_depth(node: &mut impl VisitMut) -> Result<(), SqlError> {
    let mut depth = Depth { now: 0 };
    match node.visit(&mut depth) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(SqlError::new(
            SqlErrorKind::Syntax,
            format!("an expression is nested more than {DEEPEST} deep"),
        )
        .with_help(Some(
            "name parts of it in WITH, or write IN (...) for many ORs".to_owned(),
        ))),
    }
}

struct Depth {
    now: usize,
}

impl VisitorMut for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        balance(expr);
        self.now += 1;
        if self.now > DEEPEST {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &mut Expr) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}

fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else {
        return;
    };
    let op = op.clone();
    if !matches!(op, BinaryOperator::And | BinaryOperator::Or) || chain_length(expr, &op) < LONG {
        return;
    }
    let placeholder = Expr::Tuple(Vec::new());
    let mut terms = Vec::new();
    let mut rest = std::mem::replace(expr, placeholder);
    loop {
        match rest {
            Expr::BinaryOp {
                left,
                op: other,
                right,
            } if other == op => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                break;
            }
        }
    }
    terms.reverse();
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut terms_left = terms.into_iter();
        while let Some(left) = terms_left.next() {
            pairs.push(match terms_left.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: op.clone(),
                    right: Box::new(right),
                },
                None => left,
            });
        }
        terms = pairs;
    }
    if let Some(balanced) = terms.pop() {
        *expr = balanced;
    }
}

/// How many terms the chain of one operator down the left side has.
fn chain_length(expr: &Expr, op: &BinaryOperator) -> usize {
    let mut length = 1;
    let mut rest = expr;
    while let Expr::BinaryOp {
        left, op: other, ..
    } = rest
        && other == op
    {
        length += 1;
        rest = left;
    }
    length
}
