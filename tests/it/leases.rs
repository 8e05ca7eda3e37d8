//! Runs of one project that meet: one is at work, and one that lost its lease writes nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use sluice_lake::Lakehouse;
use sluice_lake::state::{Claimant, LEASE, State, now_ms};

use crate::sandbox::{Ended, Sandbox};

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(sent.success());
}

/// A run that has begun a long search, and what it goes on to say.
fn searching(sandbox: &Sandbox) -> (Child, impl Iterator<Item = String> + use<>) {
    begun_run(sandbox, &|line| line.contains("\"trial\""))
}

/// A run that has said a line, and what it goes on to say.
fn begun_run(
    sandbox: &Sandbox,
    begun: &dyn Fn(&str) -> bool,
) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = sandbox
        .sluice(&["run", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.by_ref().any(|line| begun(&line)), "it has not begun");
    (child, lines)
}

/// Lets the lease of a run expire, as if it had not been renewed for a minute.
fn expire(sandbox: &Sandbox, pipeline: &str) {
    let lakehouse = Lakehouse::open(sandbox.path().join("lakehouse")).unwrap();
    let project = lakehouse.project_uuid(pipeline).unwrap().to_string();
    let claimant = Claimant::this(project, pipeline.to_owned(), false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let state = State::open(lakehouse.state_path()).await.unwrap();
        let later = now_ms() + i64::try_from(LEASE.as_millis()).unwrap();
        let taken = state.take_lease(&claimant, later).await.unwrap().unwrap();
        // One that has expired since.
        assert!(state.renew_lease(&taken, 0).await.unwrap());
        state.close().await;
    });
}

const LONG: &str = "\
pipeline: long
tables:
  a.first:
    sql: SELECT 1 AS n
  a.long:
    sql: SELECT sum((a.value + b.value) % 7) AS n FROM generate_series(1, 10000) AS a CROSS JOIN generate_series(1, 20000) AS b
    after: a.first
";

#[test]
fn a_run_that_was_stopped_and_overtaken_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", LONG);
    // In the middle of a query, when it writes nothing.
    let begun = |line: &str| line.contains("stage_started") && line.contains("a.long");
    let (child, rest) = begun_run(&sandbox, &begun);
    signal(&child, "-STOP");
    // It holds its lock and its lease: another run is refused, and told by whom.
    let refused = sandbox.call(&["run"]);
    assert_eq!(refused.code, Some(3), "{}", refused.all());
    let who = format!("process {} on ", child.id());
    assert!(refused.stderr.contains(&who), "{}", refused.all());
    assert!(refused.stderr.contains(", since 20"), "{}", refused.all());

    expire(&sandbox, "long");
    sandbox.edit("pipeline.yaml", "(1, 20000) AS b", "(1, 2) AS b");
    sandbox.run();
    let versions = "SELECT table_name, version FROM system.table_versions ORDER BY 1, 2";
    let expected = sandbox.rows(versions);
    let sum = sandbox.value("SELECT n FROM a.long");

    signal(&child, "-CONT");
    drop(rest);
    let ended = Ended::of(child.wait_with_output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(4), "{}", ended.all());
    assert!(
        ended
            .stderr
            .contains("another run has taken over this project"),
        "{}",
        ended.all()
    );
    assert_eq!(sandbox.value("SELECT n FROM a.long"), sum);
    let log = sandbox.path().join("lakehouse/a/long/_delta_log");
    let commits = std::fs::read_dir(log).unwrap().count();
    assert_eq!(commits, 1, "the first one committed");
    let events = sandbox.run();
    assert!(
        events.iter().all(|event| event["event"] != "stage_started"),
        "nothing is left to make: {events:?}"
    );
    assert_eq!(sandbox.rows(versions), expected);
}

/// A process that is killed leaves a lease that has not expired: the next run on the machine
/// does not wait for that.
#[test]
fn a_killed_run_is_followed_at_once() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 4000");
    let (mut child, rest) = searching(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(rest);
    sandbox.edit("pipeline.yaml", "trials: 4000", "trials: 4");
    sandbox.run();
    let leases = sandbox.rows("SELECT token, owner FROM system.leases");
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0]["token"], 2);
    assert!(
        leases[0]["owner"].is_null(),
        "it was given back: {leases:?}"
    );
}

#[test]
fn a_run_can_wait_for_another() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 4000");
    let (mut child, rest) = searching(&sandbox);
    let waiting = || {
        sandbox
            .sluice(&["run", "--wait"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // One waits in vain and is stopped, one gets its turn.
    sandbox.edit("pipeline.yaml", "trials: 4000", "trials: 4");
    let mut first = waiting();
    let second = waiting();
    signal(&first, "-TERM");
    first.wait().unwrap();
    signal(&child, "-INT");
    child.wait().unwrap();
    drop(rest);
    let ended = Ended::of(second.wait_with_output().unwrap(), sandbox.path());
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(ended.stdout.contains("0 failed"), "{}", ended.all());
}

/// Projects that share a lakehouse do not wait for each other.
#[test]
fn two_projects_run_side_by_side() {
    let sandbox = Sandbox::apples();
    sandbox.edit("pipeline.yaml", "trials: 4", "trials: 4000");
    let other = "pipeline: other\nlakehouse: ../lakehouse\ntables:\n  \
                 other.a:\n    ingest: {files: a.csv}\n";
    sandbox.write("other/pipeline.yaml", other);
    sandbox.write("other/a.csv", "n\n1\n");
    let (mut child, rest) = searching(&sandbox);
    let ended = sandbox.call(&["run", "other"]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(child.try_wait().unwrap().is_none(), "the first is at work");
    let held = sandbox.rows("SELECT pipeline FROM system.leases WHERE owner IS NOT NULL");
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["pipeline"], "apples");
    signal(&child, "-INT");
    drop(rest);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
