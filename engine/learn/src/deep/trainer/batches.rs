//! Which rows make a batch, epoch by epoch.

use crate::random::SplitMix64;

/// Batches whose rows are sorted by length together.
const POOL: usize = 50;

/// The batches of epoch `epoch` (from 0), each a list of rows: all rows in an order that
/// depends on the seed and the epoch only. `by_length`, rows of like length share a batch;
/// the longest batch then comes first, so that what does not fit the memory shows at once.
pub(super) fn of_epoch(
    rows: usize,
    size: usize,
    seed: u64,
    epoch: u64,
    by_length: Option<&dyn Fn(usize) -> usize>,
) -> Vec<Vec<usize>> {
    let mut random = SplitMix64::stream(seed, epoch);
    let mut order: Vec<usize> = (0..rows).collect();
    shuffle(&mut order, &mut random);
    let Some(length) = by_length else {
        return order.chunks(size).map(<[usize]>::to_vec).collect();
    };
    let mut batches: Vec<Vec<usize>> = Vec::with_capacity(rows.div_ceil(size));
    for pool in order.chunks_mut(size * POOL) {
        // Stable: among equals the shuffled order stays.
        pool.sort_by_key(|&row| std::cmp::Reverse(length(row)));
        batches.extend(pool.chunks(size).map(<[usize]>::to_vec));
    }
    shuffle(&mut batches, &mut random);
    let longest = |batch: &Vec<usize>| batch.iter().map(|&row| length(row)).max();
    if let Some(place) = (0..batches.len()).max_by_key(|&place| longest(&batches[place])) {
        batches.swap(0, place);
    }
    batches
}

/// All rows for an evaluation, the longest first.
pub(super) fn of_evaluation(
    rows: usize,
    size: usize,
    length: impl Fn(usize) -> usize,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(length(row)));
    order.chunks(size).map(<[usize]>::to_vec).collect()
}

/// Fisher and Yates' shuffle (Durstenfeld 1964).
fn shuffle<T>(list: &mut [T], random: &mut SplitMix64) {
    for last in (1..list.len()).rev() {
        list.swap(last, random.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::{of_epoch, of_evaluation};

    #[test]
    fn every_row_comes_once_an_epoch_in_another_order() {
        let length = |row: usize| (row * 7) % 23;
        for by_length in [None, Some(&length as &dyn Fn(usize) -> usize)] {
            let epoch = |number| of_epoch(1003, 4, 5, number, by_length);
            let first = epoch(0);
            assert_eq!(first.len(), 251);
            assert_eq!(first, epoch(0));
            assert_ne!(first, epoch(1));
            let mut rows = first.concat();
            rows.sort_unstable();
            assert_eq!(rows, (0..1003).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_of_like_length_share_a_batch() {
        let length = |row: usize| (row * 7) % 23;
        let padding = |batches: &[Vec<usize>]| -> usize {
            let of_batch = |batch: &Vec<usize>| {
                let longest = batch.iter().map(|&row| length(row)).max().unwrap_or(0);
                batch
                    .iter()
                    .map(|&row| longest - length(row))
                    .sum::<usize>()
            };
            batches.iter().map(of_batch).sum()
        };
        let grouped = of_epoch(1000, 10, 5, 0, Some(&length));
        let plain = of_epoch(1000, 10, 5, 0, None);
        assert!(padding(&grouped) * 5 < padding(&plain));
        assert!(grouped[0].iter().any(|&row| length(row) == 22));
        assert!(padding(&of_evaluation(1000, 10, length)) <= 22 * 9);
    }
}
