//! `on_failure:` and `on_success:`: who is told when a run has ended.

use reqwest::Url;

use super::decode::{Check, Context, Fields, record};
use super::duration::Length;
use super::scalar::AtLeastOne;
use super::secret::SecretText;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

record! {
    /// Who is told when a run has ended: a web address, a command, or both.
    pub struct HookSpec as "a hook" {
        /// A web address that is sent what became of the run, as JSON.
        "webhook" webhook: Option<WebhookSpec>,
        /// A program and its arguments, run without a shell, in the project's folder; the environment tells it about the run.
        "command" command: Option<Spanned<AtLeastOne<String>>>,
        /// How long the command may take before it is killed; by default `1m`.
        "timeout" timeout: Option<Spanned<Length>>,
    }
}

record! {
    /// A web address that is sent what became of a run.
    pub struct WebhookSpec as "a webhook" {
        /// The address, `https://...`; `${secret:NAME}` where it is secret.
        "url" url: Spanned<SecretText>,
        /// Signs what is sent: HMAC-SHA256 in the header `Sluice-Signature`. Write `${secret:NAME}` or `${env:NAME}`.
        "secret" secret: Option<SecretText>,
        /// How long one attempt may take; by default `10s`.
        "timeout" timeout: Option<Spanned<Length>>,
        /// How often it is tried again when the server fails (5xx) or does not answer; by default 3.
        "retries" retries: Option<Spanned<u64>>,
    }
}

/// More attempts than that help nobody.
const MOST_RETRIES: u64 = 20;

impl Check for HookSpec {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        match (&self.webhook, &self.command) {
            (None, None) => cx.report(
                Diagnostic::error("missing_key", "this hook tells nobody").help(
                    "write `webhook: {url: \"https://...\"}` or `command: [program, argument]`",
                ),
                fields.span,
            ),
            (_, Some(command)) => {
                let [program, arguments @ ..] = &***command else {
                    return false;
                };
                if arguments.is_empty() && program.trim().contains(char::is_whitespace) {
                    let message =
                        "this is one program whose name has spaces: no shell takes it apart";
                    cx.report(
                        Diagnostic::error("bad_command", message)
                            .help("write a list: `command: [program, argument]`"),
                        command.span,
                    );
                }
            }
            _ => {}
        }
        if let (None, Some(timeout)) = (&self.command, &self.timeout) {
            cx.report(
                Diagnostic::error("conflicting_keys", "`timeout` here needs `command`")
                    .help("the time that a webhook has is a key of `webhook:`"),
                timeout.span,
            );
        }
        cx.diagnostics.len() == before
    }
}

impl Check for WebhookSpec {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        let web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        // The address is not repeated: it may be a secret.
        if !Url::parse(self.url.value.expose()).is_ok_and(|url| web(&url)) {
            cx.report(
                Diagnostic::error("bad_url", "this is no web address")
                    .help("write one that begins with `https://` or `http://`"),
                self.url.span,
            );
        }
        if let Some(retries) = &self.retries
            && retries.value > MOST_RETRIES
        {
            let message = format!("a webhook can be tried again {MOST_RETRIES} times at most");
            cx.error("out_of_range", message, retries.span);
        }
        cx.diagnostics.len() == before
    }
}
