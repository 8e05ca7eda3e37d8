//! Runs that end early, and runs that meet: the next one goes on, nothing breaks.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::sandbox::{Ended, Sandbox};

/// Moments at which a run is killed.
const MOMENTS: u32 = 10;

/// What an undisturbed run leaves, and how long it took.
fn undisturbed() -> (Outcome, Duration) {
    let sandbox = Sandbox::apples();
    let start = Instant::now();
    sandbox.run();
    let took = start.elapsed();
    let outcome = Outcome::of(&sandbox);
    assert_eq!(
        outcome.tables(),
        [
            "bronze.apples",
            "gold.apples",
            "gold.scored",
            "silver.apples"
        ]
    );
    assert_eq!(outcome.aliases(), ["sweetness@production"]);
    (outcome, took)
}

/// A random number in 0..1 that a failing test can repeat: `seed` is told.
pub(crate) fn fraction(seed: u64, number: u32) -> f64 {
    let mixed = (seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (mixed >> 40) as f64 / f64::from(1_u32 << 24)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is what is tested; nothing waits for it"
)]
pub(crate) fn kill_after(mut run: Command, delay: Duration) -> bool {
    let mut child = run
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(delay);
    let killed = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    killed
}

#[test]
fn killed_again_and_again() {
    let (expected, took) = undisturbed();
    let seed = std::process::id().into();
    let sandbox = Sandbox::apples();
    for number in 0..MOMENTS {
        let delay = took.mul_f64(fraction(seed, number));
        kill_after(sandbox.sluice(&["run"]), delay);
    }
    sandbox.run();
    Outcome::of(&sandbox).assert_same(&expected, &format!("seed {seed}"));
}

/// Rejected records are committed before the rows that they are missing from. A process that
/// is killed in between leaves the former alone; the next run makes both good.
#[test]
fn killed_between_rejected_records_and_rows() {
    const ROWS: usize = 100_000;
    const ATTEMPTS: usize = 20;
    let mut text = "n,s\n".to_owned();
    for row in 0..ROWS {
        text.push_str(&match row % 40_000 {
            7 => format!("{row}\n"),
            _ => format!("{row},row {row}\n"),
        });
    }
    let bad = 3;
    let commit = |sandbox: &Sandbox, table: &str| {
        let log = format!("lakehouse/bronze/{table}/_delta_log/{:020}.json", 0);
        sandbox.path().join(log).exists()
    };
    let mut hits = 0;
    for _ in 0..ATTEMPTS {
        let sandbox = Sandbox::new();
        sandbox.write(
            "pipeline.yaml",
            "pipeline: p\ntables:\n  bronze.t:\n    ingest: {files: in.csv}\n",
        );
        sandbox.write("in.csv", &text);
        let mut child = sandbox
            .sluice(&["run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // As fast as can be: the moment is short.
        while !commit(&sandbox, "t__rejected") && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let between = commit(&sandbox, "t__rejected") && !commit(&sandbox, "t");
        hits += usize::from(between);
        let ended = sandbox.call(&["run"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        let count = |what: &str| sandbox.value(&format!("SELECT count({what}) AS n FROM bronze.t"));
        assert_eq!(count("DISTINCT n"), ROWS - bad);
        assert_eq!(count("*"), ROWS - bad);
        let rejected = "SELECT count(*) AS n FROM bronze.t__rejected";
        assert_eq!(sandbox.value(rejected), bad);
        if between {
            break;
        }
    }
    assert!(
        hits > 0,
        "no kill of {ATTEMPTS} came between the two commits"
    );
}

#[test]
fn two_at_once() {
    let (expected, _) = undisturbed();
    let sandbox = Sandbox::apples();
    let start = || {
        sandbox
            .sluice(&["run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()];
    let ended = both.map(|child| Ended::of(child.wait_with_output().unwrap(), sandbox.path()));
    let mut codes: Vec<Option<i32>> = ended.iter().map(|ended| ended.code).collect();
    codes.sort_unstable();
    for ended in &ended {
        match ended.code {
            Some(0) => {}
            Some(3) => assert!(
                ended
                    .stderr
                    .contains("another run of the pipeline `apples`"),
                "{}",
                ended.all()
            ),
            _ => panic!("{}", ended.all()),
        }
    }
    assert_eq!(codes[0], Some(0));
    sandbox.run();
    Outcome::of(&sandbox).assert_same(&expected, "two at once");
}

/// Ctrl-C: the run says so, ends with 130, and the next one goes on.
#[cfg(unix)]
#[test]
fn stopped_by_the_user() {
    use std::io::{BufRead as _, BufReader};

    let (expected, _) = undisturbed();
    let sandbox = Sandbox::apples();
    // Long enough that the signal meets it.
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 4000");
    let mut child = sandbox
        .sluice(&["run", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let in_sweep = lines
        .by_ref()
        .any(|line| line.unwrap().contains("\"trial\""));
    assert!(in_sweep, "the sweep has not begun");
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let last = lines.map(Result::unwrap).last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        last.contains("run_finished") && last.contains("cancelled"),
        "{last}"
    );

    sandbox.edit("pipeline.yaml", "trials: 4000", "trials: 4");
    let events = sandbox.run();
    let skipped = events
        .iter()
        .filter(|event| event["event"] == "stage_skipped")
        .count();
    assert!(skipped >= 3, "what was made stays made: {events:?}");
    Outcome::of(&sandbox).assert_same(&expected, "after Ctrl-C");
}

/// Rows of a file that is gone are looked at again when a rule changes: those that a killed run
/// put into quarantine are not put there twice.
#[test]
fn rows_of_a_file_that_is_gone_are_quarantined_once() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "pipeline: gone
tables:
  bronze.a:
    ingest: {files: a-*.csv}
    expect:
      small: {that: x < 10, otherwise: quarantine}
",
    );
    sandbox.write("a-1.csv", "x\n1\n5\n20\n");
    sandbox.write("a-2.csv", "x\n2\n6\n30\n");
    sandbox.run();
    std::fs::remove_file(sandbox.path().join("a-1.csv")).unwrap();
    sandbox.edit("pipeline.yaml", "x < 10", "x < 3");
    // The first commit is the quarantine's.
    let killed = sandbox
        .sluice(&["run"])
        .env("SLUICE_FAIL_POINT", "before: commit rows#2=abort")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), None);
    let aside = || sandbox.csv("SELECT _file, x FROM bronze.a__quarantine ORDER BY x");
    let expected = "_file,x\na-1.csv,5\na-2.csv,6\na-1.csv,20\na-2.csv,30\n";
    assert_eq!(aside(), expected);
    assert_eq!(sandbox.value("SELECT count(*) AS n FROM bronze.a"), 4);
    sandbox.run();
    assert_eq!(aside(), expected);
    let rows = sandbox.csv("SELECT _file, x FROM bronze.a ORDER BY x");
    assert_eq!(rows, "_file,x\na-1.csv,1\na-2.csv,2\n");
    // And so it stays.
    sandbox.edit("pipeline.yaml", "x < 3", "x < 2");
    sandbox.run();
    assert_eq!(
        aside(),
        "_file,x\na-2.csv,2\na-1.csv,5\na-2.csv,6\na-1.csv,20\na-2.csv,30\n"
    );
}
