//! What is to be done about a table that is kept up to date by something else than making it
//! anew, when what it is made from changed.

use sluice_lake::Lakehouse;
use sluice_lake::delta::{Changes, ChangesError, PinnedTable, Since};
use sluice_lake::state::now_ms;
use sluice_report::number;

use super::SqlAsset;
use super::fingerprint::Fingerprint;
use super::freshness::Verdict;
use super::intervals::{EventTime, Pending, only_some, outside, pending};
use super::mode::{IntervalMode, Mode};
use super::ranges::Ranges;
use crate::run::error::StageError;
use crate::spec::{Instant, Refresh};

/// A table as it is pinned in a fingerprint: `identity@version:commit`, without the last where
/// it is not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pinned<'a> {
    pub(crate) id: &'a str,
    pub(crate) version: u64,
    commit: Option<&'a str>,
}

impl<'a> Pinned<'a> {
    pub(crate) fn parse(identity: &'a str) -> Option<Self> {
        let (id, version) = identity.rsplit_once('@')?;
        let (version, commit) = match version.split_once(':') {
            Some((version, commit)) => (version, Some(commit)),
            None => (version, None),
        };
        let version = version.parse().ok()?;
        Some(Self {
            id,
            version,
            commit,
        })
    }

    /// How a table is pinned.
    pub(crate) fn text(table: &PinnedTable) -> String {
        let pinned = format!("{}@{}", table.table_id, table.data_version);
        match &table.data_commit {
            Some(commit) => format!("{pinned}:{commit}"),
            None => pinned,
        }
    }

    /// Whether it may be of this commit, as far as both are known.
    pub(crate) fn is_commit(&self, commit: Option<&str>) -> bool {
        self.commit
            .zip(commit)
            .is_none_or(|(pinned, commit)| pinned == commit)
    }

    /// The same for who asks what changed since.
    pub(crate) fn since(self) -> Since<'a> {
        Since {
            table_id: self.id,
            version: self.version,
            commit: self.commit,
        }
    }
}

/// What it takes to bring a table up to date that was made from `earlier`.
pub(crate) struct Upkeeping<'a> {
    pub(crate) lakehouse: &'a Lakehouse,
    pub(crate) sql: &'a SqlAsset,
    pub(crate) now: &'a Fingerprint,
    pub(crate) earlier: Option<&'a Fingerprint>,
    /// The version that there is.
    pub(crate) version: Option<i64>,
    /// The stretches of time that it has the rows of, which of them are asked for, and what
    /// making it anew would come to.
    pub(crate) intervals: &'a Ranges,
    pub(crate) event_time: EventTime,
    pub(crate) all_intervals: Option<String>,
}

impl Upkeeping<'_> {
    /// What is done where what is there does not count any more, for `reason`.
    pub(crate) fn anew(&self, reason: &str) -> Verdict {
        let by_interval = matches!(self.sql.upkeep.mode, Mode::Interval(_));
        if by_interval && self.event_time.window.is_some() {
            return only_some(&format!("all its intervals have to be made anew: {reason}"));
        }
        let other_mode = self.other_mode();
        let reason = other_mode.as_deref().unwrap_or(reason);
        match self.sql.upkeep.refresh {
            Refresh::Auto | Refresh::Strict if self.had_history() => self.refused(
                &format!(
                    "made anew it would lose the history that its source no longer has: {reason}"
                ),
                false,
            ),
            Refresh::Strict => self.refused(
                &format!("it would be recomputed in full, and `refresh` is `strict`: {reason}"),
                true,
            ),
            Refresh::Auto | Refresh::Full => {
                let intervals = self.all_intervals.as_ref();
                let intervals = intervals.map_or_else(String::new, |words| format!("; {words}"));
                Verdict::anew(format!("recomputed in full: {reason}{intervals}"))
            }
        }
    }

    /// Whether the table that is there knows what its source may have forgotten.
    fn had_history(&self) -> bool {
        match self.earlier {
            Some(earlier) => earlier.has_history(),
            None => self.sql.upkeep.mode.has_history(),
        }
    }

    /// That the table was kept up to date in another mode, in words, if it was.
    fn other_mode(&self) -> Option<String> {
        let (now, earlier) = (self.sql.upkeep.mode.name(), self.earlier?);
        // The settings of tables that older releases made are not known.
        let changed = !earlier.settings.is_empty() && earlier.mode() != now;
        changed.then(|| format!("`mode` is {now} (was {})", earlier.mode()))
    }

    /// What is done where the table is not as it was left, for `reason`.
    pub(crate) fn lost(&self, reason: &str) -> Verdict {
        let goes_on = self.sql.upkeep.mode.has_history() && self.had_history();
        match goes_on {
            // Of a history that is gone nothing can be lost any more.
            false if !self.lakehouse.has_table(&self.sql.table) && self.had_history() => {
                Verdict::anew(reason)
            }
            false => self.anew(reason),
            true if self.lakehouse.has_table(&self.sql.table) => Self::every_key(reason),
            true => Verdict::anew(reason),
        }
    }

    /// What is done where it cannot be told which keys are concerned, for `reason`.
    fn cannot_follow(&self, reason: &str) -> Verdict {
        match self.sql.upkeep.mode.has_history() {
            true => Self::every_key(reason),
            false => self.anew(reason),
        }
    }

    /// A history goes on from what it knows.
    fn every_key(reason: &str) -> Verdict {
        Verdict::Stale {
            reason: format!("every key is compared: {reason}"),
            anew: false,
        }
    }

    /// Whether intervals are to be made, whatever else changed.
    pub(crate) fn misses_intervals(&self) -> bool {
        match &self.sql.upkeep.mode {
            Mode::Interval(mode) => self.pending(mode, false).count() > 0,
            _ => false,
        }
    }

    /// Why no interval is made of those that are asked for, where none lies there.
    pub(crate) fn outside(&self) -> Option<String> {
        match &self.sql.upkeep.mode {
            Mode::Interval(mode) => outside(mode, self.event_time, Instant(now_ms())),
            _ => None,
        }
    }

    fn pending(&self, mode: &IntervalMode, inputs_changed: bool) -> Pending {
        let now = Instant(now_ms());
        pending(mode, self.intervals, self.event_time, now, inputs_changed)
    }

    /// What is done about a table that is made interval by interval, whose rows count.
    fn of_intervals(&self, mode: &IntervalMode, change: Option<String>) -> Verdict {
        if let Some(reason) = self.outside() {
            return Verdict::Fresh {
                version: self.version,
                reason,
            };
        }
        let words = self.pending(mode, change.is_some()).words();
        match (words, change) {
            (Some(words), None) => Verdict::Stale {
                reason: words,
                anew: false,
            },
            (Some(words), Some(change)) => Verdict::Stale {
                reason: format!("{change}: {words}"),
                anew: false,
            },
            (None, change) => Verdict::Rekey {
                version: self.version,
                reason: format!(
                    "no interval is missing; what it reads changed, which `lookback` leaves alone: {}",
                    change.unwrap_or_default()
                ),
            },
        }
    }

    /// What is done when the fingerprint is another.
    pub(crate) async fn verdict(&self) -> Result<Verdict, StageError> {
        let Some(earlier) = self.earlier else {
            return Ok(self.anew("what it was made from is not known any more"));
        };
        let change = self.now.change_since(earlier);
        if let (None, Mode::Interval(mode)) = (&change, &self.sql.upkeep.mode) {
            return Ok(self.of_intervals(mode, None));
        }
        let change = change.unwrap_or_else(|| "what it is made from changed".to_owned());
        if !self.now.same_but_tables(earlier) {
            return Ok(self.anew(&change));
        }
        if self.sql.upkeep.refresh == Refresh::Full {
            return Ok(Verdict::anew(format!(
                "recomputed in full, as `refresh` says: {change}"
            )));
        }
        match &self.sql.upkeep.mode {
            Mode::Interval(mode) => Ok(self.of_intervals(mode, Some(change))),
            // `strict` is about definitions: new data is what a table is made anew for.
            Mode::Full => Ok(Verdict::anew(change)),
            Mode::Append(_) | Mode::Merge(_) | Mode::Scd2(_) => {
                self.of_changes(earlier, &change).await
            }
        }
    }

    async fn of_changes(&self, earlier: &Fingerprint, change: &str) -> Result<Verdict, StageError> {
        let from = self.from();
        let keyed = self.sql.upkeep.mode.has_keys();
        if keyed && self.now.others_moved(earlier, &from) {
            return Ok(self.cannot_follow(change));
        }
        let Some((since, until)) = Self::moved(self.now, earlier, &from) else {
            return Ok(self.anew(change));
        };
        if since == until {
            return Ok(Verdict::Rekey {
                version: self.version,
                reason: format!(
                    "{from} has no new rows; what is read whole counts for later ones: {change}"
                ),
            });
        }
        let changes = self.changes(&since, until.version).await;
        let changes = match changes {
            Ok(changes) => changes,
            Err(ChangesError::Lake(error)) => return Err(error.into()),
            Err(ChangesError::Untold(why)) if keyed => {
                return Ok(self.cannot_follow(&why.to_string()));
            }
            Err(ChangesError::Untold(why)) => {
                let reason = format!(
                    "what is new in {from} since version {} cannot be told: {why}",
                    since.version
                );
                return Ok(self.refused(&reason, false));
            }
        };
        if changes.commits.is_empty() {
            return Ok(Verdict::Rekey {
                version: self.version,
                reason: format!("{change}, without new rows"),
            });
        }
        Ok(Verdict::Stale {
            reason: format!("{change}: {}", self.outlook(&changes)),
            anew: false,
        })
    }

    /// What the changes come to, as far as the log tells.
    fn outlook(&self, changes: &Changes) -> String {
        let appends = matches!(self.sql.upkeep.mode, Mode::Append(_));
        match (changes.appended_rows(), changes.first_rewrite()) {
            (Some(rows), _) => format!("{} new {}", number::count(rows), rows_word(rows)),
            (None, Some(rewrite)) if appends => format!(
                "version {} rewrote rows, which is refused if any of them went",
                rewrite.version
            ),
            (None, Some(rewrite)) => format!("version {} rewrote rows", rewrite.version),
            (None, None) => "new rows".to_owned(),
        }
    }

    /// The versions of a table that were read and are to be read.
    pub(crate) fn moved<'f>(
        now: &'f Fingerprint,
        earlier: &'f Fingerprint,
        table: &str,
    ) -> Option<(Pinned<'f>, Pinned<'f>)> {
        let pinned = |fingerprint: &'f Fingerprint| {
            let identity = fingerprint.tables.get(table)?;
            Pinned::parse(identity)
        };
        pinned(earlier).zip(pinned(now))
    }

    async fn changes(&self, since: &Pinned<'_>, until: u64) -> Result<Changes, ChangesError> {
        let from = self.sql.upkeep.mode.from();
        // Only asked of modes that read changes.
        let from = from.unwrap_or(&self.sql.table);
        self.lakehouse.changes(from, since.since(), until).await
    }

    fn from(&self) -> String {
        let from = self.sql.upkeep.mode.from();
        from.map_or_else(String::new, ToString::to_string)
    }

    /// `auto_helps`: see [`how_to_go_on`].
    fn refused(&self, reason: &str, auto_helps: bool) -> Verdict {
        Verdict::Refused {
            reason: reason.to_owned(),
            help: how_to_go_on(self.sql, auto_helps),
        }
    }
}

/// What to do about a table that is refused. `auto_helps`: whether `refresh: auto` would make
/// it anew, rather than refuse it as `strict` does.
pub(crate) fn how_to_go_on(sql: &SqlAsset, auto_helps: bool) -> String {
    let anew = format!("make it anew with `--full-refresh {}`", sql.table);
    match auto_helps {
        true => format!("{anew}, or set `refresh: auto`"),
        false => format!("{anew}, or always then with `refresh: full`"),
    }
}

/// `row` or `rows`.
pub(crate) fn rows_word(count: u64) -> &'static str {
    match count {
        1 => "row",
        _ => "rows",
    }
}
