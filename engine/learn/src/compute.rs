//! The threads that everything that computes at the same time shares.
//!
//! Each fit and each sweep takes a [`Seat`] at one [`ComputeBudget`] and leases threads for
//! a piece of work: a sweep for each of its rounds, a fit once. A lease is the seat's equal
//! share of the budget, so a sweep that runs alone has everything, and one that is joined by
//! another gives half of it away at its next round. No result depends on the number of
//! threads, so none depends on who else computes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::LearnError;
use crate::parallel::thread_pool;

/// The result of `work` on a pool of `threads` threads, which rayon's own functions use there.
///
/// # Errors
///
/// Threads that the system refuses.
pub fn on_threads<T: Send>(
    threads: NonZeroUsize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, LearnError> {
    Ok(thread_pool(threads)?.install(work))
}

/// A number of threads for all that computes at the same time.
#[derive(Debug, Clone)]
pub struct ComputeBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    threads: NonZeroUsize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    /// The threads that each seat has on lease.
    held: BTreeMap<u64, usize>,
}

impl ComputeBudget {
    /// A budget of `threads` threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        let seats = Mutex::default();
        Self {
            shared: Arc::new(Shared { threads, seats }),
        }
    }

    /// Takes a seat: from now on a share of the threads is kept for it.
    pub fn join(&self) -> Seat {
        let mut seats = self.shared.lock();
        let number = seats.next;
        seats.next += 1;
        seats.held.insert(number, 0);
        Seat {
            shared: Arc::clone(&self.shared),
            number,
        }
    }
}

impl Shared {
    /// The seats, which no panic leaves half changed.
    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at a [`ComputeBudget`], given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
    number: u64,
}

impl Seat {
    /// Leases this seat's share of the threads: as many as are free, at most an equal part of
    /// all. What others hold beyond their share comes back when their leases end; until
    /// then, and where there are more seats than threads, a lease is one thread, so that
    /// nobody waits for anybody.
    pub fn lease(&self) -> Lease<'_> {
        let mut seats = self.shared.lock();
        let total = self.shared.threads.get();
        let count = seats.held.len().max(1);
        let place = seats.held.range(..self.number).count();
        let fair = total / count + usize::from(place < total % count);
        let others: usize = seats.held.values().sum();
        let free = total.saturating_sub(others);
        let threads = NonZeroUsize::new(fair.min(free)).unwrap_or(NonZeroUsize::MIN);
        *seats.held.entry(self.number).or_default() += threads.get();
        Lease {
            seat: self,
            threads,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.lock().held.remove(&self.number);
    }
}

/// Threads that a piece of work may use, given back when it is dropped.
#[derive(Debug)]
pub struct Lease<'a> {
    seat: &'a Seat,
    threads: NonZeroUsize,
}

impl Lease<'_> {
    /// How many threads may compute.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut seats = self.seat.shared.lock();
        if let Some(held) = seats.held.get_mut(&self.seat.number) {
            *held -= self.threads.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(threads: usize) -> ComputeBudget {
        ComputeBudget::new(NonZeroUsize::new(threads).unwrap())
    }

    fn leased(seats: &[&Seat]) -> Vec<usize> {
        let leases: Vec<Lease<'_>> = seats.iter().map(|seat| seat.lease()).collect();
        leases.iter().map(|lease| lease.threads().get()).collect()
    }

    #[test]
    fn seats_share_equally_and_one_alone_has_everything() {
        let budget = budget(7);
        let first = budget.join();
        assert_eq!(leased(&[&first]), [7]);
        let second = budget.join();
        let third = budget.join();
        assert_eq!(leased(&[&third, &first, &second]), [2, 3, 2]);
        drop(second);
        assert_eq!(leased(&[&first, &third]), [4, 3]);
        drop(third);
        assert_eq!(leased(&[&first]), [7]);
    }

    #[test]
    fn a_newcomer_gets_a_thread_at_once_and_its_share_when_it_is_given_back() {
        let budget = budget(4);
        let first = budget.join();
        let all = first.lease();
        assert_eq!(all.threads().get(), 4);
        let second = budget.join();
        assert_eq!(leased(&[&second]), [1]);
        drop(all);
        assert_eq!(leased(&[&first, &second]), [2, 2]);
    }

    #[test]
    fn with_more_seats_than_threads_each_has_one() {
        let budget = budget(2);
        let seats: Vec<Seat> = (0..5).map(|_| budget.join()).collect();
        assert_eq!(leased(&seats.iter().collect::<Vec<_>>()), [1; 5]);
    }
}
