//! The binned matrix: each value as the slot of its bin in a histogram.

use std::sync::{Arc, Mutex, PoisonError};

/// Slots of a histogram at most: a slot is a `u16`.
pub(super) const SLOTS: usize = 1 << 16;
/// Slots of a feature are whole words of a bit map.
pub(super) const WORD: usize = 64;

/// The cuts of all features and where their slots are.
#[derive(Debug)]
pub(crate) struct Layout {
    features: Vec<FeatureBins>,
    slots: usize,
}

/// A feature's bins. Bin `b` holds the values below `cuts[b]` that are not below
/// `cuts[b - 1]`; one more bin holds what is above all cuts, which no training row is.
#[derive(Debug)]
pub(super) struct FeatureBins {
    /// Ascending; the last one is above all training values, so that a split there tells
    /// missing values from all others.
    cuts: Vec<f32>,
    /// The slot of the first bin, a multiple of [`WORD`].
    pub(super) first: u16,
    /// The slot of missing values, the last one of the feature.
    pub(super) missing: u16,
    /// Whether a training row has no value.
    pub(super) has_missing: bool,
}

impl FeatureBins {
    /// The slots of bins that training rows may be in.
    pub(super) fn bins(&self) -> std::ops::Range<usize> {
        let first = usize::from(self.first);
        first..first + self.cuts.len()
    }

    /// The slots of bins and missing values, in whole words.
    pub(super) fn words(&self) -> std::ops::Range<usize> {
        usize::from(self.first) / WORD..usize::from(self.missing) / WORD + 1
    }

    /// The threshold below which the values of the slots before `end` are; `end` may be the
    /// first slot, before which there are none.
    pub(super) fn threshold(&self, end: usize) -> f32 {
        match end.checked_sub(usize::from(self.first) + 1) {
            Some(bin) => self.cuts[bin],
            None => f32::MIN,
        }
    }

    fn slot(&self, value: f32) -> u16 {
        if value.is_nan() {
            return self.missing;
        }
        let bin = self.cuts.partition_point(|cut| *cut <= value);
        self.first + bin as u16
    }
}

/// Rows as slots, by the cuts of the training rows.
#[derive(Debug, Clone)]
pub(crate) struct Binned {
    layout: Arc<Layout>,
    rows: usize,
    /// `[rows, features]`, what histograms are built from.
    by_row: Arc<Vec<u16>>,
    /// `[features, rows]`, what rows are split by.
    by_feature: Arc<Vec<u16>>,
}

impl Binned {
    /// The training rows `values`, row-major `[rows, features]` with NaN for missing, in at
    /// most `max_bin` bins a feature; `None` when there are too many slots.
    pub(crate) fn new(values: &[f32], features: usize, max_bin: usize) -> Option<Self> {
        let mut slots = 0;
        let mut made = Vec::with_capacity(features);
        for feature in 0..features {
            let column = values.iter().skip(feature).step_by(features).copied();
            let mut present: Vec<f32> = column.filter(|value| !value.is_nan()).collect();
            let has_missing = present.len() < values.len() / features;
            present.sort_unstable_by(f32::total_cmp);
            let cuts = cuts(&present, max_bin);
            let first = slots;
            // One more bin above the cuts, one for missing values.
            slots += (cuts.len() + 2).next_multiple_of(WORD);
            if slots > SLOTS {
                return None;
            }
            made.push(FeatureBins {
                cuts,
                first: first as u16,
                missing: (slots - 1) as u16,
                has_missing,
            });
        }
        let layout = Arc::new(Layout {
            features: made,
            slots,
        });
        Some(Self::of(layout, values))
    }

    /// Other rows by the same cuts.
    pub(crate) fn others(&self, values: &[f32]) -> Self {
        Self::of(Arc::clone(&self.layout), values)
    }

    fn of(layout: Arc<Layout>, values: &[f32]) -> Self {
        let width = layout.features.len();
        let rows = values.len() / width;
        let mut by_row = vec![0; values.len()];
        let mut by_feature = vec![0; values.len()];
        for (row, values) in values.chunks_exact(width).enumerate() {
            for (feature, (bins, value)) in layout.features.iter().zip(values).enumerate() {
                let slot = bins.slot(*value);
                by_row[row * width + feature] = slot;
                by_feature[feature * rows + row] = slot;
            }
        }
        Self {
            layout,
            rows,
            by_row: Arc::new(by_row),
            by_feature: Arc::new(by_feature),
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The bins of each feature.
    pub(super) fn features(&self) -> &[FeatureBins] {
        &self.layout.features
    }

    /// Slots of all features.
    pub(super) fn slots(&self) -> usize {
        self.layout.slots
    }

    /// The slots of a row, one a feature.
    #[inline(always)]
    pub(super) fn row(&self, row: u32) -> &[u16] {
        let width = self.layout.features.len();
        let first = row as usize * width;
        &self.by_row[first..first + width]
    }

    /// The slots of a feature, one a row.
    pub(super) fn column(&self, feature: usize) -> &[u16] {
        &self.by_feature[feature * self.rows..(feature + 1) * self.rows]
    }
}

/// The cuts of ascending values, as XGBoost's where there are no more different values than
/// bins: each value but the smallest, and one above all. Else as many values as there may be
/// cuts, with equally many rows between them as far as ties allow.
fn cuts(sorted: &[f32], max_bin: usize) -> Vec<f32> {
    let Some((&least, &most)) = sorted.first().zip(sorted.last()) else {
        return vec![f32::MAX];
    };
    let mut distinct = sorted.to_vec();
    distinct.dedup();
    let mut cuts: Vec<f32> = if distinct.len() <= max_bin {
        distinct.split_off(1)
    } else {
        let at = |bin: usize| sorted[bin * sorted.len() / max_bin];
        let mut cuts: Vec<f32> = (1..max_bin).map(at).collect();
        cuts.dedup();
        cuts.retain(|cut| *cut > least);
        cuts
    };
    let above = most + (most.abs() + 1e-5);
    cuts.push(if above.is_finite() { above } else { f32::MAX });
    cuts
}

/// The matrices of one training set, one for each `max_bin`, made when first asked for.
#[derive(Debug, Default)]
pub(crate) struct BinCache {
    made: Mutex<Vec<(usize, Option<Pair>)>>,
}

/// The training and the validation rows.
type Pair = (Binned, Option<Binned>);

impl BinCache {
    /// The matrices for `max_bin`; `None` when there are too many slots.
    pub(crate) fn get(&self, max_bin: usize, make: impl FnOnce() -> Option<Pair>) -> Option<Pair> {
        // Held while one is made, so that trials that begin together make one.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pair)) = made.iter().find(|(bins, _)| *bins == max_bin) {
            return pair.clone();
        }
        let pair = make();
        made.push((max_bin, pair.clone()));
        pair
    }
}

#[cfg(test)]
mod tests {
    use super::{Binned, cuts};

    #[test]
    fn few_values_have_a_bin_each_and_many_share_theirs() {
        assert_eq!(cuts(&[1.0, 1.0, 2.0, 4.0], 8), [2.0, 4.0, 8.00001]);
        assert_eq!(cuts(&[3.0, 3.0], 8), [6.00001]);
        assert_eq!(cuts(&[], 8), [f32::MAX]);
        let many: Vec<f32> = (0..100).map(|v| v as f32).collect();
        let few = cuts(&many, 4);
        assert_eq!(few[..3], [25.0, 50.0, 75.0]);
        assert_eq!(few.len(), 4);
        // Ties take bins away, never rows.
        let tied = cuts(&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0], 3);
        assert_eq!(tied[..1], [1.0]);
    }

    #[test]
    fn values_fall_into_the_bins_that_thresholds_tell_apart() {
        let values = [1.0, f32::NAN, 2.0, 5.0, 4.0, 6.0];
        let binned = Binned::new(&values, 2, 256).unwrap();
        let [a, b] = binned.features() else {
            panic!("two features");
        };
        assert!(!a.has_missing && b.has_missing);
        assert_eq!(binned.column(1)[0], b.missing);
        for (feature, bins) in binned.features().iter().enumerate() {
            for end in usize::from(bins.first)..=bins.bins().end {
                let threshold = bins.threshold(end);
                for row in 0..3 {
                    let value = values[row * 2 + feature];
                    let before = usize::from(binned.row(row as u32)[feature]) < end;
                    assert_eq!(before, value < threshold, "{value} and {threshold}");
                }
            }
        }
        let others = binned.others(&[100.0, -100.0]);
        assert_eq!(usize::from(others.row(0)[0]), a.bins().end);
        assert_eq!(others.row(0)[1], b.first);
    }
}
