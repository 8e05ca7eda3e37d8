//! The rounds of a sweep.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};

use super::importance::importance;
use super::pruner::Bar;
use super::{EarlierTrial, SweepEvent, SweepOptions, SweepOutcome, SweepSpec, Trial};
use crate::dataset::{Split, Splits};
use crate::error::LearnError;
use crate::estimator::{EstimatorSpec, FitOptions, RoundScore};
use crate::metric::Goal;
use crate::parallel::{in_order, thread_pool};
use crate::search::{Point, Sampler, param_text};
use crate::validate::{FinishedFit, Validated, Validator};

/// Rounds that are run as one where they can be. The models of their trials are held together.
const JOINED_ROUNDS: usize = 4;

/// Runs a sweep to its end.
///
/// # Errors
///
/// An empty validation split, a pruner with folds, cancellation, or a sweep of which no trial
/// gave a value.
pub fn run(
    spec: &SweepSpec,
    splits: &Splits,
    options: &SweepOptions<'_>,
) -> Result<SweepOutcome, LearnError> {
    let validator = Validator::new(splits)?;
    if !validator.has_validation() {
        return Err(LearnError::EmptySplit {
            split: Split::Validation,
            need: "a sweep selects its best trial on it; give the table a validation part, or write `validate: {folds: 5}`",
        });
    }
    if splits.folds.is_some() && spec.pruner.is_some() {
        return Err(LearnError::PrunedFolds);
    }
    let sweep = Sweep {
        spec,
        goal: spec.objective.metric.goal,
        validator: &validator,
        options,
        begun: Instant::now(),
    };
    sweep.run()
}

struct Sweep<'a> {
    spec: &'a SweepSpec,
    goal: Goal,
    validator: &'a Validator<'a>,
    options: &'a SweepOptions<'a>,
    begun: Instant,
}

/// What has been tried so far.
struct Progress {
    trials: Vec<Trial>,
    points: Vec<Point>,
    /// The best trial that went to its end: its value, its number, and its fit unless an
    /// earlier run made it.
    best: Option<(f64, usize, Option<Validated>)>,
    /// Trials of earlier runs that may yet stand in.
    earlier: BTreeMap<usize, EarlierTrial>,
}

impl Sweep<'_> {
    fn run(&self) -> Result<SweepOutcome, LearnError> {
        let mut sampler = self.spec.sampler.start(&self.spec.space, self.goal)?;
        let mut so_far = Progress {
            trials: Vec::with_capacity(self.spec.trials),
            points: Vec::with_capacity(self.spec.trials),
            best: None,
            earlier: self.options.before.trials.clone(),
        };
        while so_far.trials.len() < self.spec.trials && !self.is_over(&so_far) {
            let mut points = Vec::new();
            for _ in 0..self.joined_rounds() {
                let done = so_far.trials.len() + points.len();
                points.extend(self.next_points(sampler.as_mut(), done));
            }
            if points.is_empty() {
                break;
            }
            let results = self.round(&mut so_far, &points)?;
            for (point, (trial, fitted)) in points.into_iter().zip(results) {
                sampler.tell(&point, trial.value);
                so_far.take(self.goal, point, trial, fitted);
            }
        }
        self.outcome(so_far)
    }

    /// How many rounds are run as one: several where nothing looks at what finished rounds
    /// brought, so that no thread waits for the end of each.
    fn joined_rounds(&self) -> usize {
        let spec = self.spec;
        if spec.sampler.learns() || spec.pruner.is_some() || spec.timeout.is_some() {
            1
        } else {
            JOINED_ROUNDS
        }
    }

    /// Whether the time is over: no round begins then, except one that an earlier run had
    /// begun, and the first.
    fn is_over(&self, so_far: &Progress) -> bool {
        let done = so_far.trials.len();
        let had_begun = so_far.earlier.range(done + 1..).next().is_some();
        let spent = self.options.before.spent + self.begun.elapsed();
        done > 0 && !had_begun && self.spec.timeout.is_some_and(|timeout| spent >= timeout)
    }

    /// The points of the next round: those given first, then the sampler's.
    fn next_points(&self, sampler: &mut dyn Sampler, done: usize) -> Vec<Point> {
        let count = self.spec.batch.get().min(self.spec.trials - done);
        let given = self.options.before.first.iter().skip(done).take(count);
        let mut points: Vec<Point> = given.cloned().collect();
        if points.len() < count {
            points.extend(sampler.ask(count - points.len()));
        }
        points
    }

    /// The trials of one round, in parallel, in the order of their points.
    fn round(
        &self,
        so_far: &mut Progress,
        points: &[Point],
    ) -> Result<Vec<(Trial, Option<Validated>)>, LearnError> {
        let done = so_far.trials.len();
        let told = InOrder::from(done + 1, self.options.on_event);
        let mut results: BTreeMap<usize, (Trial, Option<Validated>)> = BTreeMap::new();
        let mut missing = Vec::new();
        for (number, point) in (done + 1..).zip(points) {
            match self.resume(number, point, &mut so_far.earlier) {
                Some(trial) => {
                    told.put(trial.clone(), true);
                    results.insert(number, (trial, None));
                }
                None => missing.push((number, point)),
            }
        }
        let bar = self.spec.pruner.as_ref();
        let bar = bar.map(|pruner| pruner.bar(&so_far.trials, self.goal));
        let lease = self.options.compute.lease();
        let made = in_order(lease.threads(), missing.len(), |place| {
            let (number, point) = missing[place];
            let (trial, fitted) = self.trial(number, point, bar.as_ref())?;
            told.put(trial.clone(), false);
            Ok::<_, LearnError>((number, (trial, fitted)))
        })?;
        told.flush();
        for made in made {
            let (number, result) = made?;
            results.insert(number, result);
        }
        Ok(results.into_values().collect())
    }

    /// The earlier run's trial of this number, if that run tried the same point.
    fn resume(
        &self,
        number: usize,
        point: &Point,
        earlier: &mut BTreeMap<usize, EarlierTrial>,
    ) -> Option<Trial> {
        let found = earlier.remove(&number)?;
        let params = self.estimator(point).ok()?.params().clone();
        let same = params.len() == found.params.len()
            && params
                .iter()
                .all(|(name, value)| found.params.get(name) == Some(&param_text(value)));
        if !same {
            // What followed was chosen knowing another trial.
            earlier.clear();
            return None;
        }
        Some(Trial {
            params,
            value: found.value,
            best_iteration: found.best_iteration,
            iterations: found.iterations,
            history: found.history,
            seconds: found.seconds,
            pruned: found.pruned,
            ..Trial::begun(number, self.spec.space.varying(point))
        })
    }

    fn trial(
        &self,
        number: usize,
        point: &Point,
        bar: Option<&Bar<'_>>,
    ) -> Result<(Trial, Option<Validated>), LearnError> {
        let begun = Instant::now();
        let mut trial = Trial::begun(number, self.spec.space.varying(point));
        (self.options.on_event)(SweepEvent::Started {
            number,
            chosen: &trial.chosen,
        });
        let fitted = match self.fit(point, bar, &mut trial) {
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

    fn estimator(&self, point: &Point) -> Result<EstimatorSpec, LearnError> {
        let params: Map<String, Value> = self.spec.space.params(point);
        EstimatorSpec::parse(self.spec.estimator.name, &params)
    }

    fn fit(
        &self,
        point: &Point,
        bar: Option<&Bar<'_>>,
        trial: &mut Trial,
    ) -> Result<Validated, LearnError> {
        let estimator = self.estimator(point)?;
        trial.params = estimator.params().clone();
        let metric = self.spec.objective.metric;
        let pruned = AtomicBool::new(false);
        let best = Mutex::new(f64::NAN);
        let on_round = |score: RoundScore| {
            let (Some(bar), Some(value)) = (bar, score.value) else {
                return ControlFlow::Continue(());
            };
            let mut best = best.lock().unwrap_or_else(PoisonError::into_inner);
            if self.goal.better(value, *best) {
                *best = value;
            }
            if bar.falls_short(score.round, *best) {
                pruned.store(true, Ordering::Relaxed);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let fitted = self.validator.judge(
            &estimator,
            &self.spec.finish,
            &self.fit_options(Some(&on_round)),
        )?;
        let evaluation = fitted.evaluation.as_ref();
        trial.value = evaluation
            .and_then(|evaluation| evaluation.get(metric.name))
            .filter(|value| !value.is_nan());
        trial.evaluation = evaluation.cloned();
        trial.folds.clone_from(&fitted.folds);
        trial.best_iteration = fitted.best_iteration;
        trial.iterations = fitted.iterations;
        trial.history.clone_from(&fitted.history);
        trial.pruned = pruned.load(Ordering::Relaxed);
        Ok(fitted)
    }

    /// How a trial is fitted: on the threads of the current pool.
    fn fit_options<'o>(
        &'o self,
        on_round: Option<&'o (dyn Fn(RoundScore) -> ControlFlow<()> + Send + Sync)>,
    ) -> FitOptions<'o> {
        FitOptions {
            threads: NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN),
            cancel: self.options.cancel,
            metric: self.spec.objective.metric,
            on_round,
        }
    }

    fn outcome(&self, so_far: Progress) -> Result<SweepOutcome, LearnError> {
        let Progress {
            trials,
            points,
            best,
            ..
        } = so_far;
        let Some((_, best, winner)) = best else {
            return Err(LearnError::NoTrialFinished {
                trials: trials.len(),
                metric: self.spec.objective.metric.name,
                first: trials.into_iter().find_map(|trial| trial.error).unwrap_or_else(|| {
                    "the metric is not defined on the validation split, which may hold one class only".to_owned()
                }),
            });
        };
        let lease = self.options.compute.lease();
        let FinishedFit {
            fitted,
            cross_validation,
        } = thread_pool(lease.threads())?.install(|| {
            let point = &points[best - 1];
            let winner = match winner {
                Some(winner) => winner,
                // It was not kept; the same parameters and rows give the same bytes.
                None => self.fit(point, None, &mut Trial::begun(best, Map::new()))?,
            };
            let estimator = self.estimator(point)?;
            self.validator
                .conclude(&estimator, winner, &self.fit_options(None))
        })?;
        Ok(SweepOutcome {
            importance: importance(&self.spec.space, &trials, &points),
            trials,
            best,
            winner: fitted,
            cross_validation,
        })
    }
}

impl Progress {
    fn take(&mut self, goal: Goal, point: Point, trial: Trial, fitted: Option<Validated>) {
        let better = |value: f64| {
            let best = self.best.as_ref();
            best.is_none_or(|(so_far, ..)| goal.better(value, *so_far))
        };
        if let Some(value) = trial.value.filter(|_| !trial.pruned)
            && better(value)
        {
            self.best = Some((value, trial.number, fitted));
        }
        self.points.push(point);
        self.trials.push(trial);
    }
}

/// Tells trials in the order of their numbers, each as soon as all before it have ended, so
/// that what has been told of a sweep that is killed is as much as can be.
struct InOrder<'a> {
    on_event: &'a (dyn Fn(SweepEvent<'_>) + Send + Sync),
    waiting: Mutex<Waiting>,
}

struct Waiting {
    next: usize,
    /// Trials, and whether an earlier run made them.
    trials: BTreeMap<usize, (Trial, bool)>,
}

impl<'a> InOrder<'a> {
    fn from(next: usize, on_event: &'a (dyn Fn(SweepEvent<'_>) + Send + Sync)) -> Self {
        let trials = BTreeMap::new();
        Self {
            on_event,
            waiting: Mutex::new(Waiting { next, trials }),
        }
    }

    fn put(&self, trial: Trial, resumed: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.trials.insert(trial.number, (trial, resumed));
        loop {
            let next = waiting.next;
            let Some((trial, resumed)) = waiting.trials.remove(&next) else {
                break;
            };
            waiting.next += 1;
            self.tell(&trial, resumed);
        }
    }

    /// Tells what is left after a cancelled trial.
    fn flush(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (trial, resumed) in std::mem::take(&mut waiting.trials).into_values() {
            self.tell(&trial, resumed);
        }
    }

    fn tell(&self, trial: &Trial, resumed: bool) {
        (self.on_event)(if resumed {
            SweepEvent::Resumed(trial)
        } else {
            SweepEvent::Finished(trial)
        });
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
