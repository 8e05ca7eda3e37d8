//! Exit codes: part of the interface, listed in the README.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well; of a run: every asset was made or skipped.
    Ok = 0,
    /// A stage or a test failed, or a query failed while it ran.
    Failed = 1,
    /// Wrong usage, or a project, query or input file that is wrong as written. Nothing was run.
    /// clap ends with the same code.
    Usage = 2,
    /// Another run of this project is at work. Nothing was run.
    Locked = 3,
    /// The lakehouse, its state, or a file could not be read or written.
    Environment = 4,
    /// A replay came out otherwise than the run.
    Differs = 5,
    /// Stopped by Ctrl-C or SIGTERM; the next run goes on.
    Cancelled = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README's table of exit codes says what the code does.
    #[test]
    fn readme_lists_the_codes() {
        let readme = include_str!("../README.md");
        for exit in [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::Locked,
            Exit::Environment,
            Exit::Differs,
            Exit::Cancelled,
        ] {
            let row = format!("| {} |", exit as u8);
            assert!(readme.contains(&row), "README.md lacks a row `{row}`");
        }
    }
}
