//! The planner's errors in the words of a user, at a place in the text.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{Expr, Function, Spanned, Visit, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::mistakes::help_among;
use super::references::is_call_of;
use super::scope::same;
use super::statement::lower_first;
use crate::nearest::nearest;

impl SqlError {
    /// The same error, at `span` if it has no place yet.
    pub(crate) fn or_at(mut self, span: SqlSpan) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// The same error, at the whole text if it has no place yet.
    pub(crate) fn or_at_start(self, text: &str) -> Self {
        let leading = text.len() - text.trim_start().len();
        let before = &text[..leading];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.or_at(SqlSpan {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            start: leading,
            len: text.trim().len(),
        })
    }
}

/// Turns an error of the planner into one of the text that was planned.
pub(crate) fn diagnose(
    state: &SessionState,
    ast: &impl Visit,
    text: &str,
    error: DataFusionError,
) -> SqlError {
    let first = first_of(&error);
    let diagnosed = first.diagnostic().and_then(|d| d.span);
    let span = diagnosed.and_then(|span| SqlSpan::of_planned(text, span));
    let root = root_of(first);
    let described = match root {
        DataFusionError::SchemaError(schema_error, _) => {
            describe_schema_error(schema_error, ast, text)
        }
        other => {
            let message = other.strip_backtrace();
            match unknown_function(&message) {
                Some(name) => describe_unknown_function(state, name),
                None => {
                    let place = blamed_call(&message, ast, text);
                    SqlError::new(SqlErrorKind::Planning, clean(&message)).at(place)
                }
            }
        }
    };
    let place = span.or(described.span);
    described.at(place).caused_by(error)
}

/// Of several errors the first: the others may only follow from it.
fn first_of(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Collection(errors) => errors.first().map_or(error, first_of),
        DataFusionError::Shared(inner) => first_of(inner),
        other => other,
    }
}

/// The error inside the contexts and diagnostics around it.
fn root_of(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            root_of(inner)
        }
        DataFusionError::Shared(inner) => root_of(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root_of),
        other => other,
    }
}

fn describe_schema_error(error: &SchemaError, ast: &impl Visit, text: &str) -> SqlError {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            let message = match &field.relation {
                Some(relation) => format!("`{relation}` has no column `{}`", field.name),
                None => format!("unknown column `{}`", field.name),
            };
            SqlError::new(SqlErrorKind::UnknownColumn, message)
                .at(place_of_name(&field.name, ast, text))
                .with_help(help_among(&field.name, &names))
        }
        SchemaError::AmbiguousReference { field } => SqlError::new(
            SqlErrorKind::Ambiguous,
            format!("`{}` is ambiguous", field.name),
        )
        .at(place_of_name(&field.name, ast, text))
        .with_help(Some("write the table before it, as in t.name".to_owned())),
        SchemaError::DuplicateQualifiedField { qualifier, name } => SqlError::new(
            SqlErrorKind::Ambiguous,
            format!("two tables called `{qualifier}` have a column `{name}`"),
        )
        .with_help(Some("give each table an alias of its own".to_owned())),
        SchemaError::DuplicateUnqualifiedField { name } => SqlError::new(
            SqlErrorKind::Ambiguous,
            format!("two columns are called `{name}`"),
        )
        .with_help(Some("give one of them another name with AS".to_owned())),
    }
}

/// The name in `Invalid function 'name'.`
fn unknown_function(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Invalid function '")?;
    rest.split_once('\'').map(|(name, _)| name)
}

fn describe_unknown_function(state: &SessionState, name: &str) -> SqlError {
    let scalar = state.scalar_functions().keys();
    let aggregate = state.aggregate_functions().keys();
    let window = state.window_functions().keys();
    let names: BTreeSet<&String> = scalar.chain(aggregate).chain(window).collect();
    let near = nearest(name, names.iter().copied());
    SqlError::new(
        SqlErrorKind::UnknownFunction,
        format!("unknown function `{name}`"),
    )
    .with_help(near.map(|near| format!("did you mean `{near}`?")))
}

/// Errors about a call name the function: the place of its first call.
fn blamed_call(message: &str, ast: &impl Visit, text: &str) -> Option<SqlSpan> {
    let calls = function_names(ast);
    let blamed = calls.iter().find(|function| {
        let name = function.name.to_string().to_lowercase();
        let message = message.to_lowercase();
        message.contains(&format!("'{name}'"))
            || message.contains(&format!("'{name}("))
            || message.contains(&format!("'{name} "))
    })?;
    SqlSpan::of(text, blamed.name.span())
}

fn function_names(ast: &impl Visit) -> Vec<Function> {
    let mut calls = Vec::new();
    let _always_continues = visit_expressions(ast, |expr| {
        if let Expr::Function(function) = expr
            && !is_call_of(function, "")
        {
            calls.push(function.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    calls
}

/// Where a column is first named.
fn place_of_name(name: &str, ast: &impl Visit, text: &str) -> Option<SqlSpan> {
    let found = visit_expressions(ast, |expr| {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match ident {
            Some(ident) if same(&ident.value, name) && ident.span != Span::empty() => {
                ControlFlow::Break(ident.span)
            }
            _ => ControlFlow::Continue(()),
        }
    });
    found.break_value().and_then(|span| SqlSpan::of(text, span))
}

/// The message without the names of DataFusion's insides.
fn clean(message: &str) -> String {
    const PREFIXES: [&str; 10] = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
        "Arrow error: ",
        "Invalid or Unsupported Configuration: ",
        "External error: ",
        "Internal error: ",
        "type_coercion",
        "caused by",
    ];
    let mut rest = message.trim();
    let mut unsupported = false;
    loop {
        let before = rest;
        for prefix in PREFIXES {
            rest = rest.strip_prefix(prefix).unwrap_or(rest).trim_start();
        }
        if let Some(inner) = rest.strip_prefix("This feature is not implemented: ") {
            unsupported = true;
            rest = inner.trim_start();
        }
        if rest == before {
            break;
        }
    }
    let rest = rest
        .split("\nThis issue was likely caused by a bug in DataFusion")
        .next()
        .unwrap_or(rest)
        .trim_end();
    let rest = rest.trim_end_matches('.');
    if unsupported && !rest.contains("not ") {
        return format!("not supported: {}", lower_first(rest));
    }
    lower_first(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_the_names_of_the_planner_s_insides() {
        assert_eq!(
            clean("type_coercion\ncaused by\nError during planning: Cannot coerce a to b."),
            "cannot coerce a to b"
        );
        assert_eq!(
            clean("This feature is not implemented: `AS OF` join"),
            "not supported: `AS OF` join"
        );
        assert_eq!(
            clean(
                "Internal error: Odd.\nThis issue was likely caused by a bug in DataFusion's code."
            ),
            "odd"
        );
    }

    #[test]
    fn the_name_of_an_unknown_function_is_found() {
        let message = "Error during planning: Invalid function 'predct'.\nDid you mean 'x'?";
        assert_eq!(unknown_function(message), Some("predct"));
        assert_eq!(unknown_function("Invalid plan"), None);
    }
}
