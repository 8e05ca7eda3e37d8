//! Profiles of tables, and self-contained HTML reports with charts.

pub mod profile;
