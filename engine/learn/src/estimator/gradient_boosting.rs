//! Gradient-boosted trees, as XGBoost grows them.

mod small;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use hessboost::config::{
    GrowPolicy, MaxDeltaStep, MultiStrategy, SamplingMethod, TrainingParams, TreeMethod,
};
use hessboost::data::DMatrix;
use hessboost::error::HessboostError;
use hessboost::metric::{CustomMetric, EvalMetric};
use hessboost::model::BoostedModel;
use hessboost::training::{RoundEval, Trainer};

use super::class_weight::ClassWeight;
use super::constraints::Constraints;
use super::objective::Loss;
use super::params::{Bounds, Param, Params};
use super::{Entry, Estimator, FitOptions, Fitted, RoundScore, TrainingSet};
use crate::boost::Boosted;
use crate::dataset::Split;
use crate::error::{LearnError, ParamError};
use crate::features::{Feature, FeaturePlan, Target, Task};
use crate::metric::Metric;
use crate::model::Model;

const NAME: &str = "gradient_boosting";

/// The registry's entry.
pub(super) static ENTRY: Entry = Entry {
    name: NAME,
    params: PARAMS,
    build: |params| Box::new(GradientBoosting::read(params)),
};

static PARAMS: &[Param] = &[
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
        doc: "Leaves of a tree; 0 or null for no limit (the default).",
    },
    Param {
        name: "grow_policy",
        aliases: &[],
        doc: "`depthwise` (the default) or `lossguide`.",
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
        doc: "Largest weight of a leaf; 0 for no bound (the default).",
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

/// Rounds that a fit may ask for.
const MAX_ROUNDS: usize = 100_000;

#[derive(Debug)]
struct GradientBoosting {
    rounds: usize,
    early_stopping: Option<NonZeroUsize>,
    learning_rate: f64,
    max_depth: Option<usize>,
    max_leaves: Option<usize>,
    grow_policy: GrowPolicy,
    min_child_weight: f64,
    min_split_loss: f64,
    max_delta_step: f64,
    reg_lambda: f64,
    reg_alpha: f64,
    subsample: f64,
    colsample_bytree: f64,
    colsample_bylevel: f64,
    colsample_bynode: f64,
    num_parallel_tree: usize,
    loss: Loss,
    base_score: Option<f64>,
    class_weight: ClassWeight,
    constraints: Constraints,
    tree_method: TreeMethod,
    sampling_method: SamplingMethod,
    multi_strategy: MultiStrategy,
    max_bin: usize,
    seed: u64,
}

impl GradientBoosting {
    fn read(params: &mut Params<'_>) -> Self {
        let early_stopping = params.limit("early_stopping_rounds", None, 1..=MAX_ROUNDS);
        let policy = params.word("grow_policy", "depthwise", &["depthwise", "lossguide"]);
        let method = params.word("tree_method", "hist", &["hist", "approx", "exact"]);
        let sampling = params.word("sampling_method", "uniform", &["uniform", "gradient_based"]);
        let strategies = ["one_output_per_tree", "multi_output_tree"];
        let strategy = params.word("multi_strategy", strategies[0], &strategies);
        Self {
            rounds: params.whole("rounds", 100, 1..=MAX_ROUNDS),
            early_stopping: early_stopping.and_then(NonZeroUsize::new),
            learning_rate: params.real("learning_rate", 0.3, Bounds::Positive),
            max_depth: params.limit("max_depth", Some(6), 1..=10_000),
            max_leaves: params.limit("max_leaves", None, 2..=1 << 24),
            grow_policy: if policy == "lossguide" {
                GrowPolicy::LossGuide
            } else {
                GrowPolicy::DepthWise
            },
            min_child_weight: params.real("min_child_weight", 1.0, Bounds::NonNegative),
            min_split_loss: params.real("min_split_loss", 0.0, Bounds::NonNegative),
            max_delta_step: params.real("max_delta_step", 0.0, Bounds::NonNegative),
            reg_lambda: params.real("reg_lambda", 1.0, Bounds::NonNegative),
            reg_alpha: params.real("reg_alpha", 0.0, Bounds::NonNegative),
            subsample: params.real("subsample", 1.0, Bounds::Fraction),
            colsample_bytree: params.real("colsample_bytree", 1.0, Bounds::Fraction),
            colsample_bylevel: params.real("colsample_bylevel", 1.0, Bounds::Fraction),
            colsample_bynode: params.real("colsample_bynode", 1.0, Bounds::Fraction),
            num_parallel_tree: params.whole("num_parallel_tree", 1, 1..=10_000),
            loss: Loss::read(params),
            base_score: params.number("base_score"),
            class_weight: ClassWeight::read(params),
            constraints: Constraints::read(params),
            tree_method: match method {
                "approx" => TreeMethod::Approx,
                "exact" => TreeMethod::Exact,
                _ => TreeMethod::Hist,
            },
            sampling_method: if sampling == "gradient_based" {
                SamplingMethod::GradientBased
            } else {
                SamplingMethod::Uniform
            },
            multi_strategy: if strategy == "multi_output_tree" {
                MultiStrategy::MultiOutputTree
            } else {
                MultiStrategy::OneOutputPerTree
            },
            max_bin: params.whole("max_bin", 256, 2..=65_535),
            seed: params.seed("seed"),
        }
    }

    fn training_params(
        &self,
        plan: &FeaturePlan,
        metric: &Metric,
        method: TreeMethod,
    ) -> Result<TrainingParams, HessboostError> {
        let mut builder = TrainingParams::builder()
            .objective(self.loss.objective(&plan.label)?)
            .tree_method(method)
            .sampling_method(self.sampling_method)
            .multi_strategy(self.multi_strategy)
            .monotone_constraints(self.constraints.monotone(&plan.features))
            .interaction_constraints(self.constraints.interaction(&plan.features))
            .grow_policy(self.grow_policy)
            .eta(self.learning_rate)
            .gamma(self.min_split_loss)
            .min_child_weight(self.min_child_weight)
            .lambda(self.reg_lambda)
            .alpha(self.reg_alpha)
            .subsample(self.subsample)
            .colsample_bytree(self.colsample_bytree)
            .colsample_bylevel(self.colsample_bylevel)
            .colsample_bynode(self.colsample_bynode)
            .num_parallel_tree(self.num_parallel_tree)
            .max_bin(self.max_bin)
            .seed(self.seed);
        builder = match self.max_depth {
            Some(depth) => builder.max_depth(depth),
            None => builder.unlimited_depth(),
        };
        if let Some(leaves) = self.max_leaves {
            builder = builder.max_leaves(leaves);
        }
        if self.max_delta_step > 0.0 {
            builder = builder.max_delta_step(MaxDeltaStep::Bounded(self.max_delta_step));
        }
        if let Some(score) = self.base_score {
            builder = builder.base_score(score);
        }
        if let Some(metric) = native_metric(metric, plan.label.task) {
            builder = builder.eval_metric(metric);
        }
        builder.build()
    }

    /// Boosts.
    fn boost(
        &self,
        plan: &FeaturePlan,
        train: &DMatrix,
        validation: Option<&DMatrix>,
        options: &FitOptions<'_>,
    ) -> Result<Boosted, HessboostError> {
        let params = self.training_params(plan, options.metric, self.tree_method)?;
        let mut history = Vec::new();
        let mut trainer = Trainer::new(&params, train, self.rounds);
        if let Some(validation) = validation {
            trainer = trainer.eval(validation, Split::Validation.as_str());
            let task = plan.label.task;
            if native_metric(options.metric, task).is_none() {
                trainer = trainer.custom_metric(Box::new(watched_metric(options.metric, task)));
            }
            if let Some(rounds) = self.early_stopping {
                trainer = trainer.early_stopping_rounds(rounds);
            }
        }
        let result = trainer
            .on_round(|eval: RoundEval<'_>| {
                let value = eval.values().last().copied();
                history.extend(value);
                if options.cancel.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                let round = eval.iteration();
                options.on_round.map_or(ControlFlow::Continue(()), |tell| {
                    tell(RoundScore { round, value })
                })
            })
            .train()?;
        let best = result.model.best_iteration();
        Ok(Boosted {
            model: keep_best(result.model, best)?,
            best,
            history,
        })
    }
}

impl Estimator for GradientBoosting {
    fn fit(&self, data: &TrainingSet, options: &FitOptions<'_>) -> Result<Fitted, LearnError> {
        if self.needs_validation() && data.validation().is_none() {
            return Err(LearnError::EmptySplit {
                split: Split::Validation,
                need: "`early_stopping_rounds` watches it; give the table a validation part or drop the parameter",
            });
        }
        options.check_cancelled()?;
        let refused = |source| LearnError::Learner {
            estimator: NAME.to_owned(),
            action: "train",
            source,
        };
        let train = self.class_weight.weigh(data, refused)?;
        let boosted = self.boost_small(data, &train, options).map_err(refused)?;
        let boosted = match boosted {
            Some(boosted) => boosted,
            None => self
                .boost(data.plan(), &train, data.validation(), options)
                .map_err(refused)?,
        };
        options.check_cancelled()?;
        let model = Model::new(NAME, std::sync::Arc::clone(data.plan()), boosted.model);
        Ok(Fitted {
            best_iteration: boosted.best,
            iterations: model.iterations(),
            importance: model.importance(),
            history: boosted.history,
            model,
        })
    }

    fn check(&self, features: &[Feature], target: Target) -> Vec<ParamError> {
        let mut errors = self.loss.check(target.task);
        errors.extend(self.class_weight.check(target));
        errors.extend(self.constraints.check(features));
        errors
    }

    fn needs_validation(&self) -> bool {
        self.early_stopping.is_some()
    }
}

/// The model up to its best round: the exported file has no place for a best iteration,
/// and Python would use every tree.
fn keep_best(model: BoostedModel, best: Option<usize>) -> Result<BoostedModel, HessboostError> {
    match best {
        Some(best) => model.slice(..=best, 1),
        None => Ok(model),
    }
}

/// The learner's own metric with the very same definition as `metric`, if it has one.
fn native_metric(metric: &Metric, task: Task) -> Option<EvalMetric> {
    match (task, metric.name) {
        (Task::Binary, "auc") => Some(EvalMetric::Auc),
        (Task::Binary, "log_loss") => Some(EvalMetric::LogLoss),
        _ => None,
    }
}

/// `metric` as the learner calls it after each round.
fn watched_metric(metric: &'static Metric, task: Task) -> CustomMetric {
    let maximize = metric.goal == crate::metric::Goal::Maximize;
    CustomMetric::new(metric.name, maximize, move |scores, labels, _| {
        let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
        metric.compute(task, labels, &scores)
    })
}
