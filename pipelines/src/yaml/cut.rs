//! Plain scalars that end sooner than they look: at a comma inside brackets, or at ` #`.

use crate::source::Span;

/// What cut a scalar off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A comma inside `{...}` or `[...]`.
    Comma,
    /// A ` #`, which begins a comment.
    Comment,
}

/// Tells whether the plain scalar at `span` was cut off: it opens a quote or a bracket that
/// it does not close, and a comma (in a flow collection) or a comment follows.
pub(super) fn cut_off(file: &str, span: Span, in_flow: bool) -> Option<Cut> {
    let rest = &file[span.end()..];
    let follows = rest.trim_start_matches([' ', '\t']);
    let cut = if in_flow && follows.starts_with(',') {
        Cut::Comma
    } else if follows.len() < rest.len() && follows.starts_with('#') {
        Cut::Comment
    } else {
        return None;
    };
    leaves_open(&file[span.range()]).then_some(cut)
}

/// True when a quote or bracket is opened and not closed. A quote behind a letter or digit
/// is an apostrophe.
fn leaves_open(text: &str) -> bool {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut before = ' ';
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') if !before.is_alphanumeric() => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    quote.is_some() || depth > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str, scalar: &str, in_flow: bool) -> Option<Cut> {
        let start = line.find(scalar).unwrap();
        cut_off(line, Span::new(start, start + scalar.len()), in_flow)
    }

    #[test]
    fn sees_what_is_left_open() {
        assert_eq!(cut("{a: f(x, y)}", "f(x", true), Some(Cut::Comma));
        assert_eq!(cut("a: f(x, y)", "f(x", false), None);
        assert_eq!(cut("a: c = 'x #1'", "c = 'x", false), Some(Cut::Comment));
        assert_eq!(cut("a: f(x) # why", "f(x)", false), None);
        assert_eq!(cut("a: the dog's # why", "the dog's", false), None);
        assert_eq!(cut("{a: 'don''t' x, b: 1}", "'don''t' x", true), None);
    }
}
