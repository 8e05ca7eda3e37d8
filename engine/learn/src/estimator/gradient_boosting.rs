//! Gradient-boosted trees, as XGBoost grows them.

mod accepted;
mod small;
mod trees;

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

use super::booster::Booster;
use super::class_weight::ClassWeight;
use super::constraints::Constraints;
use super::feature_weights::FeatureWeights;
use super::objective::Loss;
use super::params::{Bounds, Params};
use super::{Entry, Estimator, FitOptions, Fitted, RoundScore, TrainingSet};
use crate::boost::Boosted;
use crate::dataset::Split;
use crate::error::{LearnError, ParamError};
use crate::features::{Feature, FeaturePlan, Target, Task};
use crate::metric::Metric;
use crate::model::Model;
use accepted::PARAMS;

const NAME: &str = "gradient_boosting";

/// The registry's entry.
pub(super) static ENTRY: Entry = Entry {
    name: NAME,
    params: PARAMS,
    build: |params| Box::new(GradientBoosting::read(params)),
};

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
    booster: Booster,
    min_child_weight: f64,
    min_split_loss: f64,
    max_delta_step: MaxDeltaStep,
    reg_lambda: f64,
    reg_alpha: f64,
    subsample: f64,
    colsample_bytree: f64,
    colsample_bylevel: f64,
    colsample_bynode: f64,
    feature_weights: FeatureWeights,
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
            booster: Booster::read(params),
            min_child_weight: params.real("min_child_weight", 1.0, Bounds::NonNegative),
            min_split_loss: params.real("min_split_loss", 0.0, Bounds::NonNegative),
            max_delta_step: read_max_delta_step(params),
            reg_lambda: params.real("reg_lambda", 1.0, Bounds::NonNegative),
            reg_alpha: params.real("reg_alpha", 0.0, Bounds::NonNegative),
            subsample: params.real("subsample", 1.0, Bounds::Fraction),
            colsample_bytree: params.real("colsample_bytree", 1.0, Bounds::Fraction),
            colsample_bylevel: params.real("colsample_bylevel", 1.0, Bounds::Fraction),
            colsample_bynode: params.real("colsample_bynode", 1.0, Bounds::Fraction),
            feature_weights: FeatureWeights::read(params),
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
            .booster(self.booster.kind()?)
            .max_delta_step(self.max_delta_step)
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
        if let Some(score) = self.base_score {
            builder = builder.base_score(score);
        }
        if let Some(metric) = native_metric(metric, plan.label.task) {
            builder = builder.eval_metric(metric);
        }
        builder.build()
    }

    /// Boosts for so many rounds at most. `stop`: after so many rounds in vain.
    fn boost(
        &self,
        plan: &FeaturePlan,
        (train, validation): (&DMatrix, Option<&DMatrix>),
        (rounds, stop): (usize, Option<NonZeroUsize>),
        options: &FitOptions<'_>,
    ) -> Result<Boosted, HessboostError> {
        let params = self.training_params(plan, options.metric, self.tree_method)?;
        let mut history = Vec::new();
        let mut trainer = Trainer::new(&params, train, rounds);
        if let Some(validation) = validation {
            trainer = trainer.eval(validation, Split::Validation.as_str());
            let task = plan.label.task;
            if native_metric(options.metric, task).is_none() {
                trainer = trainer.custom_metric(Box::new(watched_metric(options.metric, task)));
            }
            if let Some(rounds) = stop {
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
        Ok(Boosted {
            best: result.model.best_iteration(),
            model: self.up_to_best(result.model, plan, train, options)?,
            history,
        })
    }

    /// Fits for so many rounds at most; stops early where `stop` says so and there is a
    /// validation split to watch.
    fn fit_up_to(
        &self,
        data: &TrainingSet,
        rounds: usize,
        stop: Option<NonZeroUsize>,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        options.check_cancelled()?;
        let refused = |source| LearnError::Learner {
            estimator: NAME.to_owned(),
            action: "train",
            source,
        };
        let plan = data.plan();
        let train = self.class_weight.weigh(data, refused)?;
        let train = self
            .feature_weights
            .weigh(train, &plan.features)
            .map_err(refused)?;
        let limits = (rounds, stop);
        let small = self.boost_small(data, &train, limits, options);
        let boosted = match small.map_err(refused)? {
            Some(boosted) => boosted,
            None => self
                .boost(plan, (&train, data.validation()), limits, options)
                .map_err(refused)?,
        };
        options.check_cancelled()?;
        let model = Model::new(NAME, std::sync::Arc::clone(plan), boosted.model);
        Ok(Fitted {
            best_iteration: boosted.best,
            iterations: model.iterations(),
            importance: model.importance(),
            history: boosted.history,
            model,
        })
    }

    /// The model up to its best round.
    fn up_to_best(
        &self,
        model: BoostedModel,
        plan: &FeaturePlan,
        train: &DMatrix,
        options: &FitOptions<'_>,
    ) -> Result<BoostedModel, HessboostError> {
        let best = model.best_iteration();
        match best {
            // Later rounds have changed how much the trees up to the best one count: they
            // are grown again, which one seed does alike.
            Some(best) if best + 1 < model.num_boost_rounds() && self.booster.rescales_trees() => {
                let silent = FitOptions {
                    on_round: None,
                    ..*options
                };
                let again = self.boost(plan, (train, None), (best + 1, None), &silent)?;
                Ok(again.model)
            }
            best => keep_best(model, best),
        }
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
        self.fit_up_to(data, self.rounds, self.early_stopping, options)
    }

    fn fit_rounds(
        &self,
        data: &TrainingSet,
        rounds: usize,
        options: &FitOptions<'_>,
    ) -> Result<Fitted, LearnError> {
        self.fit_up_to(data, rounds, None, options)
    }

    fn check(&self, features: &[Feature], target: Target) -> Vec<ParamError> {
        let mut errors = self.loss.check(target.task);
        errors.extend(self.class_weight.check(target));
        errors.extend(self.constraints.check(features));
        errors.extend(self.booster.check());
        let columns = [
            self.colsample_bytree,
            self.colsample_bylevel,
            self.colsample_bynode,
        ];
        let draws = columns.iter().any(|share| *share < 1.0);
        errors.extend(self.feature_weights.check(features, draws));
        errors.extend(self.check_trees(target.task));
        errors
    }

    fn needs_validation(&self) -> bool {
        self.early_stopping.is_some()
    }
}

impl GradientBoosting {
    /// The largest weight of a leaf; 0 for no bound.
    fn leaf_bound(&self, task: Task) -> f64 {
        match self.max_delta_step {
            MaxDeltaStep::Bounded(bound) => bound,
            MaxDeltaStep::ObjectiveDefault if self.loss.counts(task) => POISSON_STEP,
            _ => 0.0,
        }
    }
}

/// The bound of `count:poisson` unless another is given, in XGBoost as here.
const POISSON_STEP: f64 = 0.7;

/// Left out it is the objective's own bound, 0 is none.
fn read_max_delta_step(params: &mut Params<'_>) -> MaxDeltaStep {
    const PARAM: &str = "max_delta_step";
    let given = params.value(PARAM).is_some();
    let bound = params.real(PARAM, 0.0, Bounds::NonNegative);
    match (given, bound > 0.0) {
        (false, _) => MaxDeltaStep::ObjectiveDefault,
        (true, false) => MaxDeltaStep::Unbounded,
        (true, true) => MaxDeltaStep::Bounded(bound),
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
