//! What became of a run, sent to a web address.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Client, StatusCode, redirect};
use sluice_lake::state::now_ms;
use tokio_util::sync::CancellationToken;

use super::{Notice, sign};
use crate::spec::SecretText;

/// The wait before the second attempt; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A web address that is told of runs.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address.
    pub url: SecretText,
    /// What signs the messages.
    pub secret: Option<SecretText>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often it is tried again.
    pub retries: u64,
}

/// Why an address was not told. Neither the address nor what it answered is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
    #[error("the server answers {status} ({attempts})")]
    Refused {
        status: StatusCode,
        attempts: Attempts,
    },
    #[error(
        "the server answers {status}, and a webhook follows no redirect: write the address that it leads to"
    )]
    Redirected { status: StatusCode },
    #[error("no answer: {reason} ({attempts})")]
    NoAnswer { reason: String, attempts: Attempts },
    #[error("stopped")]
    Stopped,
}

/// How often it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempts(u64);

impl std::fmt::Display for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("1 attempt"),
            count => write!(f, "{count} attempts"),
        }
    }
}

impl Webhook {
    /// Sends a notice: once, and again when the server fails (5xx) or does not answer.
    pub(crate) async fn send(
        &self,
        notice: &Notice,
        cancel: &CancellationToken,
    ) -> Result<(), WebhookError> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(self.timeout)
            .build()
            .map_err(|error| WebhookError::Client(without_address(error)))?;
        let body = serde_json::to_vec(notice).unwrap_or_default();
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let sent = tokio::select! {
                sent = self.attempt(&client, notice, &body, attempt) => sent,
                () = cancel.cancelled() => return Err(WebhookError::Stopped),
            };
            match sent {
                Err(error) if error.is_transient() && attempt <= self.retries => {}
                other => return other,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(WebhookError::Stopped),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        client: &Client,
        notice: &Notice,
        body: &[u8],
        attempt: u64,
    ) -> Result<(), WebhookError> {
        let mut request = client
            .post(self.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .header("Sluice-Event", notice.event)
            // The same for each attempt, so that who gets it twice can tell.
            .header(
                "Sluice-Delivery",
                notice.run_id.as_deref().unwrap_or("none"),
            )
            .body(body.to_vec());
        if let Some(secret) = &self.secret {
            let signed = sign(secret.expose().as_bytes(), now_ms() / 1000, body);
            let value = HeaderValue::from_str(&signed);
            request = request.header(
                "Sluice-Signature",
                value.unwrap_or(HeaderValue::from_static("")),
            );
        }
        let attempts = Attempts(attempt);
        let answer = request.send().await;
        let status = answer
            .map_err(|error| WebhookError::NoAnswer {
                reason: without_address(error),
                attempts,
            })?
            .status();
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(WebhookError::Redirected { status }),
            status => Err(WebhookError::Refused { status, attempts }),
        }
    }
}

impl WebhookError {
    fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Client(_) | Self::Redirected { .. } | Self::Stopped => false,
        }
    }
}

/// What the client says, without the address: it may hold a secret.
fn without_address(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
