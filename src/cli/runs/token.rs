//! The words of a filter.

use std::ops::Range;

use super::filter::FilterError;

/// What a word of a filter is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A bare word: a field, a part of one, or a keyword.
    Word(String),
    /// Something in single quotes, double quotes or backticks.
    Quoted {
        /// What stands between the quotes.
        text: String,
        /// The quote.
        quote: char,
    },
    /// A number.
    Number(f64),
    /// `=`, `!=`, `<`, `<=`, `>` or `>=`.
    Comparison(&'static str),
    /// One of `.`, `,`, `(` and `)`.
    Mark(char),
}

/// A word and the bytes that it stands at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) at: Range<usize>,
}

/// Longer ones first.
const COMPARISONS: [(&str, &str); 8] = [
    ("!=", "!="),
    ("<>", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("==", "="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
];

/// Splits a filter into words.
///
/// # Errors
/// A quote that is not closed, a character that no filter has, a number that is none.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, FilterError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, len) = token(text, at, first)?;
        found.push(Spanned {
            token,
            at: at..at + len,
        });
        at += len;
    }
    Ok(found)
}

fn token(text: &str, at: usize, first: char) -> Result<(Token, usize), FilterError> {
    let rest = &text[at..];
    if let Some((written, meant)) = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((Token::Comparison(meant), written.len()));
    }
    let digit_follows = |rest: &str| rest.chars().next().is_some_and(|c| c.is_ascii_digit());
    match first {
        '\'' | '"' | '`' => quoted(rest, at, first),
        c if c.is_ascii_digit() || (matches!(c, '-' | '+' | '.') && digit_follows(&rest[1..])) => {
            number(rest, at)
        }
        '.' | ',' | '(' | ')' => Ok((Token::Mark(first), 1)),
        c if c.is_alphabetic() || c == '_' => {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            Ok((Token::Word(rest[..end].to_owned()), end))
        }
        other => Err(FilterError::new(
            format!("`{other}` means nothing here"),
            at..at + other.len_utf8(),
        )
        .help("put names with special characters into backticks: metrics.`a-b`")),
    }
}

/// A quoted text; the quote twice stands for itself.
fn quoted(rest: &str, at: usize, quote: char) -> Result<(Token, usize), FilterError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, c)) = characters.next() {
        if c != quote {
            text.push(c);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            text.push(c);
            characters.next();
        } else {
            return Ok((Token::Quoted { text, quote }, position + 1));
        }
    }
    Err(FilterError::new(
        format!("the quote {quote} is not closed"),
        at..at + rest.len(),
    ))
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), FilterError> {
    let mut end = 0;
    for (position, c) in rest.char_indices() {
        let sign =
            matches!(c, '-' | '+') && (position == 0 || rest[..position].ends_with(['e', 'E']));
        if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
            break;
        }
        end = position + 1;
    }
    let word = &rest[..end];
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Token::Number(number), end)),
        _ => Err(
            FilterError::new(format!("`{word}` is not a number"), at..at + end)
                .help("put texts into quotes"),
        ),
    }
}
