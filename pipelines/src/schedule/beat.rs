//! The clock's part of a schedule.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sluice_lake::nearest::nearest;

/// How far back the last times are looked for, at first.
const LOOKS_BACK: [SignedDuration; 4] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(32 * 24),
    SignedDuration::from_hours(400 * 24),
];

/// Times that come again and again.
#[derive(Debug, Clone)]
pub struct Beat {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Cron { cron: Box<Cron>, zone: TimeZone },
    Every { milliseconds: i64 },
}

/// Why a schedule has no times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// The pattern is none of five fields.
    #[error("`{pattern}` is no cron pattern: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It never comes.
    #[error("`{pattern}` never comes: no month has such a day")]
    Never {
        /// The pattern.
        pattern: String,
    },
    /// The time zone is not known.
    #[error("there is no time zone `{name}`")]
    Zone {
        /// The name.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
}

impl Beat {
    /// The times of a cron pattern of five fields in a time zone, UTC without one.
    ///
    /// # Errors
    /// A pattern that is none, or that never comes; a zone that is not known.
    pub fn cron(pattern: &str, zone: Option<&str>) -> Result<Self, BeatError> {
        let wrong = |reason: &str| BeatError::Pattern {
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        };
        let fields = pattern.split_whitespace().count();
        if fields != 5 && !pattern.starts_with('@') {
            let reason = format!(
                "it has {fields} fields, and needs five: minute, hour, day of month, month, day of week"
            );
            return Err(wrong(&reason));
        }
        if pattern.eq_ignore_ascii_case("@reboot") {
            return Err(wrong("a daemon that starts again must not run it again"));
        }
        if pattern
            .split_whitespace()
            .any(|field| field.split(',').any(str::is_empty))
        {
            // The parser takes it for a field without values, whose time is looked for until
            // the year 5000.
            return Err(wrong("a value is missing beside a comma"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(pattern)
            .map_err(|error| wrong(&plain(&error.to_string())))?;
        let beat = Self {
            kind: Kind::Cron {
                cron: Box::new(cron),
                zone: zone_of(zone)?,
            },
        };
        // A leap day is at most eight years away.
        match beat.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(beat),
            None => Err(BeatError::Never {
                pattern: pattern.to_owned(),
            }),
        }
    }

    /// The multiples of a length, of at least a second, since 1970 UTC.
    pub fn every(length: Duration) -> Self {
        let milliseconds = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self {
            kind: Kind::Every {
                milliseconds: milliseconds.max(1000),
            },
        }
    }

    /// The zone in which its times are meant.
    pub fn zone(&self) -> TimeZone {
        match &self.kind {
            Kind::Cron { zone, .. } => zone.clone(),
            Kind::Every { .. } => TimeZone::UTC,
        }
    }

    /// The first time after `time`; `None` when there is none within the calendar.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::Cron { cron, zone } => {
                let start = time.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&start, false).ok()?;
                Some(next.timestamp())
            }
            Kind::Every { milliseconds } => {
                let whole = time.as_millisecond().div_euclid(*milliseconds);
                let next = whole.checked_add(1)?.checked_mul(*milliseconds)?;
                Timestamp::from_millisecond(next).ok()
            }
        }
    }

    /// The last time after `after` and until `until`.
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        self.between(after, until, 1).pop()
    }

    /// The times after `after` and until `until`, first to last; of more than `most` the last.
    ///
    /// What lies far back is looked at only where the time since has too few: a daemon that
    /// stood still for years does not count all their minutes.
    pub fn between(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        for window in LOOKS_BACK {
            let from = until.checked_sub(window).unwrap_or(Timestamp::MIN);
            if from <= after {
                break;
            }
            let mut times = self.all_between(from, until);
            if times.len() >= most {
                return times.split_off(times.len() - most);
            }
        }
        let mut times = self.all_between(after, until);
        times.split_off(times.len().saturating_sub(most))
    }

    fn all_between(&self, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let next = |time: &Timestamp| self.next_after(*time).filter(|next| *next <= until);
        std::iter::successors(next(&after), next).collect()
    }
}

fn zone_of(name: Option<&str>) -> Result<TimeZone, BeatError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|n| n.to_string()).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        BeatError::Zone {
            name: name.to_owned(),
            nearest: near.map(str::to_owned),
        }
    })
}

/// A message of the parser without its own names.
fn plain(message: &str) -> String {
    let message = message
        .trim_start_matches("Invalid pattern: ")
        .trim_start_matches("Component error: ")
        .trim_start_matches("Pattern contains illegal characters: ")
        .trim_start_matches("CronPattern contains ");
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first
        .into_iter()
        .chain(letters)
        .collect::<String>()
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(pattern: &str, after: &str) -> String {
        let beat = Beat::cron(pattern, None).unwrap();
        beat.next_after(after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn lists_have_values() {
        for pattern in ["* , * * *", "0,,5 * * * *", ",0 * * * *", "0 6 1, * *"] {
            let error = Beat::cron(pattern, None).unwrap_err().to_string();
            assert!(
                error.ends_with("a value is missing beside a comma"),
                "{error}"
            );
        }
    }

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, expected) in [
            ("5 4 * * *", "2026-03-02T04:05:00Z"),
            ("*/20 * * * *", "2026-03-01T12:20:00Z"),
            ("10-12 12 * * *", "2026-03-01T12:10:00Z"),
            ("0 6 * JAN-MAR,DEC MON", "2026-03-02T06:00:00Z"),
            ("0 6 * * 0", "2026-03-08T06:00:00Z"),
            ("0 6 * * 7", "2026-03-08T06:00:00Z"),
            ("0 6 L * *", "2026-03-31T06:00:00Z"),
            ("0 6 14W * *", "2026-03-13T06:00:00Z"),
            ("0 6 * * FRI#2", "2026-03-13T06:00:00Z"),
            ("0 6 29 2 *", "2028-02-29T06:00:00Z"),
            ("@daily", "2026-03-02T00:00:00Z"),
            ("@hourly", "2026-03-01T13:00:00Z"),
        ] {
            assert_eq!(next(pattern, "2026-03-01T12:00:00Z"), expected, "{pattern}");
        }
    }
}
