//! `sluice schedule`: the daemon on real projects, alone and with another one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Longer than anything here takes: what does not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon that is stopped with the test, and what it says.
struct Daemon {
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Daemon {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::start_with(sandbox, arguments, &[])
    }

    /// As [`Self::start`], in an environment that has more variables.
    fn start_with(sandbox: &Sandbox, arguments: &[&str], more: &[(&str, &str)]) -> Self {
        let mut child = sandbox
            .sluice(&[&["schedule", "--poll", "1"], arguments].concat())
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            said,
            heard: Vec::new(),
        }
    }

    /// Waits until it says something with these words.
    fn says(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else {
                panic!("it never says {words:?}:\n{}", self.heard.join("\n"));
            };
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends SIGTERM; it must end well. Everything that it said.
    fn stop(mut self) -> String {
        self.signal("-TERM");
        let ended = self.child.wait().unwrap();
        self.heard.extend(self.said.iter());
        let said = self.heard.join("\n");
        assert_eq!(ended.code(), Some(0), "{said}");
        said
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

const EVERY_SECOND: &str = "\
pipeline: often
tables:
  bronze.a:
    ingest: {files: a.csv}
schedule:
  every: 1s
";

fn often() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", EVERY_SECOND);
    sandbox.write("a.csv", "n\n1\n");
    sandbox
}

#[test]
fn the_next_times_are_told() {
    let sandbox = often();
    let at_half_past_three = "schedule:\n  cron: 30 3 * * *\n  timezone: Europe/Helsinki\n";
    sandbox.edit(
        "pipeline.yaml",
        "schedule:\n  every: 1s\n",
        at_half_past_three,
    );
    let ended = sandbox.call(&["schedule", "--next", "3", "--after", "2026-03-27T12:00:00Z"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    // On the 29th the clock goes from 3:00 to 4:00.
    assert_eq!(
        ended.stdout,
        "often  2026-03-28T03:30:00+02:00\n\
         often  2026-03-29T04:00:00+03:00\n\
         often  2026-03-30T03:30:00+03:00\n"
    );
    let ended = sandbox.call(&["schedule", "--next", "2", "--after", "2026-10-24T12:00:00Z"]);
    assert_eq!(
        ended.stdout,
        "often  2026-10-25T03:30:00+03:00\n\
         often  2026-10-26T03:30:00+02:00\n"
    );
    sandbox.edit("pipeline.yaml", at_half_past_three, "");
    let ended = sandbox.call(&["schedule", "--next", "2"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(
        ended.stderr.contains("has no `schedule:`"),
        "{}",
        ended.all()
    );
}

/// Two daemons, one of which is killed and starts again: no time has two runs.
#[test]
fn a_time_has_one_run() {
    let sandbox = often();
    let mut first = Daemon::start(&sandbox, &[]);
    first.says("finished");
    let mut second = Daemon::start(&sandbox, &[]);
    second.says("begins");
    second.signal("-KILL");
    drop(second);
    let mut second = Daemon::start(&sandbox, &[]);
    first.says("begins");
    second.says("next run");
    first.says("finished");
    let said = first.stop() + &second.stop();

    let runs = sandbox.value("SELECT count(*) FROM system.runs WHERE kind = 'run'");
    let of_ticks = sandbox.rows(
        "SELECT count(run_id) AS runs, count(DISTINCT run_id) AS different FROM system.ticks",
    );
    assert_eq!(of_ticks[0]["runs"], of_ticks[0]["different"], "{said}");
    // The daemon that was killed may have left one that no tick tells of.
    let (runs, told) = (
        runs.as_i64().unwrap(),
        of_ticks[0]["runs"].as_i64().unwrap(),
    );
    assert!(
        told >= 2 && (told..=told + 1).contains(&runs),
        "{runs} {told}\n{said}"
    );
    let outcomes = sandbox.rows("SELECT DISTINCT outcome FROM system.ticks ORDER BY 1");
    for outcome in &outcomes {
        let known = ["FINISHED", "LOCKED", "KILLED"].map(Value::from);
        let outcome = &outcome["outcome"];
        assert!(
            outcome.is_null() || known.contains(outcome),
            "{outcomes:?}\n{said}"
        );
    }
}

/// A daemon that dies before or after a write about a time: the next one goes on, and no time has
/// two runs.
#[test]
fn a_daemon_dies_at_every_write_about_a_time() {
    let sandbox = often();
    for point in [
        "before: claim a scheduled time",
        "after: claim a scheduled time",
        "before: record what came of a scheduled time",
        "after: record what came of a scheduled time",
    ] {
        let armed = format!("{point}=abort");
        let mut dying = Daemon::start_with(&sandbox, &[], &[("SLUICE_FAIL_POINT", &armed)]);
        let ended = dying.child.wait().unwrap();
        assert_eq!(ended.code(), None, "{point}: {ended}");
        let told = [
            "--events",
            "events.jsonl",
            "--openlineage",
            "lineage.ndjson",
        ];
        let mut next = Daemon::start(&sandbox, &told);
        next.says("finished");
        let said = next.stop();
        let twice = sandbox.rows("SELECT tick FROM system.ticks GROUP BY tick HAVING count(*) > 1");
        assert!(twice.is_empty(), "{point}: {twice:?}\n{said}");
        let of_ticks = sandbox.rows(
            "SELECT count(run_id) AS runs, count(DISTINCT run_id) AS different FROM system.ticks",
        );
        assert_eq!(
            of_ticks[0]["runs"], of_ticks[0]["different"],
            "{point}\n{said}"
        );
        let rows = sandbox.value("SELECT count(*) FROM bronze.a");
        assert_eq!(rows, 1, "{point}\n{said}");
    }
    // What its runs tell goes where that of any run can go.
    let read = |file: &str| std::fs::read_to_string(sandbox.path().join(file)).unwrap();
    let (events, lineage) = (read("events.jsonl"), read("lineage.ndjson"));
    assert!(
        events.matches(r#""event":"run_finished""#).count() >= 4,
        "{events}"
    );
    assert!(
        lineage.matches(r#""eventType":"COMPLETE""#).count() >= 4,
        "{lineage}"
    );
}

#[test]
fn a_project_that_is_wrong_stops_no_other() {
    let sandbox = Sandbox::new();
    let hook = "on_failure:\n  command: [echo, somebody is told]\n";
    sandbox.write("good/pipeline.yaml", EVERY_SECOND.to_owned() + hook);
    sandbox.write("good/a.csv", "n\n1\n");
    sandbox.write(
        "bad/pipeline.yaml",
        EVERY_SECOND.replace("ingest", "ingets"),
    );
    sandbox.write("bad/a.csv", "n\n1\n");
    let mut daemon = Daemon::start(&sandbox, &["good", "bad"]);
    daemon.says("unknown key `ingets`");
    daemon.says("finished");
    // Mended, it runs; broken again, it is told and goes on when it is mended.
    sandbox.write("bad/pipeline.yaml", EVERY_SECOND.replace("often", "mended"));
    daemon.says("mended: finished");
    sandbox.write(
        "good/pipeline.yaml",
        EVERY_SECOND.replace("1s", "one second"),
    );
    daemon.says("`one second` is no length of time");
    // A time that comes meanwhile has no run, and the hooks of before tell.
    daemon.says("somebody is told");
    daemon.says("mended: finished");
    sandbox.write("good/pipeline.yaml", EVERY_SECOND.replace("1s", "2s"));
    daemon.says("often: finished");
    daemon.stop();
}

#[test]
fn projects_that_are_all_wrong_are_told_and_nothing_runs() {
    let sandbox = often();
    sandbox.edit("pipeline.yaml", "1s", "often");
    let ended = sandbox.call(&["schedule"]);
    assert_eq!(ended.code, Some(2), "{}", ended.all());
    assert!(
        ended.stderr.contains("`often` is no length of time"),
        "{}",
        ended.all()
    );
    assert!(!sandbox.path().join("lakehouse").exists());
}

#[test]
fn files_that_cannot_be_read_fail_a_run_and_keep_no_daemon_from_starting() {
    let sandbox = often();
    let when = "or_when: {new_files: bronze.a}";
    sandbox.edit("pipeline.yaml", "every: 1s", when);
    sandbox.write("a.csv", "");
    let mut daemon = Daemon::start(&sandbox, &[]);
    daemon.says("bronze.a failed: a.csv is empty");
    daemon.says("failed: 0 made, 0 skipped, 1 failed or blocked");
    sandbox.write("a.csv", "n\n1\n");
    daemon.says("finished: 1 made");
    daemon.stop();
}

#[test]
fn new_files_begin_a_run_each_once() {
    let sandbox = often();
    let when = "or_when: {new_files: bronze.a}";
    sandbox.edit("pipeline.yaml", "every: 1s", when);
    sandbox.edit("pipeline.yaml", "a.csv", "\"*.csv\"");
    let mut daemon = Daemon::start(&sandbox, &[]);
    daemon.says("finished: 1 made");
    sandbox.write("b.csv", "n\n2\n");
    daemon.says("begins, bronze.a: 1 new file");
    daemon.says("finished: 1 made");
    sandbox.write("b.csv", "n\n3\n");
    daemon.says("begins, bronze.a: 1 changed file");
    daemon.says("finished: 1 made");
    daemon.stop();
    assert_eq!(sandbox.value("SELECT sum(n) FROM bronze.a"), 4);
    // What a daemon that starts again finds is what it left.
    let mut daemon = Daemon::start(&sandbox, &[]);
    daemon.says("waits");
    sandbox.write("c.csv", "n\n4\n");
    daemon.says("begins, bronze.a: 1 new file");
    daemon.says("finished: 1 made");
    daemon.stop();
    let ticks = sandbox.value("SELECT count(*) FROM system.ticks WHERE cause = 'new_files'");
    assert_eq!(ticks, 4);
}

#[test]
fn a_new_version_of_another_pipelines_table_begins_a_run() {
    let sandbox = Sandbox::new();
    let source = "pipeline: source\nlakehouse: ../lakehouse\ntables:\n  \
                  bronze.a:\n    ingest: {files: a.csv}\n";
    sandbox.write("source/pipeline.yaml", source);
    sandbox.write("source/a.csv", "n\n1\n");
    let reader = "pipeline: reader\nlakehouse: ../lakehouse\ntables:\n  silver.a:\n    \
                  sql: SELECT n + 1 AS n FROM bronze.a\nschedule:\n  or_when: {table: bronze.a}\n";
    sandbox.write("reader/pipeline.yaml", reader);
    let run = || {
        let ended = sandbox.call(&["run", "source"]);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
    };
    run();
    let mut daemon = Daemon::start(&sandbox, &["reader"]);
    daemon.says("begins, bronze.a has version 0");
    daemon.says("finished: 1 made");
    sandbox.write("source/a.csv", "n\n5\n");
    run();
    daemon.says("begins, bronze.a has version 1");
    daemon.says("finished: 1 made");
    daemon.stop();
    assert_eq!(sandbox.csv("SELECT n FROM silver.a"), "n\n6\n");
}

/// SIGTERM in the middle of a run: it stops, and the next one goes on.
#[test]
fn a_daemon_that_is_stopped_stops_its_run() {
    let sandbox = Sandbox::apples();
    let pipeline = std::fs::read_to_string(sandbox.path().join("pipeline.yaml")).unwrap();
    sandbox.write("pipeline.yaml", pipeline + "\nschedule:\n  every: 1s\n");
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 4000");
    let mut daemon = Daemon::start(&sandbox, &[]);
    daemon.says("begins");
    let said = daemon.stop();
    assert!(said.contains("was stopped"), "{said}");
    let outcomes = sandbox.rows("SELECT outcome FROM system.ticks");
    assert_eq!(outcomes[0]["outcome"], "KILLED", "{outcomes:?}\n{said}");
    sandbox.edit("pipeline.yaml", "trials: 4000", "trials: 4");
    sandbox.run();
}
