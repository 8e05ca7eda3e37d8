//! Integration tests of the pipelines crate, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_specs;
mod check;
mod event_schema;
mod hostile;
mod language;
mod never_panics;
mod plan;
mod run;
mod sandbox;
mod schedules;
mod schema;
mod sql_places;
mod written;

/// Says that the test of this thread is skipped: aloud, and in the file that
/// `SLUICE_SKIPPED_TESTS` names, for CI to list.
fn say_skipped(why: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {why}");
    println!("{line}");
    if let Some(file) = std::env::var_os("SLUICE_SKIPPED_TESTS") {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file);
        writeln!(file.unwrap(), "{line}").unwrap();
    }
}
