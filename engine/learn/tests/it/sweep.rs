//! Sweeps.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sluice_learn::metric::Goal;
use sluice_learn::search::SamplerSpec;
use sluice_learn::sweep::{
    Before, Objective, PrunerSpec, SweepEvent, SweepOptions, SweepOutcome, SweepRequest, SweepSpec,
    own_param_name, run,
};
use sluice_learn::{ComputeBudget, LearnError, Seat, Splits, Task};

use crate::tables::{Table, noisy_table, params, threads};

pub(crate) fn sampler(name: &str, given: Value) -> SamplerSpec {
    SamplerSpec::parse(name, &params(given)).unwrap()
}

pub(crate) fn seat(count: usize) -> Seat {
    ComputeBudget::new(threads(count)).join()
}

fn spec(estimator: &str, given: Value, trials: Option<usize>) -> Result<SweepSpec, LearnError> {
    let name = if trials.is_some() { "tpe" } else { "grid" };
    SweepSpec::new(&SweepRequest {
        sampler: sampler(name, json!({})),
        trials,
        ..request(estimator, &params(given))
    })
}

/// Three trials of random search, four in a round.
pub(crate) fn request<'a>(
    estimator: &'a str,
    params: &'a serde_json::Map<String, Value>,
) -> SweepRequest<'a> {
    SweepRequest {
        estimator,
        params,
        sampler: sampler("random", json!({})),
        trials: Some(3),
        batch: NonZeroUsize::new(4).unwrap(),
        objective: Objective::parse("validation.auc", Goal::Maximize).unwrap(),
        pruner: None,
        timeout: None,
        warm_start: 0,
    }
}

pub(crate) fn boosting() -> Value {
    json!({
        "rounds": 30,
        "early_stopping_rounds": 5,
        "max_depth": {"int": [1, 4]},
        "learning_rate": {"log": [0.01, 1]},
        "subsample": {"float": [0.5, 1]},
        "colsample_bytree": {"float": [0.5, 1]},
    })
}

fn run_quietly(spec: &SweepSpec, splits: &Splits, count: usize) -> SweepOutcome {
    let options = SweepOptions {
        compute: &seat(count),
        before: &Before::default(),
        cancel: &AtomicBool::new(false),
        on_event: &|_| {},
    };
    run(spec, splits, &options).unwrap()
}

#[test]
fn one_seed_gives_one_result_at_any_parallelism() {
    let splits = noisy_table(500, 4).splits();
    let spec = spec("gradient_boosting", boosting(), Some(22)).unwrap();
    let told = |outcome: &SweepOutcome| -> Vec<(Value, Option<f64>)> {
        let trials = outcome.trials.iter();
        trials
            .map(|trial| (Value::Object(trial.params.clone()), trial.value))
            .collect()
    };
    let alone = run_quietly(&spec, &splits, 1);
    for count in [2, 5] {
        let together = run_quietly(&spec, &splits, count);
        assert_eq!(told(&alone), told(&together), "{count} threads");
        assert_eq!(alone.best, together.best);
        assert_eq!(
            alone.winner.model.model_json().unwrap(),
            together.winner.model.model_json().unwrap()
        );
    }
    assert_eq!(alone.trials.len(), 22);
}

#[test]
fn a_sampler_that_does_not_learn_gives_one_result_in_any_rounds() {
    let splits = noisy_table(500, 4).splits();
    let given = params(boosting());
    let told = |batch: usize, count: usize| -> Vec<(usize, Value, Option<f64>)> {
        let spec = SweepSpec::new(&SweepRequest {
            trials: Some(19),
            batch: NonZeroUsize::new(batch).unwrap(),
            ..request("gradient_boosting", &given)
        });
        let seen = Mutex::new(Vec::new());
        let options = SweepOptions {
            compute: &seat(count),
            before: &Before::default(),
            cancel: &AtomicBool::new(false),
            on_event: &|event| {
                if let SweepEvent::Finished(trial) = event {
                    let params = Value::Object(trial.params.clone());
                    seen.lock()
                        .unwrap()
                        .push((trial.number, params, trial.value));
                }
            },
        };
        let outcome = run(&spec.unwrap(), &splits, &options).unwrap();
        let seen = seen.into_inner().unwrap();
        let values: Vec<Option<f64>> = outcome.trials.iter().map(|trial| trial.value).collect();
        assert!(
            seen.iter().map(|(.., value)| *value).eq(values),
            "told in order"
        );
        seen
    };
    let one_by_one = told(1, 1);
    assert_eq!(one_by_one.len(), 19);
    for (batch, count) in [(1, 3), (4, 1), (4, 2), (30, 4)] {
        assert_eq!(told(batch, count), one_by_one, "{batch} on {count} threads");
    }
}

#[test]
fn the_winner_is_the_best_trial_and_trials_are_ranked() {
    let splits = noisy_table(500, 4).splits();
    let spec = spec("gradient_boosting", boosting(), Some(12)).unwrap();
    let outcome = run_quietly(&spec, &splits, 2);
    let ranked = outcome.ranked(Goal::Maximize);
    assert_eq!(ranked[0].number, outcome.best);
    assert!(ranked.windows(2).all(|pair| pair[0].value >= pair[1].value));
    let best = &outcome.trials[outcome.best - 1];
    assert_eq!(best.best_iteration, outcome.winner.best_iteration);
    let scores = outcome.winner.model.predict(&splits.validation).unwrap();
    let ours = spec
        .objective()
        .metric
        .compute(Task::Binary, splits.validation.labels(), &scores);
    assert_eq!(best.value, Some(ours));
    assert_eq!(best.evaluation.as_ref().unwrap().get("auc"), best.value);
    assert!(best.chosen.contains_key("max_depth") && !best.chosen.contains_key("rounds"));
    assert_eq!(best.params["rounds"], 30);
}

#[test]
fn trials_end_in_order_and_a_grid_ends_by_itself() {
    let splits = noisy_table(300, 4).splits();
    let given = json!({
        "n_estimators": 3,
        "max_depth": {"int": [1, 5]},
        "max_features": {"choice": ["sqrt", "all"]},
    });
    let spec = spec("random_forest", given, None).unwrap();
    assert_eq!(spec.trials(), 10);
    let ended = Mutex::new(Vec::new());
    let options = SweepOptions {
        compute: &seat(3),
        before: &Before::default(),
        cancel: &AtomicBool::new(false),
        on_event: &|event| {
            if let SweepEvent::Finished(trial) = event {
                ended.lock().unwrap().push(trial.number);
            }
        },
    };
    let outcome = run(&spec, &splits, &options).unwrap();
    assert_eq!(outcome.trials.len(), 10);
    assert_eq!(ended.into_inner().unwrap(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_sweep_can_be_cancelled() {
    let splits = noisy_table(300, 4).splits();
    let spec = spec("gradient_boosting", boosting(), Some(1000)).unwrap();
    let cancel = AtomicBool::new(false);
    let options = SweepOptions {
        compute: &seat(2),
        before: &Before::default(),
        cancel: &cancel,
        on_event: &|event| {
            if let SweepEvent::Started { number: 7, .. } = event {
                cancel.store(true, Ordering::Relaxed);
            }
        },
    };
    let error = run(&spec, &splits, &options).unwrap_err();
    assert!(matches!(error, LearnError::Cancelled), "{error}");
}

#[test]
fn what_a_space_may_yield_is_checked_before_anything_is_fitted() {
    let refusal = |estimator: &str, given, trials| {
        let error = spec(estimator, given, trials).unwrap_err();
        error.to_string()
    };
    let message = refusal(
        "gradient_boosting",
        json!({
            "learning_rate": {"float": [0, 1]},
            "max_depth": {"log": [4, 100]},
            "subsample": {"log": [0, 1]},
            "reg_alfa": {"log": [0.1, 1]},
        }),
        Some(5),
    );
    assert!(message.contains("`log` needs positive ends"), "{message}");
    let message = refusal(
        "gradient_boosting",
        json!({
            "learning_rate": {"float": [0, 1]},
            "max_depth": {"log": [4, 100]},
            "grow_policy": {"choice": ["depthwise", "sideways"]},
            "reg_alfa": {"log": [0.1, 1]},
        }),
        Some(5),
    );
    for part in [
        "`learning_rate`: must be a number above 0, not 0",
        "`max_depth`: must be a whole number",
        "`grow_policy`: must be one of depthwise, lossguide, not \"sideways\"",
        "did you mean `reg_alpha`?",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let nothing = params(json!({}));
    let refusal = |request: SweepRequest<'_>| SweepSpec::new(&request).unwrap_err().to_string();
    let endless = refusal(SweepRequest {
        trials: None,
        ..request("random_forest", &nothing)
    });
    assert!(endless.contains("`trials: 96`"));
    let whole = refusal(SweepRequest {
        pruner: Some(PrunerSpec::parse("median", &nothing).unwrap()),
        ..request("random_forest", &nothing)
    });
    assert!(whole.contains("`random_forest` is not fitted in rounds"));
    let all_anyway = refusal(SweepRequest {
        sampler: sampler("grid", json!({})),
        warm_start: 2,
        ..request("random_forest", &nothing)
    });
    assert!(all_anyway.contains("`grid` tries all of its points"));
}

#[test]
fn objectives_name_the_validation_split_and_the_right_direction() {
    let refusal = |written, goal| Objective::parse(written, goal).unwrap_err().to_string();
    assert!(refusal("auc", Goal::Maximize).contains("as in `validation.auc`"));
    assert!(refusal("test.auc", Goal::Maximize).contains("use `validation.auc`"));
    assert!(refusal("valid.auc", Goal::Maximize).contains("use `validation.auc`"));
    assert!(refusal("validation.acu", Goal::Maximize).contains("did you mean `auc`?"));
    let turned = refusal("validation.log_loss", Goal::Maximize);
    assert!(
        turned.contains("use `minimize: validation.log_loss`"),
        "{turned}"
    );
    let objective = Objective::parse("validation.log_loss", Goal::Minimize).unwrap();
    assert_eq!(objective.name(), "validation.log_loss");
}

#[test]
fn a_sweep_without_a_figure_says_why() {
    let spec = spec("gradient_boosting", boosting(), Some(3)).unwrap();
    let options = SweepOptions {
        compute: &seat(1),
        before: &Before::default(),
        cancel: &AtomicBool::new(false),
        on_event: &|_| {},
    };
    let table = noisy_table(200, 4);
    let without = Table {
        split: table.split.iter().map(|_| "train").collect(),
        ..table.clone()
    };
    let error = run(&spec, &without.splits(), &options).unwrap_err();
    assert!(error.to_string().contains("validation split is empty"));
    let one_class = Table {
        good: (0..table.good.len())
            .map(|row| table.split[row] == "validation" || table.good[row])
            .collect(),
        ..table
    };
    let error = run(&spec, &one_class.splits(), &options).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("none of 3 trials gave a value for auc"),
        "{error}"
    );
}

#[test]
fn a_parameter_is_known_under_all_its_names() {
    assert_eq!(
        own_param_name("gradient_boosting", "eta").unwrap(),
        "learning_rate"
    );
    let error = own_param_name("random_forest", "n_estimatros").unwrap_err();
    assert!(error.to_string().contains("did you mean `n_estimators`?"));
}
