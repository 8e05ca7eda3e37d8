//! The pipeline language and the runner
