//! Stretches of time, as a ledger keeps them: sorted, apart from each other, and merged where
//! they touch.

use serde::{Deserialize, Serialize};

/// A set of moments, as ranges `[start, end)` in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(i64, i64)>", into = "Vec<(i64, i64)>")]
pub struct Ranges(Vec<(i64, i64)>);

impl From<Vec<(i64, i64)>> for Ranges {
    /// Ranges in any order; empty ones are left out.
    fn from(ranges: Vec<(i64, i64)>) -> Self {
        let mut all = Self::default();
        for (start, end) in ranges {
            all.add(start, end);
        }
        all
    }
}

impl From<Ranges> for Vec<(i64, i64)> {
    fn from(ranges: Ranges) -> Self {
        ranges.0
    }
}

impl Ranges {
    /// Adds `[start, end)`; nothing, where that is empty.
    pub fn add(&mut self, start: i64, end: i64) {
        if start >= end {
            return;
        }
        // Those that touch the new range lie side by side.
        let from = self.0.partition_point(|range| range.1 < start);
        let to = self.0.partition_point(|range| range.0 <= end);
        let merged = self.0[from..to].iter().fold((start, end), |all, range| {
            (all.0.min(range.0), all.1.max(range.1))
        });
        self.0.splice(from..to, [merged]);
    }

    /// Takes `[start, end)` out.
    pub fn remove(&mut self, start: i64, end: i64) {
        if start >= end {
            return;
        }
        let kept = self.0.iter().flat_map(|range| {
            let before = (range.0, range.1.min(start));
            let after = (range.0.max(end), range.1);
            [before, after]
                .into_iter()
                .filter(|(start, end)| start < end)
        });
        self.0 = kept.collect();
    }

    /// Whether all of `[start, end)` is in it.
    #[must_use]
    pub fn contains(&self, start: i64, end: i64) -> bool {
        if start >= end {
            return true;
        }
        let at = self.0.partition_point(|range| range.1 <= start);
        self.0
            .get(at)
            .is_some_and(|range| range.0 <= start && end <= range.1)
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_hold_the_moments_that_were_added(
            added in prop::collection::vec((0_i64..40, 0_i64..40), 0..12),
            removed in prop::collection::vec((0_i64..40, 0_i64..40), 0..3),
        ) {
            let mut ranges = Ranges::from(added.clone());
            let mut moments: BTreeSet<i64> =
                added.iter().flat_map(|(start, end)| *start..*end).collect();
            for (start, end) in removed {
                ranges.remove(start, end);
                moments.retain(|moment| !(start..end).contains(moment));
            }
            let held: Vec<i64> = ranges.iter().flat_map(|(start, end)| start..end).collect();
            prop_assert_eq!(&held, &moments.iter().copied().collect::<Vec<_>>());
            // Sorted, not empty, and never touching.
            let kept: Vec<(i64, i64)> = ranges.iter().collect();
            prop_assert!(kept.iter().all(|(start, end)| start < end));
            prop_assert!(kept.windows(2).all(|pair| pair[0].1 < pair[1].0));
            for start in 0..40 {
                for end in start..40 {
                    let all = (start..end).all(|moment| moments.contains(&moment));
                    prop_assert_eq!(ranges.contains(start, end), all);
                }
            }
            let text = serde_json::to_string(&ranges).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ranges>(&text).unwrap(), ranges);
        }
    }
}
