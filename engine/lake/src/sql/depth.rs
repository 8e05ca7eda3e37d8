//! Deep expressions, which would overflow the stack of a thread.
//!
//! The parser makes of `a OR b OR c ...` a tree as deep as the chain is long.
//! Parsing and printing grow the stack as they need; copying, comparing and
//! planning do not, nor does dropping. Long chains of `AND`, `OR` and `UNION` are
//! therefore balanced, which changes nothing that they mean, and what is still too
//! deep is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, SetExpr, SetOperator, Values, VisitMut, VisitorMut,
};

use super::error::{SqlError, SqlErrorKind};

/// Chains of this many terms and more are balanced.
const LONG: usize = 32;

/// Chains of UNION of this many queries and more are balanced.
const LONG_UNION: usize = 128;

/// The deepest expression that is planned. A thread of 2 MiB bears it in a debug
/// build.
const DEEPEST: usize = 200;

/// Balances long chains, and refuses what is too deep all the same.
pub(crate) fn limit_depth(node: &mut impl VisitMut) -> Result<(), SqlError> {
    let mut cut_off = cut(node);
    if cut_off.is_empty() {
        return Ok(());
    }
    // Even to drop such a tree takes more stack than there is: cut by cut it does not.
    while let Some(mut part) = cut_off.pop() {
        cut_off.append(&mut match &mut part {
            Part::Expression(expr) => cut(expr.as_mut()),
            Part::Rows(rows) => cut(rows.as_mut()),
        });
    }
    let error = SqlError::new(
        SqlErrorKind::Syntax,
        format!("an expression is nested more than {DEEPEST} deep"),
    );
    Err(error.with_help(Some(
        "name parts of it in WITH, or write IN (...) for many ORs".to_owned(),
    )))
}

/// Balances long chains, and takes out all that is too deep.
fn cut(node: &mut impl VisitMut) -> Vec<Part> {
    let mut depth = Depth::default();
    match node.visit(&mut depth) {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => depth.cut_off,
    }
}

/// What was cut off because it is too deep.
enum Part {
    Expression(Box<Expr>),
    Rows(Box<SetExpr>),
}

#[derive(Default)]
struct Depth {
    now: usize,
    cut_off: Vec<Part>,
}

impl VisitorMut for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        balance(expr);
        self.now += 1;
        if self.now > DEEPEST {
            let taken = std::mem::replace(expr, Expr::Tuple(Vec::new()));
            self.cut_off.push(Part::Expression(Box::new(taken)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &mut Expr) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        balance_unions(&mut query.body);
        let mut rest = &mut *query.body;
        for _ in 0..DEEPEST {
            let SetExpr::SetOperation { left, .. } = rest else {
                return ControlFlow::Continue(());
            };
            rest = left;
        }
        let taken = std::mem::replace(rest, no_rows());
        self.cut_off.push(Part::Rows(Box::new(taken)));
        ControlFlow::Continue(())
    }
}

fn no_rows() -> SetExpr {
    SetExpr::Values(Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    })
}

/// Makes a long chain of one UNION, which is as deep as it is long, as deep as it needs to be:
/// `a UNION ALL b UNION ALL c` is the same whichever comes first.
fn balance_unions(body: &mut Box<SetExpr>) {
    let SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier,
        ..
    } = &**body
    else {
        return;
    };
    let quantifier = *set_quantifier;
    let is_link = |rows: &SetExpr| {
        matches!(rows, SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, .. }
            if *set_quantifier == quantifier)
    };
    let mut length = 1;
    let mut rest = &**body;
    while is_link(rest)
        && let SetExpr::SetOperation { left, .. } = rest
    {
        length += 1;
        rest = left;
    }
    if length < LONG_UNION {
        return;
    }
    let mut terms = Vec::with_capacity(length);
    let mut rest = std::mem::replace(body, Box::new(no_rows()));
    loop {
        match *rest {
            SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier,
                left,
                right,
            } if set_quantifier == quantifier => {
                terms.push(right);
                rest = left;
            }
            first => {
                terms.push(Box::new(first));
                break;
            }
        }
    }
    terms.reverse();
    let union = |left, right| {
        Box::new(SetExpr::SetOperation {
            op: SetOperator::Union,
            set_quantifier: quantifier,
            left,
            right,
        })
    };
    if let Some(balanced) = in_pairs(terms, union) {
        *body = balanced;
    }
}

/// Joins neighbours, then what comes of them, until one is left.
fn in_pairs<T>(mut terms: Vec<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut terms_left = terms.into_iter();
        while let Some(left) = terms_left.next() {
            pairs.push(match terms_left.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        terms = pairs;
    }
    terms.pop()
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
    let join = |left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    };
    if let Some(balanced) = in_pairs(terms, join) {
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
