//! Integration tests of `sluice-learn`.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up may panic as the test itself may"
)]

mod boosting;
mod calibration;
mod curves;
mod dataset;
mod estimators;
mod folds;
mod metrics;
mod model;
mod quality;
mod samplers;
mod sweep;
mod sweep_resume;
mod tables;
mod tasks;
