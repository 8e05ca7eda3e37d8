//! Boosting of small tables: histogram trees whose small nodes cost what their rows cost.
//!
//! A node of a deep tree holds few rows, but the usual histogram of a node has every bin of
//! every feature: clearing it, subtracting it from its parent's and searching it costs the
//! same for ten rows as for ten thousand, and most nodes of a deep tree hold ten. Here a
//! node with fewer rows than a feature has bins touches only the bins of its rows; the large
//! ones near the root are built and subtracted as usual. The trees are XGBoost's: the same
//! cuts while a feature has no more values than bins, the same sums in `f64`, gains and tie
//! rule in `f32`.
//!
//! [`train`] is the entry point. [`bins`] makes the matrix that all trials of a sweep share,
//! [`histogram`] and [`split`] find splits, [`rows`] parts rows, [`grow`] grows one tree and adds its leaves to the margins of the
//! training and of the validation rows, and [`handover`] makes the learner's model of the
//! trees, so that everything after the fit is one code path.
//!
//! Everything runs on one thread and depends on nothing but the data and the parameters.

mod bins;
mod grow;
mod handover;
mod histogram;
mod rows;
mod split;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use hessboost::data::MetaInfo;
use hessboost::error::HessboostError;
use hessboost::model::BoostedModel;
use hessboost::objective::{GradPair, Loss};

pub(crate) use bins::{BinCache, Binned};
use grow::{Grower, Margins};
use handover::Tree;
pub(crate) use split::{Rule, RuleParams};

use crate::metric::Goal;

/// Rows up to which this booster is used; the learner has more threads for larger tables.
pub(crate) const MAX_ROWS: usize = 1 << 14;

/// How to boost.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Rounds at most.
    pub(crate) rounds: usize,
    /// Rounds without a better score after which to stop.
    pub(crate) early_stopping: Option<NonZeroUsize>,
    /// How much each tree counts.
    pub(crate) eta: f32,
    /// Depth of a tree at most.
    pub(crate) max_depth: usize,
    /// What a split must bring.
    pub(crate) rule: Rule,
}

/// The rows to learn from.
pub(crate) struct Training<'a> {
    /// Their bins.
    pub(crate) bins: &'a Binned,
    /// Their labels and weights.
    pub(crate) info: MetaInfo<'a>,
    /// What is minimized.
    pub(crate) loss: &'a dyn Loss,
    /// The model without any tree: the objective and the intercepts.
    pub(crate) empty: BoostedModel,
}

/// A score of predictions.
pub(crate) type Score<'a> = Box<dyn FnMut(&[f32]) -> f64 + 'a>;

/// The rows that are scored after each round.
pub(crate) struct Validation<'a> {
    /// Their bins, by the training rows' cuts.
    pub(crate) bins: Binned,
    /// Their score, of predictions `[rows, outputs]`.
    pub(crate) score: Score<'a>,
    /// Which scores are better.
    pub(crate) goal: Goal,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Boosted {
    /// The model, cut back to its best round.
    pub(crate) model: BoostedModel,
    /// The best round, from 0, where early stopping chose one.
    pub(crate) best: Option<usize>,
    /// The score after each round that was run.
    pub(crate) history: Vec<f64>,
}

/// Boosts. `on_round` hears of each round and its score, and may end it there.
///
/// # Errors
///
/// Trees that the learner's model refuses.
pub(crate) fn train(
    data: Training<'_>,
    validation: Option<Validation<'_>>,
    settings: &Settings,
    mut on_round: impl FnMut(usize, Option<f64>) -> ControlFlow<()>,
) -> Result<Boosted, HessboostError> {
    let outputs = data.empty.n_outputs();
    let mut boosting = Boosting::new(&data, validation, outputs);
    let mut grower = Grower::new(data.bins, settings);
    let mut trees: Vec<Tree> = Vec::new();
    let mut history = Vec::new();
    let mut stopping = Stopping::new();
    for round in 0..settings.rounds {
        boosting.round(&data, &mut grower, &mut trees);
        let value = boosting.score(data.loss);
        history.extend(value);
        let mut over = false;
        if let (Some(value), Some(patience)) = (value, settings.early_stopping) {
            over = stopping.observe(round, value, boosting.goal(), patience);
        }
        if on_round(round, value).is_break() || over {
            break;
        }
    }
    let best = settings.early_stopping.map(|_| stopping.best_round);
    if let Some(best) = best {
        trees.truncate((best + 1) * outputs);
    }
    Ok(Boosted {
        model: handover::model(&data.empty, &trees)?,
        best,
        history,
    })
}

/// The margins and gradients of a boosting.
struct Boosting<'a> {
    outputs: usize,
    train: Margins,
    gradients: Vec<GradPair>,
    /// One output's gradients, where there are several.
    of_output: Vec<GradPair>,
    validation: Option<(Validation<'a>, Margins)>,
    predictions: Vec<f32>,
}

impl<'a> Boosting<'a> {
    fn new(data: &Training<'_>, validation: Option<Validation<'a>>, outputs: usize) -> Self {
        let margins = |rows: usize| Margins::new(data.empty.base_scores(), rows);
        let rows = data.bins.rows();
        Self {
            outputs,
            train: margins(rows),
            gradients: vec![GradPair::default(); rows * outputs],
            of_output: Vec::new(),
            validation: validation.map(|validation| {
                let rows = validation.bins.rows();
                (validation, margins(rows))
            }),
            predictions: Vec::new(),
        }
    }

    fn goal(&self) -> Goal {
        let validation = self.validation.as_ref();
        validation.map_or(Goal::Maximize, |(validation, _)| validation.goal)
    }

    /// Grows a tree for each output, all from the gradients at the round's begin.
    fn round(&mut self, data: &Training<'_>, grower: &mut Grower<'_>, trees: &mut Vec<Tree>) {
        data.loss
            .gradient_info(self.train.values(), &data.info, &mut self.gradients);
        for output in 0..self.outputs {
            let gradients = if self.outputs == 1 {
                &self.gradients
            } else {
                self.of_output.clear();
                let own = self.gradients.iter().skip(output).step_by(self.outputs);
                self.of_output.extend(own);
                &self.of_output
            };
            self.train.output = output;
            let validation = self.validation.as_mut().map(|(validation, margins)| {
                margins.output = output;
                (&validation.bins, margins)
            });
            trees.push(grower.grow(gradients, &mut self.train, validation));
        }
    }

    /// The score of the validation rows, if there are any.
    fn score(&mut self, loss: &dyn Loss) -> Option<f64> {
        let (validation, margins) = self.validation.as_mut()?;
        self.predictions.clear();
        self.predictions.extend_from_slice(margins.values());
        loss.eval_transform(&mut self.predictions);
        Some((validation.score)(&self.predictions))
    }
}

/// XGBoost's early stopping: only a strictly better score counts, NaN never does.
struct Stopping {
    best: f64,
    best_round: usize,
}

impl Stopping {
    fn new() -> Self {
        Self {
            best: f64::NAN,
            best_round: 0,
        }
    }

    /// Whether `patience` rounds have brought nothing.
    fn observe(&mut self, round: usize, value: f64, goal: Goal, patience: NonZeroUsize) -> bool {
        if goal.better(value, self.best) {
            self.best = value;
            self.best_round = round;
        }
        // Without any score the first round stays the best one.
        let since = match self.best.is_nan() {
            true => round + 1,
            false => round - self.best_round,
        };
        since >= patience.get()
    }
}
