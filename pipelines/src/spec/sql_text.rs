//! SQL with its variables filled in, and the way back from its bytes to the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::schema::Definitions;
use super::value::ValueKind;
use super::variables::{Piece, Unresolved, Variables, as_text, pieces, refused, unclosed};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Location, SourceFile, Span, offset_of};
use crate::yaml::{Node, NodeKind, TextMap};

/// A SQL text, ready to be parsed, that knows where each of its bytes was written.
#[derive(Debug, Clone)]
pub struct SqlText {
    /// The text: unquoted, de-indented, with variables as literals and identifiers.
    pub text: String,
    /// The file it was written in: the pipeline, or a `.sql` file.
    pub source: Arc<SourceFile>,
    /// All of it in that file.
    pub span: Span,
    /// The variables in it, and their values as texts.
    pub variables: BTreeMap<String, String>,
    map: TextMap,
}

impl SqlText {
    /// A text as the whole of a file, without variables; for SQL that no pipeline holds.
    #[must_use]
    pub fn whole(source: Arc<SourceFile>) -> Self {
        let len = source.text().len();
        Self {
            text: source.text().to_owned(),
            span: Span::new(0, len),
            variables: BTreeMap::new(),
            map: TextMap::identity(0, len),
            source,
        }
    }

    /// Where a byte range of [`SqlText::text`] was written. What comes from a variable
    /// points at its `${...}`.
    #[must_use]
    pub fn to_source(&self, range: Range<usize>) -> Location {
        Location {
            source: Arc::clone(&self.source),
            span: self.map.to_source(range),
        }
    }

    /// Where `chars` characters from a line and column of [`SqlText::text`] (both from 1)
    /// were written; zero characters give the one character there.
    #[must_use]
    pub fn locate(&self, line: usize, column: usize, chars: usize) -> Location {
        let start = offset_of(&self.text, line, column);
        let len: usize = self.text[start..]
            .chars()
            .take(chars.max(1))
            .map(char::len_utf8)
            .sum();
        self.to_source(start..start + len)
    }

    /// Fills in the variables of `raw`, whose bytes `base` maps to `source`.
    pub(super) fn substitute(
        raw: &str,
        base: &TextMap,
        source: &Arc<SourceFile>,
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut out = Substitution {
            text: String::with_capacity(raw.len()),
            map: TextMap::empty(base.to_source(0..0).start),
            variables: BTreeMap::new(),
            lexer: Lexer::Code,
        };
        let mut complete = true;
        for piece in pieces(raw) {
            if diagnostics.is_full() {
                return None;
            }
            let (Piece::Text(range)
            | Piece::Dollar(range)
            | Piece::Placeholder(range, _)
            | Piece::Unclosed(range)) = &piece;
            let span = base.to_source(range.clone());
            if matches!(piece, Piece::Text(_)) || out.lexer.in_comment() {
                out.verbatim(raw, range.clone(), base);
            } else if let Err(problem) = out.fill(&piece, span, variables) {
                complete = false;
                diagnostics.extend(problem.map(|problem| problem.at(source, span)));
            }
        }
        complete.then(|| Self {
            text: out.text,
            source: Arc::clone(source),
            span: base.to_source(0..raw.len()),
            variables: out.variables,
            map: out.map,
        })
    }
}

/// The text and map while they grow.
struct Substitution {
    text: String,
    map: TextMap,
    variables: BTreeMap<String, String>,
    lexer: Lexer,
}

impl Substitution {
    fn verbatim(&mut self, raw: &str, range: Range<usize>, base: &TextMap) {
        self.lexer.advance(&raw[range.clone()]);
        self.text.push_str(&raw[range.clone()]);
        self.map.push_slice(base, range);
    }

    /// Writes what a piece that is not text stands for.
    fn fill(
        &mut self,
        piece: &Piece<'_>,
        at: Span,
        variables: &Variables,
    ) -> Result<(), Unresolved> {
        let text = match piece {
            Piece::Text(_) => return Ok(()),
            Piece::Dollar(_) => "$".to_owned(),
            Piece::Placeholder(_, inner) => {
                let text = self.lexer.fill(inner, variables)?;
                let name = inner.strip_prefix("ident:").unwrap_or(inner);
                if let Ok(value) = variables.resolve(name) {
                    self.variables.insert(name.to_owned(), as_text(&value));
                }
                text
            }
            Piece::Unclosed(_) => return Err(refused(unclosed())),
        };
        self.text.push_str(&text);
        self.map.push_opaque(at, text.len());
        Ok(())
    }
}

/// What kind of SQL token the text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexer {
    Code,
    /// Inside `'...'`, `"..."` or `` `...` ``.
    Quoted(char),
    LineComment,
    /// Inside `/* */`, which nest.
    BlockComment(usize),
}

impl Lexer {
    fn in_comment(self) -> bool {
        matches!(self, Self::LineComment | Self::BlockComment(_))
    }

    /// Reads on. A doubled quote closes and opens again, which comes to the same.
    fn advance(&mut self, text: &str) {
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            *self = match (*self, c) {
                (Self::Code, '\'' | '"' | '`') => Self::Quoted(c),
                (Self::Code, '-') if rest.next_if_eq(&'-').is_some() => Self::LineComment,
                (Self::Code, '/') if rest.next_if_eq(&'*').is_some() => Self::BlockComment(1),
                (Self::Quoted(quote), c) if c == quote => Self::Code,
                (Self::LineComment, '\n') => Self::Code,
                (Self::BlockComment(depth), '/') if rest.next_if_eq(&'*').is_some() => {
                    Self::BlockComment(depth + 1)
                }
                (Self::BlockComment(depth), '*') if rest.next_if_eq(&'/').is_some() => {
                    match depth {
                        1 => Self::Code,
                        _ => Self::BlockComment(depth - 1),
                    }
                }
                (state, _) => state,
            };
        }
    }

    /// The SQL that `${inner}` stands for here.
    fn fill(self, inner: &str, variables: &Variables) -> Result<String, Unresolved> {
        if inner.starts_with("env:") {
            let name = inner.trim_start_matches("env:").to_lowercase();
            return Err(refused(
                Diagnostic::error(
                    "unknown_variable",
                    "SQL takes variables, not the environment",
                )
                .help(format!(
                    "declare one under `vars:` ({name}: ${{{inner}}}) and write `${{{name}}}` here"
                )),
            ));
        }
        if variables.of_interval
            && let Some(bound) = interval_bound(inner)
        {
            return match self {
                Self::Code => Ok(bound.to_owned()),
                _ => Err(refused(
                    Diagnostic::error(
                        "wrong_type",
                        format!("`${{{inner}}}` is a time, and cannot stand inside quotes"),
                    )
                    .help("write it without them; `CAST(${start} AS VARCHAR)` makes a text of it"),
                )),
            };
        }
        let identifier = inner.strip_prefix("ident:");
        let value = variables.resolve(identifier.unwrap_or(inner))?;
        if let Self::Quoted(quote) = self {
            let doubled: String = [quote, quote].iter().collect();
            return Ok(as_text(&value).replace(quote, &doubled));
        }
        match identifier {
            Some(_) => Ok(quote_identifier(&as_text(&value))),
            None => Ok(literal(&value)),
        }
    }
}

/// What stands for `${start}` until an interval gives it its value: a placeholder, which SQL
/// of a user's own is refused for.
pub const INTERVAL_START: &str = "$__start";
/// What stands for `${end}`.
pub const INTERVAL_END: &str = "$__end";

fn interval_bound(inner: &str) -> Option<&'static str> {
    match inner {
        "start" => Some(INTERVAL_START),
        "end" => Some(INTERVAL_END),
        _ => None,
    }
}

/// An identifier, or several joined by points.
fn quote_identifier(text: &str) -> String {
    let parts: Vec<String> = text
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    parts.join(".")
}

fn literal(value: &ValueKind) -> String {
    match value {
        ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => "NULL".to_owned(),
        ValueKind::Bool(true) => "TRUE".to_owned(),
        ValueKind::Bool(false) => "FALSE".to_owned(),
        // `1 -${x}` must not become a comment.
        ValueKind::Number(number) => match number.to_string() {
            text if text.starts_with('-') => format!("({text})"),
            text => text,
        },
        ValueKind::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

impl Decode for SqlText {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            cx.wrong_type("SQL text", node);
            return None;
        };
        if scalar.text.trim().is_empty() {
            cx.error("missing_value", "this SQL is empty", node.span);
            return None;
        }
        let mut sql = Self::substitute(
            &scalar.text,
            &scalar.map,
            &cx.source,
            &cx.variables,
            &mut cx.diagnostics,
        )?;
        sql.span = node.span;
        Some(sql)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}
