//! Sketches of bounded size. What they tell depends on the multiset of what they saw, never
//! on its order, so that the same table gives the same report however it is read.

use std::collections::{BTreeSet, HashMap};

use super::hash::{mix, unit};

/// Rows of counters of a [`CountMin`].
const DEPTH: usize = 4;

/// How often each hash was seen, at most: the count-min sketch of Cormode and Muthukrishnan
/// ("An improved data stream summary", 2005). A count is too large by more than
/// `e / width` of all that was seen with a probability of at most `exp(-4)`, never too small.
#[derive(Debug, Clone)]
pub(crate) struct CountMin {
    width: usize,
    counters: Vec<u64>,
}

impl CountMin {
    /// `32 * width` bytes of counters.
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            counters: vec![0; width * DEPTH],
        }
    }

    fn places(&self, hash: u64) -> [usize; DEPTH] {
        let mut word = hash;
        std::array::from_fn(|row| {
            word = mix(word ^ row as u64);
            // The upper bits scaled to the width.
            let place = ((u128::from(word) * self.width as u128) >> 64) as usize;
            row * self.width + place
        })
    }

    /// Adds to a hash's count and gives the new one.
    pub(crate) fn add(&mut self, hash: u64, times: u64) -> u64 {
        let mut least = u64::MAX;
        for place in self.places(hash) {
            self.counters[place] += times;
            least = least.min(self.counters[place]);
        }
        least
    }

    /// How often a hash was seen, at most.
    pub(crate) fn count(&self, hash: u64) -> u64 {
        let places = self.places(hash);
        places
            .map(|place| self.counters[place])
            .into_iter()
            .min()
            .unwrap_or(0)
    }
}

/// Things that make up at least a share of all that was seen, with what is kept of each.
///
/// Whatever makes up `2 / parts` of everything is among [`Heavy::most`] in any order of
/// seeing: at its last sighting its count passes the bar of `1 / parts`, and the bar that
/// removes it again is never higher than that.
#[derive(Debug, Clone)]
pub(crate) struct Heavy<T> {
    counts: CountMin,
    candidates: HashMap<u64, T>,
    seen: u64,
    parts: u64,
}

impl<T> Heavy<T> {
    /// Watches for what makes up `2 / parts` of everything.
    pub(crate) fn new(parts: u64, width: usize) -> Self {
        Self {
            counts: CountMin::new(width),
            candidates: HashMap::new(),
            seen: 0,
            parts,
        }
    }

    /// Sees something `times` times; `keep` makes what is kept of it.
    pub(crate) fn add(&mut self, hash: u64, times: u64, keep: impl FnOnce() -> T) {
        self.seen += times;
        let count = self.counts.add(hash, times);
        if count * self.parts >= self.seen {
            self.candidates.entry(hash).or_insert_with(keep);
            if self.candidates.len() as u64 > 4 * self.parts {
                let (counts, parts, seen) = (&self.counts, self.parts, self.seen);
                self.candidates
                    .retain(|hash, _| counts.count(*hash) * parts >= seen);
            }
        }
    }

    /// How many things are kept now.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.candidates.len()
    }

    /// What makes up at least `2 / parts`: hash, count (at most that) and what was kept, the
    /// most frequent first.
    pub(crate) fn most(self) -> Vec<(u64, u64, T)> {
        let (counts, parts, seen) = (self.counts, self.parts, self.seen);
        let mut most: Vec<(u64, u64, T)> = self
            .candidates
            .into_iter()
            .map(|(hash, kept)| (hash, counts.count(hash), kept))
            .filter(|(_, count, _)| count * parts >= 2 * seen)
            .collect();
        most.sort_by_key(|(hash, count, _)| (u64::MAX - count, *hash));
        most
    }
}

/// The smallest hashes seen, from which the number of different ones is estimated
/// (Beyer, Haas, Reinwald, Sismanis, Gemulla: "On synopses for distinct-value estimation
/// under multiset operations", 2007): unbiased, with a relative standard error of about
/// `1 / sqrt(size - 2)`.
#[derive(Debug, Clone)]
pub(crate) struct Smallest {
    size: usize,
    hashes: BTreeSet<u64>,
}

impl Smallest {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            hashes: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, hash: u64) {
        let full = self.hashes.len() >= self.size;
        if full && self.hashes.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if self.hashes.insert(hash) && full {
            self.hashes.pop_last();
        }
    }

    /// The estimated number of different hashes, and whether it is exact.
    pub(crate) fn distinct(&self) -> (u64, bool) {
        match self.hashes.last() {
            Some(largest) if self.hashes.len() >= self.size && self.size > 1 => (
                ((self.size - 1) as f64 / unit(*largest)).round() as u64,
                false,
            ),
            _ => (self.hashes.len() as u64, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of which `i` comes up to `most / (i + 1)` times, in an order of its own.
    fn skewed(values: u64, most: u64, order: u64) -> Vec<u64> {
        let mut all: Vec<u64> = (0..values)
            .flat_map(|value| (0..(most / (value + 1)).max(1)).map(move |_| value))
            .collect();
        let place = |(at, _): &(usize, u64)| mix(*at as u64 ^ mix(order));
        let mut placed: Vec<(usize, u64)> = all.drain(..).enumerate().collect();
        placed.sort_by_key(place);
        placed.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn counts_are_never_too_small_and_hardly_too_large() {
        let seen = skewed(5_000, 10_000, 1);
        let mut counts = CountMin::new(4_096);
        for value in &seen {
            counts.add(mix(*value), 1);
        }
        let slack = (std::f64::consts::E / 4_096.0 * seen.len() as f64) as u64;
        let mut beyond = 0;
        for value in 0..5_000 {
            let (count, truth) = (counts.count(mix(value)), (10_000 / (value + 1)).max(1));
            assert!(count >= truth, "{value}: {count} < {truth}");
            beyond += u64::from(count > truth + slack);
        }
        assert!(beyond <= 5_000 / 50, "{beyond} counts are too large");
    }

    #[test]
    fn the_heavy_ones_are_the_same_in_any_order() {
        let most = |order| {
            let mut heavy = Heavy::new(200, 4_096);
            for value in skewed(5_000, 10_000, order) {
                heavy.add(mix(value), 1, || value);
            }
            heavy.most()
        };
        let first = most(1);
        assert_eq!(first, most(2));
        let values: Vec<u64> = first.iter().map(|(_, _, value)| *value).collect();
        // 1 % of some 93,000: the counts down to 10,000 / 10.
        assert!(
            values.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8]),
            "{values:?}"
        );
        assert!(values.len() <= 12, "{values:?}");
    }

    #[test]
    fn distinct_values_are_exact_then_near() {
        for (values, size) in [(900_u64, 1_000), (50_000, 1_000), (400_000, 4_000)] {
            let mut smallest = Smallest::new(size);
            for value in 0..values {
                smallest.add(mix(value));
                smallest.add(mix(value));
            }
            let (distinct, exact) = smallest.distinct();
            assert_eq!(exact, values < size as u64);
            let error = (distinct as f64 - values as f64).abs() / values as f64;
            let allowed = if exact {
                0.0
            } else {
                4.0 / ((size - 2) as f64).sqrt()
            };
            assert!(error <= allowed, "{values}: {distinct}");
        }
    }
}
