//! Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process, as does a
//! grace period that is over.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Watches until the task is aborted. `notice` is called on the first signal, `late` when the
/// run has not ended `grace` after it.
pub(crate) fn watch(
    cancel: CancellationToken,
    grace: Duration,
    notice: impl Fn() + Send + 'static,
    late: impl Fn() + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if arrived().await.is_err() {
            return;
        }
        cancel.cancel();
        notice();
        tokio::select! {
            again = arrived() => if again.is_err() {
                return;
            },
            () = tokio::time::sleep(grace) => late(),
        }
        end();
    })
}

/// Waits for the next Ctrl-C or SIGTERM.
///
/// # Errors
/// When the system refuses a signal handler: then signals do what they do by default.
pub(crate) async fn arrived() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[expect(
    clippy::disallowed_methods,
    reason = "the user asked twice, or the time is over; what a run commits is whole at every moment, so that nothing is lost"
)]
fn end() -> ! {
    std::process::exit(i32::from(Exit::Cancelled as u8))
}
