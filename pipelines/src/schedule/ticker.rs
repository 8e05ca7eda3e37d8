//! How far a daemon is with the times of a schedule.

use jiff::Timestamp;

use super::Schedule;

/// Which times of a schedule are settled, whatever its clock does.
///
/// A clock that is set back makes times come again: that each is begun once is for the store to
/// see to. One that is set forward leaves times behind, which are missed ones like any other.
#[derive(Debug, Clone, Copy)]
pub struct Ticker {
    /// Times until here are settled.
    seen: Timestamp,
}

impl Ticker {
    /// Goes on after the `last` time that was begun, as far as the store knows; from `now` on
    /// where none ever was.
    pub fn new(now: Timestamp, last: Option<Timestamp>) -> Self {
        // What a clock ahead of this one has begun is no reason to wait for it.
        Self {
            seen: last.map_or(now, |last| last.min(now)),
        }
    }

    /// The times that have a run to come, first to last.
    pub fn due(&mut self, schedule: &Schedule, now: Timestamp) -> Vec<Timestamp> {
        self.seen = self.seen.min(now);
        schedule.due(self.seen, now)
    }

    /// Times until `time` need no further look.
    pub fn settle(&mut self, time: Timestamp) {
        self.seen = self.seen.max(time);
    }

    /// The first time that is not settled.
    pub fn next(&self, schedule: &Schedule) -> Option<Timestamp> {
        schedule.next_after(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::schedule::tests::{at, hourly};
    use crate::spec::CatchUp;

    /// Looks at each of these moments; the times that were begun, in that order.
    fn looked(schedule: &Schedule, ticker: &mut Ticker, moments: &[&str]) -> Vec<String> {
        let mut begun = Vec::new();
        for moment in moments {
            let now = at(moment);
            for time in ticker.due(schedule, now) {
                ticker.settle(time);
                begun.push(time.to_string());
            }
            ticker.settle(now);
        }
        begun
    }

    #[test]
    fn each_hour_comes_once() {
        let schedule = hourly(CatchUp::None);
        let mut ticker = Ticker::new(at("2026-03-01T09:59:50Z"), None);
        let moments = [
            "2026-03-01T09:59:59.999Z",
            "2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00.001Z",
            "2026-03-01T10:59:59Z",
            "2026-03-01T11:00:20Z",
        ];
        let begun = looked(&schedule, &mut ticker, &moments);
        assert_eq!(begun, ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"]);
        assert_eq!(ticker.next(&schedule), Some(at("2026-03-01T12:00:00Z")));
    }

    /// A clock a year ahead is set right: the schedule goes on at once, not in a year.
    #[test]
    fn a_clock_set_back_goes_on_from_there() {
        let schedule = hourly(CatchUp::Last);
        let mut ticker = Ticker::new(at("2026-03-01T09:59:50Z"), None);
        let moments = [
            "2027-03-01T10:30:00Z",
            "2026-03-01T10:05:00Z",
            "2026-03-01T11:00:00Z",
        ];
        let begun = looked(&schedule, &mut ticker, &moments);
        assert_eq!(begun, ["2027-03-01T10:00:00Z", "2026-03-01T11:00:00Z"]);
        // A daemon that starts again after it does so, too.
        let last = Some(at("2027-03-01T10:00:00Z"));
        let mut ticker = Ticker::new(at("2026-03-01T11:30:00Z"), last);
        let begun = looked(&schedule, &mut ticker, &["2026-03-01T12:00:01Z"]);
        assert_eq!(begun, ["2026-03-01T12:00:00Z"]);
    }

    #[test]
    fn a_clock_set_forward_leaves_missed_times() {
        let moments = ["2026-03-01T14:30:00Z"];
        for (catch_up, expected) in [(CatchUp::None, 0), (CatchUp::Last, 1), (CatchUp::All, 5)] {
            let mut ticker = Ticker::new(at("2026-03-01T09:59:50Z"), None);
            let begun = looked(&hourly(catch_up), &mut ticker, &moments);
            assert_eq!(begun.len(), expected, "{catch_up:?}");
        }
    }

    /// Two daemons and a clock that jumps: every time is offered, and a store that lets each be
    /// claimed once sees none twice.
    #[test]
    fn a_time_is_claimed_once_by_several() {
        let schedule = hourly(CatchUp::All);
        let start = at("2026-03-01T09:59:50Z");
        let mut daemons = [Ticker::new(start, None), Ticker::new(start, None)];
        let (mut claimed, mut begun) = (BTreeSet::new(), Vec::new());
        let jumps = [1, 40, 75, -70, 30, 200, -10, 61, 60];
        let mut now = start;
        for (step, minutes) in jumps.iter().cycle().take(90).enumerate() {
            now = now
                .checked_add(jiff::SignedDuration::from_mins(*minutes))
                .unwrap();
            let daemon = &mut daemons[step % 2];
            for time in daemon.due(&schedule, now) {
                if claimed.insert(time) {
                    begun.push(time);
                }
                daemon.settle(time);
            }
            daemon.settle(now);
        }
        let last = *claimed.last().unwrap();
        let all = schedule.due(start, last);
        assert_eq!(claimed.into_iter().collect::<Vec<_>>(), all);
        assert_eq!(begun.len(), all.len());
    }
}
