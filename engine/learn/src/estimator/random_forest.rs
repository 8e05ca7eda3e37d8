//! Random forests as scikit-learn grows them, on histogram trees.
//!
//! A tree of squared error on 0/1 labels with learning rate 1, no penalty and an intercept
//! of 0 is a classification tree: with `n` rows of which the share `p` is positive, the
//! loss reduction of a split, `n_l p_l² + n_r p_r² - n p²`, is half the decrease of `n`
//! times the Gini impurity `2 p (1 - p)`, and a leaf's value is its share of positive
//! rows. The forest's probability is the mean over the trees, as in scikit-learn. With
//! several classes the leaves hold one share for each, and the sum over the classes of the
//! loss reductions is the decrease of the Gini impurity again. On numbers it is a
//! regression tree.

use std::num::NonZeroUsize;
use std::sync::Arc;

use hessboost::config::{GrowPolicy, MultiStrategy, TrainingParams, TreeMethod};
use hessboost::data::{DMatrix, ViewCuts};
use hessboost::error::HessboostError;
use hessboost::model::BoostedModel;
use hessboost::objective::{Objective, RegLoss};
use hessboost::training::train;
use serde_json::Value;

use super::class_weight::ClassWeight;
use super::constraints::Constraints;
use super::params::{Bounds, Param, Params, as_whole};
use super::{Entry, Estimator, FitOptions, Fitted, RoundScore, TrainingSet};
use crate::error::{LearnError, ParamError};
use crate::features::{Feature, FeaturePlan, Target, Task};
use crate::model::Model;
use crate::parallel::in_order;
use crate::random::SplitMix64;

const NAME: &str = "random_forest";

/// The registry's entry.
pub(super) static ENTRY: Entry = Entry {
    name: NAME,
    params: PARAMS,
    build: |params| Box::new(RandomForest::read(params)),
};

static PARAMS: &[Param] = &[
    Param {
        name: "n_estimators",
        aliases: &["num_parallel_tree", "n_trees", "num_boost_round", "rounds"],
        doc: "Trees; default 100.",
    },
    Param {
        name: "max_features",
        aliases: &["colsample_bynode"],
        doc: "Features that each split looks at: `sqrt`, `log2`, `all`, a share as in 0.5, or a number of features; by default `sqrt`, or `all` for a regression.",
    },
    Param {
        name: "max_depth",
        aliases: &[],
        doc: "Depth of a tree; 0 or null for no limit (the default).",
    },
    Param {
        name: "max_leaf_nodes",
        aliases: &["max_leaves"],
        doc: "Leaves of a tree, grown best first; 0 or null for no limit (the default).",
    },
    Param {
        name: "min_samples_leaf",
        aliases: &["min_child_weight"],
        doc: "Fewest rows in a leaf; default 1.",
    },
    Param {
        name: "bootstrap",
        aliases: &[],
        doc: "Draw each tree's rows with replacement; default true.",
    },
    Param {
        name: "max_samples",
        aliases: &["subsample"],
        doc: "Rows that each tree draws, as a share of the train split; default 1.",
    },
    Param {
        name: "criterion",
        aliases: &[],
        doc: "`gini` for classes, `squared_error` for a regression: the only ones.",
    },
    Param {
        name: "class_weight",
        aliases: &[],
        doc: "How much rows of each class count: `balanced`, or a map of classes to numbers; default all alike.",
    },
    Param {
        name: "interaction_constraints",
        aliases: &["interaction_cst"],
        doc: "Groups of columns that may meet in a branch, as in [[alcohol, pH], [sulphates]].",
    },
    Param {
        name: "max_bin",
        aliases: &["max_bins"],
        doc: "Histogram bins for each feature; default 256.",
    },
    Param {
        name: "seed",
        aliases: &["random_state"],
        doc: "Seed of all sampling; default 0.",
    },
];

/// How many features a split looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MaxFeatures {
    /// `Sqrt` for classes, `All` for numbers.
    Auto,
    Sqrt,
    Log2,
    Share(f64),
    Count(usize),
    All,
}

impl MaxFeatures {
    fn read(params: &mut Params<'_>) -> Self {
        const NAME: &str = "max_features";
        let given = params.value(NAME).cloned();
        let chosen = match &given {
            None => Self::Auto,
            Some(Value::String(word)) if word == "auto" => Self::Auto,
            Some(Value::String(word)) if word == "sqrt" => Self::Sqrt,
            Some(Value::String(word)) if word == "log2" => Self::Log2,
            Some(Value::String(word)) if word == "all" => Self::All,
            Some(value) => match (as_whole(value), value.as_f64()) {
                (Some(count), _) if !value.is_f64() && count > 0 => {
                    Self::Count(usize::try_from(count).unwrap_or(usize::MAX))
                }
                (_, Some(share)) if value.is_f64() && share > 0.0 && share <= 1.0 => {
                    Self::Share(share)
                }
                _ => {
                    params.reject(
                        NAME,
                        "sqrt, log2, all, a share above 0 and at most 1.0, or a whole number of features",
                    );
                    Self::Auto
                }
            },
        };
        params.resolve(NAME, given.unwrap_or_else(|| Value::from("auto")));
        chosen
    }

    /// The number among `features`, at least 1.
    fn count(self, features: usize, task: Task) -> usize {
        let all = features as f64;
        let count = match self {
            Self::Auto if task == Task::Regression => features,
            Self::Auto => all.sqrt() as usize,
            Self::Sqrt => all.sqrt() as usize,
            Self::Log2 => all.log2() as usize,
            Self::Share(share) => (share * all) as usize,
            Self::Count(count) => count,
            Self::All => features,
        };
        count.clamp(1, features)
    }
}

#[derive(Debug)]
struct RandomForest {
    trees: usize,
    max_features: MaxFeatures,
    max_depth: Option<usize>,
    max_leaves: Option<usize>,
    min_samples_leaf: usize,
    bootstrap: bool,
    max_samples: f64,
    criterion: &'static str,
    class_weight: ClassWeight,
    constraints: Constraints,
    max_bin: usize,
    seed: u64,
}

impl RandomForest {
    fn read(params: &mut Params<'_>) -> Self {
        Self {
            trees: params.whole("n_estimators", 100, 1..=100_000),
            max_features: MaxFeatures::read(params),
            max_depth: params.limit("max_depth", None, 1..=10_000),
            max_leaves: params.limit("max_leaf_nodes", None, 2..=1 << 24),
            min_samples_leaf: params.whole("min_samples_leaf", 1, 1..=1 << 24),
            bootstrap: params.flag("bootstrap", true),
            max_samples: params.real("max_samples", 1.0, Bounds::Fraction),
            criterion: params.word("criterion", "auto", &["auto", "gini", "squared_error"]),
            class_weight: ClassWeight::read(params),
            constraints: Constraints::read_interaction(params),
            max_bin: params.whole("max_bin", 256, 2..=65_535),
            seed: params.seed("seed"),
        }
    }

    /// The parameters of tree number `tree` on `features` features.
    fn tree_params(
        &self,
        data: &DMatrix,
        plan: &FeaturePlan,
        seed: u64,
    ) -> Result<TrainingParams, HessboostError> {
        let task = plan.label.task;
        let features = data.n_cols();
        let count = self.max_features.count(features, task);
        // The learner truncates `ratio * features`; half a feature more keeps rounding
        // from losing one.
        let ratio = if count == features {
            1.0
        } else {
            (count as f64 + 0.5) / features as f64
        };
        let mut builder = TrainingParams::builder()
            .objective(Objective::SquaredError(RegLoss::default()))
            .tree_method(TreeMethod::Hist)
            .base_score(0.0)
            .eta(1.0)
            .lambda(0.0)
            .min_child_weight(match (data.weights(), self.min_samples_leaf) {
                // A single row of any weight may be a leaf.
                (Some(_), 1) => 0.0,
                (_, rows) => rows as f64,
            })
            .multi_strategy(if task == Task::Multiclass {
                MultiStrategy::MultiOutputTree
            } else {
                MultiStrategy::OneOutputPerTree
            })
            .colsample_bynode(ratio)
            .interaction_constraints(self.constraints.interaction(&plan.features))
            .max_bin(self.max_bin)
            .seed(seed);
        builder = match self.max_depth {
            Some(depth) => builder.max_depth(depth),
            None => builder.unlimited_depth(),
        };
        if let Some(leaves) = self.max_leaves {
            builder = builder
                .max_leaves(leaves)
                .grow_policy(GrowPolicy::LossGuide);
        }
        builder.build()
    }

    /// The rows of tree number `tree`; `None` for all.
    fn rows(&self, rows: usize, draw: &mut SplitMix64) -> Option<Vec<usize>> {
        let count = ((rows as f64 * self.max_samples).round() as usize).clamp(1, rows);
        match (self.bootstrap, count == rows) {
            (true, _) => Some(draw.with_replacement(rows, count)),
            (false, false) => Some(draw.without_replacement(rows, count)),
            (false, true) => None,
        }
    }

    fn grow(
        &self,
        tree: usize,
        data: &DMatrix,
        plan: &FeaturePlan,
    ) -> Result<BoostedModel, HessboostError> {
        let mut draw = SplitMix64::stream(self.seed, tree as u64);
        let params = self.tree_params(data, plan, draw.next_u64())?;
        match self.rows(data.n_rows(), &mut draw) {
            None => train(&params, data, 1),
            Some(rows) => {
                let view = data.select_rows_with_cuts(&rows, ViewCuts::Source)?;
                train(&params, &view, 1)
            }
        }
    }
}

impl RandomForest {
    /// The training rows as the trees learn them. Weights have a mean of 1, so that
    /// `min_samples_leaf` keeps its meaning.
    fn matrix(
        &self,
        data: &TrainingSet,
        refused: impl Fn(HessboostError) -> LearnError + Copy,
    ) -> Result<DMatrix, LearnError> {
        let label = &data.plan().label;
        let mut train = self.class_weight.weigh(data, refused)?;
        if label.task == Task::Multiclass {
            let codes = one_hot(train.labels().unwrap_or_default(), label.classes.len());
            let classes = label.classes.len();
            train = train.with_label_matrix(&codes, classes).map_err(refused)?;
        }
        if let Some(weights) = train.weights() {
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let scale = weights.len() as f64 / sum;
            let scaled = weights.iter().map(|&w| (f64::from(w) * scale) as f32);
            let scaled: Vec<f32> = scaled.collect();
            train = train.with_weights(&scaled).map_err(refused)?;
        }
        Ok(train)
    }
}

impl Estimator for RandomForest {
    fn check(&self, features: &[Feature], target: Target) -> Vec<ParamError> {
        let mut errors = self.class_weight.check(target);
        errors.extend(self.constraints.check(features));
        let fits = match self.criterion {
            "gini" => target.task != Task::Regression,
            "squared_error" => target.task == Task::Regression,
            _ => true,
        };
        if !fits {
            let message = format!("`{}` is not for `task: {}`", self.criterion, target.task);
            errors.push(ParamError::new("criterion", message));
        }
        errors
    }

    fn fit(&self, data: &TrainingSet, options: &FitOptions<'_>) -> Result<Fitted, LearnError> {
        let refused = |source| LearnError::Learner {
            estimator: NAME.to_owned(),
            action: "train",
            source,
        };
        options.check_cancelled()?;
        let train = self.matrix(data, refused)?;
        let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
        let grown = in_order(threads, self.trees, |tree| {
            options.check_cancelled()?;
            let grown = self.grow(tree, &train, data.plan()).map_err(refused)?;
            if let Some(tell) = options.on_round {
                // A forest is only whole with all of its trees.
                let _ = tell(RoundScore {
                    round: tree,
                    value: None,
                });
            }
            Ok(grown)
        })?;
        let trees = grown.into_iter().collect::<Result<Vec<_>, LearnError>>()?;
        let booster = BoostedModel::average(&trees).map_err(refused)?;
        let model = Model::new(NAME, Arc::clone(data.plan()), booster);
        Ok(Fitted {
            best_iteration: None,
            iterations: self.trees,
            importance: model.importance(),
            history: Vec::new(),
            model,
        })
    }
}

/// A row of 0 and 1 for each label: 1 at its class.
fn one_hot(codes: &[f32], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; codes.len() * classes];
    for (row, &code) in rows.chunks_exact_mut(classes).zip(codes) {
        row[code as usize] = 1.0;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::{MaxFeatures, Task};

    #[test]
    fn feature_counts_are_scikit_learns() {
        assert_eq!(MaxFeatures::Sqrt.count(11, Task::Binary), 3);
        assert_eq!(MaxFeatures::Auto.count(11, Task::Multiclass), 3);
        assert_eq!(MaxFeatures::Auto.count(11, Task::Regression), 11);
        assert_eq!(MaxFeatures::Log2.count(11, Task::Binary), 3);
        assert_eq!(MaxFeatures::Share(0.5).count(11, Task::Binary), 5);
        assert_eq!(MaxFeatures::Count(99).count(11, Task::Binary), 11);
        assert_eq!(MaxFeatures::Log2.count(1, Task::Binary), 1);
        assert_eq!(MaxFeatures::All.count(4, Task::Binary), 4);
    }
}
