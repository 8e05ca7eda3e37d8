//! The loop that tries points of a search space.
//!
//! Trials are asked for in rounds of `batch` and told in trial order, whatever order they
//! end in: one seed gives one result at any parallelism. All trials share one matrix,
//! which the learner bins once.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::{Map, Value};

use crate::dataset::{Dataset, Split, Splits};
use crate::error::{LearnError, ParamError};
use crate::estimator::{Entry, EstimatorSpec, FitOptions, Fitted, TrainingSet, canonical_param};
use crate::metric::{Evaluation, Goal, Metric, evaluate};
use crate::parallel::in_order;
use crate::search::{Point, SamplerSpec, SearchSpace};

/// Trials in a round unless the user says otherwise.
pub const DEFAULT_BATCH: usize = 4;

/// What selects the best trial: a metric of the validation split.
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
        let size = request.sampler.size(&space);
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
        })
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
    /// All metrics on the validation split; `None` when the trial failed.
    pub evaluation: Option<Evaluation>,
    /// The best round, from 0, where early stopping chose one.
    pub best_iteration: Option<usize>,
    /// Rounds (or trees of a forest) that the model keeps.
    pub iterations: usize,
    /// The watched metric after each round.
    pub history: Vec<f64>,
    /// Wall-clock time of the fit and its evaluation, in seconds.
    pub seconds: f64,
    /// Why it failed, if it did.
    pub error: Option<String>,
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
    /// A trial has ended; trials end in the order of their numbers.
    Finished(&'a Trial),
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
}

impl SweepOutcome {
    /// The trials from best to worst, the earlier first among equals, failed ones last.
    pub fn ranked(&self, goal: Goal) -> Vec<&Trial> {
        let mut ranked: Vec<&Trial> = self.trials.iter().collect();
        let value = |trial: &Trial| trial.value.unwrap_or(f64::NAN);
        ranked.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            if goal.better(a, b) {
                std::cmp::Ordering::Less
            } else if goal.better(b, a) {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        });
        ranked
    }
}

/// How to run a sweep.
#[derive(Clone, Copy)]
pub struct SweepOptions<'a> {
    /// How many threads may compute, over all trials.
    pub threads: NonZeroUsize,
    /// Looked at once a round of boosting; true ends the sweep with
    /// [`LearnError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Told what happens; called from the sweep's threads.
    pub on_event: &'a (dyn Fn(SweepEvent<'_>) + Send + Sync),
}

/// Runs a sweep to its end.
///
/// # Errors
///
/// An empty validation split, cancellation, or a sweep of which no trial gave a value.
pub fn run(
    spec: &SweepSpec,
    splits: &Splits,
    options: &SweepOptions<'_>,
) -> Result<SweepOutcome, LearnError> {
    if splits.validation.is_empty() {
        return Err(LearnError::EmptySplit {
            split: Split::Validation,
            need: "a sweep selects its best trial on it; give the table a validation part",
        });
    }
    let data = TrainingSet::new(&splits.train, Some(&splits.validation))?;
    let sweep = Sweep {
        spec,
        data: &data,
        validation: &splits.validation,
        options,
    };
    sweep.run()
}

struct Sweep<'a> {
    spec: &'a SweepSpec,
    data: &'a TrainingSet,
    validation: &'a Dataset,
    options: &'a SweepOptions<'a>,
}

impl Sweep<'_> {
    fn run(&self) -> Result<SweepOutcome, LearnError> {
        let goal = self.spec.objective.metric.goal;
        let mut sampler = self.spec.sampler.start(&self.spec.space, goal)?;
        let mut trials: Vec<Trial> = Vec::with_capacity(self.spec.trials);
        let mut best: Option<(f64, usize, Fitted)> = None;
        while trials.len() < self.spec.trials {
            let count = self.spec.batch.get().min(self.spec.trials - trials.len());
            let points = sampler.ask(count);
            if points.is_empty() {
                break;
            }
            let results = self.round(trials.len(), &points)?;
            for (point, (trial, fitted)) in points.iter().zip(results) {
                sampler.tell(point, trial.value);
                if let (Some(value), Some(fitted)) = (trial.value, fitted)
                    && best
                        .as_ref()
                        .is_none_or(|(so_far, ..)| goal.better(value, *so_far))
                {
                    best = Some((value, trial.number, fitted));
                }
                (self.options.on_event)(SweepEvent::Finished(&trial));
                trials.push(trial);
            }
        }
        match best {
            Some((_, best, winner)) => Ok(SweepOutcome {
                trials,
                best,
                winner,
            }),
            None => Err(LearnError::NoTrialFinished {
                trials: trials.len(),
                metric: self.spec.objective.metric.name,
                first: trials.into_iter().find_map(|trial| trial.error).unwrap_or_else(|| {
                    "the metric is not defined on the validation split, which may hold one class only".to_owned()
                }),
            }),
        }
    }

    /// The trials of one round, in parallel, in the order of their points.
    fn round(
        &self,
        done: usize,
        points: &[Point],
    ) -> Result<Vec<(Trial, Option<Fitted>)>, LearnError> {
        in_order(self.options.threads, points.len(), |place| {
            self.trial(done + place + 1, &points[place])
        })?
        .into_iter()
        .collect()
    }

    fn trial(&self, number: usize, point: &Point) -> Result<(Trial, Option<Fitted>), LearnError> {
        let begun = Instant::now();
        let chosen = self.spec.space.varying(point);
        (self.options.on_event)(SweepEvent::Started {
            number,
            chosen: &chosen,
        });
        let mut trial = Trial {
            number,
            chosen,
            params: Map::new(),
            value: None,
            evaluation: None,
            best_iteration: None,
            iterations: 0,
            history: Vec::new(),
            seconds: 0.0,
            error: None,
        };
        let fitted = match self.fit(point, &mut trial) {
            Ok(fitted) => Some(fitted),
            Err(LearnError::Cancelled) => return Err(LearnError::Cancelled),
            Err(error) => {
                trial.error = Some(chain(&error));
                None
            }
        };
        trial.seconds = begun.elapsed().as_secs_f64();
        Ok((trial, fitted))
    }

    fn fit(&self, point: &Point, trial: &mut Trial) -> Result<Fitted, LearnError> {
        let params = self.spec.space.params(point);
        let estimator = EstimatorSpec::parse(self.spec.estimator.name, &params)?;
        trial.params = estimator.params().clone();
        let metric = self.spec.objective.metric;
        let fitted = estimator.fit_shared(
            self.data,
            &FitOptions {
                threads: self.options.threads,
                cancel: self.options.cancel,
                metric,
                on_round: None,
            },
        )?;
        let scores = fitted.model.predict(self.validation)?;
        let validation = self.validation;
        let evaluation = evaluate(validation.task(), validation.labels(), &scores);
        trial.value = evaluation.get(metric.name).filter(|value| !value.is_nan());
        trial.evaluation = Some(evaluation);
        trial.best_iteration = fitted.best_iteration;
        trial.iterations = fitted.iterations;
        trial.history.clone_from(&fitted.history);
        Ok(fitted)
    }
}

/// An error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
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
