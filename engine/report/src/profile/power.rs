//! How well one column alone predicts the class: what tells a leak.
//!
//! The column is cut into bins: numbers and times at their quantiles (up to 32 bins of 20 rows
//! or more), other values one bin each for the 100 most frequent of the sample and one for the
//! rest; NULL is a bin of its own. The rows are dealt into five folds by a hash of their
//! content. The score of a row for a class is the share of that class in the row's bin over
//! the *other four* folds, drawn towards the class's overall share by one row:
//! `(rows of the class in the bin + share) / (rows in the bin + 1)`. Of these scores the area
//! under the ROC curve is taken, each class against the rest, and the mean over the classes;
//! below 0.5 it says 0.5. Since no row is scored by itself, a column of different values for
//! every row (an id) scores 0.5, not 1.

use std::collections::{HashMap, HashSet};

use super::hash::mix;
use super::result::Power;

const FOLDS: usize = 5;
const MAX_BINS: usize = 32;
const MIN_ROWS_IN_BIN: usize = 20;
const MAX_CATEGORIES: usize = 100;
/// Fewer rows than this tell nothing.
const MIN_ROWS: usize = 50;
/// The share of its class that a row of a bin without other rows is scored by counts as this
/// many rows.
const PRIOR_ROWS: f64 = 1.0;

/// A column, as bins for its rows.
pub(crate) enum Bins<'a> {
    /// Cut at quantiles.
    Ordered(&'a [f64]),
    /// One for each frequent value, given by its hash; `None` for NULL.
    Values(&'a [Option<u64>]),
}

/// The power of a column. `classes`: the class of each row, below `class_count`; `contents`:
/// the hash of each row's content.
pub(crate) fn power(
    bins: &Bins<'_>,
    classes: &[u32],
    class_count: usize,
    contents: &[u64],
) -> Option<Power> {
    if classes.len() < MIN_ROWS || class_count < 2 {
        return None;
    }
    let (bins, count) = match bins {
        Bins::Ordered(values) => cut(values),
        Bins::Values(values) => gathered(values),
    };
    let mut table = vec![0_u64; count * FOLDS * class_count];
    for ((bin, class), content) in bins.iter().zip(classes).zip(contents) {
        let fold = (mix(content ^ 0xf01d) % FOLDS as u64) as usize;
        table[(bin * FOLDS + fold) * class_count + *class as usize] += 1;
    }
    let areas: Vec<f64> = (0..class_count)
        .filter_map(|class| area(&table, count, class_count, class))
        .collect();
    if areas.is_empty() {
        return None;
    }
    let mean = areas.iter().sum::<f64>() / areas.len() as f64;
    Some(Power { auc: mean.max(0.5) })
}

/// The area under the ROC curve of one class against the rest; `None` when one is empty.
fn area(table: &[u64], bins: usize, classes: usize, class: usize) -> Option<f64> {
    let cell = |bin: usize, fold: usize| {
        let start = (bin * FOLDS + fold) * classes;
        let of_class = table[start + class];
        (of_class, table[start..start + classes].iter().sum::<u64>())
    };
    let sums = |cells: &mut dyn Iterator<Item = (u64, u64)>| {
        cells.fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1))
    };
    let mut by_fold = Vec::with_capacity(FOLDS);
    for fold in 0..FOLDS {
        by_fold.push(sums(&mut (0..bins).map(|bin| cell(bin, fold))));
    }
    let total = sums(&mut by_fold.iter().copied());
    let (positive, negative) = (total.0, total.1 - total.0);
    if positive == 0 || negative == 0 {
        return None;
    }
    // Score, rows of the class, other rows.
    let mut scored: Vec<(f64, u64, u64)> = Vec::with_capacity(bins * FOLDS);
    for bin in 0..bins {
        let in_bin = sums(&mut (0..FOLDS).map(|fold| cell(bin, fold)));
        for (fold, of_fold) in by_fold.iter().enumerate() {
            let own = cell(bin, fold);
            if own.1 == 0 {
                continue;
            }
            let others = total.1 - of_fold.1;
            let share = match others {
                0 => 0.5,
                _ => (total.0 - of_fold.0) as f64 / others as f64,
            };
            let score = ((in_bin.0 - own.0) as f64 + PRIOR_ROWS * share)
                / ((in_bin.1 - own.1) as f64 + PRIOR_ROWS);
            scored.push((score, own.0, own.1 - own.0));
        }
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0_u64, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_class: u64 = tied.iter().map(|cell| cell.1).sum();
        let others: u64 = tied.iter().map(|cell| cell.2).sum();
        pairs += of_class as f64 * (below as f64 + others as f64 / 2.0);
        below += others;
    }
    Some(pairs / (positive as f64 * negative as f64))
}

/// Bins of numbers; the first is that of NULL.
fn cut(values: &[f64]) -> (Vec<usize>, usize) {
    let mut sorted: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| !value.is_nan())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let wanted = (sorted.len() / MIN_ROWS_IN_BIN).clamp(1, MAX_BINS);
    let mut edges: Vec<f64> = (1..wanted)
        .map(|bin| sorted[bin * sorted.len() / wanted])
        .collect();
    edges.dedup();
    let bins = values.iter().map(|value| match value.is_nan() {
        true => 0,
        false => 1 + edges.partition_point(|edge| edge <= value),
    });
    (bins.collect(), edges.len() + 2)
}

/// Bins of values; the first is that of NULL, the second that of all rare values.
fn gathered(values: &[Option<u64>]) -> (Vec<usize>, usize) {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for value in values.iter().flatten() {
        *counts.entry(*value).or_default() += 1;
    }
    let mut frequent: Vec<(u64, u64)> = counts.into_iter().collect();
    frequent.sort_by_key(|(hash, count)| (u64::MAX - count, *hash));
    frequent.truncate(MAX_CATEGORIES);
    let places: HashMap<u64, usize> = frequent
        .iter()
        .enumerate()
        .map(|(at, (hash, _))| (*hash, at + 2))
        .collect();
    let bins = values.iter().map(|value| match value {
        None => 0,
        Some(hash) => places.get(hash).copied().unwrap_or(1),
    });
    (bins.collect(), places.len() + 2)
}

/// Whether a column has so few different values in the sample that each is its own bin.
pub(crate) fn is_discrete(values: &[f64]) -> bool {
    let mut seen: HashSet<u64> = HashSet::new();
    values.iter().all(|value| {
        seen.insert(value.to_bits());
        seen.len() <= MAX_BINS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: u64 = 2_000;

    fn contents() -> Vec<u64> {
        (0..ROWS).map(mix).collect()
    }

    fn auc(bins: &Bins<'_>, classes: &[u32], count: usize) -> f64 {
        power(bins, classes, count, &contents()).unwrap().auc
    }

    fn classes() -> Vec<u32> {
        (0..ROWS)
            .map(|row| u32::from(mix(row ^ 7) % 10 < 3))
            .collect()
    }

    #[test]
    fn a_leak_is_told_from_a_good_feature_and_from_noise() {
        let classes = classes();
        let noise: Vec<f64> = (0..ROWS).map(|row| (mix(row ^ 1) % 1_000) as f64).collect();
        assert!(auc(&Bins::Ordered(&noise), &classes, 2) < 0.56);
        let with = |weight: f64| -> Vec<f64> {
            let rows = noise.iter().zip(&classes);
            rows.map(|(noise, class)| noise + weight * f64::from(*class))
                .collect()
        };
        let good = auc(&Bins::Ordered(&with(400.0)), &classes, 2);
        assert!((0.70..0.90).contains(&good), "{good}");
        let leak = auc(&Bins::Ordered(&with(1_000.0)), &classes, 2);
        assert!(leak > 0.99, "{leak}");
        // It need not be monotone.
        let ends: Vec<f64> = with(1_000.0)
            .iter()
            .map(|value| (value - 500.0).abs())
            .collect();
        let folded: Vec<f64> = (0..ROWS as usize)
            .map(|row| match classes[row] {
                1 => {
                    if row % 2 == 0 {
                        -1_000.0 - noise[row]
                    } else {
                        1_000.0 + noise[row]
                    }
                }
                _ => ends[row].min(900.0),
            })
            .collect();
        assert!(auc(&Bins::Ordered(&folded), &classes, 2) > 0.98);
    }

    #[test]
    fn an_id_tells_nothing_and_a_code_of_the_class_all() {
        let classes = classes();
        let id: Vec<Option<u64>> = (0..ROWS).map(|row| Some(mix(row))).collect();
        assert_eq!(auc(&Bins::Values(&id), &classes, 2), 0.5);
        let code = |row: usize| match classes[row] {
            1 => Some((row % 3) as u64),
            _ => None,
        };
        let code: Vec<Option<u64>> = (0..ROWS as usize).map(code).collect();
        assert!(auc(&Bins::Values(&code), &classes, 2) > 0.999);
        let three: Vec<u32> = (0..ROWS).map(|row| (mix(row) % 3) as u32).collect();
        let same: Vec<f64> = three.iter().map(|class| f64::from(*class)).collect();
        assert!(auc(&Bins::Ordered(&same), &three, 3) > 0.999);
        assert!(
            power(
                &Bins::Ordered(&same[..40]),
                &three[..40],
                3,
                &contents()[..40]
            )
            .is_none()
        );
    }
}
