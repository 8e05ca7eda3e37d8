//! How many different values a column has, and which are the most frequent: exact up to a
//! number of different values, then from sketches.

use std::collections::HashMap;

use serde::Serialize;

use super::sketch::{Heavy, Smallest};

/// A value that makes up `2 / PARTS` of a column with many different ones is told.
pub(crate) const PARTS: u64 = 1_000;
/// Counters in a row of the sketch that counts values: 256 KiB a column, and counts that are
/// too large by 0.033 % of the rows at most (once in 50 times by more).
const WIDTH: usize = 8_192;

/// A number that may be an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The number.
    pub count: u64,
    /// Whether it is the number itself, not an estimate of it.
    pub exact: bool,
}

/// A value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueCount {
    /// The value, as it is shown: cut after 60 characters.
    pub value: String,
    /// Rows that have it.
    pub count: u64,
    /// The value's hash, by which the sample knows it.
    #[serde(skip)]
    pub(crate) hash: u64,
}

/// The most frequent values of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frequent {
    /// The values, the most frequent first.
    pub values: Vec<ValueCount>,
    /// Whether the counts are exact; if not, they are at most that large, and all values that
    /// make up 0.2 % of the column or more are among them.
    pub exact: bool,
    /// Values that occur only once; unknown where counts are not exact.
    pub once: Option<u64>,
}

struct Entry {
    count: u64,
    shown: Box<str>,
}

enum State {
    Exact(HashMap<u64, Entry>),
    Sketched {
        smallest: Box<Smallest>,
        heavy: Box<Heavy<Box<str>>>,
    },
}

/// Counts the values of one column.
pub(crate) struct Values {
    /// Different values that are counted exactly, at most.
    limit: usize,
    state: State,
}

impl Values {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: State::Exact(HashMap::new()),
        }
    }

    /// Sees a value that is not NULL.
    pub(crate) fn add(&mut self, hash: u64, shown: impl FnOnce() -> String) {
        match &mut self.state {
            State::Exact(entries) => {
                let entry = entries.entry(hash).or_insert_with(|| Entry {
                    count: 0,
                    shown: shown().into(),
                });
                entry.count += 1;
                if entries.len() > self.limit {
                    self.state = self.sketched();
                }
            }
            State::Sketched { smallest, heavy } => {
                smallest.add(hash);
                heavy.add(hash, 1, || shown().into());
            }
        }
    }

    /// What was counted so far, as sketches that know no more than if they had seen it all.
    fn sketched(&mut self) -> State {
        let mut smallest = Box::new(Smallest::new(self.limit));
        let mut heavy = Box::new(Heavy::new(PARTS, WIDTH));
        if let State::Exact(entries) = &mut self.state {
            for (hash, entry) in entries.drain() {
                smallest.add(hash);
                heavy.add(hash, entry.count, || entry.shown);
            }
        }
        State::Sketched { smallest, heavy }
    }

    /// The number of different values, and the `most` most frequent ones.
    pub(crate) fn finish(self, most: usize) -> (Count, Frequent) {
        match self.state {
            State::Exact(entries) => {
                let count = Count {
                    count: entries.len() as u64,
                    exact: true,
                };
                let once = entries.values().filter(|entry| entry.count == 1).count() as u64;
                let values = entries.into_iter();
                let values = values.map(|(hash, entry)| (hash, entry.count, entry.shown));
                let values = first(values.collect(), most);
                let exact = true;
                (
                    count,
                    Frequent {
                        values,
                        exact,
                        once: Some(once),
                    },
                )
            }
            State::Sketched { smallest, heavy } => {
                let (count, exact) = smallest.distinct();
                let values = first(heavy.most(), most);
                let frequent = Frequent {
                    values,
                    exact: false,
                    once: None,
                };
                (Count { count, exact }, frequent)
            }
        }
    }
}

/// The most frequent, and of equally frequent ones the first by their text.
fn first(mut values: Vec<(u64, u64, Box<str>)>, most: usize) -> Vec<ValueCount> {
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| (&a.2, a.0).cmp(&(&b.2, b.0))));
    values.truncate(most);
    let values = values.into_iter();
    values
        .map(|(hash, count, shown)| ValueCount {
            value: shown.into(),
            count,
            hash,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::hash::mix;

    fn counted(limit: usize, values: impl Iterator<Item = u64>) -> (Count, Frequent) {
        let mut counter = Values::new(limit);
        for value in values {
            counter.add(mix(value), || value.to_string());
        }
        counter.finish(3)
    }

    /// Half of the rows are 0, a quarter 1, the others all different.
    fn value(row: u64) -> u64 {
        match row % 4 {
            0 | 1 => 0,
            2 => 1,
            _ => row,
        }
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let (distinct, frequent) = counted(1_000, (0..400).map(value));
        assert_eq!(
            distinct,
            Count {
                count: 102,
                exact: true
            }
        );
        assert!(frequent.exact);
        assert_eq!(frequent.once, Some(100));
        let told: Vec<(&str, u64)> = frequent
            .values
            .iter()
            .map(|value| (value.value.as_str(), value.count))
            .collect();
        assert_eq!(told, [("0", 200), ("1", 100), ("103", 1)]);
    }

    #[test]
    fn many_values_are_estimated_in_any_order_alike() {
        let rows = 200_000;
        let forward = counted(1_000, (0..rows).map(value));
        assert_eq!(forward, counted(1_000, (0..rows).rev().map(value)));
        let (distinct, frequent) = forward;
        assert!(!distinct.exact && !frequent.exact);
        let truth = 50_002.0;
        assert!((distinct.count as f64 / truth - 1.0).abs() < 4.0 / 1_000_f64.sqrt());
        let told: Vec<&str> = frequent.values.iter().map(|v| v.value.as_str()).collect();
        assert_eq!(told, ["0", "1"]);
        let slack = rows / 1_000;
        for (told, truth) in frequent.values.iter().zip([rows / 2, rows / 4]) {
            assert!((truth..=truth + slack).contains(&told.count), "{told:?}");
        }
    }
}
