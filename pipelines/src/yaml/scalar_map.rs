//! Where each byte of a scalar's text stands in the file.
//!
//! The parser gives a scalar's text and the bytes of the whole scalar. This module walks
//! both side by side, by the rules of the scalar's notation, and gives up (one opaque
//! segment for the whole) rather than guess: every byte it maps was compared.

use granit_parser::ScalarStyle;

use super::text_map::TextMap;
use crate::source::Span;

/// The map of `text`, which the parser read from `span` of `file`.
pub(super) fn map_scalar(file: &str, span: Span, text: &str, style: ScalarStyle) -> TextMap {
    let mapped = match style {
        ScalarStyle::Plain => flow(file, span.start, span.end(), text, Escapes::None),
        ScalarStyle::SingleQuoted => quoted(file, span, text, Escapes::Single),
        ScalarStyle::DoubleQuoted => quoted(file, span, text, Escapes::Double),
        ScalarStyle::Literal | ScalarStyle::Folded => block(file, span, text),
    };
    mapped.unwrap_or_else(|| TextMap::opaque(span, text.len()))
}

#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    None,
    Single,
    Double,
}

fn quoted(file: &str, span: Span, text: &str, escapes: Escapes) -> Option<TextMap> {
    if span.len < 2 {
        return None;
    }
    flow(file, span.start + 1, span.end() - 1, text, escapes)
}

/// Plain and quoted scalars: lines are folded, and quotes have escapes.
fn flow(file: &str, start: usize, end: usize, text: &str, escapes: Escapes) -> Option<TextMap> {
    let mut map = TextMap::empty(start);
    let (mut at, mut written) = (start, 0);
    // Where white space ends that holds no line break: it is looked for once, not at each of
    // its bytes.
    let mut blank_until = start;
    while at < end {
        let rest = file.get(at..end)?;
        if at >= blank_until {
            let blank = rest.len() - rest.trim_start_matches(is_space).len();
            if !rest[..blank].contains('\n') {
                blank_until = at + blank;
            }
        }
        let inside_blank = at < blank_until;
        let (taken, given) = next_piece(rest, text.get(written..)?, escapes, inside_blank)?;
        match given {
            Given::Verbatim(len) => {
                if rest.get(..len)? != text.get(written..written + len)? {
                    return None;
                }
                map.push_verbatim(at, len);
                written += len;
            }
            Given::Opaque(len) => {
                map.push_opaque(Span::new(at, at + taken), len);
                written += len;
            }
        }
        at += taken;
    }
    (written == text.len()).then_some(map)
}

enum Given {
    Verbatim(usize),
    Opaque(usize),
}

/// How many bytes of the file the next piece takes, and what it gives to the text.
fn next_piece(
    rest: &str,
    text: &str,
    escapes: Escapes,
    inside_blank: bool,
) -> Option<(usize, Given)> {
    if !inside_blank && let Some((taken, breaks)) = fold(rest) {
        let given = if breaks == 1 { 1 } else { breaks - 1 };
        return Some((taken, Given::Opaque(given)));
    }
    if escapes == Escapes::Single && rest.starts_with("''") {
        return Some((2, Given::Opaque(1)));
    }
    if escapes == Escapes::Double && rest.starts_with('\\') {
        return escape(rest, text);
    }
    let next = rest.chars().next()?;
    Some((next.len_utf8(), Given::Verbatim(next.len_utf8())))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// White space around at least one line break: its length and the number of breaks.
fn fold(rest: &str) -> Option<(usize, usize)> {
    let taken = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
    let breaks = rest[..taken].matches('\n').count();
    (breaks > 0).then_some((taken, breaks))
}

/// An escape of a double-quoted scalar.
fn escape(rest: &str, text: &str) -> Option<(usize, Given)> {
    let kind = rest[1..].chars().next()?;
    let hex = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        '\n' | '\r' => {
            // An escaped line break joins two lines and gives nothing, but each further
            // empty line gives a break.
            let (taken, breaks) = fold(&rest[1..])?;
            return Some((1 + taken, Given::Opaque(breaks - 1)));
        }
        other => return Some((1 + other.len_utf8(), Given::Opaque(given_char(text)?))),
    };
    let mut taken = 2 + hex;
    let code = u32::from_str_radix(rest.get(2..taken)?, 16).ok()?;
    if (0xd800..0xdc00).contains(&code) {
        taken += 6;
    }
    Some((taken, Given::Opaque(given_char(text)?)))
}

fn given_char(text: &str) -> Option<usize> {
    Some(text.chars().next()?.len_utf8())
}

/// Literal and folded block scalars. The parser's span begins at the first line with
/// content, behind its indentation.
fn block(file: &str, span: Span, text: &str) -> Option<TextMap> {
    let line_start = file[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let indent = span.start - line_start;
    if !file[line_start..span.start].bytes().all(|b| b == b' ') {
        return None;
    }
    let mut map = TextMap::empty(span.start);
    let leading = text.len() - text.trim_start_matches('\n').len();
    map.push_opaque(Span::point(span.start), leading);
    let mut written = leading;
    let mut line = line_start;
    while line < span.end() && written < text.len() {
        let end = file[line..].find('\n').map_or(file.len(), |at| line + at);
        let content = file.get((line + indent).min(end)..end)?;
        let content = content.strip_suffix('\r').unwrap_or(content);
        if !content.is_empty() {
            let expected = text.get(written..written + content.len())?;
            if expected != content {
                return None;
            }
            map.push_verbatim(line + indent, content.len());
            written += content.len();
            written += break_after(file, end, &text[written..], &mut map);
        }
        line = end + 1;
    }
    (written == text.len()).then_some(map)
}

/// What stands in the text between two lines with content: breaks, or one space.
fn break_after(file: &str, end: usize, rest: &str, map: &mut TextMap) -> usize {
    let breaks = rest.len() - rest.trim_start_matches('\n').len();
    let source = Span::new(end, (end + 1).min(file.len()));
    if breaks > 0 {
        map.push_opaque(source, breaks);
        return breaks;
    }
    let given = usize::from(rest.starts_with(' '));
    map.push_opaque(source, given);
    given
}
