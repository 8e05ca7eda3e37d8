//! Whether a piece of SQL is complete: ends with `;` outside of texts and comments.

/// Whether Enter runs `text`: it is blank, a command such as `.tables`, or SQL that ends
/// with `;` and is not inside a text, an identifier or a comment.
pub(super) fn is_complete(text: &str) -> bool {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.starts_with('.') {
        return true;
    }
    let mut last = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' | '"' | '`' => {
                // A doubled quote closes and opens again, which comes to the same.
                if !rest.by_ref().any(|next| next == character) {
                    return false;
                }
                last = Some(character);
            }
            '-' if rest.peek() == Some(&'-') => {
                if !rest.by_ref().any(|next| next == '\n') {
                    break;
                }
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                if !skip_comment(&mut rest) {
                    return false;
                }
            }
            blank if blank.is_whitespace() => {}
            other => last = Some(other),
        }
    }
    last == Some(';')
}

/// Skips to the end of a comment, which may hold others; false when it has no end.
fn skip_comment(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut depth = 1_usize;
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('*', Some('/')) => {
                rest.next();
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            }
            ('/', Some('*')) => {
                rest.next();
                depth += 1;
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn ends_with_a_semicolon_outside_of_everything() {
        for complete in [
            "",
            "  \n",
            ".tables",
            "SELECT 1;",
            "SELECT ';';",
            "SELECT 'it''s;';  -- done",
            "SELECT 1; -- more;\n",
            "SELECT \"a;b\" FROM t /* ; /* nested */ */ ;",
            "SELECT 1;\nSELECT 2;",
        ] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT 1 /* ;",
            "SELECT `a;",
            "SELECT 1; SELECT 2",
            "SELECT 'a;'",
        ] {
            assert!(!is_complete(open), "{open}");
        }
    }
}
