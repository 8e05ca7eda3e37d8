//! A project in a folder of its own, and the binary to run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder that is gone when the test ends.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::with_prefix("sluice-it-").unwrap(),
        }
    }

    /// A folder with the small project of [`apples`]: everything a project can have, in
    /// less than a second.
    pub(crate) fn apples() -> Self {
        let sandbox = Self::new();
        sandbox.write("pipeline.yaml", apples::PIPELINE);
        sandbox.write("apples-1.csv", apples::csv(0..160));
        sandbox.write("apples-2.csv", apples::csv(160..240));
        sandbox
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Replaces text in a file; it must be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The binary, in this folder, with nothing of the user's environment that matters.
    pub(crate) fn sluice(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("SLUICE_LAKEHOUSE")
            .env_remove("SLUICE_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.sluice(arguments).output().unwrap(), self.path())
    }

    /// `sluice run`, which must go well; the events.
    pub(crate) fn run(&self) -> Vec<Value> {
        let ended = self.call(&["run", "--json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended.events()
    }

    /// The rows that answer `query`.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let ended = self.call(&["sql", "--format", "ndjson", query]);
        assert_eq!(ended.code, Some(0), "{query}\n{}", ended.all());
        ended.events()
    }

    /// The single value that answers `query`.
    pub(crate) fn value(&self, query: &str) -> Value {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        let row = rows[0].as_object().unwrap();
        assert_eq!(row.len(), 1, "{query}: {rows:?}");
        row.values().next().unwrap().clone()
    }

    /// Runs an example into this folder's lakehouse, which must go well; the events.
    pub(crate) fn run_example(&self, project: &str, more: &[&str]) -> Vec<Value> {
        let run = ["run", project, "--lakehouse", "lakehouse", "--json"];
        let ended = self.call(&[&run, more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended.events()
    }

    /// What answers `query` of this folder's lakehouse, as CSV; no project is needed.
    pub(crate) fn csv(&self, query: &str) -> String {
        // A query may begin with a comment, which looks like an option.
        let asked = ["sql", "--lakehouse", "lakehouse", "--format", "csv", "--"];
        let ended = self.call(&[&asked[..], &[query]].concat());
        assert_eq!(ended.code, Some(0), "{query}\n{}", ended.all());
        ended.stdout
    }

    /// Loses the state store.
    pub(crate) fn lose_state(&self) {
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let path = self.path().join("lakehouse").join(file);
            if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Whether the lakehouse has the table.
    pub(crate) fn has_table(&self, layer: &str, table: &str) -> bool {
        self.path()
            .join("lakehouse")
            .join(layer)
            .join(table)
            .join("_delta_log")
            .is_dir()
    }
}

/// How many events are of a kind.
pub(crate) fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event"] == kind).count()
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sluice"))
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What `output` says, with the sandbox's folder written as `[dir]`.
    pub(crate) fn of(output: Output, dir: &Path) -> Self {
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(dir.to_str().unwrap(), "[dir]")
        };
        Self {
            code: output.status.code(),
            stdout: clean(output.stdout),
            stderr: clean(output.stderr),
        }
    }

    /// Standard output as JSON lines.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Everything, for a failing test or a snapshot.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit code: {}\n-- stdout\n{}-- stderr\n{}",
            self.code
                .map_or_else(|| "none".to_owned(), |code| code.to_string()),
            self.stdout,
            self.stderr
        )
    }
}

/// Apples: two files, three tables, two models, one scored table.
pub(crate) mod apples {
    use std::fmt::Write as _;
    use std::ops::Range;

    pub(crate) const PIPELINE: &str = r#"pipeline: apples
lakehouse: lakehouse
vars:
  sweet_from: 6

tables:
  bronze.apples:
    ingest:
      files: apples-*.csv

  silver.apples:
    sql: |
      SELECT * EXCEPT (_file, _row, _ingested_at), _file LIKE '%-2.csv' AS late
      FROM bronze.apples
    expect:
      weight_is_positive:
        that: weight > 0
        otherwise: drop

  gold.apples:
    sql: |
      SELECT * EXCEPT (taste), taste >= ${sweet_from} AS sweet
      FROM silver.apples
    split:
      parts: {train: 0.6, validation: 0.2, test: 0.2}
      seed: 7

  gold.scored:
    sql: |
      SELECT *, predict('models:/sweetness@production', *) AS p_sweet
      FROM gold.apples

models:
  baseline:
    train:
      from: gold.apples
      label: sweet
      estimator:
        random_forest: {n_estimators: 3, seed: 7}
    register: {as: sweetness, alias: production, when: no champion}

  search:
    after: baseline
    sweep:
      from: gold.apples
      label: sweet
      estimator:
        gradient_boosting:
          rounds: 10
          max_depth: {int: [2, 4]}
          learning_rate: {log: [0.05, 0.5]}
      sampler: {tpe: {seed: 7}}
      trials: 4
      maximize: validation.auc
    register:
      as: sweetness
      alias: production
      when: test.auc > champion.test.auc
"#;

    /// Apples by number: a header, and a row each. Sweet ones are mostly heavy and red;
    /// every 40th weighs nothing.
    pub(crate) fn csv(numbers: Range<u64>) -> String {
        let mut text = String::from("Weight,red,sugar content,taste\n");
        for number in numbers {
            // A linear congruential generator: rows that look random and never change.
            let random = |salt: u64| {
                let mixed = (number * 31 + salt)
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (mixed >> 33) % 1000
            };
            let (weight, red, noise) = (random(1), random(2), random(3));
            let taste = (weight + red + noise / 2) / 250;
            let weight = if number % 40 == 39 {
                0
            } else {
                80 + weight / 10
            };
            writeln!(
                text,
                "{weight},{:.3},{:.1},{taste}",
                red as f64 / 1000.0,
                noise as f64 / 50.0
            )
            .unwrap();
        }
        text
    }
}
