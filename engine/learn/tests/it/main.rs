//! Integration tests of `sluice-learn`.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up may panic as the test itself may"
)]

mod curves;
mod dataset;
mod digest;
mod estimators;
mod metrics;
mod model;
mod quality;
mod samplers;
mod sweep;
mod sweep_resume;
mod tables;
mod tasks;
