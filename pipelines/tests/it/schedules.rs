//! The times of schedules against a plain enumeration of every minute of ten years.

use std::collections::HashMap;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use sluice_pipelines::schedule::Beat;

/// Zones that set their clocks differently: in spring and autumn, at midnight, by half an hour,
/// and never.
const ZONES: [&str; 5] = [
    "Europe/Helsinki",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
];

const FIRST: Date = date(2010, 1, 1);
const END: Date = date(2020, 1, 1);

/// A pattern, and what it means: taken apart by hand, so that nothing is shared with what is
/// tested.
struct Pattern {
    text: &'static str,
    minutes: &'static [i64],
    hours: &'static [i64],
    days: Days,
}

#[derive(Clone, Copy)]
enum Days {
    All,
    /// Monday is 1.
    Weekdays(&'static [i8]),
    /// Of a month, or any.
    OfMonth(i8, Option<i8>),
    /// Either counts.
    Either(i8, i8),
}

const EVERY_HOUR: &[i64] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

const fn pattern(
    text: &'static str,
    minutes: &'static [i64],
    hours: &'static [i64],
    days: Days,
) -> Pattern {
    Pattern {
        text,
        minutes,
        hours,
        days,
    }
}

const PATTERNS: [Pattern; 12] = [
    pattern("0 6 * * *", &[0], &[6], Days::All),
    // In the gaps and overlaps of these zones, at midnight and in the night.
    pattern("30 2 * * *", &[30], &[2], Days::All),
    pattern("15 0 * * *", &[15], &[0], Days::All),
    pattern("30 1 * * *", &[30], &[1], Days::All),
    pattern("45 23 * * *", &[45], &[23], Days::All),
    pattern("30 3 * * *", &[30], &[3], Days::All),
    // These follow the time that passes.
    pattern("0 * * * *", &[0], EVERY_HOUR, Days::All),
    pattern("*/15 0-3 * * *", &[0, 15, 30, 45], &[0, 1, 2, 3], Days::All),
    pattern("30 1,2 * * *", &[30], &[1, 2], Days::All),
    pattern(
        "0 9,17 * * MON-FRI",
        &[0],
        &[9, 17],
        Days::Weekdays(&[1, 2, 3, 4, 5]),
    ),
    pattern("0 12 29 FEB *", &[0], &[12], Days::OfMonth(29, Some(2))),
    pattern("0 8 13 * 5", &[0], &[8], Days::Either(13, 5)),
];

impl Days {
    fn fit(self, day: Date) -> bool {
        let weekday = day.weekday().to_monday_one_offset();
        match self {
            Self::All => true,
            Self::Weekdays(weekdays) => weekdays.contains(&weekday),
            Self::OfMonth(number, month) => {
                day.day() == number && month.is_none_or(|month| day.month() == month)
            }
            Self::Either(number, other) => day.day() == number || weekday == other,
        }
    }
}

/// A zone as stretches of time with one offset each, in minutes since 1970: first (UTC), and
/// how far clocks are ahead.
fn stretches(zone: &TimeZone) -> Vec<(i64, i64)> {
    let (start, end) = (start(zone), end(zone));
    let minutes = |seconds: i32| i64::from(seconds) / 60;
    let first = (
        start.as_second() / 60,
        minutes(zone.to_offset(start).seconds()),
    );
    let changes = zone
        .following(start)
        .take_while(|change| change.timestamp() < end);
    let changes = changes.map(|change| {
        let at = change.timestamp().as_second();
        assert_eq!(at % 60, 0, "clocks are set at whole minutes");
        (at / 60, minutes(change.offset().seconds()))
    });
    std::iter::once(first).chain(changes).collect()
}

/// Every minute that passes is looked at, as a clock on a wall would be. A pattern with one
/// hour and one minute comes once for each time of the wall clock: at the first of two, and
/// at the end of a gap that leaves it out. Others come whenever the wall clock fits.
fn enumerated(pattern: &Pattern, zone: &TimeZone) -> Vec<i64> {
    const DAY: i64 = 24 * 60;
    let stretches = stretches(zone);
    let last = end(zone).as_second() / 60;
    let mut fitting: HashMap<i64, bool> = HashMap::new();
    let mut hours = [false; 24];
    pattern
        .hours
        .iter()
        .for_each(|hour| hours[*hour as usize] = true);
    let mut minutes = [false; 60];
    pattern
        .minutes
        .iter()
        .for_each(|minute| minutes[*minute as usize] = true);
    let mut fits = |wall: i64| {
        let minute = wall.rem_euclid(DAY);
        minutes[(minute % 60) as usize] && hours[(minute / 60) as usize] && {
            let day = wall.div_euclid(DAY);
            *fitting.entry(day).or_insert_with(|| {
                let date = date(1970, 1, 1).checked_add(day.days()).unwrap();
                pattern.days.fit(date)
            })
        }
    };
    let fixed = pattern.hours.len() == 1 && pattern.minutes.len() == 1;
    let mut times = Vec::new();
    let mut highest = stretches[0].0 + stretches[0].1 - 1;
    for (number, (first, ahead)) in stretches.iter().enumerate() {
        let until = stretches.get(number + 1).map_or(last, |next| next.0);
        let left_out = highest + 1..first + ahead;
        if fixed && left_out.into_iter().any(&mut fits) && !fits(first + ahead) {
            times.push(*first);
        }
        for now in *first..until {
            let wall = now + ahead;
            if fits(wall) && (!fixed || wall > highest) {
                times.push(now);
            }
            highest = highest.max(wall);
        }
    }
    times
}

fn start(zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(FIRST.at(0, 0, 0, 0)).unwrap()
}

fn end(zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(END.at(0, 0, 0, 0)).unwrap()
}

/// A clock that is always at the time that it waits for, for ten years.
fn simulated(pattern: &str, name: &str) -> Vec<i64> {
    let beat = Beat::cron(pattern, Some(name)).unwrap();
    let zone = TimeZone::get(name).unwrap();
    let (mut now, end) = (start(&zone) - 1.second(), end(&zone));
    let mut times = Vec::new();
    while let Some(next) = beat.next_after(now)
        && next < end
    {
        assert!(next > now, "time goes on");
        assert_eq!(next.as_second() % 60, 0);
        times.push(next.as_second() / 60);
        now = next;
    }
    times
}

#[test]
fn ten_years_in_five_zones() {
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        for pattern in &PATTERNS {
            let expected = enumerated(pattern, &zone);
            let found = simulated(pattern.text, name);
            let differs = found.iter().zip(&expected).find(|(a, b)| a != b);
            let shown = differs.map(|(found, expected)| {
                [found, expected].map(|minute| Timestamp::from_second(minute * 60).unwrap())
            });
            assert_eq!(shown, None, "{} in {name}: found, expected", pattern.text);
            assert_eq!(found.len(), expected.len(), "{} in {name}", pattern.text);
            assert!(!found.is_empty());
        }
    }
}

#[test]
fn a_look_back_finds_what_a_look_ahead_does() {
    let name = "America/Sao_Paulo";
    let zone = TimeZone::get(name).unwrap();
    for pattern in ["30 2 * * *", "15 0 * * *", "30 1,2 * * *", "0 0 1 * *"] {
        let beat = Beat::cron(pattern, Some(name)).unwrap();
        let ahead = simulated(pattern, name);
        let (before, last) = (start(&zone) - 1.second(), end(&zone) - 1.second());
        let back = |most| {
            let times = beat.between(before, last, most);
            times
                .iter()
                .map(|time| time.as_second() / 60)
                .collect::<Vec<_>>()
        };
        assert_eq!(back(usize::MAX), ahead, "{pattern}");
        for most in [1, 3, 40] {
            assert_eq!(back(most), ahead[ahead.len() - most..], "{pattern}");
        }
        // What comes at the very end counts, what comes at the very beginning does not.
        let at = |number: usize| Timestamp::from_second(ahead[number] * 60).unwrap();
        assert_eq!(beat.between(at(5), at(7), 9), [at(6), at(7)], "{pattern}");
        assert_eq!(beat.last_between(at(5), at(7)), Some(at(7)), "{pattern}");
        assert_eq!(beat.last_between(at(5), at(5)), None, "{pattern}");
        assert_eq!(beat.last_between(at(7), at(5)), None, "{pattern}");
    }
}

#[test]
fn multiples_of_a_length_come_whatever_clocks_do() {
    let beat = Beat::every(std::time::Duration::from_secs(15 * 60));
    let start: Timestamp = "2026-03-29T00:50:00Z".parse().unwrap();
    let next: Vec<String> = std::iter::successors(Some(start), |time| beat.next_after(*time))
        .skip(1)
        .take(3)
        .map(|time| time.to_string())
        .collect();
    assert_eq!(
        next,
        [
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z",
            "2026-03-29T01:30:00Z"
        ]
    );
}

#[test]
fn what_is_no_pattern_is_told() {
    let told: Vec<String> = [
        ("0 6 * *", None),
        ("0 0 6 * * *", None),
        ("60 6 * * *", None),
        ("0 6 * * FUNDAY", None),
        ("0 6 31 2 *", None),
        ("@reboot", None),
        ("", None),
        ("0 6 * * *", Some("Europe/Helsinky")),
        ("0 6 * * *", Some("Nowhere")),
    ]
    .iter()
    .map(|(pattern, zone)| Beat::cron(pattern, *zone).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}
