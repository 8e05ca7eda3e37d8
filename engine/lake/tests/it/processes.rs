//! Several processes at one store and one registry, at the same moment.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sluice_lake::{
    Lakehouse,
    registry::{LabelChange, ModelUri, Registry, TrainedAs},
    state::{Metric, RunId, RunKind, RunStatus, State},
};
use tempfile::TempDir;

use crate::{
    registry::{move_alias, train},
    state::{PROJECT, new_run, record},
};

pub(crate) const FOLDER_VARIABLE: &str = "SLUICE_TEST_FOLDER";
const ROUNDS: i64 = 8;

/// What every process does: all that writes.
async fn work(folder: &Path) {
    let state = State::open(folder.join("state.db")).await.unwrap();
    let registry = Registry::new(folder.join("_models"), Some(state.clone()));
    for round in 0..ROUNDS {
        let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
        let metric = Metric {
            key: "auc".to_owned(),
            value: 0.5,
            step: round,
            timestamp_ms: 0,
        };
        state.log_metrics(&run, &[metric]).await.unwrap();
        let txn = state.next_txn(&record(&run, "k", &[]), None).await.unwrap();
        let tag = [("txn".to_owned(), txn.to_string())];
        state.log_params(&run, &tag).await.unwrap();
        let version = train(&registry, "wine_quality", run.as_str()).await;
        move_alias(&registry, "wine_quality", version.version)
            .await
            .unwrap();
        state
            .finish_run(&run, RunStatus::Finished, None)
            .await
            .unwrap();
    }
    state.close().await;
}

/// This program again, to run one test that is ignored otherwise.
pub(crate) fn command(test: &str, folder: &Path) -> Command {
    // On Linux by its open file: a process without privileges may not be allowed
    // into the folders that lead to it.
    let program = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap()
    };
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--ignored"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::null());
    command
}

fn spawn(folder: &Path) -> Child {
    command("processes::a_process_of_its_own", folder)
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "other tests start it as a process of its own"]
async fn a_process_of_its_own() {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap());
    work(&folder).await;
}

async fn check(folder: &Path, workers: i64) {
    let total = workers * ROUNDS;
    let state = State::open(folder.join("state.db")).await.unwrap();
    // Nobody got a transaction number that another got.
    let next = state
        .next_txn(&record(&RunId::generate(), "k", &[]), None)
        .await
        .unwrap();
    assert_eq!(next, total + 1);
    let registry = Registry::new(folder.join("_models"), Some(state));
    let versions = registry.versions("wine_quality").await.unwrap();
    let numbers: Vec<i64> = versions.iter().map(|version| version.version).collect();
    assert_eq!(
        numbers,
        (1..=total).collect::<Vec<_>>(),
        "no gap, none twice"
    );
    let keys: BTreeSet<&str> = versions
        .iter()
        .map(|version| version.key.as_str())
        .collect();
    assert_eq!(i64::try_from(keys.len()).unwrap(), total);
    let moves = registry.alias_history("wine_quality").await.unwrap();
    let numbers: Vec<i64> = moves.iter().map(|alias_move| alias_move.number).collect();
    assert_eq!(numbers, (1..=total).collect::<Vec<_>>());
    for pair in moves.windows(2) {
        assert_eq!(pair[1].previous, pair[0].version, "moves follow each other");
    }
    // The store knows all of it already.
    let told = registry.reconcile().await.unwrap();
    assert_eq!((told.versions, told.moves), (0, 0));
}

#[tokio::test]
async fn processes_share_a_store_that_none_had_created() {
    let folder = TempDir::new().unwrap();
    let children: Vec<Child> = (0..3).map(|_| spawn(folder.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    check(folder.path(), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_one_process_share_a_store() {
    let folder = TempDir::new().unwrap();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let folder = folder.path().to_owned();
            tokio::spawn(async move { work(&folder).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    check(folder.path(), 3).await;
}

#[tokio::test]
async fn a_killed_process_leaves_a_store_and_a_registry_that_work() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let version = path.join("_models/wine_quality/2");
    let mut child = spawn(path);
    // Killed somewhere in the middle of the work, not before it.
    while !version.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let state = State::open(path.join("state.db")).await.unwrap();
    let killed = state.recover_runs(PROJECT).await.unwrap();
    assert!(killed.len() <= 1, "one run was under way: {killed:?}");
    let registry = Registry::new(path.join("_models"), Some(state.clone()));
    registry.reconcile().await.unwrap();
    let before = registry.versions("wine_quality").await.unwrap();
    assert!(before.len() >= 2);
    state.close().await;
    work(path).await;
    let state = State::open(path.join("state.db")).await.unwrap();
    let registry = Registry::new(path.join("_models"), Some(state));
    let after = registry.versions("wine_quality").await.unwrap();
    let numbers: Vec<i64> = after.iter().map(|version| version.version).collect();
    let total = i64::try_from(before.len()).unwrap() + ROUNDS;
    assert_eq!(numbers, (1..=total).collect::<Vec<_>>());
    assert_eq!(after[..before.len()], before);
}

#[tokio::test]
#[ignore = "another test starts it as a process without privileges"]
async fn a_process_without_privileges() {
    let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap());
    let path = folder.join("state.db");
    let state = State::open_read_only(&path).await.unwrap().unwrap();
    let runs = state.latest_runs(PROJECT, 9).await.unwrap();
    assert_eq!(runs.len(), 1);
    state.close().await;
    let error = State::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("--lakehouse"), "{error}");
    let error = State::open(folder.join("new.db"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("new.db"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_can_be_read() {
    use std::{
        fs::{Permissions, metadata, set_permissions},
        os::unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            process::CommandExt as _,
        },
    };

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    state.close().await;
    set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    let mut child = command("processes::a_process_without_privileges", folder.path());
    if metadata(folder.path()).unwrap().uid() == 0 {
        // Permissions do not hold root back: become nobody.
        child.uid(65534).gid(65534);
    }
    let status = child.status().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(status.success());
}

/// A runner spawns what it awaits: every future must move between threads.
#[test]
fn futures_can_be_spawned() {
    fn sendable<T: Send>(_: T) {}
    fn of_state<'a>(state: &'a State, lake: &'a Lakehouse, run: &'a RunId) {
        sendable(State::open("x"));
        sendable(State::open_read_only("x"));
        sendable(state.start_run(new_run(RunKind::Run, None)));
        sendable(state.finish_run(run, RunStatus::Finished, None));
        sendable(state.record_runs(&[]));
        sendable(state.recover_runs("p"));
        sendable(state.latest_runs("p", 1));
        sendable(state.log_params(run, &[]));
        sendable(state.set_tags(run, &[]));
        sendable(state.log_metrics(run, &[]));
        sendable(state.metrics(run));
        sendable(state.log_datasets(run, &[]));
        sendable(state.log_artifacts(run, &[]));
        sendable(state.record_stages(run, &[]));
        sendable(state.stages(run));
        sendable(state.record_expectations(run, &[]));
        sendable(state.ledger("p", "t"));
        sendable(state.count_rows("p", "t", &[]));
        sendable(state.asset_key("p", "a"));
        sendable(state.confirm_txn("a", 1, 1, None));
        sendable(state.abandon_txn("a", 1));
        sendable(state.pending_txns("p"));
        sendable(state.reconcile(lake, "p", &[]));
    }
    fn of_registry<'a>(registry: &'a Registry, uri: &'a ModelUri, run: &'a RunId) {
        sendable(registry.resolve(uri));
        sendable(registry.champion("m", "a"));
        sendable(registry.versions_trained(TrainedAs::Key("k".to_owned())));
        sendable(registry.list());
        sendable(registry.versions("m"));
        sendable(registry.alias_history("m"));
        sendable(registry.labels("m", None));
        sendable(registry.label("m", None, LabelChange::default()));
        sendable(registry.stage("m", run));
        sendable(registry.reconcile());
        sendable(train(registry, "m", "k"));
        sendable(move_alias(registry, "m", 1));
    }
    // Compiling is the test; the functions are only named here.
    let _ = (of_state as fn(_, _, _), of_registry as fn(_, _, _));
}
