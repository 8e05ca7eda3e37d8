//! Sharing rows out among threads, always at the same borders.
//!
//! The closures call [`vectorized`](super::real::vectorized) themselves, around a function
//! that is inlined: from here it would not reach into them.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::real::Real;

/// Numbers that one thread takes at a time; fewer than two such pieces stay on one thread.
const PIECE: usize = 16 * 1024;

/// A number of whole rows of `cost` numbers for one thread.
fn rows_a_piece(cost: usize) -> usize {
    (PIECE / cost.max(1)).max(1)
}

/// Fills `out`, rows of `width` numbers, by `fill(first row, rows)`, pieces in parallel.
pub(super) fn fill_rows<T: Real>(
    out: &mut [T],
    width: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) {
    fill_costly_rows(out, width, width, fill);
}

/// As [`fill_rows`], where a row takes as long as `cost` numbers.
pub(super) fn fill_costly_rows<T: Real>(
    out: &mut [T],
    width: usize,
    cost: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = rows_a_piece(cost);
    if out.len() <= 2 * rows * width {
        fill(0, out);
        return;
    }
    out.par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(piece, chunk)| fill(piece * rows, chunk));
}

/// Sums `rows` contributions to `width` numbers: `add(from, to, sums)` adds those of the
/// rows `from..to`. Pieces are computed in parallel and added up in order.
pub(super) fn sum_rows<T: Real>(
    rows: usize,
    width: usize,
    add: impl Fn(usize, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let piece = rows_a_piece(width);
    let pieces = rows.div_ceil(piece);
    let partial = |number: usize| {
        let mut sums = vec![T::ZERO; width];
        let from = number * piece;
        add(from, (from + piece).min(rows), &mut sums);
        sums
    };
    let partials: Vec<Vec<T>> = if pieces < 2 {
        (0..pieces).map(partial).collect()
    } else {
        (0..pieces).into_par_iter().map(partial).collect()
    };
    let mut total = vec![T::ZERO; width];
    for sums in partials {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    total
}
