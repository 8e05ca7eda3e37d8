//! The names and values of tags, and which of them are the program's own.

/// Bytes of a tag's name, as in MLflow.
const MAX_KEY_BYTES: usize = 250;
/// Bytes of a tag's value, as in MLflow.
const MAX_VALUE_BYTES: usize = 8_000;

/// The tag that MLflow shows as the description of a run.
pub const NOTE_TAG: &str = "mlflow.note.content";

/// What the names of the program's own tags start with: MLflow's, and those that tell
/// trainings, searches and trials apart.
const SYSTEM_PREFIXES: [&str; 7] = [
    "mlflow.",
    "register.",
    "sluice.",
    "sweep.",
    "train.",
    "training.",
    "trial.",
];

/// The program's own tags without such a beginning.
const SYSTEM_TAGS: [&str; 3] = ["best_trial", "estimator", "objective"];

/// Why a tag cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A name that no tag can have.
    #[error("`{key}` cannot name a tag: {reason}")]
    InvalidKey {
        /// The name as it was written.
        key: String,
        /// What would be right.
        reason: &'static str,
    },

    /// A name that the program uses itself.
    #[error("the tag `{key}` is written by sluice itself and does not change by hand; {advice}")]
    System {
        /// The name.
        key: String,
        /// What to do instead.
        advice: &'static str,
    },

    /// A value that is too long.
    #[error(
        "the value of the tag `{key}` has {bytes} bytes, and at most {MAX_VALUE_BYTES} can be kept; keep long texts in a file"
    )]
    TooLong {
        /// The name.
        key: String,
        /// Bytes of the value.
        bytes: usize,
    },

    /// A tag that is not there.
    #[error("{of} has no tag `{key}`{}", hint(nearest.as_deref(), known))]
    Unknown {
        /// What has no such tag, in words.
        of: String,
        /// The name as it was written.
        key: String,
        /// The nearest name that there is.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
}

/// Checks the name of a tag that somebody sets or removes by hand.
///
/// # Errors
/// [`TagError::InvalidKey`] and [`TagError::System`].
pub fn check_tag_key(key: &str) -> Result<(), TagError> {
    let invalid = |reason| TagError::InvalidKey {
        key: key.to_owned(),
        reason,
    };
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ' ');
    if key.trim().is_empty() {
        return Err(invalid("write NAME=VALUE"));
    }
    if !key.chars().all(allowed) {
        return Err(invalid(
            "use letters, digits, `_`, `-`, `.`, `/`, `:` and blanks",
        ));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(invalid("at most 250 bytes"));
    }
    if is_system_tag(key) {
        return Err(TagError::System {
            key: key.to_owned(),
            advice: match key == NOTE_TAG {
                true => "set the note with `note`",
                false => "choose another name, such as one that begins with your team's",
            },
        });
    }
    Ok(())
}

/// Checks a tag that somebody sets by hand.
///
/// # Errors
/// Those of [`check_tag_key`], and [`TagError::TooLong`].
pub fn check_tag(key: &str, value: &str) -> Result<(), TagError> {
    check_tag_key(key)?;
    match value.len() {
        0..=MAX_VALUE_BYTES => Ok(()),
        bytes => Err(TagError::TooLong {
            key: key.to_owned(),
            bytes,
        }),
    }
}

/// Whether a tag is the program's own.
pub fn is_system_tag(key: &str) -> bool {
    SYSTEM_TAGS.contains(&key) || SYSTEM_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, []) => "; it has none".to_owned(),
        (None, known) => format!("; it has {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tag_can_be() {
        for (key, value) in [("team", "fruit"), ("a/b: c-d.e_f", ""), ("Größe", "7")] {
            assert_eq!(check_tag(key, value), Ok(()), "{key}");
        }
        let long = "x".repeat(MAX_KEY_BYTES + 1);
        for (key, words) in [
            ("", "write NAME=VALUE"),
            (" ", "write NAME=VALUE"),
            ("a=b", "use letters, digits"),
            ("a\nb", "use letters, digits"),
            (&long, "at most 250 bytes"),
            ("mlflow.user", "is written by sluice itself"),
            ("estimator", "choose another name"),
            (NOTE_TAG, "set the note with `note`"),
        ] {
            let error = check_tag(key, "v").unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(key), "{error}");
        }
        let error = check_tag("a", &"x".repeat(MAX_VALUE_BYTES + 1)).unwrap_err();
        assert!(error.to_string().contains("8001 bytes"), "{error}");
        assert!(check_tag("a", &"x".repeat(MAX_VALUE_BYTES)).is_ok());
    }
}
