//! The times of schedules against plain enumerations of the calendar.

use jiff::civil::{Date, Time, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
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

fn start(zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(FIRST.at(0, 0, 0, 0)).unwrap()
}

fn end(zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(END.at(0, 0, 0, 0)).unwrap()
}

/// A clock that is always at the time that it waits for, for ten years.
fn simulated(pattern: &str, zone: &str) -> Vec<Timestamp> {
    let beat = Beat::cron(pattern, Some(zone)).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let (mut now, end) = (start(&zone) - 1.second(), end(&zone));
    let mut times = Vec::new();
    while let Some(next) = beat.next_after(now)
        && next < end
    {
        assert!(next > now, "time goes on");
        times.push(next);
        now = next;
    }
    times
}

/// Each day that counts, at these times of its wall clock: once in an overlap, at the first
/// moment; after a gap, at its end.
fn at_fixed_times(days: impl Fn(Date) -> bool, times: &[Time], zone: &str) -> Vec<Timestamp> {
    let zone = TimeZone::get(zone).unwrap();
    let mut all = Vec::new();
    let mut day = FIRST;
    while day < END {
        if days(day) {
            for time in times {
                let local = day.to_datetime(*time);
                let moment = match zone.to_ambiguous_timestamp(local).offset() {
                    AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local),
                    AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local),
                    AmbiguousOffset::Gap { after, .. } => {
                        // The transition is the last one before the time as the old offset
                        // would have it.
                        let probe = after.to_timestamp(local).unwrap() + 1.day_in_hours();
                        Ok(zone.preceding(probe).next().unwrap().timestamp())
                    }
                };
                all.push(moment.unwrap());
            }
        }
        day = day.tomorrow().unwrap();
    }
    all.sort();
    all.dedup();
    all
}

trait Hours {
    fn day_in_hours(self) -> jiff::Span;
}

impl Hours for i64 {
    fn day_in_hours(self) -> jiff::Span {
        (self * 24).hours()
    }
}

/// Every quarter of an hour that passes whose wall clock fits.
fn elapsed(fits: impl Fn(i8, i8) -> bool, zone: &str) -> Vec<Timestamp> {
    let zone = TimeZone::get(zone).unwrap();
    let (mut now, end) = (start(&zone), end(&zone));
    let mut times = Vec::new();
    while now < end {
        let local = zone.to_datetime(now);
        if fits(local.hour(), local.minute()) {
            times.push(now);
        }
        now += 15.minutes();
    }
    times
}

fn compare(pattern: &str, zone: &str, expected: &[Timestamp]) {
    let found = simulated(pattern, zone);
    let differs = found.iter().zip(expected).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{pattern} in {zone}");
    assert_eq!(found.len(), expected.len(), "{pattern} in {zone}");
}

#[test]
fn fixed_times_come_once_a_day_for_ten_years() {
    use jiff::civil::{Weekday, time};
    for zone in ZONES {
        let every_day = |_| true;
        compare("0 6 * * *", zone, &at_fixed_times(every_day, &[time(6, 0, 0, 0)], zone));
        // In the gaps and overlaps of all these zones, at midnight and in the night.
        for (pattern, hour, minute) in [
            ("30 2 * * *", 2, 30),
            ("15 0 * * *", 0, 15),
            ("30 1 * * *", 1, 30),
            ("45 23 * * *", 23, 45),
            ("30 3 * * *", 3, 30),
        ] {
            let times = [time(hour, minute, 0, 0)];
            compare(pattern, zone, &at_fixed_times(every_day, &times, zone));
        }
        let working = |day: Date| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        let times = [time(9, 0, 0, 0), time(17, 0, 0, 0)];
        compare("0 9,17 * * MON-FRI", zone, &at_fixed_times(working, &times, zone));
        let leap = |day: Date| day.month() == 2 && day.day() == 29;
        compare("0 12 29 FEB *", zone, &at_fixed_times(leap, &[time(12, 0, 0, 0)], zone));
        // Day of month and day of week: either counts, as in cron.
        let either = |day: Date| day.day() == 13 || day.weekday() == Weekday::Friday;
        compare("0 8 13 * 5", zone, &at_fixed_times(either, &[time(8, 0, 0, 0)], zone));
    }
}

#[test]
fn patterns_of_every_hour_follow_the_time_that_passes() {
    for zone in ZONES {
        compare("0 * * * *", zone, &elapsed(|_, minute| minute == 0, zone));
        compare("*/15 * * * *", zone, &elapsed(|_, _| true, zone));
        compare("30 * * * *", zone, &elapsed(|_, minute| minute == 30, zone));
    }
}

#[test]
fn a_look_back_finds_what_a_look_ahead_does() {
    for zone in ZONES {
        for pattern in ["30 2 * * *", "0 * * * *", "0 0 1 * *"] {
            let beat = Beat::cron(pattern, Some(zone)).unwrap();
            let all = simulated(pattern, zone);
            let (first, last) = (all[0] - 1.second(), *all.last().unwrap());
            let back = beat.between(first, last, usize::MAX);
            let differs = back.iter().zip(&all).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{pattern} in {zone}");
            assert_eq!(back.len(), all.len(), "{pattern} in {zone}");
        }
    }
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
