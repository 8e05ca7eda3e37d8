//! What follows a run: `on_failure:` and `on_success:`.
//!
//! [`Hooks`] is what a pipeline says, resolved; [`Notice`] is what is told, and
//! [`Hooks::tell`] tells it: to a web address ([`webhook`]) and to a command ([`command`]).
//! A hook that fails is a warning: it never changes what became of the run.

mod command;
mod signature;
mod webhook;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use command::HookCommand;
pub use signature::sign;
pub use webhook::Webhook;

use crate::spec::{HookSpec, Spec};

/// The version of [`Notice`]: it grows when a field changes its meaning or goes.
pub const NOTICE_VERSION: u32 = 1;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one attempt of a webhook may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a webhook is tried again.
const WEBHOOK_RETRIES: u64 = 3;
/// Failed stages that a notice tells of.
pub(crate) const MOST_ERRORS: usize = 20;
/// Characters of an error that a notice holds.
const MOST_CHARACTERS: usize = 2000;

/// Who is told of the end of a run.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// When stages failed, or the run could not begin.
    pub on_failure: Option<Hook>,
    /// When every asset was made or skipped.
    pub on_success: Option<Hook>,
}

/// Who is told.
#[derive(Debug, Clone)]
pub struct Hook {
    /// A web address.
    pub webhook: Option<Webhook>,
    /// A command.
    pub command: Option<HookCommand>,
}

/// What became of a run: the JSON body of a webhook, and what the environment of a command
/// tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// [`NOTICE_VERSION`].
    pub version: u32,
    /// `run_finished` or `run_failed`.
    pub event: &'static str,
    /// The pipeline.
    pub pipeline: String,
    /// The run; null where it could not begin.
    pub run_id: Option<String>,
    /// `finished` or `failed`.
    pub status: &'static str,
    /// The lakehouse's folder, absolute.
    pub lakehouse: String,
    /// When the run began: `2026-03-01T06:00:00.000Z`.
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// How long it took.
    pub seconds: f64,
    /// Assets made.
    pub made: u64,
    /// Assets found up to date.
    pub skipped: u64,
    /// Assets that failed, and those that could not be tried because of them.
    pub failed: u64,
    /// Why the run could not begin, or broke off.
    pub error: Option<String>,
    /// The first twenty assets that failed, and why.
    pub errors: Vec<FailedAsset>,
}

/// An asset that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedAsset {
    /// The asset.
    pub asset: String,
    /// Why, cut at 2,000 characters.
    pub error: String,
}

/// A text, cut to what a notice holds.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

impl Hooks {
    /// The hooks of a pipeline, whose commands run in the project's folder.
    pub(crate) fn of(spec: &Spec) -> Self {
        let folder = spec.project.folder();
        let hook = |written: &Option<HookSpec>| written.as_ref().map(|hook| Hook::of(hook, folder));
        Self {
            on_failure: hook(&spec.on_failure),
            on_success: hook(&spec.on_success),
        }
    }

    /// Whether nobody is to be told anything.
    pub fn is_empty(&self) -> bool {
        self.on_failure.is_none() && self.on_success.is_none()
    }

    /// Tells whoever is to be told; what did not go, in words. Ends early after `cancel`.
    pub async fn tell(&self, notice: &Notice, cancel: &CancellationToken) -> Vec<String> {
        let (key, hook) = match notice.status {
            "finished" => ("on_success", &self.on_success),
            _ => ("on_failure", &self.on_failure),
        };
        let Some(hook) = hook else {
            return Vec::new();
        };
        let mut failed = Vec::new();
        if let Some(webhook) = &hook.webhook
            && let Err(error) = webhook.send(notice, cancel).await
        {
            failed.push(format!("`webhook` of `{key}`: {error}"));
        }
        if let Some(command) = &hook.command
            && let Err(error) = command.run(notice, cancel).await
        {
            failed.push(format!("`command` of `{key}`: {error}"));
        }
        failed
    }
}

impl Hook {
    fn of(written: &HookSpec, folder: &Path) -> Self {
        let webhook = written.webhook.as_ref().map(|webhook| Webhook {
            url: webhook.url.value.clone(),
            secret: webhook.secret.clone(),
            timeout: webhook
                .timeout
                .as_ref()
                .map_or(WEBHOOK_TIMEOUT, |length| length.value.0),
            retries: webhook
                .retries
                .as_ref()
                .map_or(WEBHOOK_RETRIES, |retries| retries.value),
        });
        let command = written.command.as_ref().map(|command| HookCommand {
            arguments: command.to_vec(),
            folder: folder.to_owned(),
            timeout: written
                .timeout
                .as_ref()
                .map_or(COMMAND_TIMEOUT, |length| length.value.0),
        });
        Self { webhook, command }
    }
}
