//! The loop that tries points of a search space.
//!
//! Trials are asked for in rounds of `batch` and told in trial order, whatever order they
//! end in: one seed gives one result at any parallelism. All trials share one matrix,
//! which the learner bins once.
//!
//! Entry points: [`SweepSpec::new`], then [`run`]. A sweep that was cut off goes on from the
//! trials that it had finished ([`EarlierTrial`]): its asks and tells are replayed, so it
//! ends as it would have undisturbed.

mod importance;
mod pruner;
mod rounds;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Map, Value};

pub use importance::ParameterImportance;
pub use pruner::{PRUNERS, PrunerSpec, pruner_names};
pub use rounds::run;

use crate::compute::Seat;
use crate::dataset::Split;
use crate::error::{LearnError, ParamError};
use crate::estimator::{Entry, EstimatorSpec, Fitted, canonical_param};
use crate::finish::Finish;
use crate::metric::{Evaluation, Goal, Metric};
use crate::search::{Point, SamplerSpec, SearchSpace};
use crate::validate::{CrossValidation, FoldFigures};

/// Trials in a round unless the user says otherwise.
pub const DEFAULT_BATCH: usize = 4;

/// What selects the best trial: a metric of the validation split, or its mean over folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// The metric.
    pub metric: &'static Metric,
}

impl Objective {
    /// What `maximize: validation.auc` or `minimize: validation.log_loss` names.
    ///
    /// # Errors
    ///
    /// A name without a split, a split other than validation, an unknown metric, or the
    /// wrong direction.
    pub fn parse(written: &str, goal: Goal) -> Result<Self, LearnError> {
        let refuse = |reason: String| LearnError::Objective {
            written: written.to_owned(),
            reason,
        };
        let (split, name) = written.split_once('.').ok_or_else(|| {
            refuse("name a split and a metric, as in `validation.auc`".to_owned())
        })?;
        match Split::parse(split) {
            Some(Split::Validation) => {}
            Some(_) => {
                return Err(refuse(format!(
                    "trials are selected on the validation split only; use `validation.{name}`"
                )));
            }
            None => {
                return Err(refuse(format!(
                    "`{split}` is no split; use `validation.{name}`"
                )));
            }
        }
        let metric = Metric::find(name)?;
        if metric.goal != goal {
            return Err(refuse(format!(
                "use `{}: {written}`: a better {name} is {}",
                metric.goal.as_str(),
                match metric.goal {
                    Goal::Maximize => "larger",
                    Goal::Minimize => "smaller",
                }
            )));
        }
        Ok(Self { metric })
    }

    /// Its name, as `validation.auc`.
    pub fn name(&self) -> String {
        format!("{}.{}", Split::Validation, self.metric.name)
    }
}

/// A checked sweep.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    estimator: &'static Entry,
    space: SearchSpace,
    sampler: SamplerSpec,
    trials: usize,
    batch: NonZeroUsize,
    objective: Objective,
    pruner: Option<PrunerSpec>,
    timeout: Option<Duration>,
    warm_start: usize,
    finish: Finish,
}

/// A sweep as written.
#[derive(Debug, Clone)]
pub struct SweepRequest<'a> {
    /// The estimator's name.
    pub estimator: &'a str,
    /// Its parameters, fixed ones and search spaces.
    pub params: &'a Map<String, Value>,
    /// How points are picked.
    pub sampler: SamplerSpec,
    /// How many trials; `None` for all points of a sampler that has an end.
    pub trials: Option<usize>,
    /// Trials in a round.
    pub batch: NonZeroUsize,
    /// What selects the best.
    pub objective: Objective,
    /// What ends trials that do badly.
    pub pruner: Option<PrunerSpec>,
    /// No round of trials begins later than this after the beginning.
    pub timeout: Option<Duration>,
    /// How many of the best trials of an earlier sweep are tried first.
    pub warm_start: usize,
}

impl SweepSpec {
    /// Checks a sweep before anything is fitted: the estimator must accept both ends of
    /// every range, a value within, and every choice.
    ///
    /// # Errors
    ///
    /// An unknown estimator, or every parameter and space that cannot be used.
    pub fn new(request: &SweepRequest<'_>) -> Result<Self, LearnError> {
        let estimator = Entry::find(request.estimator)?;
        let (space, mut errors) = sound_part(request.params);
        for probe in space.probes() {
            match EstimatorSpec::parse(request.estimator, &space.params(&probe)) {
                Ok(_) => {}
                Err(LearnError::Params(found)) => {
                    for error in found {
                        if !errors.iter().any(|known| known.param == error.param) {
                            errors.push(error);
                        }
                    }
                }
                Err(other) => return Err(other),
            }
        }
        if !errors.is_empty() {
            return Err(LearnError::Params(errors));
        }
        if request.pruner.is_some() && !estimator.has_rounds() {
            return Err(LearnError::NothingToPrune {
                estimator: estimator.name,
            });
        }
        let size = request.sampler.size(&space);
        if request.warm_start > 0 && size.is_some() {
            return Err(LearnError::NoWarmStart {
                sampler: request.sampler.name(),
            });
        }
        let trials = match (request.trials, size.map(usize::try_from)) {
            (Some(0), _) => {
                let error = ParamError::new("trials", "must be at least 1");
                return Err(LearnError::Params(vec![error]));
            }
            (Some(trials), Some(Ok(size))) => trials.min(size),
            (Some(trials), _) => trials,
            (None, Some(Ok(size))) => size,
            (None, _) => {
                let message = format!(
                    "say how many trials the sampler `{}` shall ask for, as in `trials: 96`",
                    request.sampler.name()
                );
                let error = ParamError::new("trials", message);
                return Err(LearnError::Params(vec![error]));
            }
        };
        Ok(Self {
            estimator,
            space,
            sampler: request.sampler.clone(),
            trials,
            batch: request.batch,
            objective: request.objective,
            pruner: request.pruner.clone(),
            timeout: request.timeout,
            warm_start: request.warm_start,
            finish: Finish::default(),
        })
    }

    /// The same sweep, whose trials are judged, and whose winner is kept, with this settled.
    #[must_use]
    pub fn finished(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }

    /// The estimator's name.
    pub fn estimator(&self) -> &'static str {
        self.estimator.name
    }

    /// How many trials will be run.
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// What selects the best trial.
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// How many of the best trials of an earlier sweep are tried first.
    pub fn warm_start(&self) -> usize {
        self.warm_start
    }

    /// The point of an earlier trial, whose parameters `text` gives by their own names, as
    /// [`param_text`](crate::search::param_text) writes them; `None` when this sweep could
    /// not have tried it.
    pub fn point<'t>(&self, text: impl Fn(&str) -> Option<&'t str>) -> Option<Point> {
        self.space
            .point(|written| text(canonical_param(self.estimator, written).ok()?))
    }

    /// The fixed and the varying parameters.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }
}

/// The space of the parameters that can be read, and what is wrong with the others.
fn sound_part(params: &Map<String, Value>) -> (SearchSpace, Vec<ParamError>) {
    let errors = match SearchSpace::parse(params) {
        Ok(space) => return (space, Vec::new()),
        Err(errors) => errors,
    };
    let mut rest = params.clone();
    rest.retain(|param, _| !errors.iter().any(|error| error.param == *param));
    (SearchSpace::parse(&rest).unwrap_or_default(), errors)
}

/// One set of parameters that was tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// The parameters that the search chose, under the names that the user wrote.
    pub chosen: Map<String, Value>,
    /// All parameters, under their own names, defaults included.
    pub params: Map<String, Value>,
    /// The objective; `None` when the trial failed or the metric is not defined.
    pub value: Option<f64>,
    /// All metrics on the validation split, or their means over folds; `None` when the trial
    /// failed, or an earlier run of the sweep made it.
    pub evaluation: Option<Evaluation>,
    /// Fold by fold, where the sweep has folds; nothing of a trial of an earlier run.
    pub folds: Vec<FoldFigures>,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model keeps.
    pub iterations: usize,
    /// The watched metric after each round.
    pub history: Vec<f64>,
    /// Wall-clock time of the fit and its evaluation, in seconds.
    pub seconds: f64,
    /// Whether the pruner ended it: its figures are those of the rounds until then.
    pub pruned: bool,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Trial {
    /// A trial that has done nothing yet.
    fn begun(number: usize, chosen: Map<String, Value>) -> Self {
        Self {
            number,
            chosen,
            params: Map::new(),
            value: None,
            evaluation: None,
            folds: Vec::new(),
            best_iteration: None,
            iterations: 0,
            history: Vec::new(),
            seconds: 0.0,
            pruned: false,
            error: None,
        }
    }

    /// `complete`, `pruned` or `failed`.
    pub fn state(&self) -> &'static str {
        match (&self.error, self.pruned) {
            (Some(_), _) => "failed",
            (None, true) => "pruned",
            (None, false) => "complete",
        }
    }
}

/// A trial that an earlier run of the same sweep has finished, as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierTrial {
    /// All parameters under their own names, as [`param_text`](crate::search::param_text)
    /// writes them. Where the sweep would now try others, this trial and all after it are
    /// made again.
    pub params: BTreeMap<String, String>,
    /// The objective, to the bit.
    pub value: Option<f64>,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model had.
    pub iterations: usize,
    /// The watched metric after each round.
    pub history: Vec<f64>,
    /// Wall-clock time, in seconds.
    pub seconds: f64,
    /// Whether the pruner ended it.
    pub pruned: bool,
}

/// What came before a run of a sweep.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Trials of earlier runs of the same sweep, by number, from 1.
    pub trials: BTreeMap<usize, EarlierTrial>,
    /// The time that those runs took of the `timeout`.
    pub spent: Duration,
    /// Points that are tried before the sampler is asked.
    pub first: Vec<Point>,
}

/// What a sweep says while it runs.
#[derive(Debug)]
pub enum SweepEvent<'a> {
    /// A trial has begun; trials of a round begin in any order.
    Started {
        /// Its number, from 1.
        number: usize,
        /// The parameters that the search chose.
        chosen: &'a Map<String, Value>,
    },
    /// A trial has ended; trials are told in the order of their numbers.
    Finished(&'a Trial),
    /// A trial of an earlier run stands in for one; told in the same order.
    Resumed(&'a Trial),
}

/// What a sweep found.
#[derive(Debug)]
pub struct SweepOutcome {
    /// All trials, in the order of their numbers.
    pub trials: Vec<Trial>,
    /// The number of the best trial (the earliest among equals).
    pub best: usize,
    /// The best trial's model.
    pub winner: Fitted,
    /// How its folds did, where there were any.
    pub cross_validation: Option<CrossValidation>,
    /// Which parameters mattered.
    pub importance: ParameterImportance,
}

impl SweepOutcome {
    /// The trials from best to worst, the earlier first among equals; pruned ones after all
    /// that went to their end, failed ones last.
    pub fn ranked(&self, goal: Goal) -> Vec<&Trial> {
        let mut ranked: Vec<&Trial> = self.trials.iter().collect();
        let value = |trial: &Trial| trial.value.unwrap_or(f64::NAN);
        ranked.sort_by(|a, b| {
            let last = |trial: &Trial| (trial.value.is_none(), trial.pruned);
            last(a).cmp(&last(b)).then_with(|| {
                let (a, b) = (value(a), value(b));
                if goal.better(a, b) {
                    Ordering::Less
                } else if goal.better(b, a) {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                }
            })
        });
        ranked
    }
}

/// How to run a sweep.
#[derive(Clone, Copy)]
pub struct SweepOptions<'a> {
    /// The threads that may compute, over all trials; leased anew for each round.
    pub compute: &'a Seat,
    /// What came before this run.
    pub before: &'a Before,
    /// Looked at once a round of boosting; true ends the sweep with
    /// [`LearnError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Told what happens; called from the sweep's threads.
    pub on_event: &'a (dyn Fn(SweepEvent<'_>) + Send + Sync),
}

/// The own name of an estimator's parameter, under whichever name it is written.
///
/// # Errors
///
/// An unknown estimator or parameter, with the nearest name.
pub fn own_param_name(estimator: &str, written: &str) -> Result<&'static str, LearnError> {
    let entry = Entry::find(estimator)?;
    canonical_param(entry, written).map_err(|error| LearnError::Params(vec![error]))
}
