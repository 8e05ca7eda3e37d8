//! Sweeps that go on from what an earlier run had finished, that prune, and that end in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sluice_learn::LearnError;
use sluice_learn::metric::Goal;
use sluice_learn::search::param_text;
use sluice_learn::sweep::{
    Before, EarlierTrial, PrunerSpec, SweepEvent, SweepOptions, SweepOutcome, SweepRequest,
    SweepSpec, Trial, run,
};

use crate::sweep::{boosting, request, sampler, seat};
use crate::tables::{noisy_table, params};

fn pruner(name: &str, given: Value) -> Option<PrunerSpec> {
    Some(PrunerSpec::parse(name, &params(given)).unwrap())
}

/// 22 trials of TPE, pruned.
fn pruned(given: &Map<String, Value>) -> SweepRequest<'_> {
    SweepRequest {
        sampler: sampler("tpe", json!({"startup_trials": 6, "seed": 5})),
        trials: Some(22),
        pruner: pruner("median", json!({"warmup_rounds": 2})),
        ..request("gradient_boosting", given)
    }
}

/// What a run records of a trial, and reads again.
pub(crate) fn recorded(trial: &Trial) -> EarlierTrial {
    EarlierTrial {
        params: trial
            .params
            .iter()
            .map(|(name, value)| (name.clone(), param_text(value)))
            .collect(),
        value: trial.value,
        best_iteration: trial.best_iteration,
        iterations: trial.iterations,
        history: trial.history.clone(),
        seconds: trial.seconds,
        pruned: trial.pruned,
    }
}

/// A run of a sweep: how it ended, and the trials that were made in it.
fn attempt(
    request: &SweepRequest<'_>,
    before: &Before,
    threads: usize,
    stop_at: Option<usize>,
) -> (Result<SweepOutcome, LearnError>, Vec<Trial>) {
    let spec = SweepSpec::new(request).unwrap();
    let cancel = AtomicBool::new(false);
    let made: Mutex<Vec<Trial>> = Mutex::default();
    let on_event = |event: SweepEvent<'_>| match event {
        SweepEvent::Started { number, .. } => {
            if stop_at.is_some_and(|at| number >= at) {
                cancel.store(true, Ordering::Relaxed);
            }
        }
        SweepEvent::Finished(trial) => {
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push(trial.clone());
        }
        SweepEvent::Resumed(_) => {}
    };
    let splits = noisy_table(500, 4).splits();
    let options = SweepOptions {
        compute: &seat(threads),
        before,
        cancel: &cancel,
        on_event: &on_event,
    };
    let outcome = run(&spec, &splits, &options);
    (outcome, made.into_inner().unwrap())
}

/// All that a leaderboard shows, and the model.
type Shown = (Vec<(usize, String, Value, Option<f64>, usize)>, Vec<u8>);

fn shown(outcome: &SweepOutcome) -> Shown {
    let rows = outcome.ranked(Goal::Maximize).into_iter().map(|trial| {
        (
            trial.number,
            trial.state().to_owned(),
            Value::Object(trial.chosen.clone()),
            trial.value,
            trial.iterations,
        )
    });
    (rows.collect(), outcome.winner.model.model_json().unwrap())
}

#[test]
fn a_stopped_sweep_goes_on_and_ends_as_an_undisturbed_one() {
    let given = params(boosting());
    let request = pruned(&given);
    let (whole, _) = attempt(&request, &Before::default(), 2, None);
    let whole = whole.unwrap();
    assert!(whole.trials.iter().any(|trial| trial.pruned));
    for threads in [1, 2, 4] {
        let mut before = Before::default();
        let mut made_in_all = 0;
        for stop_at in [3, 9, 10, 18, 22] {
            let (outcome, made) = attempt(&request, &before, threads, Some(stop_at));
            assert!(matches!(outcome, Err(LearnError::Cancelled)));
            made_in_all += made.len();
            let earlier = made.iter().map(|trial| (trial.number, recorded(trial)));
            before.trials.extend(earlier);
        }
        assert_eq!(made_in_all, before.trials.len(), "no trial is made twice");
        assert!(made_in_all >= 16, "{made_in_all}");
        let (outcome, made) = attempt(&request, &before, threads, None);
        assert_eq!(made.len(), 22 - made_in_all);
        let outcome = outcome.unwrap();
        assert_eq!(shown(&outcome), shown(&whole), "{threads} threads");
        assert_eq!(outcome.importance, whole.importance);
    }
}

#[test]
fn a_sweep_of_which_all_trials_are_known_fits_the_winner_again() {
    let given = params(boosting());
    let request = pruned(&given);
    let (whole, made) = attempt(&request, &Before::default(), 2, None);
    let whole = whole.unwrap();
    let before = Before {
        trials: made.iter().map(|t| (t.number, recorded(t))).collect(),
        ..Before::default()
    };
    let (outcome, made) = attempt(&request, &before, 2, None);
    assert!(made.is_empty());
    assert_eq!(shown(&outcome.unwrap()), shown(&whole));
}

#[test]
fn more_trials_go_on_from_fewer() {
    let given = params(boosting());
    let more = pruned(&given);
    let fewer = SweepRequest {
        trials: Some(10),
        ..more.clone()
    };
    let (whole, _) = attempt(&more, &Before::default(), 2, None);
    let (_, made) = attempt(&fewer, &Before::default(), 2, None);
    let before = Before {
        trials: made.iter().map(|t| (t.number, recorded(t))).collect(),
        ..Before::default()
    };
    let (outcome, made) = attempt(&more, &before, 2, None);
    assert_eq!(made.len(), 12);
    assert_eq!(shown(&outcome.unwrap()), shown(&whole.unwrap()));
}

#[test]
fn trials_of_another_search_are_not_taken_over() {
    let given = params(boosting());
    let request = pruned(&given);
    let (whole, made) = attempt(&request, &Before::default(), 2, None);
    let mut trials: BTreeMap<usize, EarlierTrial> =
        made.iter().map(|t| (t.number, recorded(t))).collect();
    let changed = trials.get_mut(&3).unwrap();
    changed
        .params
        .insert("max_depth".to_owned(), "77".to_owned());
    for trial in trials.values_mut().skip(2) {
        trial.value = Some(1.0);
    }
    let before = Before {
        trials,
        ..Before::default()
    };
    let (outcome, made) = attempt(&request, &before, 2, None);
    assert_eq!(made.len(), 20, "only the first two are what they would be");
    assert_eq!(shown(&outcome.unwrap()), shown(&whole.unwrap()));
}

#[test]
fn pruning_saves_rounds_and_keeps_the_winner_at_any_parallelism() {
    let given = params(json!({
        "rounds": 60,
        "max_depth": {"int": [1, 6]},
        "learning_rate": {"log": [0.001, 1]},
    }));
    let plain = SweepRequest {
        trials: Some(24),
        ..request("gradient_boosting", &given)
    };
    let rounds = |outcome: &SweepOutcome| -> usize {
        outcome.trials.iter().map(|trial| trial.history.len()).sum()
    };
    let (whole, _) = attempt(&plain, &Before::default(), 2, None);
    let whole = whole.unwrap();
    assert!(whole.trials.iter().all(|trial| !trial.pruned));
    for pruner in [
        pruner("median", json!({"warmup_rounds": 5})),
        pruner("successive_halving", json!({"min_rounds": 5})),
    ] {
        let request = SweepRequest {
            pruner,
            ..plain.clone()
        };
        let (alone, _) = attempt(&request, &Before::default(), 1, None);
        let alone = alone.unwrap();
        let (together, _) = attempt(&request, &Before::default(), 4, None);
        assert_eq!(shown(&alone), shown(&together.unwrap()));
        assert!(
            rounds(&alone) * 4 < rounds(&whole) * 3,
            "{} of {} rounds",
            rounds(&alone),
            rounds(&whole)
        );
        let best = |outcome: &SweepOutcome| outcome.trials[outcome.best - 1].value.unwrap();
        assert!((best(&whole) - best(&alone)).abs() < 0.02);
        let states: Vec<&str> = alone
            .ranked(Goal::Maximize)
            .iter()
            .map(|trial| trial.state())
            .collect();
        assert!(states.is_sorted(), "complete before pruned: {states:?}");
        assert!(!alone.trials[alone.best - 1].pruned);
    }
}

#[test]
fn a_sweep_whose_time_is_over_ends_with_its_round() {
    let given = params(boosting());
    let limited = SweepRequest {
        timeout: Some(Duration::from_secs(3600)),
        ..pruned(&given)
    };
    let (whole, made) = attempt(&limited, &Before::default(), 2, None);
    assert_eq!(whole.unwrap().trials.len(), 22, "an hour is enough");
    let mut before = Before {
        spent: Duration::from_secs(3600),
        ..Before::default()
    };
    let (outcome, _) = attempt(&limited, &before, 2, None);
    assert_eq!(outcome.unwrap().trials.len(), 4, "one round always runs");
    let earlier = made.iter().map(|t| (t.number, recorded(t)));
    before.trials = earlier.take(6).collect();
    let (outcome, made) = attempt(&limited, &before, 2, None);
    assert_eq!(
        outcome.unwrap().trials.len(),
        8,
        "the second round had begun"
    );
    assert_eq!(made.len(), 2);
}

#[test]
fn points_of_an_earlier_sweep_are_tried_first() {
    let given = params(boosting());
    let cold = pruned(&given);
    let warm = SweepRequest {
        warm_start: 3,
        ..cold.clone()
    };
    let (cold, _) = attempt(&cold, &Before::default(), 2, None);
    let cold = cold.unwrap();
    let spec = SweepSpec::new(&warm).unwrap();
    let best = cold.ranked(Goal::Maximize);
    let first = best.iter().take(spec.warm_start()).map(|trial| {
        let texts = recorded(trial).params;
        spec.point(|name| texts.get(name).map(String::as_str))
            .unwrap()
    });
    let before = Before {
        first: first.collect(),
        ..Before::default()
    };
    let (outcome, _) = attempt(&warm, &before, 2, None);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.trials.len(), 22);
    for (again, trial) in outcome.trials.iter().zip(best) {
        if again.number <= 3 {
            assert_eq!(again.params, trial.params);
            assert_eq!(again.value, trial.value);
        }
    }
    assert_ne!(outcome.trials[3].params, cold.trials[3].params);
    assert!(outcome.trials[outcome.best - 1].value >= cold.trials[cold.best - 1].value);
}
