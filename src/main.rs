//! `sluice`: one binary that turns a folder of YAML and SQL into a lakehouse that
//! trains, tracks, registers and applies models.
//!
//! [`cli`] has one file a command, [`render`] shows runs, [`export`] tells others of them, [`results`] writes query
//! results, [`exit`] lists the exit codes.

mod cli;
mod exit;
mod export;
mod render;
mod results;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Names what is logged to standard error, as in `SLUICE_LOG=sluice_lake=debug`.
const LOG_VARIABLE: &str = "SLUICE_LOG";

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(render::screen::Screen::stderr().color)
        .init();
    cli::main()
}
