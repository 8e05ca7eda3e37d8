//! `retries:` and `timeout:`: how often an asset is tried, and how long that may take.

use super::decode::{Check, Context, Fields, record};
use super::duration::Length;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

/// More retries than these are a mistake: the pauses between them would add up to hours.
const MOST_RETRIES: u64 = 100;

record! {
    /// How often an asset is tried, and how long that may take.
    #[derive(Default)]
    pub struct PatienceSpec as "an asset" {
        /// How often it is tried again after a failure that passes (a disk, a network, another writer); by default 3. What does not pass is never tried again.
        "retries" retries: Option<Spanned<u64>>,
        /// How long one attempt may take, such as `10m`; then it is stopped, without a commit. By default as long as it needs.
        "timeout" timeout: Option<Spanned<Length>>,
    }
}

impl Check for PatienceSpec {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let Some(retries) = self.retries.filter(|retries| retries.value > MOST_RETRIES) else {
            return true;
        };
        let message = format!("{} retries are more than {MOST_RETRIES}", retries.value);
        cx.report(
            Diagnostic::error("bad_retries", message)
                .help("pauses between retries grow up to a minute: a few are enough"),
            retries.span,
        );
        false
    }
}

record! {
    /// What holds for every asset that does not say otherwise.
    #[derive(Default)]
    pub struct Defaults as "the defaults" {
        /// What an asset can say, too.
        .. patience: PatienceSpec,
    }
}

impl Check for Defaults {}
