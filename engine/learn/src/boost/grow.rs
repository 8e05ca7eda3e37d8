//! Growing a tree, level by level.

use hessboost::objective::GradPair;

use super::Settings;
use super::bins::Binned;
use super::handover::{Node, Tree};
use super::histogram::{FewRows, Histogram};
use super::rows::{Part, RowLists, Test};
use super::split::{Rule, Split, Sums};

/// The margins of rows, `[rows, outputs]`.
#[derive(Debug)]
pub(super) struct Margins {
    values: Vec<f32>,
    outputs: usize,
    /// The output that the next tree adds to.
    pub(super) output: usize,
}

impl Margins {
    pub(super) fn new(intercepts: &[f32], rows: usize) -> Self {
        Self {
            values: intercepts.repeat(rows),
            outputs: intercepts.len(),
            output: 0,
        }
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    fn add(&mut self, rows: &[u32], value: f32) {
        for &row in rows {
            self.values[row as usize * self.outputs + self.output] += value;
        }
    }
}

/// Grows trees on the rows of one matrix; the memory that a tree needs serves the next one.
pub(super) struct Grower<'a> {
    bins: &'a Binned,
    rule: Rule,
    eta: f32,
    max_depth: usize,
    /// A node with at least so many rows has a histogram of all bins, so that of its children
    /// only the smaller one need be added up.
    dense_rows: usize,
    train: RowLists,
    validation: RowLists,
    /// Histograms that no node has.
    free: Vec<Histogram>,
    few: FewRows,
}

/// A tree that grows, and what its leaves add to.
struct Growth<'t> {
    tree: Tree,
    gradients: &'t [GradPair],
    train: &'t mut Margins,
    validation: Option<(&'t Binned, &'t mut Margins)>,
}

/// A node and its rows.
#[derive(Clone, Copy)]
struct Place {
    id: usize,
    train: Part,
    validation: Part,
    total: Sums,
}

/// A node that will be split.
struct Open {
    place: Place,
    split: Split,
    histogram: Option<Histogram>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(bins: &'a Binned, settings: &Settings) -> Self {
        Self {
            bins,
            rule: settings.rule,
            eta: settings.eta,
            max_depth: settings.max_depth,
            dense_rows: bins.slots() / bins.features().len(),
            train: RowLists::default(),
            validation: RowLists::default(),
            free: Vec::new(),
            few: FewRows::new(),
        }
    }

    /// Grows a tree, and adds its leaves to the margins.
    pub(super) fn grow(
        &mut self,
        gradients: &[GradPair],
        train: &mut Margins,
        validation: Option<(&Binned, &mut Margins)>,
    ) -> Tree {
        let mut total = Sums::default();
        for pair in gradients {
            total.add([f64::from(pair.grad), f64::from(pair.hess)]);
        }
        let others = validation.as_ref().map_or(0, |(bins, _)| bins.rows());
        let root = Place {
            id: 0,
            train: self.train.fill(self.bins.rows()),
            validation: self.validation.fill(others),
            total,
        };
        let mut growth = Growth {
            tree: Tree {
                nodes: vec![Node::leaf(total.hess)],
            },
            gradients,
            train,
            validation,
        };
        let mut level = Vec::new();
        let mut next = Vec::new();
        let histogram = self.is_dense(root).then(|| {
            let mut own = self.free.pop().unwrap_or_else(Histogram::new);
            own.fill(self.bins, self.train.next(root.train), gradients);
            own
        });
        self.begin(&mut growth, root, histogram, &mut next);
        let mut depth = 0;
        while !next.is_empty() {
            depth += 1;
            self.train.turn();
            self.validation.turn();
            std::mem::swap(&mut level, &mut next);
            for open in level.drain(..) {
                self.divide(&mut growth, open, depth == self.max_depth, &mut next);
            }
        }
        growth.tree
    }

    /// Whether a node could have children.
    fn may_split(&self, place: Place) -> bool {
        place.train.len() > 1 && self.rule.may_split(place.total)
    }

    /// Whether a node gets a histogram.
    fn is_dense(&self, place: Place) -> bool {
        place.train.len() >= self.dense_rows && self.may_split(place)
    }

    /// Opens a node of the next level, or closes it as a leaf.
    fn begin(
        &mut self,
        growth: &mut Growth<'_>,
        place: Place,
        histogram: Option<Histogram>,
        opened: &mut Vec<Open>,
    ) {
        let (bins, rule, rows) = (self.bins, &self.rule, self.train.next(place.train));
        let split = match &histogram {
            Some(histogram) => histogram.search(bins, rule, rows, place.total),
            None if self.may_split(place) => {
                self.few
                    .search(bins, rule, rows, growth.gradients, place.total)
            }
            None => None,
        };
        match split {
            Some(split) => opened.push(Open {
                place,
                split,
                histogram,
            }),
            None => {
                self.free.extend(histogram);
                let validation = self.validation.next(place.validation);
                growth.close(place, self.leaf(place), rows, validation);
            }
        }
    }

    /// What a leaf adds to its rows' margins.
    fn leaf(&self, place: Place) -> f32 {
        self.rule.leaf(place.total) * self.eta
    }

    /// Splits a node of this level.
    fn divide(&mut self, growth: &mut Growth<'_>, open: Open, last: bool, opened: &mut Vec<Open>) {
        let Open {
            place,
            split,
            histogram,
        } = open;
        let own = &self.bins.features()[split.feature];
        let test = Test::new(&split, own);
        let column = self.bins.column(split.feature);
        let (left, right) = self.train.divide(place.train, column, test);
        if left.len() == 0 || right.len() == 0 {
            // A split between what subtraction left of empty bins parts no rows.
            self.free.extend(histogram);
            let (rows, others) = (
                self.train.now(place.train),
                self.validation.now(place.validation),
            );
            growth.close(place, self.leaf(place), rows, others);
            return;
        }
        let (left_others, right_others) = match &growth.validation {
            Some((bins, _)) => {
                let column = bins.column(split.feature);
                self.validation.divide(place.validation, column, test)
            }
            None => (place.validation, place.validation),
        };
        let id = growth.expand(place, &split, own.threshold(split.end));
        let child = |id, train, validation, total| Place {
            id,
            train,
            validation,
            total,
        };
        let left = child(id, left, left_others, split.left);
        let right = child(id + 1, right, right_others, split.right);
        if last {
            self.free.extend(histogram);
            for place in [left, right] {
                let (rows, others) = (
                    self.train.next(place.train),
                    self.validation.next(place.validation),
                );
                growth.close(place, self.leaf(place), rows, others);
            }
            return;
        }
        let [of_left, of_right] = self.histograms(histogram, [left, right], growth.gradients);
        self.begin(growth, left, of_left, opened);
        self.begin(growth, right, of_right, opened);
    }

    /// The histograms of those children that get one, from their parent's. A child with as
    /// many rows as that has a parent with more of them, which therefore has one.
    fn histograms(
        &mut self,
        parent: Option<Histogram>,
        children: [Place; 2],
        gradients: &[GradPair],
    ) -> [Option<Histogram>; 2] {
        let Some(mut parent) = parent else {
            return [None, None];
        };
        let bins = self.bins;
        let swap = children[0].train.len() > children[1].train.len();
        let [small, large] = if swap {
            [children[1], children[0]]
        } else {
            children
        };
        let rows = self.train.next(small.train);
        let found = match (self.is_dense(small), self.is_dense(large)) {
            (true, true) => {
                let mut own = self.free.pop().unwrap_or_else(Histogram::new);
                own.fill(bins, rows, gradients);
                parent.take(bins, &own);
                [Some(own), Some(parent)]
            }
            (false, true) => {
                parent.take_rows(bins, rows, gradients);
                [None, Some(parent)]
            }
            (true, false) => {
                parent.fill(bins, rows, gradients);
                [Some(parent), None]
            }
            (false, false) => {
                self.free.push(parent);
                [None, None]
            }
        };
        let [of_small, of_large] = found;
        if swap {
            [of_large, of_small]
        } else {
            [of_small, of_large]
        }
    }
}

impl Growth<'_> {
    /// Makes a node a split of two new leaves. Returns the left one's number; the right one's
    /// follows.
    fn expand(&mut self, place: Place, split: &Split, threshold: f32) -> usize {
        let nodes = &mut self.tree.nodes;
        let left = nodes.len();
        nodes.push(Node::leaf(split.left.hess));
        nodes.push(Node::leaf(split.right.hess));
        let node = &mut nodes[place.id];
        node.feature = split.feature as u32;
        node.threshold = threshold;
        node.default_left = split.default_left;
        node.left = Some(left as u32);
        node.gain = split.gain;
        left
    }

    /// Makes a node a leaf for good.
    fn close(&mut self, place: Place, value: f32, rows: &[u32], validation: &[u32]) {
        self.tree.nodes[place.id].value = value;
        self.train.add(rows, value);
        if let Some((_, margins)) = &mut self.validation {
            margins.add(validation, value);
        }
    }
}
