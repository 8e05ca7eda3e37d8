//! Of several runs of one project one is at work: it holds the project's lease, and where it
//! can the pipeline's lock file, which its end frees at once, however it ends.
//!
//! The lock file proves that an earlier run on this machine has ended; the lease keeps runs on
//! other machines away, and fences off one that was stopped for so long that it lost it.

use std::path::Path;
use std::time::Duration;

use sluice_lake::state::{Claimant, Lease, LeaseHolder, RENEW_EVERY, State, now_ms};
use sluice_lake::{LakeError, Lakehouse, RunLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::RunError;

/// How long to wait before a lease that another run holds is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What to work with while the lease of a project is held.
pub(super) struct Leased {
    /// The lakehouse and the store: they are written only while the lease is the newest.
    pub(super) lakehouse: Lakehouse,
    pub(super) state: State,
    /// Cancelled when the work is to stop, or the lease is lost.
    pub(super) stop: CancellationToken,
}

/// Works on the lakehouse in a folder while it holds the lease of a pipeline. With `wait` a run
/// that is under way is waited for, until `cancel`.
///
/// # Errors
/// As [`take`], as the work, and a lease that cannot be given back.
pub(super) async fn under<T, Work>(
    folder: &Path,
    pipeline: &str,
    wait: bool,
    cancel: &CancellationToken,
    work: impl FnOnce(Leased) -> Work,
) -> Result<T, RunError>
where
    Work: Future<Output = Result<T, RunError>>,
{
    let lakehouse = Lakehouse::create(folder)?;
    let state = State::open(lakehouse.state_path()).await?;
    // A lease that is lost stops the work, and not what asked for it.
    let stop = cancel.child_token();
    let taken = take(&lakehouse, &state, pipeline, wait, cancel, &stop);
    let held = match taken.await {
        Ok(held) => held,
        Err(error) => {
            state.close().await;
            return Err(error);
        }
    };
    let fenced = held.fenced();
    let outcome = work(Leased {
        lakehouse: lakehouse.fenced(fenced.clone()),
        state: fenced,
        stop,
    });
    let outcome = outcome.await;
    let released = held.release().await;
    state.close().await;
    // What the work came to counts more than what became of its lease.
    let outcome = outcome?;
    released?;
    Ok(outcome)
}

/// The right to write for a project, as long as it is held.
struct Held {
    lease: Lease,
    state: State,
    renewing: JoinHandle<()>,
    /// Freed last.
    _lock: Option<RunLock>,
}

impl Held {
    /// The store as the run is to use it: it writes only while the lease is the newest.
    fn fenced(&self) -> State {
        self.state.fenced(self.lease.clone())
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// A store that cannot be written: then the lease ends with the process.
    async fn release(self) -> Result<(), RunError> {
        self.renewing.abort();
        Ok(self.state.release_lease(&self.lease).await?)
    }
}

/// Takes the lease of a project. With `wait` a run that is under way is waited for, until
/// `cancel`. When it is lost later, `lost` is cancelled.
///
/// # Errors
/// [`RunError::Locked`] with who holds it; [`RunError::Stopped`] when it waited in vain; a
/// lakehouse or store that cannot be written.
async fn take(
    lakehouse: &Lakehouse,
    state: &State,
    pipeline: &str,
    wait: bool,
    cancel: &CancellationToken,
    lost: &CancellationToken,
) -> Result<Held, RunError> {
    let project = lakehouse.project_uuid(pipeline)?.to_string();
    loop {
        let (lock, pid) = match lakehouse.lock(pipeline) {
            Ok(lock) => (Some(lock), None),
            Err(LakeError::Locked { pid, .. }) => (None, pid),
            Err(error) => return Err(error.into()),
        };
        let claimant = Claimant::this(project.clone(), pipeline.to_owned(), lock.is_some());
        match state.take_lease(&claimant, now_ms()).await? {
            Ok(lease) => {
                let renewing = tokio::spawn(renew(state.clone(), lease.clone(), lost.clone()));
                return Ok(Held {
                    lease,
                    state: state.clone(),
                    renewing,
                    _lock: lock,
                });
            }
            Err(holder) if !wait => return Err(refused(lakehouse, pipeline, pid, holder)),
            Err(_) => {}
        }
        // Whoever else waits must find it free.
        drop(lock);
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = cancel.cancelled() => return Err(RunError::Stopped),
        }
    }
}

fn refused(
    lakehouse: &Lakehouse,
    pipeline: &str,
    pid: Option<u32>,
    holder: Option<LeaseHolder>,
) -> RunError {
    let of_lease = holder
        .as_ref()
        .and_then(|holder| u32::try_from(holder.pid).ok());
    RunError::Locked(LakeError::Locked {
        pipeline: pipeline.to_owned(),
        pid: of_lease.or(pid),
        since_ms: holder.as_ref().map(|holder| holder.taken_time),
        host: holder.map(|holder| holder.host),
        path: lakehouse.lock_path(pipeline),
    })
}

/// Renews a lease again and again, until it is lost.
async fn renew(state: State, lease: Lease, lost: CancellationToken) {
    let mut pause = RENEW_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = match state.renew_lease(&lease, now_ms()).await {
            Ok(true) => RENEW_EVERY,
            Ok(false) => return lost.cancel(),
            // A store that is busy now may not be in a moment. Where it stays away, so do all
            // writes of the run.
            Err(_) => RENEW_EVERY / 5,
        };
    }
}
