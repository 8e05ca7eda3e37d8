//! The planner's errors in the words of a user, at a place in the text.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Diagnostic, SchemaError};
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Spanned, Visit, WindowType, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::messages::plain_words;
use super::mistakes::help_among;
use super::references::is_call_of;
use super::scope::same;
use crate::nearest::nearest;

impl SqlError {
    /// The same error, at `span` if it has no place yet.
    pub(crate) fn or_at(mut self, span: SqlSpan) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// The same error, at the first word of a statement if it has no place yet.
    pub(crate) fn or_at_first_word(self, text: &str, span: SqlSpan) -> Self {
        let mut words = text[span.range()].split_whitespace();
        let len = words.next().map_or(0, str::len);
        self.or_at(SqlSpan { len, ..span })
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
    let diagnostic = first.diagnostic();
    let root = root_of(first);
    let described = match root {
        DataFusionError::SchemaError(schema_error, _) => {
            describe_schema_error(schema_error, ast, text)
        }
        other => {
            let message = other.strip_backtrace();
            match unknown_function(&message) {
                Some(name) => describe_unknown_function(state, name),
                None => describe(&message, diagnostic, ast, text),
            }
        }
    };
    let spans = diagnostic.into_iter().flat_map(|diagnostic| {
        let notes = diagnostic.notes.iter().map(|note| note.span);
        std::iter::once(diagnostic.span).chain(notes).flatten()
    });
    let mut places = spans.filter_map(|span| SqlSpan::of_planned(text, span));
    let place = places.next().or(described.span);
    described.at(place).caused_by(error)
}

/// Any other error: in the words of its diagnostic, if it has one.
fn describe(
    message: &str,
    diagnostic: Option<&Diagnostic>,
    ast: &impl Visit,
    text: &str,
) -> SqlError {
    let place = blamed_call(message, ast, text).or_else(|| blamed_name(message, ast, text));
    let advice = diagnostic.and_then(|d| {
        let helps = d.helps.iter().map(|help| &help.message);
        helps.map(|help| plain_words(help)).next()
    });
    // The diagnostic of types that do not go together names no types.
    let told = diagnostic.filter(|d| d.message != "expressions have incompatible types");
    let cleaned = told.map_or_else(|| plain_words(message), |d| plain_words(&d.message));
    SqlError::new(SqlErrorKind::Planning, cleaned)
        .at(place)
        .with_help(advice)
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
    if state.window_functions().contains_key(name) {
        return SqlError::new(
            SqlErrorKind::Planning,
            format!("`{name}` is a window function"),
        )
        .with_help(Some(format!("write {name}(...) OVER (...)")));
    }
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

/// Where a name that the message quotes, or shows after a dot, stands last: what
/// comes after the select list is more often to blame.
fn blamed_name(message: &str, ast: &impl Visit, text: &str) -> Option<SqlSpan> {
    let mut blamed = None;
    let _always_continues = visit_expressions(ast, |expr| {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            Expr::Function(function) => match &function.over {
                Some(WindowType::NamedWindow(window)) => Some(window),
                _ => None,
            },
            _ => None,
        };
        if let Some(ident) = ident
            && shows(message, &ident.value)
        {
            blamed = SqlSpan::of(text, ident.span).or(blamed);
        }
        ControlFlow::<()>::Continue(())
    });
    blamed
}

fn shows(message: &str, name: &str) -> bool {
    message.match_indices(name).any(|(at, _)| {
        let before = &message[..at];
        let after = message[at + name.len()..].chars().next();
        let ends = !after.is_some_and(|ch| ch.is_alphanumeric() || ch == '_');
        let begins = ["'", "\"", "`", ".", "field ", "window "];
        ends && begins
            .iter()
            .any(|begin| before.to_lowercase().ends_with(begin))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_unknown_function_is_found() {
        let message = "Error during planning: Invalid function 'predct'.\nDid you mean 'x'?";
        assert_eq!(unknown_function(message), Some("predct"));
        assert_eq!(unknown_function("Invalid plan"), None);
    }
}
