//! What became of a run, told to a command.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Notice;

/// How often a command is asked whether it has ended.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A program that is run after runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// The program and its arguments; no shell reads them.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// How long it may take.
    pub timeout: Duration,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("`{program}` cannot be run: {source}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("`{program}` cannot be waited for: {source}")]
    Wait {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("`{program}` was killed after {} s", timeout.as_secs())]
    TimedOut { program: String, timeout: Duration },
    #[error("`{program}` ended with {status}")]
    Failed { program: String, status: ExitStatus },
    #[error("stopped")]
    Stopped,
}

impl HookCommand {
    /// Runs it to its end, or kills it when its time is up. What it prints goes to standard
    /// error: standard output is the run's own.
    pub(crate) async fn run(
        &self,
        notice: &Notice,
        cancel: &CancellationToken,
    ) -> Result<(), CommandError> {
        let Some((program, arguments)) = self.arguments.split_first() else {
            return Ok(());
        };
        let name = || program.clone();
        let child = Command::new(self.program(program))
            .args(arguments)
            .current_dir(&self.folder)
            .envs(environment(notice))
            .stdin(Stdio::null())
            .stdout(Stdio::from(io::stderr()))
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| CommandError::Start {
                program: name(),
                source,
            })?;
        let mut child = Killed(child);
        let deadline = Instant::now() + self.timeout;
        loop {
            let ended = child.0.try_wait();
            let ended = ended.map_err(|source| CommandError::Wait {
                program: name(),
                source,
            })?;
            match ended {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(CommandError::Failed {
                        program: name(),
                        status,
                    });
                }
                None if Instant::now() >= deadline => {
                    return Err(CommandError::TimedOut {
                        program: name(),
                        timeout: self.timeout,
                    });
                }
                None => {}
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = cancel.cancelled() => return Err(CommandError::Stopped),
            }
        }
    }

    /// A path is relative to the project's folder, a bare name is looked up in `PATH`.
    fn program(&self, program: &str) -> PathBuf {
        match Path::new(program).components().count() {
            0 | 1 => PathBuf::from(program),
            _ => std::path::absolute(self.folder.join(program))
                .unwrap_or_else(|_| self.folder.join(program)),
        }
    }
}

/// A process that does not outlive what waits for it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// What tells a command about the run.
fn environment(notice: &Notice) -> [(&'static str, String); 10] {
    let first = notice.errors.first();
    let first = first.map(|failed| format!("{}: {}", failed.asset, failed.error));
    let error = notice.error.clone().or(first);
    [
        ("SLUICE_EVENT", notice.event.to_owned()),
        ("SLUICE_STATUS", notice.status.to_owned()),
        ("SLUICE_PIPELINE", notice.pipeline.clone()),
        ("SLUICE_RUN_ID", notice.run_id.clone().unwrap_or_default()),
        ("SLUICE_LAKEHOUSE", notice.lakehouse.clone()),
        ("SLUICE_SECONDS", format!("{:.3}", notice.seconds)),
        ("SLUICE_MADE", notice.made.to_string()),
        ("SLUICE_SKIPPED", notice.skipped.to_string()),
        ("SLUICE_FAILED", notice.failed.to_string()),
        ("SLUICE_ERROR", error.unwrap_or_default()),
    ]
}
