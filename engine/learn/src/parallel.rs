//! Independent pieces of learning side by side.
//!
//! The learner parallelises within a tree on rayon. A tree that waits there may steal
//! whatever else its pool has to do, so trees (or trials) that were jobs of one pool would
//! start inside each other, as deep as there are trees, until the stack overflows. Here
//! each worker is a thread with a small pool of its own instead.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::LearnError;

/// A pool of `threads` threads, so that learning never takes more than it was given.
///
/// # Errors
///
/// Threads that the system refuses.
pub(crate) fn thread_pool(threads: NonZeroUsize) -> Result<ThreadPool, LearnError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|number| format!("sluice-learn-{number}"))
        .build()
        .map_err(|source| LearnError::Threads {
            threads: threads.get(),
            source,
        })
}

/// The results of `work(0)` to `work(count - 1)`, in order. At most `threads` threads
/// compute: as many pieces at a time, and where there are fewer pieces than threads, each
/// piece has several for itself (`rayon::current_num_threads()`).
///
/// # Errors
///
/// Threads that the system refuses.
pub(crate) fn in_order<T: Send>(
    threads: NonZeroUsize,
    count: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Result<Vec<T>, LearnError> {
    let workers = threads.get().min(count);
    let pools = (0..workers)
        .map(|worker| {
            let extra = usize::from(worker < threads.get() % workers);
            let share = threads.get() / workers + extra;
            thread_pool(NonZeroUsize::new(share).unwrap_or(NonZeroUsize::MIN))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let piece = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        (number < count).then(|| (number, work(number)))
    };
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let spawned: Vec<_> = pools
            .iter()
            .map(|pool| {
                scope.spawn(|| pool.install(|| std::iter::from_fn(piece).collect::<Vec<_>>()))
            })
            .collect();
        spawned
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::in_order;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let squares = in_order(threads, 20, |number| number * number).unwrap();
            let expected: Vec<usize> = (0..20).map(|number| number * number).collect();
            assert_eq!(squares, expected);
            let none = in_order(threads, 0, |number| number).unwrap();
            assert!(none.is_empty());
        }
    }

    #[test]
    fn threads_are_shared_out_among_few_pieces() {
        let threads = NonZeroUsize::new(7).unwrap();
        let mut shares = in_order(threads, 3, |_| rayon::current_num_threads()).unwrap();
        shares.sort_unstable();
        // A worker may take two pieces, but no pool has more than its share.
        assert!(shares.iter().all(|&share| share == 2 || share == 3));
        let many = in_order(threads, 50, |_| rayon::current_num_threads()).unwrap();
        assert!(many.iter().all(|&share| share == 1));
    }
}
