//! What divides records and fields.

use memchr::{memchr2, memchr3};

use super::super::{error::Fault, options::ReadOptions};

/// What divides records and fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// What makes a quote inside quotes a character; without it, a quote does.
    escape: Option<u8>,
}

/// A quoted field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoted {
    /// It stands in the record as it is, from behind its quote to here.
    Plain(usize),
    /// It was rewritten; here is the place of the quote that closes it.
    Rewritten(usize),
}

impl Dialect {
    pub(super) fn of(options: &ReadOptions) -> Self {
        Self {
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
        }
    }

    /// Looks for the end of the record from `at` on (`inside` quotes or not); both say
    /// where to go on when there is more to see.
    pub(super) fn find_end(
        &self,
        window: &[u8],
        at: &mut usize,
        inside: &mut bool,
    ) -> Option<usize> {
        while *at < window.len() {
            let rest = &window[*at..];
            if *inside {
                let quote = self.quote?;
                let Some(next) = memchr2(quote, self.escape.unwrap_or(quote), rest) else {
                    *at = window.len();
                    return None;
                };
                *at += next;
                let after = window.get(*at + 1)?;
                let escaped = match self.escape {
                    Some(escape) if escape != quote => rest[next] == escape,
                    _ => *after == quote,
                };
                if escaped {
                    *at += 2;
                } else {
                    *inside = false;
                    *at += 1;
                }
                continue;
            }
            let next = match self.quote {
                Some(quote) => memchr3(b'\n', b'\r', quote, rest),
                None => memchr2(b'\n', b'\r', rest),
            };
            let Some(next) = next else {
                *at = window.len();
                return None;
            };
            *at += next;
            if Some(rest[next]) != self.quote {
                return Some(*at);
            }
            // A quote opens a field only as its first character.
            *inside = *at == 0 || window[*at - 1] == self.delimiter;
            *at += 1;
        }
        None
    }

    /// Whether the last byte of the file, inside quotes, closes them.
    pub(super) fn closes(&self, rest: &[u8]) -> bool {
        rest.len() == 1 && Some(rest[0]) == self.quote
    }

    /// Looks for the quote that closes the field whose inside begins at `from`; what has
    /// escapes in it goes to `rewritten` without them.
    pub(super) fn unquote(
        &self,
        record: &str,
        from: usize,
        rewritten: &mut String,
    ) -> Result<Quoted, Fault> {
        let (bytes, quote) = (record.as_bytes(), self.quote.unwrap_or(b'"'));
        let mut at = from;
        loop {
            let next = memchr2(quote, self.escape.unwrap_or(quote), &bytes[at..]);
            let next = at + next.ok_or(Fault::UnclosedQuote)?;
            let escaped = match self.escape {
                Some(escape) if escape != quote => bytes[next] == escape,
                _ => bytes.get(next + 1) == Some(&quote),
            };
            if !escaped && at == from {
                return Ok(Quoted::Plain(next));
            }
            rewritten.push_str(&record[at..next]);
            if !escaped {
                return Ok(Quoted::Rewritten(next));
            }
            // The character may have several bytes.
            let character = record[next + 1..].chars().next();
            let character = character.ok_or(Fault::UnclosedQuote)?;
            rewritten.push(character);
            at = next + 1 + character.len_utf8();
        }
    }
}
