//! Pruners: rules that end a trial early, since others did better by the same round.
//!
//! A trial is compared with the trials of earlier rounds of the sweep only, never with those
//! beside it, so that one seed gives one result at any parallelism. What counts of a trial
//! at a round of boosting is the best that it had reached by then; a trial that stopped
//! earlier by itself counts with its best.

use serde_json::{Map, Value};

use super::Trial;
use crate::error::LearnError;
use crate::metric::Goal;
use crate::nearest::nearest;
use crate::search::Settings;

/// A pruner's entry in the registry.
#[derive(Debug)]
pub struct Entry {
    /// Its name in a pipeline file.
    pub name: &'static str,
    /// Its parameters and their aliases.
    pub params: &'static [(&'static str, &'static [&'static str])],
    read: fn(&mut Settings<'_>) -> Rule,
}

/// All pruners.
pub static PRUNERS: &[Entry] = &[
    Entry {
        name: "median",
        params: &[
            ("startup_trials", &["n_startup_trials"]),
            ("warmup_rounds", &["n_warmup_steps"]),
            ("interval_rounds", &["interval_steps"]),
            ("min_trials", &["n_min_trials"]),
        ],
        read: |settings| Rule::Median {
            startup_trials: settings.whole("startup_trials", 5, 0..=1_000_000) as usize,
            warmup_rounds: settings.whole("warmup_rounds", 0, 0..=1_000_000) as usize,
            interval_rounds: settings.whole("interval_rounds", 1, 1..=1_000_000) as usize,
            min_trials: settings.whole("min_trials", 1, 1..=1_000_000) as usize,
        },
    },
    Entry {
        name: "successive_halving",
        params: &[
            ("min_rounds", &["min_resource"]),
            ("reduction_factor", &["eta"]),
        ],
        read: |settings| Rule::SuccessiveHalving {
            min_rounds: settings.whole("min_rounds", 10, 1..=1_000_000) as usize,
            reduction_factor: settings.whole("reduction_factor", 4, 2..=1_000) as usize,
        },
    },
];

/// The names of all pruners.
pub fn pruner_names() -> impl Iterator<Item = &'static str> {
    PRUNERS.iter().map(|entry| entry.name)
}

/// A pruner with checked parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunerSpec {
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Optuna's `MedianPruner`.
    Median {
        startup_trials: usize,
        warmup_rounds: usize,
        interval_rounds: usize,
        min_trials: usize,
    },
    /// Optuna's `SuccessiveHalvingPruner`, after Li et al., *A system for massively parallel
    /// hyperparameter tuning* (MLSys 2020), with the trials of finished rounds for rivals.
    SuccessiveHalving {
        min_rounds: usize,
        reduction_factor: usize,
    },
}

impl PrunerSpec {
    /// The pruner called `name` with the parameters in `map`.
    ///
    /// # Errors
    ///
    /// An unknown pruner, or every parameter that cannot be used.
    pub fn parse(name: &str, map: &Map<String, Value>) -> Result<Self, LearnError> {
        let entry = PRUNERS
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| LearnError::UnknownPruner {
                name: name.to_owned(),
                nearest: nearest(name, pruner_names()),
                known: pruner_names().collect(),
            })?;
        let mut settings = Settings::new(entry.params, map);
        let rule = (entry.read)(&mut settings);
        settings.finish()?;
        Ok(Self { rule })
    }

    /// What the trials of finished rounds demand of the next ones.
    pub(super) fn bar(&self, finished: &[Trial], goal: Goal) -> Bar<'_> {
        let counts = |trial: &&Trial| match self.rule {
            Rule::Median { .. } => !trial.pruned,
            Rule::SuccessiveHalving { .. } => true,
        };
        let curves = finished
            .iter()
            .filter(counts)
            .filter(|trial| !trial.history.is_empty())
            .map(|trial| Curve {
                best: best_so_far(&trial.history, goal),
                pruned: trial.pruned,
            })
            .collect();
        Bar {
            rule: &self.rule,
            goal,
            curves,
        }
    }
}

/// What a trial must reach to go on.
pub(super) struct Bar<'a> {
    rule: &'a Rule,
    goal: Goal,
    curves: Vec<Curve>,
}

struct Curve {
    /// The best by each round.
    best: Vec<f64>,
    pruned: bool,
}

impl Curve {
    /// The best by a round, from 0; `None` when the trial was pruned before.
    fn at(&self, round: usize) -> Option<f64> {
        match self.best.get(round) {
            None if self.pruned => None,
            None => self.best.last().copied(),
            at => at.copied(),
        }
    }
}

fn best_so_far(history: &[f64], goal: Goal) -> Vec<f64> {
    let mut best = f64::NAN;
    let values = history.iter().map(|&value| {
        if goal.better(value, best) {
            best = value;
        }
        best
    });
    values.collect()
}

impl Bar<'_> {
    /// Whether a trial whose best is `best` after round `round`, from 0, shall end.
    pub(super) fn falls_short(&self, round: usize, best: f64) -> bool {
        let done = round + 1;
        match *self.rule {
            Rule::Median {
                startup_trials,
                warmup_rounds,
                interval_rounds,
                min_trials,
            } => {
                let looks = done > warmup_rounds
                    && (done - warmup_rounds - 1).is_multiple_of(interval_rounds);
                looks
                    && self.curves.len() >= startup_trials.max(min_trials)
                    && self.goal.better(self.median(round), best)
            }
            Rule::SuccessiveHalving {
                min_rounds,
                reduction_factor,
            } => {
                if !is_rung(done, min_rounds, reduction_factor) {
                    return false;
                }
                let rivals: Vec<f64> = self.curves.iter().filter_map(|c| c.at(round)).collect();
                let kept = ((rivals.len() + 1) / reduction_factor).max(1);
                let ahead = rivals
                    .iter()
                    .filter(|rival| self.goal.better(**rival, best));
                ahead.count() >= kept
            }
        }
    }

    /// The median of all trials at a round; NaN without trials.
    fn median(&self, round: usize) -> f64 {
        let mut values: Vec<f64> = self
            .curves
            .iter()
            .filter_map(|curve| curve.at(round))
            .filter(|value| !value.is_nan())
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        }
    }
}

/// Whether `done` is `first` times a power of `factor`.
fn is_rung(done: usize, first: usize, factor: usize) -> bool {
    let mut rung = first;
    while rung < done {
        rung = rung.saturating_mul(factor);
    }
    rung == done
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pruner(name: &str, given: Value) -> PrunerSpec {
        PrunerSpec::parse(name, given.as_object().unwrap()).unwrap()
    }

    fn trial(history: &[f64], pruned: bool) -> Trial {
        Trial {
            history: history.to_vec(),
            pruned,
            ..Trial::begun(1, Map::new())
        }
    }

    #[test]
    fn a_trial_below_the_median_of_finished_trials_ends() {
        let finished = [
            trial(&[0.5, 0.8], false),
            trial(&[0.6, 0.5, 0.9], false),
            // Stopped by itself: it counts with its best.
            trial(&[0.7], false),
            // Pruned ones do not count.
            trial(&[0.99, 0.99, 0.99], true),
        ];
        let median = pruner("median", json!({"n_startup_trials": 3}));
        let bar = median.bar(&finished, Goal::Maximize);
        assert!(bar.falls_short(0, 0.59) && !bar.falls_short(0, 0.6));
        assert!(bar.falls_short(1, 0.69) && !bar.falls_short(1, 0.7));
        assert!(bar.falls_short(2, 0.79) && !bar.falls_short(2, 0.8));
        assert!(bar.falls_short(100, 0.79) && !bar.falls_short(100, 0.8));
        assert!(bar.falls_short(1, f64::NAN));
        let lower = median.bar(&finished, Goal::Minimize);
        assert!(lower.falls_short(0, 0.61) && !lower.falls_short(0, 0.6));
    }

    #[test]
    fn a_median_waits_for_trials_and_rounds() {
        let finished = [trial(&[0.9; 20], false), trial(&[0.7; 20], false)];
        let early = pruner("median", json!({}));
        assert!(!early.bar(&finished, Goal::Maximize).falls_short(5, 0.1));
        let warm = pruner(
            "median",
            json!({"startup_trials": 0, "warmup_rounds": 3, "interval_rounds": 4}),
        );
        let bar = warm.bar(&finished, Goal::Maximize);
        let looks: Vec<usize> = (0..14).filter(|&at| bar.falls_short(at, 0.79)).collect();
        assert_eq!(looks, [3, 7, 11]);
        assert!(!bar.falls_short(3, 0.8));
        assert!(!warm.bar(&[], Goal::Maximize).falls_short(3, 0.1));
    }

    #[test]
    fn each_rung_of_successive_halving_keeps_the_best_part() {
        let halving = pruner(
            "successive_halving",
            json!({"min_resource": 2, "reduction_factor": 2}),
        );
        let finished = [
            trial(&[0.1, 0.5], true),
            trial(&[0.1, 0.6, 0.6, 0.6], true),
            trial(&[0.1, 0.7, 0.8, 0.8, 0.9], false),
        ];
        let bar = halving.bar(&finished, Goal::Maximize);
        // Of four at the first rung two go on, of three at the second one.
        assert!(bar.falls_short(1, 0.55) && !bar.falls_short(1, 0.65));
        assert!(bar.falls_short(3, 0.7) && !bar.falls_short(3, 0.85));
        assert!(!bar.falls_short(2, 0.0), "round 3 is no rung");
        assert!(!halving.bar(&[], Goal::Maximize).falls_short(1, 0.0));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_nearest_name() {
        let refusal = |name: &str, given: Value| {
            PrunerSpec::parse(name, given.as_object().unwrap())
                .unwrap_err()
                .to_string()
        };
        assert!(refusal("medain", json!({})).contains("did you mean `median`?"));
        let message = refusal("median", json!({"warmup": 3, "min_trials": 0}));
        assert!(message.contains("`min_trials`: must be a whole number from 1 up, not 0"));
        assert!(
            message.contains("did you mean `warmup_rounds`?"),
            "{message}"
        );
    }
}
