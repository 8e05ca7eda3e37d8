//! Processes that are killed at every fail point, and at random moments: what comes next goes on
//! from there, and in the end nobody can tell.
//!
//! [`project`] is what is killed, [`remains`] what is compared. `SLUICE_SOAK=1` (`just soak`)
//! kills at every passage of every point in every scene, and at 200 moments.
#![cfg(unix)]

mod project;
mod remains;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sluice_lake::fail_points;

use crate::interrupted::{fraction, kill_after};
use crate::sandbox::Sandbox;
use project::{IN_ALL_MODES, SCENES, Scene, TEMPORARY, copy_of, fresh};
use remains::{Remains, assert_tidy};

/// Moments at which a run is killed.
const MOMENTS: u32 = 4;
const SOAK_MOMENTS: u32 = 200;
/// Scenes that are killed at the same time.
const SIDE_BY_SIDE: usize = 2;

fn is_soak() -> bool {
    std::env::var_os("SLUICE_SOAK").is_some()
}

/// A scene that nobody disturbed.
struct Played {
    /// The project before it, with its edits.
    before: Sandbox,
    /// The project after it.
    after: Sandbox,
    /// The points in the order of their passages.
    passed: Vec<String>,
    remains: Remains,
    took: Duration,
}

/// All scenes without disturbance, once.
fn played() -> &'static BTreeMap<&'static str, Played> {
    static PLAYED: OnceLock<BTreeMap<&'static str, Played>> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let mut played: BTreeMap<&'static str, Played> = BTreeMap::new();
        for scene in SCENES {
            let done = play(scene, &played);
            played.insert(scene.name, done);
        }
        played
    })
}

fn play(scene: &Scene, played: &BTreeMap<&'static str, Played>) -> Played {
    let before = match scene.after {
        None => fresh(),
        Some((name, None)) => copy_of(&played[name].after),
        Some((name, Some(point))) => {
            let before = copy_of(&played[name].before);
            let killed = SCENES.iter().find(|scene| scene.name == name).unwrap();
            assert!(kill_at(killed, &before, point), "{name} has no {point}");
            before
        }
    };
    (scene.edit)(&before);
    let after = copy_of(&before);
    let log = after.path().join("passed");
    let start = Instant::now();
    let ended = command(scene, &after)
        .env("SLUICE_FAIL_POINT_LOG", &log)
        .output()
        .unwrap();
    let took = start.elapsed();
    assert_eq!(
        ended.status.code(),
        Some(scene.code),
        "{}: {}",
        scene.name,
        String::from_utf8_lossy(&ended.stderr)
    );
    let passed = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    run_after(scene, &after, scene.name);
    assert_tidy(after.path(), scene.name);
    Played {
        remains: Remains::of(after.path()),
        passed: passed.lines().map(str::to_owned).collect(),
        before,
        after,
        took,
    }
}

fn command(scene: &Scene, sandbox: &Sandbox) -> Command {
    let arguments = (scene.command)(sandbox);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = sandbox.sluice(&arguments);
    command.env("TMPDIR", sandbox.path().join(TEMPORARY));
    command
}

/// Plays a scene until it is killed at a point, such as `before: start a run#2`; `false` when it
/// does not come there.
fn kill_at(scene: &Scene, sandbox: &Sandbox, point: &str) -> bool {
    let status = command(scene, sandbox)
        .env("SLUICE_FAIL_POINT", format!("{point}=abort"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.unwrap().code().is_none()
}

/// Goes on after a scene was killed, and compares what is there in the end.
fn go_on(scene: &Scene, sandbox: &Sandbox, context: &str) {
    let ended = command(scene, sandbox).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let code = ended.status.code().unwrap_or(-1);
    assert!(scene.again.contains(&code), "{context}\n{said}");
    run_after(scene, sandbox, context);
    assert_tidy(sandbox.path(), context);
    let remains = Remains::of(sandbox.path());
    remains.assert_same(&played()[scene.name].remains, context);
}

/// What a command left that is no run, the next run tells the store.
fn run_after(scene: &Scene, sandbox: &Sandbox, context: &str) {
    if (scene.command)(sandbox) != ["run"] {
        let ended = sandbox.call(&["run"]);
        assert_eq!(ended.code, Some(0), "{context}\n{}", ended.all());
    }
}

/// Each point of the list is passed by a scene, and no other is.
#[test]
fn every_point_is_passed() {
    let passed: BTreeSet<&str> = played()
        .values()
        .flat_map(|played| played.passed.iter().map(String::as_str))
        .collect();
    let names = fail_points::names();
    let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(passed, listed);
    // What is compared is not empty.
    let names = played()["the first run"].remains.names();
    let made = [
        "(aliases)",
        "(versions)",
        "bronze.apples",
        "gold.apples",
        "gold.scored",
        "silver.apples__quarantine",
    ];
    assert!(made.iter().all(|name| names.contains(name)), "{names:?}");
    let names = played()[IN_ALL_MODES].remains.names();
    let made = [
        "(intervals)",
        "gold.decades__quarantine",
        "gold.history__quarantine",
        "gold.latest__quarantine",
        "silver.rows__quarantine",
    ];
    assert!(made.iter().all(|name| names.contains(name)), "{names:?}");
}

/// The points of each scene that none before it has passed, in the order of their passages.
fn new_points() -> Vec<(&'static Scene, Vec<&'static str>)> {
    let mut seen = BTreeSet::new();
    let new_points = SCENES.iter().map(|scene| {
        let passed = played()[scene.name].passed.iter().map(String::as_str);
        (scene, passed.filter(|point| seen.insert(*point)).collect())
    });
    new_points.collect()
}

/// Does it with each, some side by side.
fn side_by_side<T: Sync>(of: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..SIDE_BY_SIDE {
            threads.spawn(|| {
                while let Some(one) = of.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

/// Each scene is killed at one point after the other, every time going on from where the last
/// kill left it.
#[test]
fn killed_at_every_point() {
    let missed = Mutex::new(Vec::new());
    side_by_side(&new_points(), |(scene, points)| {
        let mut sandbox = copy_of(&played()[scene.name].before);
        let mut deaths = Vec::new();
        for point in points {
            if kill_at(scene, &sandbox, point) {
                deaths.push(*point);
                continue;
            }
            // It was done: what was killed so far has come to a good end.
            let context = format!("{}, killed {deaths:?}", scene.name);
            go_on(scene, &sandbox, &context);
            sandbox = copy_of(&played()[scene.name].before);
            deaths.clear();
            match kill_at(scene, &sandbox, point) {
                true => deaths.push(*point),
                false => missed.lock().unwrap().push((scene.name, *point)),
            }
        }
        let context = format!("{}, killed {deaths:?}", scene.name);
        go_on(scene, &sandbox, &context);
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not killed: {missed:?}");
}

/// Every passage of every point in every scene, each in a lakehouse of its own.
#[test]
fn killed_at_every_passage() {
    if !is_soak() {
        return;
    }
    let mut deaths = Vec::new();
    for scene in SCENES {
        let mut passages: BTreeMap<&str, usize> = BTreeMap::new();
        for point in &played()[scene.name].passed {
            let passage = passages.entry(point).or_default();
            *passage += 1;
            deaths.push((scene, format!("{point}#{passage}")));
        }
    }
    let missed = Mutex::new(Vec::new());
    side_by_side(&deaths, |(scene, point)| {
        let sandbox = copy_of(&played()[scene.name].before);
        let context = format!("{}, killed {point}", scene.name);
        // How often a point is passed side by side may differ from time to time.
        if !kill_at(scene, &sandbox, point) {
            missed.lock().unwrap().push(context.clone());
        }
        go_on(scene, &sandbox, &context);
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.len() * 20 <= deaths.len(), "not killed: {missed:#?}");
}

#[test]
fn killed_at_random_moments() {
    for name in [SCENES[0].name, IN_ALL_MODES] {
        let scene = SCENES.iter().find(|scene| scene.name == name).unwrap();
        killed_in(scene);
    }
}

/// Kills a scene at random moments.
fn killed_in(scene: &Scene) {
    let played = &played()[scene.name];
    let seed = std::process::id().into();
    let moments = if is_soak() { SOAK_MOMENTS } else { MOMENTS };
    let mut killed = 0;
    for number in 0..moments {
        // One moment in each part of the run.
        let part = (f64::from(number) + fraction(seed, number)) / f64::from(moments);
        let delay = played.took.mul_f64(part);
        let context = format!(
            "{}, seed {seed}, killed after {delay:?} of {:?}",
            scene.name, played.took
        );
        let sandbox = copy_of(&played.before);
        killed += u32::from(kill_after(sandbox.sluice(&["run", "--json"]), delay));
        go_on(scene, &sandbox, &context);
    }
    assert!(
        killed >= moments / 2,
        "only {killed} runs were still going when killed"
    );
}

/// The state store is lost, or comes from a backup that was taken between two runs: the next run
/// tells it all again, but for the history of runs, and says so.
#[test]
fn a_store_that_is_lost_or_restored_is_told_again() {
    let first = &played()["the first run"];
    let second = &played()["a run with changes"];
    let backup = fs::read(first.after.path().join("lakehouse/state.db")).unwrap();
    for kept in [None, Some(backup)] {
        let context = if kept.is_some() { "restored" } else { "lost" };
        let sandbox = copy_of(&second.after);
        sandbox.lose_state();
        if let Some(kept) = kept {
            sandbox.write("lakehouse/state.db", kept);
        }
        let ended = sandbox.call(&["run", "--json"]);
        assert_eq!(ended.code, Some(0), "{context}: {}", ended.all());
        assert!(
            ended.stdout.contains("is lost with the state store"),
            "{context}"
        );
        let remains = Remains::of(sandbox.path());
        remains.assert_same(&second.remains, context);
        let made = |event: &serde_json::Value| event["event"] == "stage_started";
        let again = sandbox.run();
        assert!(!again.iter().any(made), "{context}: {again:?}");
    }
}
