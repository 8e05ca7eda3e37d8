//! `schedule:`: when a daemon runs the pipeline.

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, choice, record};
use super::duration::Length;
use super::scalar::word;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// When `sluice schedule` runs the pipeline: at times, when something is new, or both.
    pub struct ScheduleSpec as "a schedule" {
        /// Five fields: minute, hour, day of month, month, day of week, with names such as `MON` and `JAN`; in `timezone`.
        "cron" cron: Option<Spanned<String>>,
        /// At every multiple of this since 1970 UTC: `15m` is at :00, :15, :30 and :45.
        "every" every: Option<Spanned<Length>>,
        /// The IANA time zone in which `cron` is meant, such as `Europe/Helsinki`; by default UTC.
        "timezone" timezone: Option<Spanned<String>>,
        /// What else begins a run.
        "or_when" or_when: Option<OrWhen>,
        /// What becomes of times that passed while no daemon was there, or a run still under way: `none` of them is made up for (the default), only the `last`, or `all`.
        "catch_up" catch_up: Option<Spanned<CatchUp>>,
        /// Each run begins later than its time by up to this, always by the same for one time: so that many pipelines do not begin at once.
        "jitter" jitter: Option<Spanned<Length>>,
    }
}

record! {
    /// What begins a run besides the clock.
    pub struct OrWhen as "`or_when`" {
        /// Exactly one of these keys.
        .. news: Trigger,
    }
}

impl Check for OrWhen {}

choice! {
    /// What begins a run besides the clock.
    pub enum Trigger {
        /// A table of the pipeline that reads files, when files are new or changed.
        "new_files" NewFiles(Spanned<String>),
        /// A table that the pipeline does not make, when it has a new version.
        "table" Table(Spanned<String>),
    }
}

/// What becomes of times that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// They are passed over.
    #[default]
    None,
    /// One run makes up for all of them.
    Last,
    /// Each has its run.
    All,
}

impl CatchUp {
    const WORDS: [(&'static str, Self); 3] = [
        ("none", Self::None),
        ("last", Self::Last),
        ("all", Self::All),
    ];
}

impl Decode for CatchUp {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("way to catch up", &Self::WORDS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        let words = Self::WORDS.iter().map(|(word, _)| word);
        json!({"enum": words.collect::<Vec<_>>()})
    }
}

impl Check for ScheduleSpec {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let before = cx.diagnostics.len();
        match (&self.cron, &self.every) {
            (Some(_), Some(every)) => cx.report(
                Diagnostic::error("conflicting_keys", "`every` does not go with `cron`")
                    .help("take one of them out"),
                every.span,
            ),
            (None, None) if self.or_when.is_none() => cx.report(
                Diagnostic::error("missing_key", "this schedule has no time").help(
                    "write `cron: \"0 6 * * *\"`, `every: 15m` or `or_when: {new_files: TABLE}`",
                ),
                fields.span,
            ),
            _ => {}
        }
        let only_with = |key: &str, what: &str| {
            let message = format!("`{key}` needs {what}");
            Diagnostic::error("conflicting_keys", message).help("take it out")
        };
        if let (None, Some(timezone)) = (&self.cron, &self.timezone) {
            cx.report(only_with("timezone", "`cron`"), timezone.span);
        }
        if self.cron.is_none() && self.every.is_none() {
            if let Some(jitter) = &self.jitter {
                cx.report(only_with("jitter", "`cron` or `every`"), jitter.span);
            }
            if let Some(catch_up) = &self.catch_up {
                cx.report(only_with("catch_up", "`cron` or `every`"), catch_up.span);
            }
        }
        cx.diagnostics.len() == before
    }
}
