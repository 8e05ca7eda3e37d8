//! The command line: one file a command.

mod check;
mod error;
mod event_time;
mod init;
mod lineage;
mod maintain;
mod models;
mod pairs;
mod plan;
mod project;
mod prompt;
mod replay;
mod retry;
mod run;
mod runs;
mod schedule;
mod selection;
mod session;
mod signal;
mod sql;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::exit::Exit;
pub(crate) use error::CliError;

/// Stack of each worker thread, in bytes: DataFusion's planner recurses deeply, most of
/// all in unoptimised builds.
const WORKER_STACK_BYTES: usize = 8 << 20;

/// How long work that was given up may take to notice: nothing waits for it, and nobody listens
/// to signals any more. What it leaves, the next run takes away.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Turns a folder of YAML and SQL into a lakehouse that trains, registers and applies models.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
PROJECT is a folder with a pipeline.yaml, or such a file; by default the nearest one upward.

Exit codes: 0 all well, 1 a stage, a test or a query failed, 2 wrong usage or a wrong project or query,
3 another run of the project is at work, 4 the lakehouse or a file cannot be read or written,
5 a replay came out otherwise than the run,
130 stopped by Ctrl-C or SIGTERM (the next run goes on from there).";

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The lakehouse's folder, in place of the project's `lakehouse:`
    #[arg(long, global = true, value_name = "DIR", env = "SLUICE_LAKEHOUSE")]
    lakehouse: Option<PathBuf>,
    /// A variable's value, in place of the project's `vars:`; may be repeated
    #[arg(long = "set", global = true, value_name = "VAR=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a project to begin with into an empty folder
    Init(init::Options),
    /// Tells everything that is wrong with a project, and runs nothing
    Check(check::Options),
    /// Tells what a run would make, and why
    Plan(plan::Options),
    /// Makes what should exist and does not, or not as it should
    Run(run::Options),
    /// Runs the tests of a project, in memory
    Test(test::Options),
    /// Makes what an earlier run did not get done
    Retry(retry::Options),
    /// Makes a run again as it was, elsewhere, and tells what comes out otherwise
    Replay(replay::Options),
    /// Looks after tables and the memory of runs, as `maintain:` says
    Maintain(maintain::Options),
    /// Asks the lakehouse: tables, runs, metrics, models
    Sql(sql::Options),
    /// Runs projects at the times of their `schedule:`, until it is stopped
    Schedule(schedule::Options),
    /// Tells where assets and their columns come from, and what they go into
    Lineage(lineage::Options),
    /// Lists, searches, shows, tags and annotates runs, trainings and trials
    Runs(runs::Options),
    /// Lists, shows, compares, names, tags, retires and deletes registered models
    Models(models::Options),
}

/// Runs the command that the process was called with.
pub(crate) fn main() -> ExitCode {
    // clap prints and ends by itself on wrong usage (2), --help and --version (0).
    let arguments = Arguments::parse();
    let outcome = runtime().map_err(CliError::Runtime).and_then(|runtime| {
        let outcome = arguments.command.execute(&runtime, &arguments.global);
        // What hangs in a system call, such as a disk that went away, does not hold the end up.
        runtime.shutdown_timeout(SHUTDOWN);
        outcome
    });
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print();
            error.exit().into()
        }
    }
}

impl Command {
    fn execute(&self, runtime: &Runtime, global: &Global) -> Result<Exit, CliError> {
        match self {
            Self::Init(options) => init::init(options),
            Self::Check(options) => runtime.block_on(check::check(options, global)),
            Self::Plan(options) => runtime.block_on(plan::plan(options, global)),
            Self::Test(options) => runtime.block_on(test::test(options, global)),
            Self::Run(options) => runtime.block_on(run::run(options, global)),
            Self::Retry(options) => runtime.block_on(retry::retry(options, global)),
            Self::Replay(options) => runtime.block_on(replay::replay_run(options, global)),
            Self::Maintain(options) => runtime.block_on(maintain::maintain(options, global)),
            Self::Schedule(options) => runtime.block_on(schedule::schedule(options, global)),
            Self::Lineage(options) => runtime.block_on(lineage::lineage(options, global)),
            Self::Runs(options) => runtime.block_on(runs::runs(options, global)),
            Self::Models(options) => runtime.block_on(models::models(options, global)),
            Self::Sql(options) => sql::sql(options, global, runtime),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("sluice")
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Parses `var=value`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!(
            "`{text}` is not of the form var=value, as in --set good_from=8"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn assignments_split_at_the_first_equals_sign() {
        assert_eq!(assignment("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert_eq!(assignment("a=").unwrap(), ("a".into(), String::new()));
        assert!(assignment("=1").is_err());
        assert!(assignment("good_from").unwrap_err().contains("var=value"));
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            "sluice --set a=1 --lakehouse x run p",
            "sluice run p --set a=1 --lakehouse x",
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.global.set, [("a".to_owned(), "1".to_owned())]);
            assert_eq!(arguments.global.lakehouse, Some(PathBuf::from("x")));
        }
    }
}
