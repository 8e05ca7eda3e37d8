//! Integration tests of `sluice-learn`.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up may panic as the test itself may"
)]

mod bag_of_words;
mod batch_prediction;
mod boosting;
mod calibration;
mod curves;
mod dataset;
mod deep_bert;
mod deep_fixtures;
mod deep_gradients;
mod deep_tokenizer;
mod deep_trainer;
mod digest;
mod estimators;
mod evaluation;
mod fitted_text;
mod folds;
mod metrics;
mod model;
mod quality;
mod samplers;
mod small_tables;
mod sweep;
mod sweep_resume;
mod tables;
mod tasks;
