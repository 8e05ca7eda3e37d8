//! The address of a model version, as MLflow writes it.

use std::{fmt, str::FromStr};

use arrow::temporal_conversions::timestamp_ms_to_datetime;

use super::RegistryError;

/// The longest name of a model or alias: file systems allow 255 bytes.
const MAX_NAME_BYTES: usize = 128;

/// `models:/name@alias` or `models:/name/3`; where a tokenizer is wanted, a bare `name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelUri {
    /// The registered model.
    pub name: String,
    /// Which of its versions.
    pub version: VersionSpec,
}

/// Which version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VersionSpec {
    /// The version that an alias names.
    Alias(String),
    /// The version that an alias named at a moment.
    AliasAsOf {
        /// The alias.
        alias: String,
        /// Milliseconds since 1970 UTC.
        time_ms: i64,
    },
    /// The version of this number, from 1.
    Number(i64),
    /// The last version that was registered: what a bare name means.
    Latest,
}

impl ModelUri {
    /// The address of the version that an alias names.
    pub fn alias(name: impl Into<String>, alias: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: VersionSpec::Alias(alias.into()),
        }
    }

    /// The address of a numbered version.
    pub fn number(name: impl Into<String>, version: i64) -> Self {
        Self {
            name: name.into(),
            version: VersionSpec::Number(version),
        }
    }

    /// What a name alone stands for where a tokenizer is wanted.
    pub fn latest(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: VersionSpec::Latest,
        }
    }

    /// A reference to a tokenizer: a bare name, which stands for the last version that was
    /// registered, or the address of a version.
    ///
    /// # Errors
    /// [`RegistryError::InvalidUri`], or [`RegistryError::InvalidName`] for a name that
    /// nothing can have.
    pub fn reference(text: &str) -> Result<Self, RegistryError> {
        if text.starts_with("models:") {
            return text.parse();
        }
        check_name("tokenizer", text)?;
        Ok(Self::latest(text))
    }

    /// The same address, read as it was at a moment.
    ///
    /// # Errors
    /// [`RegistryError::InvalidUri`] for a numbered version, which is the same at all times.
    pub fn as_of(self, time_ms: i64) -> Result<Self, RegistryError> {
        match self.version {
            VersionSpec::Alias(alias) | VersionSpec::AliasAsOf { alias, .. } => Ok(Self {
                name: self.name,
                version: VersionSpec::AliasAsOf { alias, time_ms },
            }),
            VersionSpec::Number(_) | VersionSpec::Latest => Err(RegistryError::InvalidUri {
                text: self.to_string(),
                reason: "it names a version, which no moment changes; `as_of` goes with an alias"
                    .to_owned(),
            }),
        }
    }
}

/// A moment as it is shown: `2026-03-01T12:00:00.000Z`.
pub fn moment_text(time_ms: i64) -> String {
    match timestamp_ms_to_datetime(time_ms) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None => format!("{time_ms} ms since 1970"),
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            VersionSpec::Alias(alias) => write!(f, "models:/{}@{alias}", self.name),
            VersionSpec::AliasAsOf { alias, time_ms } => write!(
                f,
                "models:/{}@{alias} as of {}",
                self.name,
                moment_text(*time_ms)
            ),
            VersionSpec::Number(version) => write!(f, "models:/{}/{version}", self.name),
            VersionSpec::Latest => f.write_str(&self.name),
        }
    }
}

impl FromStr for ModelUri {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |reason: String| RegistryError::InvalidUri {
            text: text.to_owned(),
            reason,
        };
        let Some(rest) = text.strip_prefix("models:/") else {
            return Err(invalid("it does not start with `models:/`".to_owned()));
        };
        let uri = if let Some((name, alias)) = rest.split_once('@') {
            check_name("alias", alias).map_err(|error| invalid(error.to_string()))?;
            Self::alias(name, alias)
        } else if let Some((name, version)) = rest.split_once('/') {
            let number: i64 = version
                .parse()
                .ok()
                .filter(|&number| number > 0 && !version.starts_with('+'))
                .ok_or_else(|| {
                    invalid(format!(
                        "`{version}` is not a version number; an alias stands after `@`, as in `models:/{name}@{}`",
                        if check_name("alias", version).is_ok() { version } else { "production" }
                    ))
                })?;
            Self::number(name, number)
        } else {
            return Err(invalid(
                "it names neither an alias nor a version".to_owned(),
            ));
        };
        check_name("model", &uri.name).map_err(|error| invalid(error.to_string()))?;
        Ok(uri)
    }
}

/// Checks the name of a model or an alias, `role` saying which: a letter, then
/// letters, digits, `_`, `-` and `.`, at most 128.
///
/// # Errors
/// [`RegistryError::InvalidName`]. An alias `v3` is refused as in MLflow: it
/// would read like a version.
pub fn check_name(role: &'static str, name: &str) -> Result<(), RegistryError> {
    let invalid = |reason: &'static str| RegistryError::InvalidName {
        role,
        name: name.to_owned(),
        reason,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.chars().all(allowed)
        || name.ends_with('.')
    {
        return Err(invalid(
            "use letters, digits, `_`, `-` and `.`, starting with a letter",
        ));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(invalid("at most 128 characters"));
    }
    let version_like = |name: &str| {
        name.strip_prefix(['v', 'V'])
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
    };
    if role == "alias" && (version_like(name) || name.eq_ignore_ascii_case("latest")) {
        return Err(invalid(
            "`latest` and names such as `v3` read like versions",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in ["models:/wine_quality@production", "models:/a.b-c/12"] {
            assert_eq!(text.parse::<ModelUri>().unwrap().to_string(), text);
        }
        assert_eq!(
            "models:/wine/3".parse::<ModelUri>().unwrap(),
            ModelUri::number("wine", 3)
        );
    }

    #[test]
    fn a_bare_name_is_a_reference_to_the_last_version() {
        let movie = ModelUri::reference("movie").unwrap();
        assert_eq!(movie, ModelUri::latest("movie"));
        assert_eq!(movie.to_string(), "movie");
        for text in ["models:/movie/2", "models:/movie@alias"] {
            assert_eq!(ModelUri::reference(text).unwrap().to_string(), text);
        }
        assert!(movie.as_of(0).is_err());
        for (text, part) in [
            ("", "`` cannot name a tokenizer"),
            ("../x", "`../x` cannot name a tokenizer"),
            ("models:/movie", "neither an alias nor a version"),
        ] {
            let error = ModelUri::reference(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let cases = [
            ("wine@production", "does not start with `models:/`"),
            ("models:/wine", "neither an alias nor a version"),
            ("models:/wine/Production", "as in `models:/wine@Production`"),
            ("models:/wine/latest", "as in `models:/wine@production`"),
            ("models:/wine/0", "`0` is not a version number"),
            ("models:/wine/+1", "`+1` is not a version number"),
            ("models:/../x@a", "`../x` cannot name a model"),
            ("models:/wine@", "`` cannot name an alias"),
            ("models:/wine@v3", "read like versions"),
            ("models:/wine@../x", "`../x` cannot name an alias"),
            ("models:/wine/1/2", "`1/2` is not a version number"),
        ];
        for (text, part) in cases {
            let error = text.parse::<ModelUri>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains(text), "{text}: {error}");
        }
    }
}
