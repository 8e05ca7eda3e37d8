//! Where a hub is and how it is talked to, as Python's `huggingface_hub` is told it.

use std::env;
use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use url::Url;

use super::HubError;

/// The hub of `HF_ENDPOINT` unset.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// The wait before the first repetition; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How a hub is reached.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Its address.
    pub endpoint: Url,
    /// What is shown to it, and to no other host.
    pub token: Option<HubToken>,
    /// Whether nothing may be downloaded.
    pub offline: bool,
    /// The wait before the first repetition of what failed; each further one is twice as long.
    pub first_wait: Duration,
}

impl HubOptions {
    /// By `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`. Proxies are found by the usual
    /// variables (`HTTPS_PROXY`, `NO_PROXY`, ...).
    ///
    /// # Errors
    /// [`HubError::Setting`] for a variable that makes no sense.
    pub fn of_user() -> Result<Self, HubError> {
        Self::by(|name| env::var(name).ok())
    }

    fn by(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let endpoint = given("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let token = given("HF_TOKEN").map(|token| HubToken::new(&token));
        Ok(Self {
            endpoint: endpoint_url(&endpoint)?,
            token: token.transpose()?,
            offline: given("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value)),
            first_wait: FIRST_WAIT,
        })
    }
}

/// A token: never printed.
#[derive(Clone)]
pub struct HubToken(HeaderValue);

impl HubToken {
    /// A token as the hub gave it.
    ///
    /// # Errors
    /// [`HubError::Setting`] for a text that cannot be one.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let setting = |_| HubError::Setting {
            variable: "HF_TOKEN",
            reason: "it has characters that no token has".to_owned(),
        };
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(setting)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The value of the header `Authorization`, marked as sensitive.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(..)")
    }
}

/// The address of a hub.
///
/// # Errors
/// [`HubError::Setting`] for what is not the address of a web server.
fn endpoint_url(text: &str) -> Result<Url, HubError> {
    let setting = |reason: String| HubError::Setting {
        variable: "HF_ENDPOINT",
        reason: format!("{reason}; it takes an address such as {DEFAULT_ENDPOINT}"),
    };
    let url = Url::parse(text.trim()).map_err(|error| setting(format!("`{text}`: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(setting(format!(
            "`{text}` is not the address of a web server"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting(
            "it has a user name or password in it, which would be shown; set HF_TOKEN".to_owned(),
        ));
    }
    Ok(url)
}

/// What Python's `huggingface_hub` takes for yes.
fn is_yes(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_uppercase().as_str(),
        "1" | "ON" | "YES" | "TRUE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)]) -> Result<HubOptions, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        HubOptions::by(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_mean_what_they_mean_to_python() {
        let options = by(&[]).unwrap();
        assert_eq!(options.endpoint.as_str(), "https://huggingface.co/");
        assert!(options.token.is_none() && !options.offline);
        let options = by(&[
            ("HF_ENDPOINT", "http://127.0.0.1:8080/hub/"),
            ("HF_HUB_OFFLINE", "on"),
        ]);
        let options = options.unwrap();
        assert_eq!(options.endpoint.as_str(), "http://127.0.0.1:8080/hub/");
        assert!(options.offline);
        assert!(!by(&[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
    }

    #[test]
    fn a_token_is_never_shown() {
        let options = by(&[("HF_TOKEN", " hf_secret\n")]).unwrap();
        let token = options.token.as_ref().unwrap();
        assert_eq!(token.header().to_str().unwrap(), "Bearer hf_secret");
        assert!(!format!("{options:?} {:?}", token.header()).contains("secret"));
        let wrong = by(&[("HF_TOKEN", "hf\u{1}secret")]).unwrap_err();
        assert!(wrong.contains("HF_TOKEN") && !wrong.contains("secret"));
    }

    #[test]
    fn an_endpoint_is_a_web_address() {
        for endpoint in [
            "huggingface.co",
            "ftp://x",
            "file:///x",
            "https://me:secret@x",
        ] {
            let wrong = by(&[("HF_ENDPOINT", endpoint)]).unwrap_err();
            assert!(
                wrong.contains("HF_ENDPOINT") && !wrong.contains("secret"),
                "{wrong}"
            );
        }
    }
}
