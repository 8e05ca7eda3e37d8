//! The planner's messages in plain words.

/// A message of the engine without the names of its insides and its lists of
/// candidates.
pub fn plain_words(message: &str) -> String {
    const INSIDE: [&str; 13] = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
        "Arrow error: ",
        "Cast error: ",
        "Parser error: ",
        "Invalid or Unsupported Configuration: ",
        "External error: ",
        "Internal error: ",
        "While expanding wildcard, ",
        "type_coercion\ncaused by\n",
        "caused by\n",
    ];
    const NOT_IMPLEMENTED: &str = "This feature is not implemented: ";
    const CUT_AFTER: [&str; 4] = [
        "\nThis issue was likely caused by a bug in DataFusion",
        " No function matches the given name and argument types",
        "\n\tCandidate functions:",
        // A syntax tree as Rust would show it.
        " { expr: ",
    ];
    let mut text = INSIDE
        .iter()
        .fold(message.trim().to_owned(), |text, inside| {
            text.replace(inside, "")
        });
    let unsupported = text.contains(NOT_IMPLEMENTED);
    text = text.replace(NOT_IMPLEMENTED, "");
    for cut in CUT_AFTER {
        if let Some(at) = text.find(cut).filter(|at| *at > 0) {
            text.truncate(at);
        }
    }
    if let Some((_, reason)) = text.split_once("user-defined coercion failed with: ") {
        text = reason.to_owned();
    }
    let text = plain_types(&plain_literals(text.trim()));
    let text = lower_first(text.trim_end_matches('.'));
    if unsupported && !text.contains("not ") && !text.starts_with("unsupported") {
        return format!("not supported: {text}");
    }
    text
}

/// `Int64(1)` as `1`, `Utf8("a")` as `'a'`.
fn plain_literals(text: &str) -> String {
    const TYPES: [&str; 4] = ["Int64(", "Float64(", "Boolean(", "Utf8("];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let literal = TYPES.iter().find_map(|name| {
            let (value, after) = rest.strip_prefix(name)?.split_once(')')?;
            let is_value = !value.is_empty() && !value.contains('(');
            is_value.then_some((value, after))
        });
        match literal {
            Some((value, after)) => {
                plain.push_str(&value.replace('"', "'"));
                rest = after;
            }
            None => {
                let mut chars = rest.chars();
                plain.extend(chars.next());
                rest = chars.as_str();
            }
        }
    }
    plain
}

/// The engine's names of types as SQL has them: `Float64` as `DOUBLE`.
fn plain_types(text: &str) -> String {
    const NAMES: [(&str, &str); 9] = [
        ("Utf8", "VARCHAR"),
        ("Utf8View", "VARCHAR"),
        ("LargeUtf8", "VARCHAR"),
        ("Float64", "DOUBLE"),
        ("Float32", "REAL"),
        ("Int64", "BIGINT"),
        ("Int32", "INTEGER"),
        ("Int16", "SMALLINT"),
        ("Date32", "DATE"),
    ];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        // A name that is quoted is the user's.
        let quoted = plain.ends_with(['`', '\'', '"', '.']);
        match NAMES.iter().find(|(name, _)| *name == word && !quoted) {
            Some((_, name)) => plain.push_str(name),
            None => plain.push_str(word),
        }
        let mut chars = after.chars();
        plain.extend(chars.next());
        rest = chars.as_str();
    }
    plain
}

/// Sentences of errors begin in lower case, unless with a name in capitals.
pub(crate) fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_the_names_of_the_planner_s_insides() {
        for (message, expected) in [
            (
                "type_coercion\ncaused by\nError during planning: Cannot coerce a to b.",
                "cannot coerce a to b",
            ),
            (
                "This feature is not implemented: `AS OF` join",
                "not supported: `AS OF` join",
            ),
            (
                "This feature is not implemented: Unsupported SQL type X",
                "unsupported SQL type X",
            ),
            (
                "Internal error: Odd.\nThis issue was likely caused by a bug in DataFusion's code.",
                "odd",
            ),
            (
                "Error during planning: Function 'f' failed, errors: Error during planning: a,Error during planning: b",
                "function 'f' failed, errors: a,b",
            ),
            (
                "Function 'abs' expects Numeric but received String. No function matches the given \
                 name and argument types 'abs(Utf8)'. You might need to add explicit type casts.\n\tCandidate functions:",
                "function 'abs' expects Numeric but received String",
            ),
            (
                "Function 'predict' user-defined coercion failed with: Execution error: no column `x`",
                "no column `x`",
            ),
            (
                "HAVING clause references: t.id > Int64(1) AND t.b = Utf8(\"x\")",
                "HAVING clause references: t.id > 1 AND t.b = 'x'",
            ),
            (
                "Cannot cast List(Int64) 'Utf8' and t.Utf8 to Utf8View, Float64",
                "cannot cast List(BIGINT) 'Utf8' and t.Utf8 to VARCHAR, DOUBLE",
            ),
        ] {
            assert_eq!(plain_words(message), expected);
        }
    }

    #[test]
    fn types_are_not_literals() {
        assert_eq!(
            plain_literals("List(Int64) and Int64"),
            "List(Int64) and Int64"
        );
        assert_eq!(plain_literals("f(Int64(1), Int64(-2))"), "f(1, -2)");
        assert_eq!(plain_literals("Int64("), "Int64(");
    }
}
