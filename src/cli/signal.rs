//! Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process, as does a
//! grace period that is over.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Watches until the task is aborted. `notice` is called on the first signal.
pub(crate) fn watch(
    cancel: CancellationToken,
    notice: impl Fn() + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if arrived().await.is_err() {
            return;
        }
        cancel.cancel();
        notice();
        if arrived().await.is_ok() {
            end();
        }
    })
}

/// Ends the process when it has not ended `grace` after it was asked to, unless the task is
/// aborted; `late` is called before.
pub(crate) fn end_after(
    cancel: CancellationToken,
    grace: Duration,
    late: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        cancel.cancelled().await;
        tokio::time::sleep(grace).await;
        late();
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

/// Ends the process at once.
#[expect(
    clippy::disallowed_methods,
    reason = "the user asked twice, or gave it enough time; what a run commits is whole at every moment, so that nothing is lost"
)]
pub(crate) fn end() -> ! {
    std::process::exit(i32::from(Exit::Cancelled as u8))
}
