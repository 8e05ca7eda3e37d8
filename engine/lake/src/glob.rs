//! Patterns such as `gold.*` and `{a,b}/*.csv`, compiled.

use globset::{ErrorKind, GlobBuilder, GlobSet};

/// Which characters of a name a pattern looks at otherwise than as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// Names of things: upper and lower case count as equal.
    Names,
    /// Paths: `*` and `?` stop at a `/`.
    Paths,
}

/// Compiles a pattern of `*`, `?`, `[...]` and `{a,b}`.
///
/// # Errors
/// In words, why `pattern` is none.
pub fn compile(pattern: &str, matching: Matching) -> Result<GlobSet, String> {
    let words = |error: globset::Error| match error.kind() {
        // Its own words quote what the pattern was translated to.
        ErrorKind::Regex(_) => "it is too long, or nested too deeply".to_owned(),
        kind => kind.to_string(),
    };
    let glob = GlobBuilder::new(pattern)
        .case_insensitive(matching == Matching::Names)
        .literal_separator(matching == Matching::Paths)
        .build()
        .map_err(words)?;
    // Of a single glob the library takes for granted that it compiles; a set may fail.
    GlobSet::builder().add(glob).build().map_err(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_paths_have_folders() {
        let names = compile("gold.*", Matching::Names).unwrap();
        assert!(names.is_match("GOLD.a") && names.is_match("gold.a/b"));
        let paths = compile("*.csv", Matching::Paths).unwrap();
        assert!(paths.is_match("a.csv") && !paths.is_match("A.CSV") && !paths.is_match("x/a.csv"));
    }

    #[test]
    fn what_cannot_be_compiled_is_told_in_short() {
        let deep = format!("{}x{}", "{a,".repeat(5000), "}".repeat(5000));
        for pattern in [deep.as_str(), "[a", "{a", "a}"] {
            for matching in [Matching::Names, Matching::Paths] {
                let told = compile(pattern, matching).unwrap_err();
                assert!(told.len() < 100, "{told}");
            }
        }
    }
}
