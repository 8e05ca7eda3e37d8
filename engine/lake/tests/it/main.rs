//! What the lakehouse promises, on real folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod as_of;
mod bad_records;
mod catalog;
mod changes;
mod csv_faults;
mod csv_rows;
mod delta;
mod delta_commits;
mod delta_draft;
mod delta_keys;
mod delta_parts;
mod delta_replace;
mod fixture;
mod labels;
mod lakehouse;
mod leases;
mod leftovers;
mod maintenance;
mod many_files;
mod many_writers;
mod opening;
mod parquet_rows;
mod partitions;
mod processes;
mod rebuild;
mod registry;
mod session;
mod sql;
mod state;
mod survey;
mod system;
