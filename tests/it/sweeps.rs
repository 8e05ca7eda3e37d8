//! Sweeps that are cut off, that prune, and that begin with what an earlier one found.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::outcome::Outcome;
use crate::replay::verdicts;
use crate::sandbox::Sandbox;

/// Trials of the sweep.
const TRIALS: usize = 120;
/// How often it is killed.
const KILLS: u64 = 10;

/// The apples with a sweep of some length, pruned.
fn apples() -> Sandbox {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "rounds: 10", "rounds: 150");
    sandbox.edit(
        "pipeline.yaml",
        "trials: 4",
        &format!("trials: {TRIALS}\n      pruner: {{median: {{warmup_rounds: 5}}}}"),
    );
    sandbox
}

/// The leaderboard of the sweep that ended last.
fn leaderboard(sandbox: &Sandbox) -> String {
    let run = sandbox.value(
        "SELECT run_id FROM system.runs WHERE kind = 'sweep' AND status = 'FINISHED'
         ORDER BY run_id DESC LIMIT 1",
    );
    let folder = sandbox.path().join("lakehouse/_artifacts");
    fs::read_to_string(folder.join(run.as_str().unwrap()).join("leaderboard.csv")).unwrap()
}

fn run(sandbox: &Sandbox, parallelism: &str) -> Vec<Value> {
    let ended = sandbox.call(&["run", "--json", "--parallelism", parallelism]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    ended.events()
}

/// A number below `bound` that a failing test can repeat.
fn random(seed: u64, number: u64, bound: u64) -> u64 {
    let mixed = (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (mixed >> 33) % bound
}

/// Kills a run of the sweep after a number of trials, and a bit.
#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is what is tested; nothing waits for it"
)]
fn kill_after(sandbox: &Sandbox, parallelism: &str, trials: u64, microseconds: u64) {
    let mut child = sandbox
        .sluice(&["run", "--json", "--parallelism", parallelism])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("\"event\":\"trial\""));
    told.take(trials as usize).for_each(drop);
    std::thread::sleep(std::time::Duration::from_micros(microseconds));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_sweep_killed_ten_times_ends_as_an_undisturbed_one() {
    let undisturbed = apples();
    run(&undisturbed, "2");
    let expected = Outcome::of(&undisturbed);
    let board = leaderboard(&undisturbed);
    assert_eq!(board.lines().count(), TRIALS + 1);
    assert!(board.contains(",pruned,"), "{board}");

    let seed = std::process::id().into();
    for parallelism in ["1", "2", "4"] {
        let context = format!("seed {seed}, parallelism {parallelism}");
        let sandbox = apples();
        for number in 0..KILLS {
            let trials = 1 + random(seed, number, 3);
            let microseconds = random(seed, number + KILLS, 10_000);
            kill_after(&sandbox, parallelism, trials, microseconds);
        }
        let killed = sandbox.value(
            "SELECT count(*) AS n FROM system.runs WHERE kind = 'sweep' AND status <> 'FINISHED'",
        );
        assert_eq!(killed, KILLS, "{context}: a kill came too late");
        let plan = sandbox.call(&["plan"]);
        let done = sandbox.value("SELECT count(*) AS n FROM system.runs WHERE kind = 'trial'");
        let told = format!("{done} of {TRIALS} trials are done");
        assert!(plan.stdout.contains(&told), "{told}: {}", plan.all());

        let events = run(&sandbox, parallelism);
        let resumed = events
            .iter()
            .find(|event| event["event"] == "sweep_resumed")
            .unwrap();
        assert_eq!(resumed["done"], done);
        assert_eq!(resumed["total"], TRIALS);
        assert_eq!(leaderboard(&sandbox), board, "{context}");
        Outcome::of(&sandbox).assert_same(&expected, &context);
        // No trial was made twice.
        let trials = "SELECT count(*) AS n FROM system.runs WHERE kind = 'trial'";
        assert_eq!(sandbox.value(trials), TRIALS, "{context}");
    }
}

/// The numbers of the trials that a run made.
fn trials(events: &[Value]) -> Vec<u64> {
    let trials = events.iter().filter(|event| event["event"] == "trial");
    trials
        .map(|event| event["number"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_time_of_earlier_attempts_counts() {
    let sandbox = Sandbox::apples();
    let endless = "trials: 500000\n      timeout: 1s";
    sandbox.edit("pipeline.yaml", "trials: 4", endless);
    let made = trials(&sandbox.run()).len();
    assert!((4..500_000).contains(&made), "{made}");
    assert_eq!(leaderboard(&sandbox).lines().count(), made + 1);

    sandbox.edit("pipeline.yaml", "trials: 500000", "trials: 400000");
    assert_eq!(trials(&sandbox.run()).len(), 0, "the second is over");
    assert_eq!(leaderboard(&sandbox).lines().count(), made + 1);

    // However long the machine took, five minutes are more.
    let longer = format!("trials: {}\n      timeout: 5m", made + 2);
    sandbox.edit(
        "pipeline.yaml",
        "trials: 400000\n      timeout: 1s",
        &longer,
    );
    let made = made as u64;
    assert_eq!(trials(&sandbox.run()), [made + 1, made + 2]);
}

#[test]
fn more_trials_and_a_warm_start_use_what_there_is() {
    let sandbox = Sandbox::apples();
    sandbox.run();
    let first = leaderboard(&sandbox);
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 10");
    assert_eq!(trials(&sandbox.run()), [5, 6, 7, 8, 9, 10]);
    let more = leaderboard(&sandbox);
    let without_rank = |line: &str| line.split_once(',').unwrap().1.to_owned();
    let rows: Vec<String> = more.lines().skip(1).map(without_rank).collect();
    for line in first.lines().skip(1) {
        assert!(
            rows.contains(&without_rank(line)),
            "{line} is not in\n{more}"
        );
    }

    // Another search: its first two points are the best two of the last one.
    sandbox.edit("pipeline.yaml", "{int: [2, 4]}", "{int: [1, 4]}");
    sandbox.edit(
        "pipeline.yaml",
        "trials: 10",
        "trials: 6\n      warm_start: 2",
    );
    let events = sandbox.run();
    assert_eq!(trials(&events), [1, 2, 3, 4, 5, 6]);
    let tried = events.iter().filter(|event| event["event"] == "trial");
    for (event, line) in tried.take(2).zip(more.lines().skip(1)) {
        let params = &event["params"];
        let chosen = format!("{},{}", params["max_depth"], params["learning_rate"]);
        assert!(line.ends_with(&chosen), "{chosen} is not in {line}");
    }

    // Neither is otherwise in a replay: the one tries all its points anew, the other knows the
    // best two.
    let runs = "SELECT run_id FROM system.runs WHERE kind = 'run' ORDER BY run_id DESC LIMIT 2";
    for run in sandbox.rows(runs) {
        let ended = sandbox.call(&["replay", run["run_id"].as_str().unwrap(), "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert!(
            verdicts(&ended).contains(&"search equal".to_owned()),
            "{}",
            ended.all()
        );
    }
}

#[test]
fn what_a_sweep_cannot_do_is_told_where_it_stands() {
    let sandbox = Sandbox::apples();
    let trials = "trials: 4";
    let refused = |keys: &str, estimator: &str| {
        sandbox.write("pipeline.yaml", crate::sandbox::apples::PIPELINE);
        sandbox.edit("pipeline.yaml", trials, &format!("{trials}\n      {keys}"));
        if estimator == "random_forest" {
            sandbox.edit("pipeline.yaml", "gradient_boosting", estimator);
            sandbox.edit(
                "pipeline.yaml",
                "learning_rate: {log: [0.05, 0.5]}",
                "seed: 1",
            );
        }
        let ended = sandbox.call(&["check"]);
        assert_ne!(ended.code, Some(0), "{}", ended.all());
        ended.stdout + &ended.stderr
    };
    for (keys, estimator, words) in [
        ("pruner: {medain: {}}", "", "did you mean `median`?"),
        (
            "pruner: {median: {warmup: 1}}",
            "",
            "did you mean `warmup_rounds`?",
        ),
        (
            "pruner: {successive_halving: {eta: 1}}",
            "",
            "must be a whole number from 2 up, not 1",
        ),
        (
            "pruner: {median: {}}",
            "random_forest",
            "`random_forest` is not fitted in rounds of boosting",
        ),
        ("timeout: soon", "", "`soon` is no length of time"),
    ] {
        let said = refused(keys, estimator);
        assert!(said.contains(words), "{keys}: {said}");
        assert!(said.contains("pipeline.yaml:"), "{said}");
    }
}

/// Two sweeps side by side share the cores: both go on, and each ends as if it were alone.
#[test]
fn two_sweeps_side_by_side_share_the_cores() {
    const TRIALS: usize = 40;
    let sweep = |name: &str, seed: u64| {
        format!(
            "  {name}:\n    sweep:\n      from: gold.apples\n      label: sweet\n      estimator:\n        gradient_boosting:\n          rounds: 60\n          max_depth: {{int: [2, 6]}}\n          learning_rate: {{log: [0.05, 0.5]}}\n      sampler: {{tpe: {{seed: {seed}}}}}\n      trials: {TRIALS}\n      maximize: validation.auc\n"
        )
    };
    let project = |sweeps: &[String]| {
        let sandbox = Sandbox::apples();
        let tables = crate::sandbox::apples::PIPELINE;
        let (tables, _) = tables.split_once("  gold.scored:").unwrap();
        sandbox.write(
            "pipeline.yaml",
            format!("{tables}models:\n{}", sweeps.concat()),
        );
        sandbox
    };
    let board = |sandbox: &Sandbox, name: &str| {
        let run =
            format!("SELECT run_id FROM system.runs WHERE kind = 'sweep' AND run_name = '{name}'");
        let run = sandbox.value(&run);
        let folder = sandbox
            .path()
            .join("lakehouse/_artifacts")
            .join(run.as_str().unwrap());
        fs::read_to_string(folder.join("leaderboard.csv")).unwrap()
    };
    let sweeps = [("first", sweep("first", 1)), ("second", sweep("second", 2))];
    let both = project(&sweeps.clone().map(|(_, text)| text));
    let events = run(&both, "2");
    // When one of them is done, the other has got far, too.
    let mut done = [0_usize; 2];
    for event in events.iter().filter(|event| event["event"] == "trial") {
        let which = usize::from(event["asset"] == "second");
        done[which] += 1;
        if done[which] == TRIALS {
            break;
        }
    }
    assert!(
        done.iter().all(|done| *done >= TRIALS / 4),
        "{done:?} of {TRIALS} trials"
    );
    for (name, text) in sweeps {
        let alone = project(&[text]);
        run(&alone, "2");
        assert_eq!(board(&alone, name), board(&both, name), "{name}");
    }
    assert_ne!(board(&both, "first"), board(&both, "second"));
}
