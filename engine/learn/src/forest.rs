//! Prediction of many rows by shallow trees, in their columns.
//!
//! A tree's answer for a row depends only on how the row's values compare with the trees'
//! thresholds. So each value is first turned into the number of thresholds of its feature
//! that it reaches, a byte; then a tree of depth `d` is `2^d - 1` comparisons of whole blocks
//! of bytes, 32 rows an instruction, each of which chooses between the leaves of its two
//! sides. Nothing branches on the data, and every node of a tree is looked at: that pays up
//! to a depth of [`MAX_DEPTH`]. Deeper trees, and all that is not a plain numeric tree, are
//! the learner's to walk.
//!
//! The sums are the learner's to the bit: for each row the intercept, then the trees' leaves
//! in their order, in `f32`.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bytes;

use hessboost::model::BoostedModel;
use hessboost::tree::RegTree;

use bytes::Bytes;

/// The deepest tree that is looked at whole.
const MAX_DEPTH: usize = 8;
/// Rows whose bytes are made at a time.
const BLOCK: usize = 256;
/// Rows that a tree is compared with at a time.
const GROUP: usize = 64;

/// The trees of a model.
#[derive(Debug)]
pub(crate) struct Forest {
    bytes: Bytes,
    trees: Vec<Tree>,
    /// All trees' nodes.
    nodes: Vec<Node>,
    /// All trees' leaves: `2^depth` for each tree, from left to right.
    leaves: Vec<f32>,
    intercepts: Vec<f32>,
}

/// A tree, filled up to a complete one.
#[derive(Debug, Clone, Copy)]
struct Tree {
    depth: usize,
    /// Its first node; the children of its node `n` are its nodes `2n + 1` and `2n + 2`.
    node: usize,
    /// Its first leaf.
    leaf: usize,
    output: usize,
}

/// Rows go right whose byte in a column is greater.
#[derive(Debug, Clone, Copy)]
struct Node {
    column: u16,
    byte: i8,
}

impl Forest {
    /// The trees of `model`, if they are shallow and numeric and this processor has what it
    /// takes.
    pub(crate) fn new(model: &BoostedModel) -> Option<Self> {
        if !is_able() || model.linear().is_some() || model.shrinkage().is_some() {
            return None;
        }
        let rounds = model
            .best_iteration()
            .map_or(model.num_boost_rounds(), |best| best + 1);
        let count = rounds * model.trees_per_iteration();
        let trees = model.trees().get(..count)?;
        if trees.is_empty() || !trees.iter().all(is_plain) {
            return None;
        }
        let bytes = Bytes::new(trees).filter(|bytes| bytes.columns() > 0)?;
        let mut forest = Self {
            bytes,
            trees: Vec::with_capacity(count),
            nodes: Vec::new(),
            leaves: Vec::new(),
            intercepts: model.base_scores().to_vec(),
        };
        let outputs = model.tree_outputs().zip(model.tree_weights());
        for (tree, (outputs, weight)) in trees.iter().zip(outputs) {
            forest.push(tree, outputs.start, weight);
        }
        Some(forest)
    }

    fn push(&mut self, tree: &RegTree, output: usize, weight: f32) {
        let depth = tree.depth().max(1);
        let made = Tree {
            depth,
            node: self.nodes.len(),
            leaf: self.leaves.len(),
            output,
        };
        // No byte is greater: what stands below a leaf leads to its left end.
        let nowhere = Node {
            column: 0,
            byte: i8::MAX,
        };
        let (nodes, leaves) = ((1 << depth) - 1, 1 << depth);
        self.nodes.resize(made.node + nodes, nowhere);
        self.leaves.resize(made.leaf + leaves, 0.0);
        // (place among the nodes, node)
        let mut rest = vec![(0, 0)];
        while let Some((place, id)) = rest.pop() {
            let node = tree.node(id);
            if node.is_leaf() {
                let mut place = place;
                while place < nodes {
                    place = 2 * place + 1;
                }
                self.leaves[made.leaf + place - nodes] = weight * node.leaf_value;
            } else {
                let (column, byte) = self.bytes.place(node);
                self.nodes[made.node + place] = Node { column, byte };
                rest.push((2 * place + 1, node.left as usize));
                rest.push((2 * place + 2, node.right as usize));
            }
        }
        self.trees.push(made);
    }

    /// Values for each row of [`Self::margins`].
    pub(crate) fn outputs(&self) -> usize {
        self.intercepts.len()
    }

    /// The sums of the trees' leaves for each row, into `margins`, `[rows, outputs]`.
    /// `read(feature, first, values)` gives the values of a feature from the row `first` on;
    /// NaN is missing, and no value is infinite.
    pub(crate) fn margins(&self, margins: &mut [f32], read: impl Fn(usize, usize, &mut [f32])) {
        let outputs = self.outputs();
        let mut bytes = vec![0; self.bytes.columns() * BLOCK];
        let mut sums = vec![[0.0; BLOCK]; outputs];
        for (block, margins) in margins.chunks_mut(BLOCK * outputs).enumerate() {
            let rows = margins.len() / outputs;
            with(|| self.bytes.fill(&mut bytes, block * BLOCK, rows, &read));
            for (sums, intercept) in sums.iter_mut().zip(&self.intercepts) {
                sums.fill(*intercept);
            }
            for tree in &self.trees {
                self.add(tree, &bytes, rows, &mut sums[tree.output]);
            }
            for (row, margins) in margins.chunks_exact_mut(outputs).enumerate() {
                for (margin, sums) in margins.iter_mut().zip(&sums) {
                    *margin = sums[row];
                }
            }
        }
    }

    /// Adds a tree's leaves to the sums of a block's rows.
    fn add(&self, tree: &Tree, bytes: &[i8], rows: usize, sums: &mut [f32; BLOCK]) {
        let nodes = &self.nodes[tree.node..tree.node + (1 << tree.depth) - 1];
        let leaves = &self.leaves[tree.leaf..tree.leaf + (1 << tree.depth)];
        let (groups, _) = sums.as_chunks_mut();
        for (group, sums) in groups.iter_mut().take(rows.div_ceil(GROUP)).enumerate() {
            let first = group * GROUP;
            add(tree.depth, nodes, leaves, bytes, first, sums);
        }
    }
}

/// Whether a tree is one of numbers and constants, and shallow.
fn is_plain(tree: &RegTree) -> bool {
    !tree.is_vector_leaf()
        && tree.linear_leaves().is_none()
        && !tree.has_categorical_splits()
        && tree.depth() <= MAX_DEPTH
}

/// Whether this processor compares whole blocks.
fn is_able() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx2::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
use avx2::{add, with};

/// No forest is made for other processors.
#[cfg(not(target_arch = "x86_64"))]
fn add(_: usize, _: &[Node], _: &[f32], _: &[i8], _: usize, _: &mut [f32; GROUP]) {}

#[cfg(not(target_arch = "x86_64"))]
fn with<T>(work: impl FnOnce() -> T) -> T {
    work()
}
