//! The notation of selectors.
//!
//! ```text
//! selector   = part , { " " , part }            a union; several arguments are one, too
//! part       = term , { "," , term }            an intersection
//! term       = [ "@" | [depth] "+" ] , criterion , [ "+" [depth] ]
//! criterion  = [ method ":" ] , value           the method is `name` when left out
//! ```
//!
//! `+a` adds all that `a` is made from, `2+a` what lies two steps before it at most, `a+` and
//! `a+1` what is made from it; `@a` is `a`, all that is made from it, and all that those need.

use std::fmt;

use globset::GlobSet;
use sluice_lake::glob::{self, Matching};
use sluice_lake::nearest::nearest;

/// The characters that make a value a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];

/// Why a selector is none, or selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It is not of the notation.
    #[error("`{written}` is no selector: {reason}")]
    Syntax {
        /// The part that is wrong.
        written: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// No asset has this name.
    #[error("no asset is called `{name}`{}", meant(.nearest.as_deref()))]
    UnknownName {
        /// The name.
        name: String,
        /// The nearest name of an asset.
        nearest: Option<String>,
    },
    /// Nothing is left to do anything with.
    #[error("`{written}` selects nothing{}", hint(.reason.as_deref()))]
    Nothing {
        /// The selectors.
        written: String,
        /// Why, where that can be told.
        reason: Option<String>,
    },
    /// What is remembered of the assets cannot be read.
    #[error("what is known of the assets cannot be read: {reason}")]
    Unreadable {
        /// The error, with its causes.
        reason: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean `{nearest}`?")
    })
}

fn hint(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// A union of intersections of terms.
#[derive(Debug, Clone)]
pub struct Selector {
    pub(super) written: String,
    pub(super) parts: Vec<Vec<Term>>,
}

/// A criterion with what it draws in along the graph.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) criterion: Criterion,
    /// Steps towards what it is made from, if any are taken.
    pub(super) before: Option<usize>,
    /// Steps towards what is made from it, if any are taken.
    pub(super) after: Option<usize>,
    /// `@`: also all that those need.
    pub(super) with_needs: bool,
}

/// What an asset must be.
#[derive(Debug, Clone)]
pub(super) enum Criterion {
    /// Called so.
    Name(Pattern),
    /// In a layer called so.
    Layer(Pattern),
    /// Tagged so.
    Tag(Pattern),
    /// Of such a kind: `ingest`, `train`, ...
    Kind(Pattern),
    /// As its definition stands to what was made.
    State(AssetState),
    /// As the last run that was told to make it left it.
    Result(AssetResult),
}

/// How an asset's definition stands to what was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssetState {
    /// It was never made.
    New,
    /// It was never made, or its definition changed since.
    Modified,
    /// Its definition is what it was.
    Unmodified,
    /// A run would make it, for whatever reason.
    Stale,
}

/// How an asset came out of the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssetResult {
    /// Made.
    Success,
    /// Failed.
    Error,
    /// Found up to date.
    Skipped,
    /// Not tried, since something that it needs failed.
    Blocked,
    /// Stopped.
    Cancelled,
}

const METHODS: [&str; 6] = ["name", "layer", "tag", "kind", "state", "result"];

const STATES: [(&str, AssetState); 4] = [
    ("new", AssetState::New),
    ("modified", AssetState::Modified),
    ("unmodified", AssetState::Unmodified),
    ("stale", AssetState::Stale),
];

const RESULTS: [(&str, AssetResult); 6] = [
    ("success", AssetResult::Success),
    ("error", AssetResult::Error),
    ("fail", AssetResult::Error),
    ("skipped", AssetResult::Skipped),
    ("blocked", AssetResult::Blocked),
    ("cancelled", AssetResult::Cancelled),
];

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// [`SelectError::Syntax`], with the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, SelectError> {
        let parts: Result<Vec<Vec<Term>>, SelectError> = text
            .split_whitespace()
            .map(|part| part.split(',').map(term).collect())
            .collect();
        let parts = parts?;
        if parts.is_empty() {
            return Err(wrong(text, "it is empty"));
        }
        Ok(Self {
            written: text.trim().to_owned(),
            parts,
        })
    }

    fn criteria(&self) -> impl Iterator<Item = &Criterion> {
        self.parts.iter().flatten().map(|term| &term.criterion)
    }

    /// Whether it asks how definitions stand to what was made.
    pub(super) fn asks_state(&self) -> bool {
        self.criteria()
            .any(|criterion| matches!(criterion, Criterion::State(_)))
    }

    /// Whether it asks how the last run ended.
    pub(super) fn asks_result(&self) -> bool {
        self.criteria()
            .any(|criterion| matches!(criterion, Criterion::Result(_)))
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        Self::parse(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

fn wrong(written: &str, reason: impl Into<String>) -> SelectError {
    SelectError::Syntax {
        written: written.to_owned(),
        reason: reason.into(),
    }
}

fn term(written: &str) -> Result<Term, SelectError> {
    let (with_needs, rest) = match written.strip_prefix('@') {
        Some(rest) => (true, rest),
        None => (false, written),
    };
    let (before, rest) = leading(written, rest)?;
    let (rest, after) = trailing(written, rest)?;
    if with_needs && (before.is_some() || after.is_some()) {
        let reason = "`@` takes in all that `+` would: leave one of them out";
        return Err(wrong(written, reason));
    }
    if rest.is_empty() {
        let reason = "a name is missing; write `a,b` and `+a` without spaces";
        return Err(wrong(written, reason));
    }
    Ok(Term {
        criterion: criterion(written, rest)?,
        before,
        after,
        with_needs,
    })
}

/// `+`, or `2+`, in front.
fn leading<'a>(written: &str, text: &'a str) -> Result<(Option<usize>, &'a str), SelectError> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match text[digits..].strip_prefix('+') {
        Some(rest) => Ok((Some(depth(written, &text[..digits])?), rest)),
        None => Ok((None, text)),
    }
}

/// `+`, or `+2`, at the end.
fn trailing<'a>(written: &str, text: &'a str) -> Result<(&'a str, Option<usize>), SelectError> {
    let kept = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    match text[..kept].strip_suffix('+') {
        Some(rest) => Ok((rest, Some(depth(written, &text[kept..])?))),
        None => Ok((text, None)),
    }
}

fn depth(written: &str, digits: &str) -> Result<usize, SelectError> {
    if digits.is_empty() {
        return Ok(usize::MAX);
    }
    digits
        .parse()
        .map_err(|_| wrong(written, format!("`{digits}` is no number of steps")))
}

fn criterion(written: &str, text: &str) -> Result<Criterion, SelectError> {
    let Some((method, value)) = text.split_once(':') else {
        return Ok(Criterion::Name(Pattern::new(written, text)?));
    };
    if value.is_empty() {
        return Err(wrong(written, format!("`{method}:` needs a value")));
    }
    match method {
        "name" => Ok(Criterion::Name(Pattern::new(written, value)?)),
        "layer" => Ok(Criterion::Layer(Pattern::new(written, value)?)),
        "tag" => Ok(Criterion::Tag(Pattern::new(written, value)?)),
        "kind" | "resource_type" => Ok(Criterion::Kind(Pattern::new(written, value)?)),
        "state" => word(written, method, value, &STATES).map(Criterion::State),
        "result" => word(written, method, value, &RESULTS).map(Criterion::Result),
        other => Err(wrong(
            written,
            match nearest(other, METHODS) {
                Some(near) => format!("there is no `{other}:`; did you mean `{near}:`?"),
                None => format!("there is no `{other}:`; there are {}", listed(&METHODS)),
            },
        )),
    }
}

fn word<T: Copy>(
    written: &str,
    method: &str,
    value: &str,
    words: &[(&'static str, T)],
) -> Result<T, SelectError> {
    let found = words.iter().find(|(word, _)| *word == value);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(value, known.iter().copied());
        let near = near.map_or_else(
            || format!("it can be {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        wrong(written, format!("`{method}:` cannot be `{value}`; {near}"))
    })
}

fn listed(methods: &[&str]) -> String {
    let methods: Vec<String> = methods
        .iter()
        .map(|method| format!("`{method}:`"))
        .collect();
    methods.join(", ")
}

/// A value, or a pattern with `*`, `?`, `[..]` and `{..}`; case does not count.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: String,
    glob: Option<GlobSet>,
}

impl Pattern {
    fn new(written: &str, text: &str) -> Result<Self, SelectError> {
        let glob = match text.contains(WILD) {
            false => None,
            true => {
                let glob = glob::compile(text, Matching::Names);
                Some(glob.map_err(|reason| wrong(written, reason))?)
            }
        };
        Ok(Self {
            text: text.to_owned(),
            glob,
        })
    }

    /// Whether it can be only one value.
    pub(super) fn is_literal(&self) -> bool {
        self.glob.is_none()
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.glob {
            None => self.text.eq_ignore_ascii_case(value),
            Some(glob) => glob.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_selector_is_told_in_full() {
        let cases = [
            "",
            "  ",
            "+",
            "a,",
            ",a",
            "a +",
            "@",
            "@a+",
            "@+a",
            "layr:gold",
            "owner:me",
            "tag:",
            "state:modifed",
            "state:purple",
            "result:failed",
            "[a",
            "99999999999999999999999+a",
            "a+99999999999999999999999",
        ];
        let told: Vec<String> = cases
            .iter()
            .map(|case| Selector::parse(case).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn steps_are_read_on_both_sides() {
        let steps = |text: &str| {
            let selector = Selector::parse(text).unwrap();
            let term = &selector.parts[0][0];
            (term.before, term.after, term.with_needs)
        };
        assert_eq!(steps("a"), (None, None, false));
        assert_eq!(steps("+a"), (Some(usize::MAX), None, false));
        assert_eq!(steps("2+a+1"), (Some(2), Some(1), false));
        assert_eq!(steps("a+"), (None, Some(usize::MAX), false));
        assert_eq!(steps("@a"), (None, None, true));
        // Digits without a plus belong to the name.
        assert_eq!(steps("2a3"), (None, None, false));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[@+0-9a-c:*?{}\\[\\], .]{0,24}") {
            let _answer = Selector::parse(&text);
        }
    }
}
