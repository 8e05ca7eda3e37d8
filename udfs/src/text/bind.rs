//! Which tokenizers a statement names, and the settling of its calls: `tokenize(t, 'movie')`
//! becomes `tokenize(t, 'models:/movie/3', '{}')`.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, Value,
};
use sluice_lake::sql::{
    Expression, FunctionCall, SqlError, SqlErrorKind, SqlSpan, Statement, call_name,
    function_calls, function_calls_in_expression, rename_call, rewrite_calls,
    rewrite_calls_in_expression,
};

use super::call::take_apart;
use super::{FUNCTIONS, TextFunction};

/// A tokenizer that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerUse {
    /// The reference as it is written: `movie`, `models:/movie/2`.
    pub written: String,
    /// Where.
    pub place: Option<SqlSpan>,
}

/// The tokenizers that a statement names.
///
/// # Errors
/// A call whose arguments are not right.
pub fn references(statement: &Statement) -> Result<Vec<TokenizerUse>, SqlError> {
    of_calls(statement.text(), &|name| function_calls(statement, name))
}

/// The tokenizers that an expression names.
///
/// # Errors
/// A call whose arguments are not right.
pub fn references_in_expression(expression: &Expression) -> Result<Vec<TokenizerUse>, SqlError> {
    of_calls(expression.text(), &|name| {
        function_calls_in_expression(expression, name)
    })
}

fn of_calls(
    text: &str,
    calls: &dyn Fn(&str) -> Vec<FunctionCall>,
) -> Result<Vec<TokenizerUse>, SqlError> {
    let mut found = Vec::new();
    for function in FUNCTIONS {
        for call in calls(function.name) {
            if let Some(call) = take_apart(function, &call.arguments, text, call.span)? {
                found.push(TokenizerUse {
                    written: call.tokenizer,
                    place: call.place,
                });
            }
        }
    }
    Ok(found)
}

/// Settles every call of a text function: `versions` has the address of one version for each
/// of the statement's [`references`], by what is written.
///
/// # Errors
/// A call whose arguments are not right, or whose tokenizer is not among `versions`.
pub fn bind(
    statement: &mut Statement,
    versions: &BTreeMap<String, String>,
) -> Result<(), SqlError> {
    let text = statement.text().to_owned();
    rewrite_calls(statement, &mut |call| settle(call, &text, versions))
}

/// As [`bind`], in an expression.
///
/// # Errors
/// As [`bind`].
pub fn bind_expression(
    expression: &mut Expression,
    versions: &BTreeMap<String, String>,
) -> Result<(), SqlError> {
    let text = expression.text().to_owned();
    rewrite_calls_in_expression(expression, &mut |call| settle(call, &text, versions))
}

fn settle(
    call: &mut Function,
    text: &str,
    versions: &BTreeMap<String, String>,
) -> Result<(), SqlError> {
    let Some(function) = named(call) else {
        return Ok(());
    };
    let place = SqlSpan::of(text, call.name.span());
    let FunctionArguments::List(list) = &mut call.args else {
        let message = format!("`{}` needs arguments", function.name);
        return Err(SqlError::new(SqlErrorKind::Planning, message)
            .at(place)
            .with_help(Some(format!("write {}", function.usage))));
    };
    let Some(taken) = take_apart(function, &list.args, text, place)? else {
        return Ok(());
    };
    let Some(address) = versions.get(&taken.tokenizer) else {
        let message = format!("the tokenizer `{}` was not resolved", taken.tokenizer);
        return Err(SqlError::new(SqlErrorKind::Planning, message).at(taken.place));
    };
    let options = serde_json::to_string(&taken.options).unwrap_or_default();
    let literal = |text: String| Expr::value(Value::SingleQuotedString(text));
    let settled = taken.inputs.into_iter();
    let settled = settled.chain([literal(address.clone()), literal(options)]);
    list.args = settled
        .map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)))
        .collect();
    rename_call(call, function.bound);
    Ok(())
}

/// The text function that is called.
fn named(call: &Function) -> Option<&'static TextFunction> {
    let name = call_name(call)?;
    let mut functions = FUNCTIONS.iter().copied();
    functions.find(|function| function.name.eq_ignore_ascii_case(name))
}
