//! A sample of whole rows, chosen by their content: the same for the same rows in any order,
//! and exact while the table has no more rows than that.
//!
//! Kept are the different contents with the smallest hashes, each with its number of rows
//! (counted from its first row on, since what is not among the smallest now never will be),
//! and the contents that make up a large part of the table whatever their hash. From these a
//! frame of rows is dealt: every row, if all were kept, else as many as were asked for, each
//! content in proportion to its number of rows.

use std::collections::HashMap;

use serde::Serialize;

use super::hash::unit;
use super::sketch::Heavy;

/// A content that makes up `2 / PARTS` of the rows is kept whatever its hash.
const PARTS: u64 = 1_000;
/// Counters in a row of the sketch that finds those: 512 KiB.
const WIDTH: usize = 16_384;
/// How much more than asked for is kept before it is cut back.
const SLACK: f64 = 1.25;

/// One content: where its values stand, and how many of its rows each split has.
struct Content {
    slot: u32,
    rows: Vec<u64>,
}

/// Chooses rows. A row is `width` words.
pub(crate) struct RowSample {
    size: usize,
    width: usize,
    /// Only contents with a smaller hash are kept.
    threshold: u64,
    kept: HashMap<u64, Content>,
    values: Vec<u64>,
    heavy: Heavy<Box<[u64]>>,
    rows: u64,
}

/// What was chosen.
pub(crate) struct Sampled {
    /// Row after row, `width` words each.
    pub(crate) values: Vec<u64>,
    /// The content of each row.
    pub(crate) contents: Vec<u64>,
    /// Whether these are all rows of the table.
    pub(crate) exact: bool,
    pub(crate) equals: Equals,
}

/// Rows that are equal to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Equals {
    /// Rows that repeat an earlier one.
    pub repeated: u64,
    /// For each two splits, rows of the second that are equal to a row of the first.
    pub straddling: Vec<Straddling>,
    /// Whether these are counts, not estimates from a sample of contents.
    pub exact: bool,
}

/// Rows of one split that another one has as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Straddling {
    /// The split that has them first, such as `train`.
    pub first: String,
    /// The split whose rows are counted, such as `test`.
    pub second: String,
    /// Rows of the second that are equal to a row of the first.
    pub rows: u64,
}

impl RowSample {
    /// Keeps `size` rows of `width` words.
    pub(crate) fn new(size: usize, width: usize) -> Self {
        Self {
            size: size.max(1),
            width: width.max(1),
            threshold: u64::MAX,
            kept: HashMap::new(),
            values: Vec::new(),
            heavy: Heavy::new(PARTS, WIDTH),
            rows: 0,
        }
    }

    /// Sees a row with this hash of its content, of this split; `write` appends its words.
    pub(crate) fn add(&mut self, hash: u64, split: usize, write: impl Fn(&mut Vec<u64>)) {
        self.rows += 1;
        self.heavy.add(hash, 1, || {
            let mut row = Vec::new();
            write(&mut row);
            row.into()
        });
        if hash > self.threshold {
            return;
        }
        let (values, kept, width) = (&mut self.values, &mut self.kept, self.width);
        let content = kept.entry(hash).or_insert_with(|| {
            let slot = u32::try_from(values.len() / width).unwrap_or(u32::MAX);
            write(values);
            values.resize((slot as usize + 1) * width, 0);
            Content {
                slot,
                rows: Vec::new(),
            }
        });
        if content.rows.len() <= split {
            content.rows.resize(split + 1, 0);
        }
        content.rows[split] += 1;
        if kept.len() as f64 > self.size as f64 * SLACK {
            self.cut_back();
        }
    }

    fn row(&self, content: &Content) -> &[u64] {
        let start = content.slot as usize * self.width;
        &self.values[start..start + self.width]
    }

    /// Keeps the contents with the `size` smallest hashes.
    fn cut_back(&mut self) {
        let mut hashes: Vec<u64> = self.kept.keys().copied().collect();
        let (_, last, _) = hashes.select_nth_unstable(self.size - 1);
        self.threshold = *last;
        let threshold = self.threshold;
        self.kept.retain(|hash, _| *hash <= threshold);
        let width = self.width;
        let mut values = Vec::with_capacity(self.kept.len() * width);
        for content in self.kept.values_mut() {
            let start = content.slot as usize * width;
            content.slot = u32::try_from(values.len() / width).unwrap_or(u32::MAX);
            values.extend_from_slice(&self.values[start..start + width]);
        }
        self.values = values;
    }

    /// The rows, in an order of their contents' hashes. `splits` are the parts of the data by
    /// name, each with its number in [`RowSample::add`].
    pub(crate) fn finish(mut self, splits: &[(String, usize)]) -> Sampled {
        if self.kept.len() > self.size {
            self.cut_back();
        }
        let all = self.threshold == u64::MAX;
        let equals = self.equals(splits, all);
        let heavy = Heavy::new(PARTS, 1);
        let heavy: Vec<(u64, u64, Box<[u64]>)> = match all {
            true => Vec::new(),
            false => std::mem::replace(&mut self.heavy, heavy).most(),
        };
        let mut contents: Vec<(u64, f64, &[u64])> = heavy
            .iter()
            .map(|(hash, count, row)| (*hash, *count as f64, row.as_ref()))
            .collect();
        let heavy_rows: f64 = contents.iter().map(|(_, count, _)| count).sum();
        let is_heavy: HashMap<u64, ()> = heavy.iter().map(|(hash, ..)| (*hash, ())).collect();
        let light: Vec<(u64, f64, &[u64])> = self
            .kept
            .iter()
            .filter(|(hash, _)| !is_heavy.contains_key(hash))
            .map(|(hash, content)| {
                let count: u64 = content.rows.iter().sum();
                (*hash, count as f64, self.row(content))
            })
            .collect();
        let light_rows: f64 = light.iter().map(|(_, count, _)| count).sum();
        // The contents that are not kept are taken to be as those that are.
        let scale = match all || light_rows == 0.0 {
            true => 1.0,
            false => (self.rows as f64 - heavy_rows).max(0.0) / light_rows,
        };
        contents.extend(
            light
                .iter()
                .map(|(hash, count, row)| (*hash, count * scale, *row)),
        );
        contents.sort_by_key(|(hash, ..)| *hash);
        let exact = all && self.rows <= self.size as u64;
        let wanted = (self.size as u64).min(self.rows);
        let (values, contents) = dealt(&contents, wanted, exact);
        Sampled {
            values,
            contents,
            exact,
            equals,
        }
    }

    fn equals(&self, splits: &[(String, usize)], all: bool) -> Equals {
        let share = if all { 1.0 } else { unit(self.threshold) };
        let scaled = |count: u64| match all {
            true => count,
            false => (count as f64 / share).round() as u64,
        };
        let repeated = self
            .kept
            .values()
            .map(|content| content.rows.iter().sum::<u64>() - 1);
        let mut straddling = Vec::new();
        for (at, (name, first)) in splits.iter().enumerate() {
            for (other, second) in &splits[at + 1..] {
                let of = |content: &Content, split: usize| content.rows.get(split).copied();
                let both = self
                    .kept
                    .values()
                    .filter(|c| of(c, *first).unwrap_or(0) > 0);
                let rows: u64 = both.filter_map(|content| of(content, *second)).sum();
                straddling.push(Straddling {
                    first: name.clone(),
                    second: other.clone(),
                    rows: scaled(rows),
                });
            }
        }
        Equals {
            repeated: scaled(repeated.sum()),
            straddling,
            exact: all,
        }
    }
}

/// Rows from contents in their order: each as often as it weighs, or `wanted` in all, by
/// systematic sampling: one row wherever the running weight passes another step.
fn dealt(contents: &[(u64, f64, &[u64])], wanted: u64, exact: bool) -> (Vec<u64>, Vec<u64>) {
    let total: f64 = contents.iter().map(|(_, weight, _)| weight).sum();
    let step = total / wanted.max(1) as f64;
    let (mut values, mut hashes) = (Vec::new(), Vec::new());
    let (mut passed, mut dealt) = (0.0, 0_u64);
    for (hash, weight, row) in contents {
        passed += weight;
        let times = match exact {
            true => *weight as u64,
            false => {
                let until = ((passed / step - 0.5).ceil().max(0.0) as u64).min(wanted);
                until.saturating_sub(dealt)
            }
        };
        for _ in 0..times {
            values.extend_from_slice(row);
            hashes.push(*hash);
        }
        dealt += times;
    }
    (values, hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::hash::mix;

    fn sampled(size: usize, rows: impl Iterator<Item = (u64, usize)>) -> Sampled {
        let mut sample = RowSample::new(size, 1);
        for (value, split) in rows {
            sample.add(mix(value), split, |row| row.push(value));
        }
        sample.finish(&[("train".to_owned(), 0), ("test".to_owned(), 1)])
    }

    #[test]
    fn a_small_table_is_kept_whole() {
        let rows = [(1, 0), (2, 0), (1, 1), (1, 0), (3, 1)];
        let sample = sampled(10, rows.into_iter());
        assert!(sample.exact && sample.equals.exact);
        let mut values = sample.values.clone();
        values.sort_unstable();
        assert_eq!(values, [1, 1, 1, 2, 3]);
        assert_eq!(sample.equals.repeated, 2);
        assert_eq!(sample.equals.straddling[0].rows, 1);
        assert_eq!(sampled(10, rows.into_iter().rev()).values, sample.values);
    }

    #[test]
    fn a_large_table_is_represented_in_any_order_alike() {
        // A third of the rows is one content, the others are 0..200,000, each once in train
        // and every tenth once more in test.
        let rows = || {
            (0..200_000_u64).flat_map(|value| {
                let again = value.is_multiple_of(10).then_some((value, 1));
                [(value, 0), (u64::MAX, 0)].into_iter().chain(again)
            })
        };
        let sample = sampled(5_000, rows());
        assert!(!sample.exact && !sample.equals.exact);
        assert_eq!(sample.values.len(), 5_000);
        let mut turned: Vec<(u64, usize)> = rows().collect();
        turned.reverse();
        let again = sampled(5_000, turned.into_iter());
        assert_eq!(again.values, sample.values);
        assert_eq!(again.equals, sample.equals);
        let heavy = sample.values.iter().filter(|value| **value == u64::MAX);
        let share = heavy.count() as f64 / 5_000.0;
        assert!((share - 200.0 / 420.0).abs() < 0.01, "{share}");
        let below = sample
            .values
            .iter()
            .filter(|value| **value < 100_000)
            .count() as f64;
        assert!((below / 5_000.0 - 110.0 / 420.0).abs() < 0.03, "{below}");
        let straddling = sample.equals.straddling[0].rows as f64;
        assert!((straddling / 20_000.0 - 1.0).abs() < 0.2, "{straddling}");
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_table() {
        let mut sample = RowSample::new(1_000, 2);
        for value in 0..100_000_u64 {
            sample.add(mix(value), 0, |row| row.extend([value, value]));
            assert!(sample.kept.len() <= 1_250 && sample.values.len() <= 2 * 1_251);
            assert!(sample.heavy.kept() as u64 <= 4 * PARTS);
        }
    }

    #[test]
    fn many_equal_rows_are_no_reason_to_guess_their_shares() {
        let rows = (0..10_000_u64).map(|row| (row % 4, 0));
        let sample = sampled(1_000, rows);
        assert!(!sample.exact && sample.equals.exact);
        assert_eq!(sample.equals.repeated, 9_996);
        for value in 0..4 {
            let same = sample.values.iter().filter(|other| **other == value);
            assert_eq!(same.count(), 250);
        }
    }
}
