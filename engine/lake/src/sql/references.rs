//! Which tables and functions a statement names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Spanned, Value,
    Visit, Visitor,
};

use super::error::SqlSpan;
use super::statement::{Expression, Statement};
use super::walk::Walker;

/// A table that a statement reads, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    /// `[table]`, `[layer, table]` or `[catalog, layer, table]`.
    pub parts: Vec<String>,
    /// Where the name stands.
    pub span: Option<SqlSpan>,
}

impl TableRef {
    pub(crate) fn new(name: &ObjectName, text: &str) -> Option<Self> {
        let parts: Option<Vec<String>> = name
            .0
            .iter()
            .map(|part| part.as_ident().map(|ident| ident.value.clone()))
            .collect();
        let parts = parts?;
        let span = SqlSpan::of(text, name.span()).or_else(|| quoted_place(text, parts.first()?));
        Some(Self { parts, span })
    }
}

/// The place of a name in single quotes, which the parser takes for a table and
/// keeps no place of: `FROM 'data.csv'`.
fn quoted_place(text: &str, name: &str) -> Option<SqlSpan> {
    let quoted = format!("'{}'", name.replace('\'', "''"));
    let start = text.find(&quoted)?;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    Some(SqlSpan {
        line: text[..start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        start,
        len: quoted.len(),
    })
}

/// The tables that a statement reads, in no particular order and as often as
/// they are named. Names of CTEs are left out where they are in scope, and only
/// there: in `WITH t AS (SELECT * FROM t) SELECT * FROM t` the first `t` is a
/// table. Table functions are not tables.
pub fn table_refs(statement: &Statement) -> Vec<TableRef> {
    let mut copy = statement.ast.clone();
    let mut walker = Walker::new(statement.shared_text());
    // Without schemas there is nothing that could be unknown or ambiguous; an
    // error of scoping (a CTE named twice) is left for planning to report.
    let _scoping = walker.statement(&mut copy);
    walker.found
}

/// A literal argument of a function call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralArg {
    /// The position among the arguments, from 0.
    pub index: usize,
    /// The value of the string, unescaped.
    pub value: String,
    /// Where the literal stands, with its quotes.
    pub span: Option<SqlSpan>,
}

/// A call of a function that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// Where the function's name stands.
    pub span: Option<SqlSpan>,
    /// How many arguments there are; a wildcard is one.
    pub args: usize,
    /// The arguments that are string literals.
    pub literals: Vec<LiteralArg>,
    /// All arguments, as they were parsed.
    pub arguments: Vec<FunctionArg>,
}

impl FunctionCall {
    /// The string literal at position `index` (from 0), if one is there.
    pub fn literal(&self, index: usize) -> Option<&LiteralArg> {
        self.literals.iter().find(|literal| literal.index == index)
    }
}

/// Every call of the function `name` (ignoring case) in a statement, in the
/// order of the text.
pub fn function_calls(statement: &Statement, name: &str) -> Vec<FunctionCall> {
    calls_in(&statement.ast, statement.text(), name)
}

/// Every call of the function `name` (ignoring case) in an expression, in the
/// order of the text.
pub fn function_calls_in_expression(expression: &Expression, name: &str) -> Vec<FunctionCall> {
    calls_in(&expression.ast, expression.text(), name)
}

fn calls_in(node: &impl Visit, text: &str, name: &str) -> Vec<FunctionCall> {
    struct Calls<'a> {
        text: &'a str,
        name: &'a str,
        found: Vec<FunctionCall>,
    }
    impl Visitor for Calls<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && is_call_of(function, self.name)
            {
                self.found.push(describe(function, self.text));
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls {
        text,
        name,
        found: Vec::new(),
    };
    let _always_continues = node.visit(&mut calls);
    calls
        .found
        .sort_by_key(|call| call.span.map(|span| span.start));
    calls.found
}

/// Whether a call is one of the function `name`, ignoring case.
pub(crate) fn is_call_of(function: &Function, name: &str) -> bool {
    match function.name.0.as_slice() {
        [only] => only
            .as_ident()
            .is_some_and(|ident| ident.value.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

fn describe(function: &Function, text: &str) -> FunctionCall {
    let args = match &function.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    };
    let literals = args.iter().enumerate().filter_map(|(index, arg)| {
        let (FunctionArg::Unnamed(arg)
        | FunctionArg::Named { arg, .. }
        | FunctionArg::ExprNamed { arg, .. }) = arg;
        let FunctionArgExpr::Expr(Expr::Value(value)) = arg else {
            return None;
        };
        Some(LiteralArg {
            index,
            value: string_value(&value.value)?.to_owned(),
            span: SqlSpan::of(text, value.span),
        })
    });
    FunctionCall {
        span: SqlSpan::of(text, function.name.span()),
        args: args.len(),
        literals: literals.collect(),
        arguments: args.to_vec(),
    }
}

/// The text of a string literal, whichever way it is quoted.
pub fn string_value(value: &Value) -> Option<&str> {
    match value {
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => Some(text),
        Value::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}
