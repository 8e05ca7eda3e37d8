//! Trainings of text models that are killed or stopped: the next run goes on from the last
//! checkpoint, and the weights are those of a run that nobody disturbed, byte for byte.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::replay::{equal, files, verdicts};
use crate::sandbox::{Ended, Sandbox};

/// Steps of the whole training.
const STEPS: u64 = 24;

const PIPELINE: &str = "\
pipeline: p
tables:
  gold.reviews:
    sql: |
      SELECT concat('the film number ', value, ' is ', CASE value % 3 WHEN 0 THEN 'good' ELSE 'bad and long' END) AS text,
             value % 3 = 0 AS good,
             CASE value % 8 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END AS _split
      FROM generate_series(1, 128)
tokenizers:
  words:
    train: {from: gold.reviews, column: text, wordpiece: {vocab_size: 60}}
models:
  mood:
    train:
      from: gold.reviews
      label: good
      text: text
      estimator:
        bert:
          tokenizer: words
          hidden_size: 16
          num_hidden_layers: 1
          num_attention_heads: 2
          per_device_train_batch_size: 12
          num_train_epochs: 3
          learning_rate: 0.01
          save_strategy: steps
          save_steps: 3
          logging_steps: 1
          device: cpu
    register: {as: mood}
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox
}

fn weights(sandbox: &Sandbox) -> Vec<u8> {
    let models = sandbox.path().join("lakehouse/_models/mood");
    assert!(!models.join("2").exists(), "there is one version");
    fs::read(models.join("1/model.safetensors")).unwrap()
}

/// Runs until step `last` is told, then sends `signal`; the exit code.
fn stop_after(sandbox: &Sandbox, more: &[&str], last: u64, signal: &str) -> Option<i32> {
    let mut child = sandbox
        .sluice(&[&["run", "--json"], more].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = false;
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if !told && event["event"] == "training_progress" && event["step"].as_u64() >= Some(last) {
            told = true;
            let sent = Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
        }
    }
    let code = child.wait().unwrap().code();
    assert!(told, "step {last} was never told");
    code
}

#[test]
fn killed_and_stopped_at_any_step() {
    let undisturbed = project();
    undisturbed.run();
    let expected = weights(&undisturbed);
    let seed = u64::from(std::process::id());
    for (number, signal) in ["-KILL", "-TERM", "-KILL", "-INT"].into_iter().enumerate() {
        let last = 1 + (seed.wrapping_mul(2_654_435_761) >> (8 * number)) % (STEPS - 4);
        let context = format!("{signal} after step {last}");
        let sandbox = project();
        let code = stop_after(&sandbox, &[], last, signal);
        match signal {
            "-KILL" => assert_eq!(code, None, "{context}"),
            _ => assert_eq!(code, Some(130), "{context}"),
        }
        assert!(
            !sandbox.path().join("lakehouse/_models/mood/1").exists(),
            "{context}: nothing is registered"
        );
        let plan = sandbox.call(&["plan"]).stdout;
        if signal != "-KILL" || last > 3 {
            let words = format!(" of {STEPS}, ");
            assert!(
                plan.contains("a checkpoint stands at step ") && plan.contains(&words),
                "{context}: {plan}"
            );
        }
        let events = sandbox.run();
        let resumed = events
            .iter()
            .find(|event| event["event"] == "training_resumed");
        // Before the third step a kill leaves no checkpoint.
        if signal != "-KILL" || last > 3 {
            let resumed = resumed.unwrap_or_else(|| panic!("{context}: it began anew"));
            assert_eq!(resumed["total"], STEPS);
            // It may have come further before the signal came.
            assert!(
                resumed["done"].as_u64() >= Some((last / 3 * 3).saturating_sub(3)),
                "{context}: {resumed}"
            );
        }
        assert!(weights(&sandbox) == expected, "{context}: other weights");
        let logged = "SELECT count(DISTINCT step) AS n FROM system.metrics JOIN system.runs USING (run_id) WHERE key = 'steps.train.loss' AND status = 'FINISHED'";
        assert_eq!(sandbox.value(logged), STEPS, "{context}");
        let left = sandbox.path().join("lakehouse/_artifacts");
        let left = fs::read_dir(left).unwrap();
        let left = left.filter(|entry| {
            let folder = entry.as_ref().unwrap().path();
            folder.join("checkpoints").exists()
        });
        assert_eq!(left.count(), 0, "{context}: checkpoints are left");
        let again = sandbox.run();
        assert!(again.iter().all(|event| event["event"] != "stage_started"));
    }
}

/// A replay works in a lakehouse of its own: it trains from the beginning, whatever the run went
/// on from, and leaves alone what the next run will go on from.
#[test]
fn a_replay_goes_on_from_no_checkpoint_and_removes_none() {
    let sandbox = project();
    assert_eq!(stop_after(&sandbox, &[], 9, "-TERM"), Some(130));
    let run = |order: &str| {
        let runs = "SELECT run_id FROM system.runs WHERE kind = 'run' ORDER BY run_id";
        let run = sandbox.value(&format!("{runs} {order} LIMIT 1"));
        run.as_str().unwrap().to_owned()
    };
    let replayed = |run: &str| {
        let before = files(&sandbox);
        let ended = sandbox.call(&["replay", run, "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert_eq!(files(&sandbox), before);
        verdicts(&ended)
    };
    // A stage that was stopped made nothing.
    assert_eq!(replayed(&run("ASC")), equal(&["gold.reviews", "words"]));
    let events = sandbox.run();
    let resumed = |event: &Value| event["event"] == "training_resumed";
    assert!(events.iter().any(resumed), "{events:?}");
    let second = run("DESC");
    assert_eq!(replayed(&second), equal(&["mood"]));
    // The same training is stopped once more.
    let again = ["--full-refresh", "mood"];
    assert_eq!(stop_after(&sandbox, &again, 9, "-TERM"), Some(130));
    assert_eq!(replayed(&second), equal(&["mood"]));
    let mut command = sandbox.sluice(&["run", "--json", again[0], again[1]]);
    let ended = Ended::of(command.output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(ended.events().iter().any(resumed), "{}", ended.all());
    assert_eq!(replayed(&run("DESC")), equal(&["mood"]));
}
