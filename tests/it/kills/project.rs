//! The project whose runs are killed, and what is done with it: a chain of scenes.

use std::fs;
use std::process::Command;

use crate::sandbox::{Sandbox, apples};

/// A little of all that a project can have, in less than a second.
const PIPELINE: &str = r#"pipeline: orchard
lakehouse: lakehouse

tables:
  bronze.apples:
    ingest: {files: "apples-*.csv"}

  silver.apples:
    comment: Apples.
    sql: |
      SELECT * EXCEPT (_file, _row, _ingested_at), _file LIKE '%-2.csv' AS late
      FROM bronze.apples
    expect:
      weight_is_positive: {that: weight > 0, otherwise: drop}
      heavy_ones_are_looked_at: {that: weight < 170, otherwise: quarantine}
      not_all_are_bad: {row_count: {min: 100}, otherwise: fail}

  gold.apples:
    sql: |
      SELECT * EXCEPT (taste), taste >= 6 AS sweet, concat('apple of ', weight) AS name
      FROM silver.apples
    split:
      parts: {train: 0.6, validation: 0.2, test: 0.2}
      seed: 7

  gold.scored:
    predict: {model: models:/sweetness@production, from: gold.apples, as: p_sweet}

tokenizers:
  words:
    train: {from: gold.apples, column: name, wordpiece: {vocab_size: 40}}

models:
  aside:
    train:
      from: gold.apples
      label: sweet
      exclude: [name]
      estimator:
        random_forest: {n_estimators: 1, seed: 7}

  baseline:
    train:
      from: gold.apples
      label: sweet
      exclude: [name]
      estimator:
        random_forest: {n_estimators: 2, seed: 7}
    register: {as: sweetness, alias: production, when: no champion}

  search:
    after: baseline
    sweep:
      from: gold.apples
      label: sweet
      exclude: [name]
      estimator:
        gradient_boosting:
          rounds: 5
          max_depth: {int: [2, 4]}
      sampler: {tpe: {seed: 7}}
      trials: 2
      maximize: validation.auc
    register:
      as: sweetness
      alias: production
      when: test.auc > champion.test.auc

reports:
  profile:
    profile: silver.apples
"#;

/// A model of text, whose training leaves checkpoints.
const IN_STEPS: &str = r#"pipeline: orchard
lakehouse: lakehouse

tables:
  bronze.apples:
    ingest: {files: "apples-2.csv"}

  gold.apples:
    sql: |
      SELECT taste >= 6 AS sweet, concat('an apple of ', weight) AS name,
        CASE _row % 4 WHEN 0 THEN 'validation' ELSE 'train' END AS _split
      FROM bronze.apples

tokenizers:
  words:
    train: {from: gold.apples, column: name, wordpiece: {vocab_size: 40}}

models:
  spoken:
    train:
      from: gold.apples
      label: sweet
      text: name
      estimator:
        bert:
          tokenizer: words
          hidden_size: 8
          num_hidden_layers: 1
          num_attention_heads: 1
          per_device_train_batch_size: 30
          num_train_epochs: 2
          save_strategy: steps
          save_steps: 1
          save_total_limit: 2
          device: cpu
    register: {as: spoken}
"#;

/// Tables of every mode, with rows that are late, come twice, go, and are not fit.
const IN_MODES: &str = r#"pipeline: orchard
lakehouse: lakehouse

tables:
  bronze.rows:
    ingest: {files: "rows-*.csv"}

  silver.rows:
    mode: append
    sql: SELECT k, at, v, op FROM bronze.rows
    expect:
      fit: {that: v > 0, otherwise: quarantine}

  gold.latest:
    mode: {merge: {keys: [k], sequence_by: at, delete_when: op = 'D'}}
    sql: SELECT k, at, v, op FROM bronze.rows
    expect:
      fit: {that: v > 0, otherwise: quarantine}

  gold.history:
    mode: {scd2: {keys: [k], sequence_by: at, delete_when: op = 'D'}}
    sql: SELECT k, at, v, op FROM bronze.rows
    expect:
      fit: {that: v > 0, otherwise: quarantine}

  gold.decades:
    mode: {interval: {column: at, every: 3650d, start: 2000-01-01, lookback: 2}}
    sql: SELECT k, at, v FROM bronze.rows WHERE at >= ${start} AND at < ${end}
    expect:
      fit: {that: v > 0, otherwise: quarantine}
"#;

/// The folder for temporary files of the processes that are killed.
pub(super) const TEMPORARY: &str = "temporary";

/// The project before its first run.
pub(super) fn fresh() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path().join(TEMPORARY)).unwrap();
    sandbox.write("pipeline.yaml", PIPELINE);
    sandbox.write("apples-1.csv", apples::csv(0..160) + "1\n");
    sandbox.write("apples-2.csv", apples::csv(160..240));
    sandbox
}

/// A folder as it is, in another place.
pub(super) fn copy_of(sandbox: &Sandbox) -> Sandbox {
    let copy = Sandbox::new();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(sandbox.path().join("."))
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    copy
}

/// The scene with tables of every mode.
pub(super) const IN_ALL_MODES: &str = "tables of every mode";

/// What is done at a time, and what it ends with.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// The scene after which it is done, and where that is killed, if it is.
    pub(super) after: Option<(&'static str, Option<&'static str>)>,
    /// What changes first.
    pub(super) edit: fn(&Sandbox),
    /// The arguments of the command.
    pub(super) command: fn(&Sandbox) -> Vec<String>,
    /// How it ends when nobody disturbs it.
    pub(super) code: i32,
    /// How it may end when it is done again after it was killed.
    pub(super) again: &'static [i32],
}

fn run(_: &Sandbox) -> Vec<String> {
    vec!["run".to_owned()]
}

fn nothing(_: &Sandbox) {}

/// A command in words.
fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The identifier of the first run.
fn first_run(sandbox: &Sandbox) -> String {
    let first = "SELECT min(run_id) AS id FROM system.runs WHERE kind = 'run'";
    sandbox.value(first).as_str().unwrap().to_owned()
}

/// A model that is trained in steps, four of them, with a checkpoint after each, and nothing
/// else that takes time.
fn in_steps(sandbox: &Sandbox) {
    sandbox.write("pipeline.yaml", IN_STEPS);
}

/// Tables of every mode that are there, and rows that are new.
fn in_modes(sandbox: &Sandbox) {
    sandbox.write("pipeline.yaml", IN_MODES);
    let first = "k,at,v,op\n\
        a,2001-01-01T00:00:00,1,U\nb,2002-01-01T00:00:00,0,U\nc,2011-01-01T00:00:00,3,U\n\
        d,2012-01-01T00:00:00,4,U\nd,2012-01-01T00:00:00,4,U\n";
    sandbox.write("rows-1.csv", first);
    sandbox.run();
    let second = "k,at,v,op\n\
        a,2003-01-01T00:00:00,5,U\na,2002-01-01T00:00:00,0,U\nb,2013-01-01T00:00:00,2,U\n\
        c,2014-01-01T00:00:00,1,D\nd,2005-01-01T00:00:00,0,U\ne,2015-01-01T00:00:00,6,U\n";
    sandbox.write("rows-2.csv", second);
}

/// All scenes; each after the one that it names.
pub(super) const SCENES: &[Scene] = &[
    Scene {
        name: "the first run",
        after: None,
        edit: nothing,
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a run after one that was killed",
        after: Some(("the first run", Some("after: commit rows#3"))),
        edit: nothing,
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a run with changes",
        after: Some(("the first run", None)),
        edit: |sandbox| {
            sandbox.write("apples-1.csv", apples::csv(0..161) + "1\n2\n");
            sandbox.edit("pipeline.yaml", "comment: Apples.", "comment: Ripe apples.");
        },
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "tables are looked after",
        after: Some(("a run with changes", None)),
        edit: |sandbox| {
            let maintain = "maintain:\n  \
                tables: {optimize: {small_files: 2}, vacuum: {retain: 1s, force: true}, checkpoint: {every: 1}}\n  \
                runs: {retain: 1s}\n  \
                artifacts: {retain: 1s}\n\n\
                tables:\n";
            // Two data files of one table.
            sandbox.write("apples-3.csv", apples::csv(240..250));
            sandbox.run();
            sandbox.edit("pipeline.yaml", "tables:\n", maintain);
            // Until all there is is old enough.
            let old = "SELECT max(end_time) < now() - INTERVAL '1100 milliseconds' AS old FROM system.runs";
            while sandbox.value(old) != true {}
        },
        command: |_| words("maintain --now"),
        code: 0,
        again: &[0],
    },
    Scene {
        name: "only a comment changes",
        after: Some(("the first run", None)),
        edit: |sandbox| sandbox.edit("pipeline.yaml", "comment: Apples.", "comment: Pears."),
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a run that fails",
        after: Some(("the first run", None)),
        edit: |sandbox| sandbox.edit("pipeline.yaml", "otherwise: drop", "otherwise: fail"),
        command: run,
        code: 1,
        again: &[1],
    },
    Scene {
        name: "a training in steps",
        after: None,
        edit: in_steps,
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a training that goes on",
        after: Some(("a training in steps", Some("after: write a checkpoint#2"))),
        edit: nothing,
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: IN_ALL_MODES,
        after: None,
        edit: in_modes,
        command: run,
        code: 0,
        again: &[0],
    },
    Scene {
        name: "an alias moves",
        after: Some(("the first run", None)),
        edit: nothing,
        command: |_| words("models alias sweetness staging 1"),
        code: 0,
        again: &[0],
    },
    Scene {
        name: "an alias goes",
        after: Some(("an alias moves", None)),
        edit: nothing,
        command: |_| words("models alias sweetness staging --remove"),
        code: 0,
        // It may be gone already.
        again: &[0, 2],
    },
    Scene {
        name: "a version has a tag",
        after: Some(("an alias goes", None)),
        edit: nothing,
        command: |_| words("models tag sweetness/1 reviewed=yes"),
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a version is retired",
        after: Some(("a version has a tag", None)),
        edit: nothing,
        command: |_| words("models retire sweetness 1 --reason old"),
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a version is deleted",
        after: Some(("a version is retired", None)),
        edit: nothing,
        command: |_| words("models delete sweetness 1 --reason old"),
        code: 0,
        again: &[0, 2],
    },
    Scene {
        name: "a run has a tag",
        after: Some(("the first run", None)),
        edit: nothing,
        command: |sandbox| words(&format!("runs tag {} team=cellar", first_run(sandbox))),
        code: 0,
        again: &[0],
    },
    Scene {
        name: "a run has no tag",
        after: Some(("a run has a tag", None)),
        edit: nothing,
        command: |sandbox| words(&format!("runs tag {} --remove team", first_run(sandbox))),
        code: 0,
        again: &[0, 2],
    },
];
