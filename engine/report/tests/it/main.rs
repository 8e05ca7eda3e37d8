//! Integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod any_order;
mod kinds;
mod large;
mod tables;
mod wine;
