//! End-to-end tests: the binary as a user calls it, and the shape of the workspace.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the functions that its tests share"
)]

mod backfill;
mod bad_input;
mod deploy;
mod encoders;
mod evaluations;
mod exported;
mod failures;
mod hooks;
mod hub;
mod incremental;
mod interrupted;
mod journey;
mod keyed;
mod kills;
mod landing_files;
mod layering;
mod leases;
mod lineage;
mod maintenance;
mod many_projects;
mod outcome;
mod partitions;
mod registry;
mod replay;
mod replay_gone;
mod reports;
mod restored;
mod sandbox;
mod scaffold;
mod schedules;
mod selectors;
mod sentiment;
mod slt;
mod sweeps;
mod table_tests;
mod tags;
mod tasks;
mod text_resume;
mod validation;
mod wine;
