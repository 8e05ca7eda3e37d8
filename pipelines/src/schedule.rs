//! When a pipeline is to be run: times, and what else begins a run.
//!
//! [`Schedule`] is what `schedule:` says, resolved; [`Schedule::due`] tells which times have
//! come since a daemon last looked. [`beat`] has the clock's part: cron in a time zone, and
//! multiples of a length. [`Ticker`] keeps track of what is settled, [`watch`] looks for what
//! else begins a run.
//!
//! # Clocks that are set
//!
//! A pattern with one hour and one minute has a fixed time: where a clock that is set forward
//! leaves it out it comes at the first moment after the gap, and where a clock that is set back
//! repeats it, it comes once, at the first of its two moments. All others (`*`, `*/15`, `1,2`)
//! follow the time that passes: they leave out what the gap leaves out, and come in both halves
//! of an overlap. Vixie's cron does so, too, but takes lists of hours or minutes (`1,2`) for fixed
//! times.

pub mod beat;
mod ticker;
pub mod watch;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sluice_lake::TableName;

pub use beat::Beat;
pub use ticker::Ticker;

use crate::spec::CatchUp;

/// How late a time may be noticed and still not count as missed.
const GRACE: Duration = Duration::from_secs(60);

/// Times that one look can catch up with: those of a schedule that stood still for years would
/// have no end.
pub const MOST_CAUGHT_UP: usize = 1000;

/// When a pipeline is to be run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The clock's part, if it has one.
    pub beat: Option<Beat>,
    /// What else begins a run.
    pub trigger: Option<Trigger>,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// The longest that a run begins after its time.
    pub jitter: Duration,
}

/// What begins a run besides the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// New or changed files of this table, which the pipeline makes.
    NewFiles(TableName),
    /// A new version of this table, which it does not make.
    Table(TableName),
}

impl Schedule {
    /// The times after `seen` and until `now` that have a run to come, first to last.
    ///
    /// Of more than [`MOST_CAUGHT_UP`] the last are kept.
    pub fn due(&self, seen: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let Some(beat) = &self.beat else {
            return Vec::new();
        };
        let mut times = match self.catch_up {
            CatchUp::All => beat.between(seen, now, MOST_CAUGHT_UP),
            // The last of those that count.
            CatchUp::None | CatchUp::Last => beat.last_between(seen, now).into_iter().collect(),
        };
        if self.catch_up == CatchUp::None {
            // Until then a daemon may still be waiting to begin it.
            let latest = GRACE.saturating_add(self.jitter);
            times.retain(|time| now.duration_since(*time).unsigned_abs() <= latest);
        }
        times
    }

    /// The first time after `time`; `None` when there is none.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.beat.as_ref()?.next_after(time)
    }

    /// A time as the schedule's zone tells it: `2026-03-29T06:00:00+03:00`.
    pub fn shown(&self, time: Timestamp) -> String {
        let zone = self.beat.as_ref().map_or(TimeZone::UTC, Beat::zone);
        let zoned = time.to_zoned(zone);
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// How long after `time` its run begins: the same for one pipeline and time wherever it is
    /// asked, spread evenly below [`Self::jitter`].
    pub fn delay(&self, pipeline: &str, time: Timestamp) -> Duration {
        let most = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(pipeline.as_bytes());
        hasher.update(&time.as_millisecond().to_le_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Duration::from_millis(u64::from_le_bytes(first) % most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(super) fn hourly(catch_up: CatchUp) -> Schedule {
        Schedule {
            beat: Some(Beat::cron("0 * * * *", None).unwrap()),
            trigger: None,
            catch_up,
            jitter: Duration::from_secs(90),
        }
    }

    #[test]
    fn missed_times_are_made_up_for_as_asked() {
        let (seen, now) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T13:30:00Z"));
        let due = |catch_up| hourly(catch_up).due(seen, now).len();
        assert_eq!(due(CatchUp::None), 0);
        assert_eq!(due(CatchUp::Last), 1);
        assert_eq!(due(CatchUp::All), 3);
        // A moment late is not missed, nor is what waits for its delay.
        let waiting = hourly(CatchUp::None).due(seen, at("2026-03-01T13:02:29Z"));
        assert_eq!(waiting, [at("2026-03-01T13:00:00Z")]);
        assert_eq!(
            hourly(CatchUp::None).due(seen, at("2026-03-01T13:02:31Z")),
            []
        );
        let now = at("2026-03-01T13:00:02Z");
        let last = [at("2026-03-01T13:00:00Z")];
        assert_eq!(hourly(CatchUp::None).due(seen, now), last);
        assert_eq!(hourly(CatchUp::Last).due(seen, now), last);
        // What was seen does not come again, nor when the clock is set back.
        assert_eq!(hourly(CatchUp::All).due(now, now), []);
        assert_eq!(hourly(CatchUp::All).due(now, seen), []);
    }

    #[test]
    fn the_times_of_a_year_are_caught_up_with_in_bounds() {
        let schedule = hourly(CatchUp::All);
        let now = at("2026-03-01T13:30:00Z");
        let due = schedule.due(at("2020-01-01T00:00:00Z"), now);
        assert_eq!(due.len(), MOST_CAUGHT_UP);
        assert_eq!(due.last(), Some(&at("2026-03-01T13:00:00Z")));
    }

    #[test]
    fn a_delay_is_that_of_its_time() {
        let schedule = hourly(CatchUp::None);
        let delay = |hour: i64| {
            let time = Timestamp::from_second(hour * 3600).unwrap();
            schedule.delay("wine", time)
        };
        assert_eq!(delay(1), delay(1));
        assert!((0..200).all(|hour| delay(hour) < Duration::from_secs(90)));
        assert!((0..200).any(|hour| delay(hour) > Duration::from_secs(60)));
        assert!((0..200).any(|hour| delay(hour) < Duration::from_secs(30)));
    }
}
