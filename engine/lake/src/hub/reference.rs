//! The name of a model on the hub, as it stands in pipelines and on the command line.

use std::{fmt, str::FromStr};

use super::HubError;

/// What a reference begins with.
const SCHEME: &str = "hf:";
/// What a reference without `@` means.
const DEFAULT_REVISION: &str = "main";
/// The longest part of a name: the hub's own limit.
const MAX_PART_CHARS: usize = 96;
/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;

/// `hf:org/name@revision`.
///
/// Old models have no organisation (`hf:gpt2`). A revision is a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HubReference {
    id: Box<str>,
    revision: Option<Box<str>>,
}

/// Whether a text is meant as a reference to a hub, be it a right one or not.
pub fn is_reference(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// Whether a text is a whole commit, by which a snapshot is named.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == COMMIT_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl HubReference {
    /// The model's name on the hub: `org/name`, or `name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The branch, tag or commit: `main` where none is written.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// The same model's `main`.
    #[must_use]
    pub fn without_revision(&self) -> Self {
        Self {
            id: self.id.clone(),
            revision: None,
        }
    }

    /// The same model at another branch, tag or commit.
    ///
    /// # Errors
    /// [`HubError::InvalidReference`] for what cannot be one.
    pub fn at(&self, revision: &str) -> Result<Self, HubError> {
        format!("{SCHEME}{}@{revision}", self.id).parse()
    }
}

impl fmt::Display for HubReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.id)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl FromStr for HubReference {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let invalid = |reason: String| HubError::InvalidReference {
            text: text.to_owned(),
            reason,
        };
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| invalid(format!("it does not start with `{SCHEME}`{}", hint(text))))?;
        let (id, revision) = match rest.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (rest, None),
        };
        check_id(id).map_err(invalid)?;
        revision.map_or(Ok(()), check_revision).map_err(invalid)?;
        Ok(Self {
            id: id.into(),
            revision: revision.map(Into::into),
        })
    }
}

/// What was probably meant by a text that is no reference.
fn hint(text: &str) -> String {
    let name = text
        .strip_prefix("https://huggingface.co/")
        .or_else(|| text.strip_prefix("hf://"))
        .unwrap_or(text)
        .trim_end_matches('/');
    match check_id(name) {
        Ok(()) => format!("; did you mean `{SCHEME}{name}`?"),
        Err(_) => String::new(),
    }
}

/// The hub's rule for names, which also keeps them apart in the cache, where `--` stands for
/// the slash.
fn check_id(id: &str) -> Result<(), String> {
    let parts: Vec<&str> = id.split('/').collect();
    if parts.len() > 2 {
        return Err(format!(
            "`{id}` has {} parts; it takes one organisation and one name",
            parts.len()
        ));
    }
    for part in &parts {
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if part.is_empty() {
            return Err("a name is missing".to_owned());
        }
        if let Some(wrong) = part.chars().find(|&c| !inside(c)) {
            return Err(format!(
                "`{part}` has {wrong:?} in it; names have letters, digits, `-`, `_` and `.`"
            ));
        }
        if part.len() > MAX_PART_CHARS {
            return Err(format!(
                "`{part}` is longer than {MAX_PART_CHARS} characters"
            ));
        }
        let edge = |c: Option<char>| c.is_some_and(|c| matches!(c, '-' | '.'));
        if edge(part.chars().next()) || edge(part.chars().next_back()) {
            return Err(format!("`{part}` begins or ends with `-` or `.`"));
        }
    }
    match ["--", ".."].iter().find(|twice| id.contains(**twice)) {
        Some(twice) => Err(format!("`{id}` has `{twice}` in it")),
        None => Ok(()),
    }
}

/// Git's rules for names of branches and tags, as far as the cache's folders need them.
fn check_revision(revision: &str) -> Result<(), String> {
    if revision.is_empty() {
        return Err(format!(
            "no revision stands after `@`; leave both out for `{DEFAULT_REVISION}`"
        ));
    }
    let forbidden = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\\' | ':' | '?' | '*' | '[' | '~' | '^' | '@')
    };
    if let Some(wrong) = revision.chars().find(|&c| forbidden(c)) {
        return Err(format!("the revision `{revision}` has {wrong:?} in it"));
    }
    let plain = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && part.len() <= 255;
    if revision.contains("..") || !revision.split('/').all(plain) {
        return Err(format!("`{revision}` is not a branch, a tag or a commit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str) -> String {
        match text.parse::<HubReference>() {
            Err(HubError::InvalidReference { reason, .. }) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_and_revisions() {
        let plain: HubReference = "hf:sentence-transformers/all-MiniLM-L6-v2".parse().unwrap();
        assert_eq!(plain.id(), "sentence-transformers/all-MiniLM-L6-v2");
        assert_eq!(plain.revision(), "main");
        let old: HubReference = "hf:gpt2@refs/pr/7".parse().unwrap();
        assert_eq!((old.id(), old.revision()), ("gpt2", "refs/pr/7"));
        assert_eq!(old.to_string(), "hf:gpt2@refs/pr/7");
        assert_eq!(old.without_revision().to_string(), "hf:gpt2");
        assert_eq!(plain.at("v1.0").unwrap().revision(), "v1.0");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = [
            "sentence-transformers/all-MiniLM-L6-v2",
            "https://huggingface.co/org/name",
            "hf:",
            "hf:org/",
            "hf:a/b/c",
            "hf:org/na me",
            "hf:../etc",
            "hf:org--x/name",
            "hf:org/name@",
            "hf:org/name@a b",
            "hf:org/name@../../x",
            "hf:org/name@/x",
        ]
        .map(|text| format!("{text}: {}", reason(text)));
        assert_eq!(told.join("\n"), WRONG);
    }

    const WRONG: &str = "\
sentence-transformers/all-MiniLM-L6-v2: it does not start with `hf:`; did you mean `hf:sentence-transformers/all-MiniLM-L6-v2`?
https://huggingface.co/org/name: it does not start with `hf:`; did you mean `hf:org/name`?
hf:: a name is missing
hf:org/: a name is missing
hf:a/b/c: `a/b/c` has 3 parts; it takes one organisation and one name
hf:org/na me: `na me` has ' ' in it; names have letters, digits, `-`, `_` and `.`
hf:../etc: `..` begins or ends with `-` or `.`
hf:org--x/name: `org--x/name` has `--` in it
hf:org/name@: no revision stands after `@`; leave both out for `main`
hf:org/name@a b: the revision `a b` has ' ' in it
hf:org/name@../../x: `../../x` is not a branch, a tag or a commit
hf:org/name@/x: `/x` is not a branch, a tag or a commit";

    proptest! {
        /// Whatever parses is written as it was read, and stays inside the cache's folder.
        #[test]
        fn what_parses_is_safe(text in "hf:[a-zA-Z0-9@/._ -]{0,24}") {
            if let Ok(reference) = text.parse::<HubReference>() {
                prop_assert_eq!(reference.to_string(), text);
                prop_assert!(!reference.id().contains("--"));
                let inside = |part: &str| !matches!(part, "" | "." | "..");
                prop_assert!(reference.id().split('/').all(inside));
                prop_assert!(reference.revision().split('/').all(inside));
            }
        }
    }
}
