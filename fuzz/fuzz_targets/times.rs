//! Schedules: cron in a time zone, and lengths of time. The first line is the pattern or the
//! length, the second the zone.
#![no_main]

use jiff::{Timestamp, ToSpan};
use libfuzzer_sys::{Corpus, fuzz_target};
use sluice_pipelines::schedule::Beat;
use sluice_pipelines::spec::Length;

/// Times that one look asks for.
const MOST: usize = 20;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let mut lines = text.lines();
    let pattern = lines.next().unwrap_or_default();
    if let Ok(length) = pattern.parse::<Length>() {
        assert!(
            length
                .to_string()
                .parse::<Length>()
                .is_ok_and(|again| again == length)
        );
        look_at(&Beat::every(length.0));
    }
    match Beat::cron(pattern, lines.next()) {
        Ok(beat) => look_at(&beat),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});

/// Times come one after the other, and nothing is left out between two of them.
fn look_at(beat: &Beat) {
    let start = Timestamp::UNIX_EPOCH + 490_000.hours();
    let mut last = start;
    for _ in 0..MOST {
        let Some(next) = beat.next_after(last) else {
            return;
        };
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    let between = beat.between(start, last, MOST);
    assert_eq!(between.len(), MOST);
    assert_eq!(between.last(), Some(&last));
    assert_eq!(beat.last_between(start, last), Some(last));
}
