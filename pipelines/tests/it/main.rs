//! Integration tests of the pipelines crate, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_specs;
mod check;
mod language;
mod never_panics;
mod plan;
mod run;
mod sandbox;
mod schedules;
mod schema;
mod sql_places;
mod written;
