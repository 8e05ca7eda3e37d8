//! Sums of gradients by slot: of all bins for nodes with many rows, of the bins that occur
//! for nodes with few.

use hessboost::objective::GradPair;

use super::bins::{Binned, FeatureBins, SLOTS, WORD};
use super::split::{Rule, Search, Split, Sums};

/// The sums of first and second derivatives of each slot. As long as a slot can be large,
/// whatever is used of it, so that no access needs a check; what is not used has no memory.
type Cells = Box<[[f64; 2]; SLOTS]>;

fn cells() -> Cells {
    let cells = vec![[0.0; 2]; SLOTS].into_boxed_slice();
    cells
        .try_into()
        .expect("the slice has as many cells as the array")
}

#[inline(always)]
fn add(cell: &mut [f64; 2], pair: [f64; 2]) {
    cell[0] += pair[0];
    cell[1] += pair[1];
}

#[inline(always)]
fn wide(pair: GradPair) -> [f64; 2] {
    [f64::from(pair.grad), f64::from(pair.hess)]
}

/// The sums of all bins over the rows of a node.
pub(super) struct Histogram {
    cells: Cells,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { cells: cells() }
    }

    /// Becomes that of `rows`.
    pub(super) fn fill(&mut self, bins: &Binned, rows: &[u32], gradients: &[GradPair]) {
        self.cells[..bins.slots()].fill([0.0; 2]);
        for &row in rows {
            let pair = wide(gradients[row as usize]);
            for &slot in bins.row(row) {
                add(&mut self.cells[usize::from(slot)], pair);
            }
        }
    }

    /// Becomes that of its rows without `rows`.
    pub(super) fn take_rows(&mut self, bins: &Binned, rows: &[u32], gradients: &[GradPair]) {
        for &row in rows {
            let [grad, hess] = wide(gradients[row as usize]);
            for &slot in bins.row(row) {
                add(&mut self.cells[usize::from(slot)], [-grad, -hess]);
            }
        }
    }

    /// Becomes that of its rows without those of `part`.
    pub(super) fn take(&mut self, bins: &Binned, part: &Self) {
        let slots = bins.slots();
        for (cell, part) in self.cells[..slots].iter_mut().zip(&part.cells[..slots]) {
            cell[0] -= part[0];
            cell[1] -= part[1];
        }
    }

    /// The best split of the node, whose rows are needed where values are missing: what
    /// subtraction leaves of an empty slot need not be 0.
    pub(super) fn search(
        &self,
        bins: &Binned,
        rule: &Rule,
        rows: &[u32],
        total: Sums,
    ) -> Option<Split> {
        let mut search = Search::new(rule, total);
        for (feature, own) in bins.features().iter().enumerate() {
            let occupied = |slot: usize| (slot, self.cells[slot]);
            let column = bins.column(feature);
            let has_missing =
                own.has_missing && rows.iter().any(|&row| column[row as usize] == own.missing);
            search.ascending(feature, own.bins().map(occupied), has_missing);
            if has_missing {
                search.descending(feature, own.bins().rev().map(occupied));
            }
        }
        search.found()
    }
}

/// The sums of the bins that occur in a node with few rows; all others are 0.
pub(super) struct FewRows {
    cells: Cells,
    /// A bit for each slot that occurs.
    occurs: Box<[u64; SLOTS / WORD]>,
}

impl FewRows {
    pub(super) fn new() -> Self {
        Self {
            cells: cells(),
            occurs: Box::new([0; SLOTS / WORD]),
        }
    }

    /// The best split of a node.
    pub(super) fn search(
        &mut self,
        bins: &Binned,
        rule: &Rule,
        rows: &[u32],
        gradients: &[GradPair],
        total: Sums,
    ) -> Option<Split> {
        for &row in rows {
            let pair = wide(gradients[row as usize]);
            for &slot in bins.row(row) {
                let slot = usize::from(slot);
                add(&mut self.cells[slot], pair);
                self.occurs[slot / WORD] |= 1 << (slot % WORD);
            }
        }
        let mut search = Search::new(rule, total);
        for (feature, own) in bins.features().iter().enumerate() {
            self.search_feature(feature, own, &mut search);
        }
        search.found()
    }

    /// Searches a feature, and forgets its sums.
    fn search_feature(&mut self, feature: usize, own: &FeatureBins, search: &mut Search<'_>) {
        let words = own.words();
        let missing = usize::from(own.missing);
        let has_missing = self.occurs[missing / WORD] & (1 << (missing % WORD)) != 0;
        self.occurs[missing / WORD] &= !(1 << (missing % WORD));
        let cells = &mut self.cells;
        let occurs = &self.occurs[words.clone()];
        let first = words.start * WORD;
        let slots = || Bits::new(occurs).map(|bit| first + bit);
        search.ascending(
            feature,
            slots().map(|slot| (slot, cells[slot])),
            has_missing,
        );
        if has_missing {
            let down = BitsDown::new(occurs).map(|bit| first + bit);
            search.descending(feature, down.map(|slot| (slot, cells[slot])));
            cells[missing] = [0.0; 2];
        }
        for slot in slots() {
            cells[slot] = [0.0; 2];
        }
        self.occurs[words].fill(0);
    }
}

/// The places of the bits that are set, ascending.
struct Bits<'w> {
    words: &'w [u64],
    word: usize,
    rest: u64,
}

impl<'w> Bits<'w> {
    fn new(words: &'w [u64]) -> Self {
        Self {
            words,
            word: 0,
            rest: words[0],
        }
    }
}

impl Iterator for Bits<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.rest == 0 {
            self.word += 1;
            self.rest = *self.words.get(self.word)?;
        }
        let bit = self.rest.trailing_zeros() as usize;
        self.rest &= self.rest - 1;
        Some(self.word * WORD + bit)
    }
}

/// The places of the bits that are set, descending.
struct BitsDown<'w> {
    words: &'w [u64],
    rest: u64,
}

impl<'w> BitsDown<'w> {
    fn new(words: &'w [u64]) -> Self {
        let rest = words.last().copied().unwrap_or(0);
        Self { words, rest }
    }
}

impl Iterator for BitsDown<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.rest == 0 {
            let (_, before) = self.words.split_last()?;
            self.words = before;
            self.rest = *before.last()?;
        }
        let bit = WORD - 1 - self.rest.leading_zeros() as usize;
        self.rest ^= 1 << bit;
        Some((self.words.len() - 1) * WORD + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, BitsDown};

    #[test]
    fn bits_come_in_either_order() {
        let words = [0, 1 | 1 << 63, 0, 1 << 5];
        let up: Vec<usize> = Bits::new(&words).collect();
        assert_eq!(up, [64, 127, 197]);
        let mut down: Vec<usize> = BitsDown::new(&words).collect();
        down.reverse();
        assert_eq!(down, up);
        assert_eq!(Bits::new(&[0, 0]).next(), None);
        assert_eq!(BitsDown::new(&[0, 0]).next(), None);
    }
}
