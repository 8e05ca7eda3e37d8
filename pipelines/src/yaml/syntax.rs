//! Syntax errors of YAML, in words that say what to write instead.

use std::sync::Arc;

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::Diagnostic;
use crate::source::{SourceFile, Span};

const QUOTE: &str = "quote this, or put it below a `|` on a line of its own";

/// What stands before the error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    /// The last scalar that was read.
    pub(super) last_scalar: Option<Span>,
    /// The outermost bracket or brace that is still open.
    pub(super) open_bracket: Option<Span>,
}

/// A diagnostic for the error that ended parsing.
pub(super) fn explain(source: &Arc<SourceFile>, error: &ScanError, near: Near) -> Diagnostic {
    let text = source.text();
    let at = error
        .marker()
        .byte_offset()
        .unwrap_or(text.len())
        .min(text.len());
    let here = Span::new(at, at + text[at..].chars().next().map_or(0, char::len_utf8));
    let near_miss = brackets(source, error.kind(), here, near)
        .or_else(|| keys(source, error.kind(), here, near))
        .or_else(|| values(source, error.kind(), here, near));
    near_miss.unwrap_or_else(|| {
        Diagnostic::error("yaml", format!("this is not YAML: {}", error.info()))
            .at(source, here)
            .maybe_help(advice(error.kind()))
    })
}

fn error(source: &Arc<SourceFile>, message: &str, span: Span) -> Diagnostic {
    Diagnostic::error("yaml", message).at(source, span)
}

/// Accidents inside `{...}` and `[...]`.
fn brackets(
    source: &Arc<SourceFile>,
    kind: &ErrorKind,
    here: Span,
    near: Near,
) -> Option<Diagnostic> {
    let text = source.text();
    let bracket = near.open_bracket?;
    if text[here.start..].starts_with('{') && text[..here.start].ends_with('$') {
        let end = text[here.start..]
            .find('}')
            .map_or(here.end(), |at| here.start + at + 1);
        let placeholder = Span::new(here.start - 1, end);
        let message = "`${...}` inside `{...}` or `[...]` must be quoted";
        return Some(
            error(source, message, placeholder)
                .help(format!("quote this: \"{}\"", source.slice(placeholder))),
        );
    }
    let unclosed = matches!(
        kind,
        ErrorKind::InvalidColonPlacement
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEof
    );
    let later = source.position(bracket.start).line < source.position(here.start).line;
    (unclosed && later).then(|| {
        error(source, "this bracket is not closed", bracket)
            .help("close it on the same line, or write the items on lines of their own")
    })
}

/// Accidents that look like a key, or make one.
fn keys(source: &Arc<SourceFile>, kind: &ErrorKind, here: Span, near: Near) -> Option<Diagnostic> {
    let text = source.text();
    match kind {
        ErrorKind::MappingValueNotAllowed => {
            let scalar = near.last_scalar.filter(|span| span.end() <= here.end())?;
            let Some(line_break) = source.slice(scalar).rfind('\n') else {
                return Some(
                    error(source, "a `: ` inside a value makes it a key", here)
                        .label("the value ends before this colon")
                        .help(QUOTE),
                );
            };
            let line = scalar.start + line_break + 1;
            let indent = text[line..].len() - text[line..].trim_start().len();
            let key = Span::new(line + indent, scalar.end());
            let first_line = source.slice(scalar).lines().next()?;
            let column = |at: usize| source.position(at).column;
            if column(scalar.start) == column(key.start) {
                let message = format!("`{first_line}` has no `:` behind it");
                let first = Span::new(scalar.start, scalar.start + first_line.len());
                return Some(error(source, &message, first).help("a key needs one"));
            }
            let message = "this key is indented deeper than its neighbours";
            Some(
                error(source, message, key)
                    .label("read as the next line of the value above")
                    .help("align it with the keys above it; a value over several lines goes below a `|`"),
            )
        }
        ErrorKind::ExpectedBlockMappingKey => {
            let above = text[..here.start].trim_end().lines().next_back()?;
            above.trim_start().starts_with('#').then(|| {
                let message = "a comment ended the value, and this line is left over";
                error(source, message, here).help(QUOTE)
            })
        }
        _ => None,
    }
}

/// Values that begin or end otherwise than they look.
fn values(
    source: &Arc<SourceFile>,
    kind: &ErrorKind,
    here: Span,
    near: Near,
) -> Option<Diagnostic> {
    let cannot_begin = |with: &str| {
        let message = format!("a value cannot begin with {with} unquoted");
        Some(error(source, &message, here).help(QUOTE))
    };
    match kind {
        ErrorKind::UnexpectedCharacter { character: '`' } => cannot_begin("a backquote"),
        ErrorKind::UnexpectedCharacter { character } => cannot_begin(&format!("`{character}`")),
        ErrorKind::MissingAnchorOrAliasName => cannot_begin("`*` or `&`"),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            let from = near.last_scalar.map_or(0, |scalar| scalar.end());
            let before = source.text().get(from..here.end())?;
            let quote = from + before.find(['"', '\''])?;
            Some(
                error(
                    source,
                    "this quote is not closed",
                    Span::new(quote, quote + 1),
                )
                .help("close it on the same line; a text over several lines goes below a `|`"),
            )
        }
        _ => None,
    }
}

/// What to do, for errors whose message alone does not say it.
fn advice(kind: &ErrorKind) -> Option<String> {
    let words = match kind {
        ErrorKind::CommentInterceptedScalar => {
            "` #` begins a comment and ends the value: quote this, or use `|`"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "indent with spaces; YAML takes no tabs there",
        ErrorKind::DirectiveDisallowed => "take the line that begins with `%` out",
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "a value that begins with a quote ends at its partner: quote the whole, or use `|`"
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            "in double quotes `\\` begins an escape: write `\\\\`, or use single quotes"
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::InvalidColonPlacement => {
            "a bracket or brace above is not closed, or a value inside it needs quotes"
        }
        ErrorKind::BlockSequenceEntryNotAllowed => {
            "a list begins on a line of its own, or is written as [a, b]"
        }
        ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => {
            "align this line with the keys beside it"
        }
        ErrorKind::SimpleKeyExpected => "a key needs a `:` behind it",
        ErrorKind::RecursionLimitExceeded => "a pipeline needs no nesting that deep",
        _ => return None,
    };
    Some(words.to_owned())
}
