//! Tables as the learners see them: a dense matrix for each split.
//!
//! [`DatasetSpec`] says which columns count; [`DatasetBuilder`] checks them against a
//! schema, takes the batches in any order, and builds [`Splits`]. Rows come out ordered
//! by a seeded hash of their content, then by the content itself: neither files nor
//! partitions nor the order of arrival can change what is learned.

mod builder;
mod digest;
mod folds;
mod label;
mod order;
mod spec;
mod text;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use builder::DatasetBuilder;
pub use folds::{FOLDS, FoldSpec, Folds};
pub(crate) use label::MAX_CLASSES;
pub use spec::DatasetSpec;
pub use text::{StoredTexts, TextRowsBuilder, TextSplits, text_row_hash};

use crate::features::{FeatureKind, FeaturePlan, Task};

/// The column that says which split a row belongs to.
pub const SPLIT_COLUMN: &str = "_split";

/// The three parts of a table that learning tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What models are fitted on.
    Train,
    /// What early stopping and searches look at.
    Validation,
    /// What the winner is judged by, once.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its value in `_split`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split that a value of `_split` names.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.as_str() == value)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One split: features `[rows, features]`, labels `[rows]` and, if the table has them,
/// weights `[rows]`.
#[derive(Debug, Clone)]
pub struct Dataset {
    plan: Arc<FeaturePlan>,
    values: Arc<Vec<f32>>,
    labels: Arc<Vec<f32>>,
    weights: Option<Arc<Vec<f32>>>,
}

impl Dataset {
    /// A data set of a row-major matrix `[rows, features]`, and one label and perhaps one
    /// weight a row.
    fn new(
        plan: Arc<FeaturePlan>,
        values: Vec<f32>,
        labels: Vec<f32>,
        weights: Option<Vec<f32>>,
    ) -> Self {
        debug_assert_eq!(values.len(), labels.len() * plan.features.len());
        Self {
            plan,
            values: Arc::new(values),
            labels: Arc::new(labels),
            weights: weights.map(Arc::new),
        }
    }

    /// The columns and what they mean.
    pub fn plan(&self) -> &Arc<FeaturePlan> {
        &self.plan
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of the second class: of two, the positive one.
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label == 1.0).count()
    }

    /// The matrix `[rows, features]`, row-major; NaN is missing.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The matrix, shared.
    pub(crate) fn shared_values(&self) -> Arc<Vec<f32>> {
        Arc::clone(&self.values)
    }

    /// The labels `[rows]`: the number to predict, or the position of the row's class
    /// among those of the plan's label (of two, 1 is the positive one).
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// How much each row counts in a fit `[rows]`, where the table says so.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_ref().map(|weights| weights.as_slice())
    }

    /// The kind of question that the label asks.
    pub fn task(&self) -> Task {
        self.plan.label.task
    }

    /// The data set of some of the rows, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let width = self.plan.features.len();
        let mut values = Vec::with_capacity(rows.len() * width);
        for &row in rows {
            values.extend_from_slice(self.row(row));
        }
        let of = |values: &[f32]| -> Vec<f32> { rows.iter().map(|&row| values[row]).collect() };
        let weights = self.weights().map(of);
        Self::new(Arc::clone(&self.plan), values, of(&self.labels), weights)
    }

    /// The same rows, with the categories that no row of `known` has as missing values: what
    /// a model of those rows would see.
    pub(crate) fn with_categories_of(mut self, known: &Self, rows: &[usize]) -> Self {
        let width = self.plan.features.len();
        for (position, feature) in self.plan.features.iter().enumerate() {
            let FeatureKind::Category { values } = &feature.kind else {
                continue;
            };
            let mut seen = vec![false; values.len()];
            for &row in rows {
                let code = known.values[row * width + position];
                if !code.is_nan() {
                    seen[code as usize] = true;
                }
            }
            if seen.iter().all(|seen| *seen) {
                continue;
            }
            let column = Arc::make_mut(&mut self.values).iter_mut();
            for value in column.skip(position).step_by(width) {
                if !value.is_nan() && !seen[*value as usize] {
                    *value = f32::NAN;
                }
            }
        }
        self
    }

    /// One row's features.
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.plan.features.len();
        &self.values[row * width..(row + 1) * width]
    }
}

/// How many rows of the other splits also occur in the train split, label included.
/// Metrics over such rows flatter every model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Straddling {
    /// Rows of the validation split that occur in the train split.
    pub validation: usize,
    /// Rows of the test split that occur in the train split.
    pub test: usize,
}

/// A table's three splits. All share one feature plan; a split may be empty, except
/// train. Where rows are dealt into folds, those of the validation part are among the train
/// rows, and `validation` is empty.
#[derive(Debug, Clone)]
pub struct Splits {
    /// What models are fitted on; every class occurs.
    pub train: Dataset,
    /// What early stopping and searches look at.
    pub validation: Dataset,
    /// What the winner is judged by.
    pub test: Dataset,
    /// Rows that other splits share with the train split.
    pub straddling: Straddling,
    /// The folds of the train rows, where there are any.
    pub folds: Option<Folds>,
}

impl Splits {
    /// One of the splits.
    pub fn get(&self, split: Split) -> &Dataset {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}
