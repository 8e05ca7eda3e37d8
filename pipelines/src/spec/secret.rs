//! Texts that may hold secrets: `${secret:NAME}`.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::load::Environment;
use super::schema::Definitions;
use super::variables::{Piece, as_text, pieces, unclosed};
use crate::diagnostic::Diagnostic;
use crate::yaml::{Node, NodeKind};

/// Files of secrets are small; what is larger is none.
const MOST_SECRET_BYTES: u64 = 64 << 10;
/// Where containers find secrets.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// A text that is never shown, logged or stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Decode for SecretText {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            cx.wrong_type("a text", node);
            return None;
        };
        let mut out = Some(String::new());
        for piece in pieces(&scalar.text) {
            let part = match piece {
                Piece::Text(range) => Some(scalar.text[range].to_owned()),
                Piece::Dollar(_) => Some("$".to_owned()),
                Piece::Placeholder(range, inner) => {
                    let found = match inner.strip_prefix("secret:") {
                        Some(name) => secret(&cx.variables.environment, name).map_err(Some),
                        None => cx.variables.resolve(inner).map(|value| as_text(&value)),
                    };
                    found
                        .map_err(|wrong| {
                            if let Some(diagnostic) = wrong {
                                let span = scalar.map.to_source(range);
                                cx.report(*diagnostic, span);
                            }
                        })
                        .ok()
                }
                Piece::Unclosed(range) => {
                    cx.report(unclosed(), scalar.map.to_source(range));
                    None
                }
            };
            out = out.zip(part).map(|(out, part)| out + &part);
        }
        let text = out?;
        if text.is_empty() {
            cx.error("missing_value", "this text is empty", node.span);
            return None;
        }
        Some(Self(text))
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string"})
    }
}

/// What a secret is: a file of that name where systemd's `LoadCredential=` or a container puts
/// it, else the variable `SLUICE_SECRET_<NAME>` of the environment.
fn secret(environment: &Environment, name: &str) -> Result<String, Box<Diagnostic>> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let message = format!("`{name}` is no name of a secret");
        let help = "take letters, digits, `_`, `-` and `.`";
        return Err(Box::new(Diagnostic::error("bad_name", message).help(help)));
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    if matches!(environment, Environment::Process) {
        folders.push(PathBuf::from(CONTAINER_SECRETS));
    }
    for folder in folders {
        let path = folder.join(name);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= MOST_SECRET_BYTES => {}
            _ => continue,
        }
        return match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                let message = format!("the secret `{name}` cannot be read: {error}");
                Err(Box::new(Diagnostic::error("unreadable_file", message)))
            }
        };
    }
    let variable = format!("SLUICE_SECRET_{name}");
    environment.get(&variable).ok_or_else(|| {
        let message = format!("there is no secret `{name}`");
        let help = format!(
            "put it into a file of that name in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=) or {CONTAINER_SECRETS}, or into the variable {variable} of the environment"
        );
        Box::new(Diagnostic::error("unknown_secret", message).help(help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str)]) -> Environment {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Environment::Fixed(values.collect())
    }

    #[test]
    fn comes_from_a_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("HOOK"), "of the file\n").unwrap();
        let place = folder.path().to_str().unwrap();
        let environment = of(&[
            ("CREDENTIALS_DIRECTORY", place),
            ("SLUICE_SECRET_HOOK", "of the environment"),
            ("SLUICE_SECRET_OTHER", "another"),
        ]);
        assert_eq!(secret(&environment, "HOOK").unwrap(), "of the file");
        assert_eq!(secret(&environment, "OTHER").unwrap(), "another");
        let missing = secret(&environment, "HOKO").unwrap_err();
        assert_eq!(missing.message, "there is no secret `HOKO`");
        for name in ["", "..", "../HOOK", "a/b"] {
            assert_eq!(secret(&environment, name).unwrap_err().code, "bad_name");
        }
    }

    #[test]
    fn is_not_shown() {
        let shown = format!("{:?}", SecretText("hush".to_owned()));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
