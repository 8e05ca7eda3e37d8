//! The rows of the nodes of a level, as parts of one list.

use super::bins::FeatureBins;
use super::split::Split;

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    begin: usize,
    end: usize,
}

impl Part {
    pub(super) fn len(self) -> usize {
        self.end - self.begin
    }

    fn split_at(self, count: usize) -> (Self, Self) {
        let middle = self.begin + count;
        let (begin, end) = (self.begin, self.end);
        (Self { begin, end: middle }, Self { begin: middle, end })
    }
}

/// Which rows go left, by their slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    end: u16,
    missing: u16,
    default_left: bool,
}

impl Test {
    pub(super) fn new(split: &Split, bins: &FeatureBins) -> Self {
        Self {
            end: split.end as u16,
            missing: bins.missing,
            default_left: split.default_left,
        }
    }

    #[inline(always)]
    fn goes_left(self, slot: u16) -> bool {
        (slot < self.end) | (self.default_left & (slot == self.missing))
    }
}

/// The rows of this level's nodes, and of the next one's as they are parted. Each node has
/// the same part of the next list for its children, and rows keep their order.
#[derive(Debug, Default)]
pub(super) struct RowLists {
    now: Vec<u32>,
    next: Vec<u32>,
    right: Vec<u32>,
}

impl RowLists {
    /// Makes the next level one node of `rows` rows.
    pub(super) fn fill(&mut self, rows: usize) -> Part {
        self.next.clear();
        self.next.extend(0..rows as u32);
        self.now.resize(rows, 0);
        self.right.resize(rows, 0);
        Part {
            begin: 0,
            end: rows,
        }
    }

    /// The rows of a node of this level.
    pub(super) fn now(&self, part: Part) -> &[u32] {
        &self.now[part.begin..part.end]
    }

    /// The rows of a node of the next level.
    pub(super) fn next(&self, part: Part) -> &[u32] {
        &self.next[part.begin..part.end]
    }

    /// Parts the rows of a node of this level. `column` has the slot of each row.
    pub(super) fn divide(&mut self, part: Part, column: &[u16], test: Test) -> (Part, Part) {
        let rows = &self.now[part.begin..part.end];
        let next = &mut self.next[part.begin..part.end];
        let right = &mut self.right[..rows.len()];
        let mut count = 0;
        // No branch depends on the data: where a row goes is not to be foreseen.
        for (place, &row) in rows.iter().enumerate() {
            let left = test.goes_left(column[row as usize]);
            next[count] = row;
            right[place - count] = row;
            count += usize::from(left);
        }
        let rest = rows.len() - count;
        next[count..].copy_from_slice(&right[..rest]);
        part.split_at(count)
    }

    /// The next level becomes this one.
    pub(super) fn turn(&mut self) {
        std::mem::swap(&mut self.now, &mut self.next);
    }
}
