//! Which intervals of a table are to be made: those that are over and not in its ledger, those
//! that somebody asks for, and the last ones again when an input changed.

use serde::{Deserialize, Serialize};

use super::freshness::Verdict;
use super::mode::IntervalMode;
use super::ranges::Ranges;
use crate::spec::Instant;

/// What is asked of the tables of a run that are made interval by interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventTime {
    /// Only the intervals that overlap this time, and these whether they are made or not.
    pub window: Option<(Instant, Instant)>,
    /// The moment up to which intervals are over; by default the clock's.
    pub now: Option<Instant>,
}

/// Intervals that are made by one query and one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// How many intervals it is.
    pub(crate) count: u64,
}

/// The most intervals that a table can have: more would be a mistake in `every:` or `start:`.
const MOST: u64 = 10_000_000;

/// The intervals to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pending {
    pub(crate) batches: Vec<Batch>,
    /// Intervals that are over and were never made.
    pub(crate) missing: u64,
    /// Intervals that are made again.
    pub(crate) again: u64,
}

impl Pending {
    pub(crate) fn count(&self) -> u64 {
        self.missing + self.again
    }

    /// `3 of 5 intervals to make, 2026-01-01 to 2026-01-04`, or nothing.
    pub(crate) fn words(&self) -> Option<String> {
        let (first, last) = (self.batches.first()?, self.batches.last()?);
        let count = |count: u64, what: &str| match count {
            1 => format!("1 interval {what}"),
            _ => format!("{count} intervals {what}"),
        };
        let counts = match (self.missing, self.again) {
            (0, again) => count(again, "again"),
            (missing, 0) => count(missing, "missing"),
            (missing, again) => format!("{}, {again} again", count(missing, "missing")),
        };
        let (start, end) = (Instant(first.start), Instant(last.end));
        Some(format!("{counts}, from {start} to {end}"))
    }
}

/// The intervals to be made now. `inputs_changed`: the last ones are made again, as many as
/// `lookback` says.
pub(crate) fn pending(
    mode: &IntervalMode,
    ledger: &Ranges,
    asked: EventTime,
    now: Instant,
    inputs_changed: bool,
) -> Pending {
    let now = asked.now.unwrap_or(now);
    let bounds = bounds(mode, now);
    let over = bounds.len().saturating_sub(1);
    let lookback = match inputs_changed {
        true => usize::try_from(mode.lookback).unwrap_or(usize::MAX),
        false => 0,
    };
    let mut pending = Pending::default();
    for (at, pair) in bounds.windows(2).enumerate() {
        let (start, end) = (pair[0], pair[1]);
        let made = ledger.contains(start, end);
        let wanted = match asked.window {
            Some((from, to)) => start < to.0 && from.0 < end,
            None => !made || over - at <= lookback,
        };
        if !wanted {
            continue;
        }
        match made {
            true => pending.again += 1,
            false => pending.missing += 1,
        }
        match pending.batches.last_mut() {
            Some(last) if last.end == start && last.count < mode.batch_size => {
                last.end = end;
                last.count += 1;
            }
            _ => pending.batches.push(Batch {
                start,
                end,
                count: 1,
            }),
        }
    }
    pending
}

/// What there is instead, where no interval lies in the time that is asked for, in words.
pub(crate) fn outside(mode: &IntervalMode, asked: EventTime, now: Instant) -> Option<String> {
    let (from, to) = asked.window?;
    let none_lies = format!("no interval that is over lies from {from} to {to}");
    let bounds = bounds(mode, asked.now.unwrap_or(now));
    let overlaps = |pair: &[i64]| pair[0] < to.0 && from.0 < pair[1];
    if bounds.windows(2).any(overlaps) {
        return None;
    }
    let (first, rest) = bounds.split_first()?;
    Some(match rest {
        [] => {
            let start = Instant(*first);
            format!("{none_lies}: the first begins {start}, and is not over")
        }
        [.., last] => {
            let end = Instant(rest[0]);
            let before = Instant(bounds[bounds.len() - 2]);
            let (start, last) = (Instant(*first), Instant(*last));
            format!("{none_lies}: the first is {start} to {end}, the last {before} to {last}")
        }
    })
}

/// What is done where only some intervals are asked for and all have to be made, for `reason`.
pub(crate) fn only_some(reason: &str) -> Verdict {
    Verdict::Refused {
        reason: reason.to_owned(),
        help: "run it once without `--event-time-start` and `--event-time-end`".to_owned(),
    }
}

/// The starts of all intervals that are over, and the end of the last.
fn bounds(mode: &IntervalMode, now: Instant) -> Vec<i64> {
    let mut bounds = vec![mode.start.0];
    for count in 1..=MOST {
        // From the start on, so that the last days of months do not pull the others along.
        match mode.start.plus(mode.every, count) {
            Some(end) if end <= now => bounds.push(end.0),
            _ => break,
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mode::BoundType;
    use crate::spec::Every;

    fn mode(lookback: u64, batch_size: u64) -> IntervalMode {
        IntervalMode {
            column: "day".to_owned(),
            bounds: BoundType::Date,
            every: Every::Fixed(86_400_000),
            start: at("2026-01-01"),
            lookback,
            batch_size,
            concurrency: 1,
        }
    }

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn shown(pending: &Pending) -> String {
        let batches = pending.batches.iter();
        let batches =
            batches.map(|batch| format!("{}..{}", Instant(batch.start), Instant(batch.end)));
        let words = pending.words().unwrap_or_else(|| "nothing".to_owned());
        format!("{words}: {}", batches.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_missing_what_is_asked_for_and_what_is_made_again() {
        let now = at("2026-01-06T07:00:00Z");
        let mut ledger = Ranges::default();
        ledger.add(at("2026-01-02").0, at("2026-01-04").0);
        let plain = EventTime::default();
        let window = EventTime {
            window: Some((at("2026-01-02T12:00:00Z"), at("2026-01-04"))),
            now: None,
        };
        let early = EventTime {
            now: Some(at("2026-01-01T23:59:59Z")),
            window: None,
        };
        let told = [
            pending(&mode(0, 1), &ledger, plain, now, true),
            pending(&mode(0, 10), &ledger, plain, now, false),
            pending(&mode(3, 2), &ledger, plain, now, true),
            pending(&mode(3, 2), &ledger, plain, now, false),
            pending(&mode(0, 1), &ledger, window, now, false),
            pending(&mode(0, 1), &ledger, early, now, false),
        ];
        let told: Vec<String> = told.iter().map(shown).collect();
        let asked = |from: &str, to: &str, now: &str| {
            let asked = EventTime {
                window: Some((at(from), at(to))),
                now: Some(at(now)),
            };
            outside(&mode(0, 1), asked, at(now)).unwrap_or_else(|| "some".to_owned())
        };
        let now = "2026-01-06T07:00:00Z";
        let outside = [
            asked("2025-12-01", "2026-01-01", now),
            asked("2026-01-06", "2026-02-01", now),
            asked("2026-01-05", "2026-02-01", now),
            asked("2026-01-01", "2026-01-02", "2026-01-01T23:59:59Z"),
        ];
        insta::assert_snapshot!(outside.join("\n"), @r"
        no interval that is over lies from 2025-12-01 to 2026-01-01: the first is 2026-01-01 to 2026-01-02, the last 2026-01-05 to 2026-01-06
        no interval that is over lies from 2026-01-06 to 2026-02-01: the first is 2026-01-01 to 2026-01-02, the last 2026-01-05 to 2026-01-06
        some
        no interval that is over lies from 2026-01-01 to 2026-01-02: the first begins 2026-01-01, and is not over
        ");
        insta::assert_snapshot!(told.join("\n"), @r"
        3 intervals missing, from 2026-01-01 to 2026-01-06: 2026-01-01..2026-01-02 2026-01-04..2026-01-05 2026-01-05..2026-01-06
        3 intervals missing, from 2026-01-01 to 2026-01-06: 2026-01-01..2026-01-02 2026-01-04..2026-01-06
        3 intervals missing, 1 again, from 2026-01-01 to 2026-01-06: 2026-01-01..2026-01-02 2026-01-03..2026-01-05 2026-01-05..2026-01-06
        3 intervals missing, from 2026-01-01 to 2026-01-06: 2026-01-01..2026-01-02 2026-01-04..2026-01-06
        2 intervals again, from 2026-01-02 to 2026-01-04: 2026-01-02..2026-01-03 2026-01-03..2026-01-04
        nothing: 
        ");
    }
}
