//! Boosting of small tables, by [`crate::boost`] where it knows all that is asked for.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hessboost::config::{GrowPolicy, MultiStrategy, SamplingMethod, TreeMethod};
use hessboost::data::DMatrix;
use hessboost::error::HessboostError;
use hessboost::training::Trainer;

use super::{GradientBoosting, native_metric};
use crate::boost::{
    self, Boosted, MAX_ROWS, Rule, RuleParams, Score, Settings, Training, Validation,
};
use crate::dataset::Split;
use crate::estimator::{FitOptions, RoundScore, TrainingSet};
use crate::features::{FeatureKind, Task};
use crate::metric::Auc;

impl GradientBoosting {
    /// Whether the trees are of the kind that [`crate::boost`] grows. The data and the
    /// parameters decide, never the threads: one seed gives one model.
    fn is_small(&self, data: &TrainingSet) -> bool {
        let features = &data.plan().features;
        let whole = [
            self.subsample,
            self.colsample_bytree,
            self.colsample_bylevel,
            self.colsample_bynode,
        ];
        data.train().n_rows() <= MAX_ROWS
            && matches!(self.tree_method, TreeMethod::Hist)
            && matches!(self.grow_policy, GrowPolicy::DepthWise)
            && matches!(self.sampling_method, SamplingMethod::Uniform)
            && matches!(self.multi_strategy, MultiStrategy::OneOutputPerTree)
            && self.max_leaves.is_none()
            && self.num_parallel_tree == 1
            && !self.booster.is_dart()
            && whole.iter().all(|share| *share >= 1.0)
            && self.constraints.is_free()
            && !features
                .iter()
                .any(|feature| matches!(feature.kind, FeatureKind::Category { .. }))
    }

    /// Boosts `train`, the training rows as they are weighted; `None` when this is for the
    /// learner to do.
    pub(super) fn boost_small(
        &self,
        data: &TrainingSet,
        train: &DMatrix,
        (rounds, stop): (usize, Option<NonZeroUsize>),
        options: &FitOptions<'_>,
    ) -> Result<Option<Boosted>, HessboostError> {
        if !self.is_small(data) {
            return Ok(None);
        }
        let Some((bins, others)) = data.binned(self.max_bin) else {
            return Ok(None);
        };
        let plan = data.plan();
        // The learner checks everything and finds the intercepts, and grows nothing.
        let method = TreeMethod::Approx;
        let params = self.training_params(plan, options.metric, method)?;
        let mut trainer = Trainer::new(&params, train, 0);
        if let Some(validation) = data.validation() {
            trainer = trainer.eval(validation, Split::Validation.as_str());
        }
        let empty = trainer.train()?.model;
        let loss = params.loss(1)?;
        let validation = match (data.validation(), others) {
            (Some(matrix), Some(bins)) => Some(Validation {
                bins,
                score: score(options, plan.label.task, empty.n_outputs(), matrix)?,
                goal: options.metric.goal,
            }),
            _ => None,
        };
        let training = Training {
            bins: &bins,
            info: train.info(),
            loss: Arc::as_ref(&loss),
            empty,
        };
        let settings = Settings {
            rounds,
            early_stopping: stop,
            ..self.settings(plan.label.task)
        };
        let boosted = boost::train(training, validation, &settings, |round, value| {
            if options.cancel.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let tell = options.on_round;
            tell.map_or(ControlFlow::Continue(()), |tell| {
                tell(RoundScore { round, value })
            })
        })?;
        Ok(Some(boosted))
    }

    fn settings(&self, task: Task) -> Settings {
        Settings {
            rounds: self.rounds,
            early_stopping: self.early_stopping,
            eta: self.learning_rate as f32,
            max_depth: self.max_depth.unwrap_or(usize::MAX),
            rule: Rule::new(RuleParams {
                reg_lambda: self.reg_lambda,
                reg_alpha: self.reg_alpha,
                max_delta_step: self.leaf_bound(task),
                min_child_weight: self.min_child_weight,
                min_split_loss: self.min_split_loss,
            }),
        }
    }
}

/// The watched metric of predictions for the rows of `matrix`.
fn score<'a>(
    options: &FitOptions<'_>,
    task: Task,
    outputs: usize,
    matrix: &'a DMatrix,
) -> Result<Score<'a>, HessboostError> {
    let labels = matrix.labels().unwrap_or_default();
    let metric = options.metric;
    if task == Task::Binary && metric.name == "auc" {
        let mut auc = Auc::default();
        return Ok(Box::new(move |scores| auc.of(labels, scores)));
    }
    if let Some(native) = native_metric(metric, task) {
        let native = native.build(outputs)?;
        return Ok(Box::new(move |scores| native.eval(scores, labels, None)));
    }
    let mut wide = Vec::new();
    Ok(Box::new(move |scores| {
        wide.clear();
        wide.extend(scores.iter().map(|&score| f64::from(score)));
        metric.compute(task, labels, &wide)
    }))
}
