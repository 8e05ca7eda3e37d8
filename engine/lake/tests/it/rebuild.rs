//! The state store told again from tables and model folders, after a crash or
//! a loss.

use std::sync::{Arc, atomic::AtomicU64};

use serde_json::json;
use sluice_lake::{
    delta::{CommitInfo, WriteMode},
    registry::Registry,
    state::{CommitRecord, Rebuilt, RunId, RunKind, State},
};

use crate::{
    fixture::{TestLake, name, stream, words},
    registry::{move_alias, train},
    state::{PROJECT, new_run, record},
};

const TABLE: &str = "bronze.wine";

async fn store(test: &TestLake) -> State {
    State::open(test.lake.state_path()).await.unwrap()
}

/// Commits as a stage does, up to the confirmation.
async fn commit(test: &TestLake, state: &State, record: &CommitRecord) -> (i64, i64) {
    let app_id = record.app_id();
    let last = test.lake.last_txn(&name(TABLE), &app_id).await.unwrap();
    let txn = state.next_txn(record, last).await.unwrap();
    let info = CommitInfo {
        description: None,
        app_id,
        txn_version: txn,
        metadata: record.to_metadata(),
        rows: Arc::new(AtomicU64::new(0)),
    };
    let rows = stream(vec![words(&[(txn, "a")])]);
    let written = test
        .lake
        .write(&name(TABLE), WriteMode::Append, rows, info)
        .await
        .unwrap();
    (txn, i64::try_from(written.version).unwrap())
}

async fn reconcile(test: &TestLake, state: &State) -> Rebuilt {
    let tables = [name(TABLE), name("silver.never_made")];
    state.reconcile(&test.lake, PROJECT, &tables).await.unwrap()
}

async fn ledger(state: &State) -> Vec<(String, String, i64)> {
    let ledger = state.ledger(PROJECT, TABLE).await.unwrap();
    ledger
        .into_iter()
        .map(|file| (file.path, file.content_hash, file.version))
        .collect()
}

fn file(path: &str, hash: &str, version: i64) -> (String, String, i64) {
    (path.to_owned(), hash.to_owned(), version)
}

#[tokio::test]
async fn a_lost_store_is_told_again_from_commits() {
    let test = TestLake::new();
    let state = store(&test).await;
    let run = RunId::generate();
    let mut last = record(&run, "k3", &[("red.csv", "h3")]);
    last.outcome.insert("columns".to_owned(), 12.into());
    for record in [
        record(&run, "k1", &[("red.csv", "h1")]),
        record(&run, "k2", &[("white.csv", "h2")]),
        last,
    ] {
        let (txn, version) = commit(&test, &state, &record).await;
        state
            .confirm_txn(&record.app_id(), txn, version, Some(1))
            .await
            .unwrap();
    }
    // Another program's commit, and another project's.
    let batch = words(&[(9, "x")]);
    test.write(TABLE, WriteMode::Append, vec![batch], 77)
        .await
        .unwrap();
    let before = ledger(&state).await;
    assert_eq!(
        before,
        [file("red.csv", "h3", 2), file("white.csv", "h2", 1)]
    );
    state.close().await;
    std::fs::remove_file(test.lake.state_path()).unwrap();

    let state = store(&test).await;
    let rebuilt = reconcile(&test, &state).await;
    assert_eq!((rebuilt.commits, rebuilt.abandoned), (3, 0));
    assert_eq!(rebuilt.lost_runs, std::slice::from_ref(&run), "reported");
    assert_eq!(ledger(&state).await, before);
    let key = state.asset_key(PROJECT, TABLE).await.unwrap().unwrap();
    assert_eq!(key.key, "k3");
    assert_eq!(key.run_id, run);
    assert_eq!(key.outcome, json!({"columns": 12, "version": 2}));
    // The counter goes on where it was, even without asking the table.
    let next = record(&run, "k4", &[]);
    assert_eq!(state.next_txn(&next, None).await.unwrap(), 4);
    // A second time there is nothing to tell but the open intent.
    let again = reconcile(&test, &state).await;
    assert_eq!((again.commits, again.abandoned), (0, 1));
    assert_eq!(reconcile(&test, &state).await, Rebuilt::default());
}

#[tokio::test]
async fn a_commit_whose_confirmation_was_lost_is_found() {
    let test = TestLake::new();
    let state = store(&test).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    // One process ended after its commit, the next one before its own.
    let committed = record(&run, "k1", &[("red.csv", "h1")]);
    let (txn, _) = commit(&test, &state, &committed).await;
    let never = record(&run, "k2", &[("red.csv", "h2")]);
    state.next_txn(&never, Some(txn)).await.unwrap();
    assert_eq!(state.pending_txns(PROJECT).await.unwrap().len(), 2);
    assert_eq!(state.pending_txns("another").await.unwrap(), []);
    assert_eq!(ledger(&state).await, []);

    let rebuilt = reconcile(&test, &state).await;
    assert_eq!((rebuilt.commits, rebuilt.abandoned), (1, 1));
    assert_eq!(rebuilt.lost_runs, []);
    assert_eq!(state.pending_txns(PROJECT).await.unwrap(), []);
    assert_eq!(ledger(&state).await, [file("red.csv", "h1", 0)]);
    let key = state.asset_key(PROJECT, TABLE).await.unwrap().unwrap();
    assert_eq!(key.key, "k1");
}

#[tokio::test]
async fn a_store_restored_from_a_backup_catches_up() {
    let test = TestLake::new();
    let state = store(&test).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let first = record(&run, "k1", &[("red.csv", "h1")]);
    let (txn, version) = commit(&test, &state, &first).await;
    state
        .confirm_txn(&first.app_id(), txn, version, None)
        .await
        .unwrap();
    state.close().await;
    let path = test.lake.state_path();
    let backup = path.with_extension("backup");
    std::fs::copy(&path, &backup).unwrap();

    let state = store(&test).await;
    let later = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let second = record(&later, "k2", &[("red.csv", "h2")]);
    let (txn, version) = commit(&test, &state, &second).await;
    state
        .confirm_txn(&second.app_id(), txn, version, None)
        .await
        .unwrap();
    state.close().await;
    std::fs::copy(&backup, &path).unwrap();

    let state = store(&test).await;
    assert_eq!(ledger(&state).await, [file("red.csv", "h1", 0)]);
    let rebuilt = reconcile(&test, &state).await;
    assert_eq!(rebuilt.commits, 1);
    assert_eq!(rebuilt.lost_runs, [later]);
    assert_eq!(ledger(&state).await, [file("red.csv", "h2", 1)]);
}

#[tokio::test]
async fn an_overwrite_forgets_earlier_files() {
    let test = TestLake::new();
    let state = store(&test).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let first = record(&run, "k1", &[("red.csv", "h1"), ("white.csv", "h2")]);
    commit(&test, &state, &first).await;
    let mut second = record(&run, "k2", &[("red.csv", "h3")]);
    second.overwrite = true;
    commit(&test, &state, &second).await;
    assert_eq!(reconcile(&test, &state).await.commits, 2);
    assert_eq!(ledger(&state).await, [file("red.csv", "h3", 1)]);
}

#[tokio::test]
async fn a_lost_store_is_told_again_from_model_folders() {
    let test = TestLake::new();
    let state = store(&test).await;
    let registry = Registry::new(test.lake.models_path(), Some(state.clone()));
    for key in ["k1", "k2", "k3"] {
        train(&registry, "wine_quality", key).await;
    }
    for version in [1, 3, 2] {
        move_alias(&registry, "wine_quality", version)
            .await
            .unwrap();
    }
    let versions = registry.versions("wine_quality").await.unwrap();
    let history = registry.alias_history("wine_quality").await.unwrap();
    state.close().await;
    std::fs::remove_file(test.lake.state_path()).unwrap();
    // The highest version's folder goes too: its number shall not come back,
    // for an alias named it once.
    std::fs::remove_dir_all(&versions[2].path).unwrap();

    let state = store(&test).await;
    let registry = Registry::new(test.lake.models_path(), Some(state.clone()));
    let told = registry.reconcile().await.unwrap();
    assert_eq!((told.versions, told.moves, told.removed), (2, 3, 0));
    assert_eq!(registry.reconcile().await.unwrap().versions, 0);
    assert_eq!(
        registry.versions("wine_quality").await.unwrap(),
        versions[..2]
    );
    assert_eq!(
        registry.alias_history("wine_quality").await.unwrap(),
        history
    );
    let champion = registry.champion("wine_quality", "production").await;
    assert_eq!(champion.unwrap().unwrap().version, 2);
    let next = train(&registry, "wine_quality", "k4").await;
    assert_eq!(next.version, 4);
}

#[tokio::test]
async fn a_table_that_went_back_takes_its_ledger_along() {
    let test = TestLake::new();
    let state = store(&test).await;
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    for (key, hash) in [("k1", "h1"), ("k2", "h2")] {
        let record = record(&run, key, &[("red.csv", hash), (key, "h")]);
        let (txn, version) = commit(&test, &state, &record).await;
        state
            .confirm_txn(&record.app_id(), txn, version, None)
            .await
            .unwrap();
    }
    let folder = test.lake.table_path(&name(TABLE));
    let entry = folder.join("_delta_log/00000000000000000001.json");
    std::fs::remove_file(entry).unwrap();
    let rebuilt = reconcile(&test, &state).await;
    assert_eq!(rebuilt.went_back, [TABLE]);
    assert_eq!(rebuilt.commits, 1);
    assert_eq!(
        ledger(&state).await,
        [file("k1", "h", 0), file("red.csv", "h1", 0)]
    );
    assert_eq!(reconcile(&test, &state).await, Rebuilt::default());

    std::fs::remove_dir_all(folder).unwrap();
    let rebuilt = reconcile(&test, &state).await;
    assert_eq!(rebuilt.went_back, [TABLE]);
    assert_eq!(ledger(&state).await, []);
    assert_eq!(state.asset_key(PROJECT, TABLE).await.unwrap(), None);
    assert_eq!(reconcile(&test, &state).await, Rebuilt::default());
    // Numbers that the lost commits had are not used again.
    let next = record(&run, "k3", &[("red.csv", "h1")]);
    let (txn, version) = commit(&test, &state, &next).await;
    assert_eq!((txn, version), (3, 0));
    assert_eq!(reconcile(&test, &state).await.commits, 1);
    assert_eq!(ledger(&state).await, [file("red.csv", "h1", 0)]);
}
