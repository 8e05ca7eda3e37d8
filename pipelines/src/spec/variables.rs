//! `${var}` and `${env:NAME}`: finding them, and what they stand for outside SQL.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use super::decode::Context;
use super::load::Environment;
use super::value::{self, ValueKind};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::source::Span;
use crate::yaml::Scalar;

/// What the pipeline's variables are.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// By name; `None` for a variable whose own definition is wrong and was reported.
    pub(crate) values: BTreeMap<String, Option<ValueKind>>,
    /// Variables that are declared, but further down than what is being decoded.
    pub(crate) declared_later: HashSet<String>,
    /// Where `${env:NAME}` comes from.
    pub(crate) environment: Environment,
    /// Whether what is being decoded is a query that is run for an interval of time, so that
    /// SQL in it knows `${start}` and `${end}`.
    pub(crate) of_interval: bool,
    /// Bytes that variables put into the file so far, those of its tests included.
    pub(crate) filled_bytes: Rc<Cell<usize>>,
}

/// So much may variables put into a file. Ten lines of which each holds the one before ten
/// times come to more than a machine can hold.
const MOST_FILLED_BYTES: usize = 64 << 20;

/// A piece of a text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// These bytes stand for themselves.
    Text(Range<usize>),
    /// `$$`, which stands for one dollar.
    Dollar(Range<usize>),
    /// `${...}`: the bytes, and what is between the braces.
    Placeholder(Range<usize>, &'t str),
    /// `${` without an end.
    Unclosed(Range<usize>),
}

/// Cuts a text at its variables.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut plain_from = 0;
    let mut at = 0;
    // No brace closes before here: what is not closed is looked for once a line.
    let mut unclosed_until = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        let rest = &text[dollar..];
        let piece = if rest.starts_with("$$") {
            Piece::Dollar(dollar..dollar + 2)
        } else if rest.starts_with("${") {
            let stop = match dollar < unclosed_until {
                true => None,
                false => {
                    let stop = rest.find(['}', '\n']).unwrap_or(rest.len());
                    let closed = rest[stop..].starts_with('}');
                    unclosed_until = if closed { 0 } else { dollar + stop };
                    closed.then_some(stop)
                }
            };
            match stop {
                Some(end) => Piece::Placeholder(dollar..dollar + end + 1, &rest[2..end]),
                None => Piece::Unclosed(dollar..dollar + 2),
            }
        } else {
            at = dollar + 1;
            continue;
        };
        if plain_from < dollar {
            pieces.push(Piece::Text(plain_from..dollar));
        }
        let (Piece::Text(range)
        | Piece::Dollar(range)
        | Piece::Placeholder(range, _)
        | Piece::Unclosed(range)) = &piece;
        at = range.end;
        plain_from = range.end;
        pieces.push(piece);
    }
    if plain_from < text.len() {
        pieces.push(Piece::Text(plain_from..text.len()));
    }
    pieces
}

/// Why a placeholder stands for nothing. `None` when that was reported elsewhere.
pub(crate) type Unresolved = Option<Box<Diagnostic>>;

pub(super) fn refused(diagnostic: Diagnostic) -> Unresolved {
    Some(Box::new(diagnostic))
}

impl Variables {
    /// What `${inner}` stands for.
    pub(crate) fn resolve(&self, inner: &str) -> Result<ValueKind, Unresolved> {
        if let Some(name) = inner.strip_prefix("env:") {
            return self.environment(name);
        }
        if inner.starts_with("secret:") {
            return Err(refused(
                Diagnostic::error("misplaced_secret", "no secret can stand here").help(
                    "secrets stand in `webhook:`; take this from the environment: `${env:NAME}`",
                ),
            ));
        }
        if let Some((kind, _)) = inner.split_once(':') {
            return Err(refused(
                Diagnostic::error(
                    "unknown_variable",
                    format!("`${{{kind}:...}}` is unknown here"),
                )
                .help("write `${name}` for a variable, `${env:NAME}` for the environment"),
            ));
        }
        match self.values.get(inner) {
            Some(Some(value)) => {
                self.fill(value)?;
                Ok(value.clone())
            }
            Some(None) => Err(None),
            None => Err(refused(self.unknown(inner))),
        }
    }

    /// Counts what a variable puts into the file; reports once when that is too much.
    fn fill(&self, value: &ValueKind) -> Result<(), Unresolved> {
        let ValueKind::Text(text) = value else {
            return Ok(());
        };
        let before = self.filled_bytes.get();
        let after = before.saturating_add(text.len());
        self.filled_bytes.set(after);
        if after <= MOST_FILLED_BYTES {
            return Ok(());
        }
        if before > MOST_FILLED_BYTES {
            return Err(None);
        }
        let message = format!(
            "the variables of this pipeline put more than {} MiB into it",
            MOST_FILLED_BYTES >> 20
        );
        Err(refused(
            Diagnostic::error("too_large", message)
                .label("here it becomes too much")
                .help("a variable that holds others several times grows with each of them"),
        ))
    }

    /// The diagnostic for a name that no variable has.
    pub(crate) fn unknown(&self, name: &str) -> Diagnostic {
        let diagnostic =
            Diagnostic::error("unknown_variable", format!("unknown variable `{name}`"));
        if self.declared_later.contains(name) {
            return diagnostic.help("a variable can use those above it: move it further up");
        }
        if matches!(name, "start" | "end") {
            return diagnostic.help(
                "`${start}` and `${end}` are known in the query of a table with `mode: {interval: ...}`; any other is declared under `vars:`",
            );
        }
        let help = did_you_mean(name, self.values.keys().map(String::as_str))
            .unwrap_or_else(|| "declare it under `vars:`".to_owned());
        diagnostic.help(help)
    }

    fn environment(&self, name: &str) -> Result<ValueKind, Unresolved> {
        let Some(text) = self.environment.get(name) else {
            return Err(refused(
                Diagnostic::error(
                    "unknown_variable",
                    format!("the environment variable `{name}` is not set"),
                )
                .help(format!("set it before the command: {name}=... sluice ...")),
            ));
        };
        Ok(match value::plain(&text) {
            Ok(kind @ (ValueKind::Bool(_) | ValueKind::Number(_))) => kind,
            _ => ValueKind::Text(text),
        })
    }
}

/// A single value as text.
pub(crate) fn as_text(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => String::new(),
        ValueKind::Bool(value) => value.to_string(),
        ValueKind::Number(number) => number.to_string(),
        ValueKind::Text(text) => text.clone(),
    }
}

impl Context<'_> {
    /// The text of a scalar with its variables replaced.
    pub(crate) fn text(&mut self, scalar: &Scalar) -> Option<String> {
        let mut out = Some(String::with_capacity(scalar.text.len()));
        for piece in pieces(&scalar.text) {
            if self.diagnostics.is_full() {
                return None;
            }
            let part = match piece {
                Piece::Text(range) => Some(scalar.text[range].to_owned()),
                Piece::Dollar(_) => Some("$".to_owned()),
                Piece::Placeholder(range, inner) => {
                    let span = scalar.map.to_source(range);
                    self.resolve_at(inner, span).map(|value| as_text(&value))
                }
                Piece::Unclosed(range) => {
                    self.report(unclosed(), scalar.map.to_source(range));
                    None
                }
            };
            out = out.zip(part).map(|(out, part)| out + &part);
        }
        out
    }

    /// The typed value when the whole scalar is one placeholder: outer `None` when it is not.
    pub(crate) fn whole_variable(
        &mut self,
        scalar: &Scalar,
        span: Span,
    ) -> Option<Option<ValueKind>> {
        match pieces(&scalar.text).as_slice() {
            [Piece::Placeholder(_, inner)] => Some(self.resolve_at(inner, span)),
            _ => None,
        }
    }

    fn resolve_at(&mut self, inner: &str, span: Span) -> Option<ValueKind> {
        match self.variables.resolve(inner) {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                if let Some(diagnostic) = diagnostic {
                    self.report(*diagnostic, span);
                }
                None
            }
        }
    }
}

/// The diagnostic for `${` without an end.
pub(super) fn unclosed() -> Diagnostic {
    Diagnostic::error("unknown_variable", "`${` without a `}` on the same line")
        .help("write `$$` for a dollar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_variables_and_dollars() {
        let text = "a $1 ${x}$$${env:Y}b$${z} ${";
        let shown: Vec<String> = pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(range) => text[range].to_owned(),
                Piece::Dollar(_) => "<dollar>".to_owned(),
                Piece::Placeholder(_, inner) => format!("<{inner}>"),
                Piece::Unclosed(_) => "<unclosed>".to_owned(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a $1 ",
                "<x>",
                "<dollar>",
                "<env:Y>",
                "b",
                "<dollar>",
                "{z} ",
                "<unclosed>"
            ]
        );
    }
}
