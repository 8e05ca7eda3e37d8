//! Trying a stage: again when it failed for what passes, and no longer than it may take.
//!
//! Each attempt is whole: what the stage needs is looked up anew, so that a race that was lost
//! to another writer is decided on the table as that writer left it, and an asset that became
//! up to date meanwhile is left alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::context::RunContext;
use super::error::StageError;
use crate::check::error_chain;
use crate::events::EventKind;
use crate::plan::Asset;

/// The longest first pause between two attempts; each next one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a stage that took too long may take to stop.
const STOPPING: Duration = Duration::from_secs(10);

/// Tries a stage as often as it may be. Returns how it ended, and how often it was tried.
pub(super) async fn persist<F>(
    run: &Arc<RunContext>,
    asset: &Asset,
    attempt: impl Fn(Arc<RunContext>) -> F,
) -> (Result<(), StageError>, u32)
where
    F: Future<Output = Result<(), StageError>> + Send + 'static,
{
    let mut attempts = 1;
    loop {
        let error = match limited(run, asset, &attempt).await {
            Err(error) if error.is_transient() && attempts <= asset.patience.retries => error,
            ended => return (ended, attempts),
        };
        let wait = pause(run.run_id.as_str(), &asset.name, attempts);
        run.emit(EventKind::StageRetried {
            asset: asset.name.clone(),
            attempt: attempts,
            error: error_chain(&error),
            fault: error.fault(),
            wait_seconds: wait.as_secs_f64(),
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = run.cancel.cancelled() => return (Err(StageError::Cancelled), attempts),
        }
        // What it makes is looked at as it is now; what it reads stays as the run saw it.
        for table in asset.makes() {
            run.catalog.pins().forget(table);
        }
        attempts += 1;
    }
}

/// One attempt, stopped when it takes longer than the asset may.
async fn limited<F>(
    run: &Arc<RunContext>,
    asset: &Asset,
    attempt: impl Fn(Arc<RunContext>) -> F,
) -> Result<(), StageError>
where
    F: Future<Output = Result<(), StageError>> + Send + 'static,
{
    let Some(limit) = asset.patience.timeout else {
        return attempt(Arc::clone(run)).await;
    };
    let stop = run.cancel.child_token();
    let within = RunContext {
        cancel: stop.clone(),
        ..RunContext::clone(run)
    };
    // On a task of its own: a query may compute for long without looking up.
    let mut work = AbortOnDropHandle::new(tokio::spawn(attempt(Arc::new(within))));
    tokio::select! {
        ended = &mut work => return ended.unwrap_or(Err(StageError::Panicked)),
        () = tokio::time::sleep(limit) => stop.cancel(),
    }
    let late = StageError::TimedOut {
        limit_seconds: limit.as_secs(),
    };
    match tokio::time::timeout(STOPPING, work).await {
        // Dropped, it commits nothing.
        Err(_) => Err(late),
        Ok(Ok(Err(StageError::Cancelled))) if !run.cancel.is_cancelled() => Err(late),
        Ok(ended) => ended.unwrap_or(Err(StageError::Panicked)),
    }
}

/// How long to wait after the `attempts`th attempt: anything up to a bound that doubles (full
/// jitter), the same for the same run and asset.
fn pause(run_id: &str, asset: &str, attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << (attempts - 1).min(16));
    let seed = blake3::hash(format!("{run_id} {asset} {attempts}").as_bytes());
    let [a, b, c, d, ..] = *seed.as_bytes();
    let part = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    doubled.min(LONGEST_PAUSE).mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_are_spread_below_it() {
        for attempts in 1..40 {
            let bound = FIRST_PAUSE * (1 << (attempts - 1).min(16));
            let pauses: Vec<Duration> = (0..50)
                .map(|run| pause(&run.to_string(), "silver.t", attempts))
                .collect();
            let longest = pauses.iter().max().unwrap();
            let shortest = pauses.iter().min().unwrap();
            assert!(
                *longest <= bound.min(LONGEST_PAUSE),
                "{attempts}: {longest:?}"
            );
            assert!(
                *longest > bound.min(LONGEST_PAUSE).mul_f64(0.7),
                "{attempts}"
            );
            assert!(*shortest < bound.mul_f64(0.3), "{attempts}");
        }
        assert_eq!(pause("r", "a", 3), pause("r", "a", 3));
        assert_ne!(pause("r", "a", 3), pause("r", "b", 3));
    }
}
