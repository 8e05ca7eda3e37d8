//! Syntax errors of YAML, in words that say what to write instead.

use std::sync::Arc;

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::Diagnostic;
use crate::source::{SourceFile, Span};

const QUOTE: &str = "quote this, or put it below a `|` on a line of its own";

/// A diagnostic for the error that ended parsing. `last_scalar` is the last scalar before it.
pub(super) fn explain(
    source: &Arc<SourceFile>,
    error: &ScanError,
    last_scalar: Option<Span>,
) -> Diagnostic {
    let text = source.text();
    let at = error
        .marker()
        .byte_offset()
        .unwrap_or(text.len())
        .min(text.len());
    let here = Span::new(at, at + text[at..].chars().next().map_or(0, char::len_utf8));
    accident(source, error.kind(), here, last_scalar).unwrap_or_else(|| {
        Diagnostic::error("yaml", format!("this is not YAML: {}", error.info()))
            .at(source, here)
            .maybe_help(advice(error.kind()))
    })
}

/// The accidents that everybody has once.
fn accident(
    source: &Arc<SourceFile>,
    kind: &ErrorKind,
    here: Span,
    last_scalar: Option<Span>,
) -> Option<Diagnostic> {
    let text = source.text();
    let line_start = text[..here.start].rfind('\n').map_or(0, |at| at + 1);
    let error = |message: &str, span: Span| Diagnostic::error("yaml", message).at(source, span);
    match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            let scalar = last_scalar.filter(|span| span.end() <= here.end())?;
            let first_line_break = source.slice(scalar).find('\n');
            if let Some(line_break) = first_line_break {
                let key = scalar.start + line_break;
                let key = Span::new(
                    key + text[key..].len() - text[key..].trim_start().len(),
                    scalar.end(),
                );
                return Some(
                    error("this key is indented deeper than its neighbours", key)
                        .label("read as the next line of the value above")
                        .help("align it with the keys above it; a value over several lines goes below a `|`"),
                );
            }
            (kind == &ErrorKind::MappingValueNotAllowed).then(|| {
                error("a `: ` inside a value makes it a key", here)
                    .label("the value above ends before this colon")
                    .help(QUOTE)
            })
        }
        ErrorKind::UnexpectedCharacter { character } => {
            Some(error(&format!("a value cannot begin with `{character}`"), here).help(QUOTE))
        }
        ErrorKind::MissingAnchorOrAliasName => {
            Some(error("a value cannot begin with this character unquoted", here).help(QUOTE))
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator
            if text[here.start..].starts_with('{') && text[..here.start].ends_with('$') =>
        {
            let end = text[here.start..]
                .find('}')
                .map_or(here.end(), |at| here.start + at + 1);
            Some(
                error(
                    "`${...}` inside `{...}` or `[...]` must be quoted",
                    Span::new(here.start - 1, end),
                )
                .help(format!("quote this: \"{}\"", &text[here.start - 1..end])),
            )
        }
        ErrorKind::ExpectedBlockMappingKey => {
            let above = text[line_start..here.start].contains('*');
            let comment = text[..line_start]
                .lines()
                .next_back()?
                .trim_start()
                .starts_with('#');
            if above {
                let star = line_start + text[line_start..here.start].rfind('*')?;
                return Some(
                    error(
                        "a value cannot begin with `*` unquoted",
                        Span::new(star, here.start),
                    )
                    .label("an alias in YAML")
                    .help(QUOTE),
                );
            }
            comment.then(|| {
                error(
                    "a comment ended the value, and this line is left over",
                    here,
                )
                .help(QUOTE)
            })
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
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            "the quote that begins the value has no partner; close it on the same line"
        }
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
