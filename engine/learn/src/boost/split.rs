//! What a split is worth: XGBoost's gains in its own arithmetic, and the search for the best.
//!
//! Source: Chen and Guestrin, *XGBoost: a scalable tree boosting system* (KDD 2016), and
//! XGBoost's `TreeEvaluator` for what is rounded to `f32` where.

/// The smallest loss reduction that counts as one (XGBoost's `kRtEps`).
const LEAST_GAIN: f64 = 1e-6;
/// How much worse than the best a candidate must be, as a share of the terms, to be passed
/// over by the sum that needs no division: far more than the `f32` roundings that it lacks.
const SLACK: f64 = 1.0 / 524_288.0;

/// Sums of first and second derivatives over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) grad: f64,
    pub(super) hess: f64,
}

impl Sums {
    #[inline(always)]
    pub(super) fn add(&mut self, cell: [f64; 2]) {
        self.grad += cell[0];
        self.hess += cell[1];
    }

    #[inline(always)]
    pub(super) fn without(self, part: Self) -> Self {
        Self {
            grad: self.grad - part.grad,
            hess: self.hess - part.hess,
        }
    }
}

/// What a split must bring, and what leaves weigh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    lambda: f64,
    alpha: f64,
    max_delta_step: f64,
    min_child_weight: f64,
    min_split_loss: f64,
}

/// The parameters of a [`Rule`], as in XGBoost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleParams {
    pub(crate) reg_lambda: f64,
    pub(crate) reg_alpha: f64,
    pub(crate) max_delta_step: f64,
    pub(crate) min_child_weight: f64,
    pub(crate) min_split_loss: f64,
}

impl Rule {
    pub(crate) fn new(params: RuleParams) -> Self {
        // XGBoost keeps parameters as `float`.
        let single = |value: f64| f64::from(value as f32);
        Self {
            lambda: single(params.reg_lambda),
            alpha: single(params.reg_alpha),
            max_delta_step: single(params.max_delta_step),
            min_child_weight: single(params.min_child_weight),
            min_split_loss: params.min_split_loss,
        }
    }

    /// Whether rows of these sums could be split at all.
    pub(super) fn may_split(&self, total: Sums) -> bool {
        // Less than twice the smallest child cannot be two of them.
        total.hess > 0.0 && total.hess >= self.min_child_weight * (2.0 - 1e-12)
    }

    /// The weight of a leaf.
    pub(super) fn leaf(&self, sums: Sums) -> f32 {
        if sums.hess < self.min_child_weight {
            return 0.0;
        }
        self.weight(sums)
    }

    fn weight(&self, sums: Sums) -> f32 {
        if sums.hess <= 0.0 {
            return 0.0;
        }
        let pull = self.soft(sums.grad).copysign(sums.grad);
        let weight = -pull / (sums.hess + self.lambda);
        let clipped = self.max_delta_step != 0.0 && weight.abs() > self.max_delta_step;
        if clipped {
            self.max_delta_step.copysign(weight) as f32
        } else {
            weight as f32
        }
    }

    /// The size of the gradient beyond `alpha`.
    #[inline(always)]
    fn soft(&self, grad: f64) -> f64 {
        (grad.abs() - self.alpha).max(0.0)
    }

    fn gain(&self, sums: Sums) -> f32 {
        if sums.hess <= 0.0 {
            return 0.0;
        }
        let weight = self.weight(sums);
        let square = f64::from(weight * weight);
        let (size, weight) = (f64::from(weight.abs()), f64::from(weight));
        -(2.0 * sums.grad * weight + (sums.hess + self.lambda) * square + 2.0 * self.alpha * size)
            as f32
    }

    #[inline(always)]
    fn is_child(&self, sums: Sums) -> bool {
        sums.hess > 0.0 && sums.hess >= self.min_child_weight
    }
}

/// Where a node's rows part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) feature: usize,
    /// Slots of the feature before this one go left.
    pub(super) end: usize,
    /// Whether missing values go left.
    pub(super) default_left: bool,
    pub(super) left: Sums,
    pub(super) right: Sums,
    /// The loss reduction.
    pub(super) gain: f32,
}

/// The search for a node's best split. Features must be searched in ascending order: of
/// equal gains the first one is taken.
pub(super) struct Search<'r> {
    rule: &'r Rule,
    total: Sums,
    own_gain: f32,
    best: f32,
    /// What the sum without division must reach.
    limit: f64,
    split: Option<Split>,
}

impl<'r> Search<'r> {
    pub(super) fn new(rule: &'r Rule, total: Sums) -> Self {
        let mut search = Self {
            rule,
            total,
            own_gain: rule.gain(total),
            best: 0.0,
            limit: 0.0,
            split: None,
        };
        search.raise();
        search
    }

    fn raise(&mut self) {
        let (own, best) = (f64::from(self.own_gain), f64::from(self.best));
        self.limit = own + best - SLACK * (own.abs() + best);
    }

    /// The split, if one is worth it.
    pub(super) fn found(self) -> Option<Split> {
        let split = self.split?;
        let gain = f64::from(split.gain);
        (gain > LEAST_GAIN && gain >= self.rule.min_split_loss).then_some(split)
    }

    /// Searches the bins of a feature, ascending, with missing values on the right. `bins`
    /// gives each bin's slot and sums; the last one is a candidate only if there are missing
    /// values to part it from.
    #[inline(always)]
    pub(super) fn ascending(
        &mut self,
        feature: usize,
        bins: impl Iterator<Item = (usize, [f64; 2])>,
        has_missing: bool,
    ) {
        let mut left = Sums::default();
        let mut held: Option<usize> = None;
        for (slot, cell) in bins {
            if let Some(slot) = held.take() {
                self.offer(feature, slot + 1, false, left, self.total.without(left));
            }
            left.add(cell);
            held = self.rule.is_child(left).then_some(slot);
        }
        if let Some(slot) = held.filter(|_| has_missing) {
            self.offer(feature, slot + 1, false, left, self.total.without(left));
        }
    }

    /// Searches the bins of a feature, descending, with missing values on the left.
    #[inline(always)]
    pub(super) fn descending(
        &mut self,
        feature: usize,
        bins: impl Iterator<Item = (usize, [f64; 2])>,
    ) {
        let mut right = Sums::default();
        for (slot, cell) in bins {
            right.add(cell);
            if self.rule.is_child(right) {
                self.offer(feature, slot, true, self.total.without(right), right);
            }
        }
    }

    #[inline(always)]
    fn offer(&mut self, feature: usize, end: usize, default_left: bool, left: Sums, right: Sums) {
        let rule = self.rule;
        if !(rule.is_child(left) && rule.is_child(right)) {
            return;
        }
        let (pull_left, pull_right) = (rule.soft(left.grad), rule.soft(right.grad));
        let (by_left, by_right) = (left.hess + rule.lambda, right.hess + rule.lambda);
        let sum = pull_left * pull_left * by_right + pull_right * pull_right * by_left;
        if sum < self.limit * (by_left * by_right) {
            return;
        }
        self.take(Split {
            feature,
            end,
            default_left,
            left,
            right,
            gain: 0.0,
        });
    }

    /// Scores a candidate as XGBoost does, and keeps it if it is better.
    #[inline(never)]
    fn take(&mut self, split: Split) {
        let gain = self.rule.gain(split.left) + self.rule.gain(split.right) - self.own_gain;
        if gain > self.best && gain.is_finite() {
            self.best = gain;
            self.split = Some(Split { gain, ..split });
            self.raise();
        }
    }
}
