//! Integration tests of `sluice-learn`.

mod dataset;
mod estimators;
mod metrics;
mod model;
mod quality;
mod samplers;
mod sweep;
mod tables;
