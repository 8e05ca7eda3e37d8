//! The parameters of boosting, by the names of XGBoost and scikit-learn.

use crate::estimator::params::Param;

pub(super) static PARAMS: &[Param] = &[
    Param {
        name: "rounds",
        aliases: &["n_estimators", "num_boost_round", "num_round", "n_rounds"],
        doc: "Rounds of boosting at most; default 100.",
    },
    Param {
        name: "early_stopping_rounds",
        aliases: &["n_iter_no_change"],
        doc: "Stop when the validation metric has not improved for so many rounds, and keep the best one; default none.",
    },
    Param {
        name: "learning_rate",
        aliases: &["eta"],
        doc: "How much each tree counts; default 0.3.",
    },
    Param {
        name: "max_depth",
        aliases: &[],
        doc: "Depth of a tree; 0 or null for no limit; default 6.",
    },
    Param {
        name: "max_leaves",
        aliases: &["max_leaf_nodes"],
        doc: "Leaves of a tree that is grown best first (`grow_policy: lossguide`); 0 or null for no limit (the default).",
    },
    Param {
        name: "grow_policy",
        aliases: &[],
        doc: "`depthwise` (the default) or `lossguide`: the split that gains most comes first.",
    },
    Param {
        name: "booster",
        aliases: &[],
        doc: "`gbtree` (the default) or `dart`: each round leaves some of the trees so far out.",
    },
    Param {
        name: "rate_drop",
        aliases: &[],
        doc: "With `dart`: the share of the trees that a round leaves out; default 0.",
    },
    Param {
        name: "skip_drop",
        aliases: &[],
        doc: "With `dart`: the probability that a round leaves no tree out; default 0.",
    },
    Param {
        name: "one_drop",
        aliases: &[],
        doc: "With `dart`: whether a round leaves at least one tree out; default false.",
    },
    Param {
        name: "min_child_weight",
        aliases: &[],
        doc: "Smallest sum of second derivatives in a leaf; default 1.",
    },
    Param {
        name: "min_split_loss",
        aliases: &["gamma"],
        doc: "Smallest loss reduction that justifies a split; default 0.",
    },
    Param {
        name: "max_delta_step",
        aliases: &[],
        doc: "Largest weight of a leaf; 0 for no bound; by default none, and 0.7 with `count:poisson`.",
    },
    Param {
        name: "reg_lambda",
        aliases: &["lambda", "l2_regularization"],
        doc: "L2 penalty on leaf weights; default 1.",
    },
    Param {
        name: "reg_alpha",
        aliases: &["alpha"],
        doc: "L1 penalty on leaf weights; default 0.",
    },
    Param {
        name: "subsample",
        aliases: &[],
        doc: "Share of the rows that each tree sees; default 1.",
    },
    Param {
        name: "colsample_bytree",
        aliases: &[],
        doc: "Share of the features that each tree sees; default 1.",
    },
    Param {
        name: "colsample_bylevel",
        aliases: &[],
        doc: "Share of a tree's features that each level sees; default 1.",
    },
    Param {
        name: "colsample_bynode",
        aliases: &["max_features"],
        doc: "Share of a level's features that each split sees; default 1.",
    },
    Param {
        name: "feature_weights",
        aliases: &[],
        doc: "How likely each column is among those that `colsample_*` draw, as in {alcohol: 2}; 1 for the others.",
    },
    Param {
        name: "num_parallel_tree",
        aliases: &[],
        doc: "Trees grown in each round; default 1.",
    },
    Param {
        name: "objective",
        aliases: &["loss"],
        doc: "The loss by its XGBoost name; `auto`, the default, is `binary:logistic`, `multi:softprob` or `reg:squarederror` after the task.",
    },
    Param {
        name: "huber_slope",
        aliases: &[],
        doc: "Where `reg:pseudohubererror` turns from squares to absolute values; default 1.",
    },
    Param {
        name: "quantile_alpha",
        aliases: &[],
        doc: "The quantile that `reg:quantileerror` predicts; default 0.5.",
    },
    Param {
        name: "tweedie_variance_power",
        aliases: &[],
        doc: "The power of `reg:tweedie`, between 1 and 2; default 1.5.",
    },
    Param {
        name: "base_score",
        aliases: &[],
        doc: "The first prediction before any tree; default from the labels.",
    },
    Param {
        name: "class_weight",
        aliases: &[],
        doc: "How much rows of each class count: `balanced`, or a map of classes to numbers; default all alike.",
    },
    Param {
        name: "monotone_constraints",
        aliases: &["monotonic_cst"],
        doc: "Columns with which predictions may only rise (1) or fall (-1), as in {alcohol: 1}; for several classes it binds each class's score.",
    },
    Param {
        name: "interaction_constraints",
        aliases: &["interaction_cst"],
        doc: "Groups of columns that may meet in a branch, as in [[alcohol, pH], [sulphates]].",
    },
    Param {
        name: "tree_method",
        aliases: &[],
        doc: "`hist` (the default), `approx` or `exact`.",
    },
    Param {
        name: "sampling_method",
        aliases: &[],
        doc: "`uniform` (the default) or `gradient_based`: how `subsample` picks rows.",
    },
    Param {
        name: "multi_strategy",
        aliases: &[],
        doc: "With several classes `one_output_per_tree` (the default) or `multi_output_tree`.",
    },
    Param {
        name: "scale_pos_weight",
        aliases: &[],
        doc: "Weight of a positive row; default 1.",
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
