//! Which settings of trees go with each other.

use hessboost::config::{GrowPolicy, MultiStrategy, SamplingMethod, TreeMethod};

use super::GradientBoosting;
use crate::error::ParamError;
use crate::features::Task;

impl GradientBoosting {
    /// The settings of trees that do not go with each other.
    pub(super) fn check_trees(&self, task: Task) -> Vec<ParamError> {
        let several = task == Task::Multiclass;
        let vectors = several && self.multi_strategy == MultiStrategy::MultiOutputTree;
        let best_first = self.grow_policy == GrowPolicy::LossGuide;
        let exact = self.tree_method == TreeMethod::Exact;
        let sampled = self.sampling_method == SamplingMethod::GradientBased && self.subsample < 1.0;
        let bounded = self.max_leaves.is_some() || self.max_depth.is_some();
        let rules = [
            (
                self.max_leaves.is_some() && !best_first && !vectors,
                "max_leaves",
                "goes with `grow_policy: lossguide`: trees that grow level by level have `max_depth`",
            ),
            (
                best_first && !bounded,
                "grow_policy",
                "`lossguide` needs `max_leaves` or `max_depth`, or a tree never ends",
            ),
            (
                best_first && exact,
                "grow_policy",
                "`lossguide` goes with `tree_method: hist` or `approx`",
            ),
            (
                sampled && exact,
                "sampling_method",
                "`gradient_based` goes with `tree_method: hist` or `approx`",
            ),
            (
                vectors && self.tree_method != TreeMethod::Hist,
                "multi_strategy",
                "`multi_output_tree` goes with `tree_method: hist`",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        broken
            .map(|(_, param, message)| ParamError::new(param, message))
            .collect()
    }
}
