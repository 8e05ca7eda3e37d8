//! Values as bytes: how many of their feature's thresholds they reach.

use hessboost::tree::{Node, RegTree};

use super::BLOCK;

/// Thresholds of a column at most: a byte counts them, and one is left over.
const MAX_CUTS: usize = 254;
/// Thresholds that are compared at once, and such lots of them.
const LOT: usize = 16;

/// The thresholds of all nodes, by what they are compared with.
#[derive(Debug)]
pub(super) struct Bytes {
    columns: Vec<Column>,
}

/// A feature, and on which side of all thresholds its missing values are.
#[derive(Debug)]
struct Column {
    feature: usize,
    missing_left: bool,
    /// Ascending.
    cuts: Vec<f32>,
    /// The same in lots, filled up with what no value reaches.
    lots: [[f32; LOT]; LOT],
    /// The greatest of each lot.
    tops: [f32; LOT],
}

impl Bytes {
    /// The columns of the nodes of `trees`; `None` if there are too many thresholds.
    pub(super) fn new(trees: &[RegTree]) -> Option<Self> {
        let mut found: Vec<(usize, bool, f32)> = trees
            .iter()
            .flat_map(|tree| tree.nodes())
            .filter(|node| !node.is_leaf())
            .map(|node| {
                (
                    node.split_feature as usize,
                    node.default_left,
                    node.split_cond,
                )
            })
            .collect();
        // -0 and 0 are one threshold.
        found.iter_mut().for_each(|(.., cut)| *cut += 0.0);
        found.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        found.dedup();
        let columns = found
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .map(|same| {
                let cuts: Vec<f32> = same.iter().map(|(.., cut)| *cut).collect();
                Column::new(same[0].0, same[0].1, cuts)
            })
            .collect::<Option<Vec<_>>>()?;
        (columns.len() <= usize::from(u16::MAX)).then_some(Self { columns })
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The column of an inner node, and the byte above which rows go right.
    pub(super) fn place(&self, node: &Node) -> (u16, i8) {
        let key = (node.split_feature as usize, node.default_left);
        let column = self
            .columns
            .partition_point(|column| (column.feature, column.missing_left) < key);
        let cuts = &self.columns[column].cuts;
        let cut = cuts.partition_point(|cut| *cut < node.split_cond);
        (column as u16, byte(cut))
    }

    /// Makes the bytes `[columns, BLOCK]` of the `rows` rows from `first` on.
    #[inline(always)]
    pub(super) fn fill(
        &self,
        bytes: &mut [i8],
        first: usize,
        rows: usize,
        read: &impl Fn(usize, usize, &mut [f32]),
    ) {
        let mut values = [0.0; BLOCK];
        let mut known = None;
        for (column, bytes) in self.columns.iter().zip(bytes.chunks_exact_mut(BLOCK)) {
            if known != Some(column.feature) {
                read(column.feature, first, &mut values[..rows]);
                known = Some(column.feature);
            }
            column.count(&values[..rows], bytes);
        }
    }
}

/// A count of thresholds as a byte whose order is that of the counts.
fn byte(count: usize) -> i8 {
    (count as u8 ^ 0x80) as i8
}

impl Column {
    fn new(feature: usize, missing_left: bool, cuts: Vec<f32>) -> Option<Self> {
        if cuts.len() > MAX_CUTS {
            return None;
        }
        let mut lots = [[f32::INFINITY; LOT]; LOT];
        for (place, cut) in lots.as_flattened_mut().iter_mut().zip(&cuts) {
            *place = *cut;
        }
        let tops = lots.map(|lot| lot[LOT - 1]);
        Some(Self {
            feature,
            missing_left,
            cuts,
            lots,
            tops,
        })
    }

    #[inline(always)]
    fn count(&self, values: &[f32], bytes: &mut [i8]) {
        let missing = if self.missing_left { i8::MIN } else { i8::MAX };
        for (byte, &value) in bytes.iter_mut().zip(values) {
            *byte = if value.is_nan() {
                missing
            } else {
                self.byte(value)
            };
        }
    }

    #[inline(always)]
    fn byte(&self, value: f32) -> i8 {
        // The last lot is never reached whole: there is room in it.
        let lot = reached(&self.tops, value) % LOT;
        byte(lot * LOT + reached(&self.lots[lot], value))
    }
}

/// How many of the thresholds a value reaches.
#[inline(always)]
fn reached(cuts: &[f32; LOT], value: f32) -> usize {
    let mut count = 0_u32;
    for cut in cuts {
        count += u32::from(*cut <= value);
    }
    count as usize
}
