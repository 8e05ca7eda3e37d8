//! Opening the state store: to write, to read, and what is no store of ours.

use serde_json::json;
use sluice_lake::state::{AssetKey, RunId, RunKind, State, StateError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::state::{PROJECT, new_run};

/// A process that is killed between the switch to WAL and the first migration leaves a file
/// that is a database, with nothing in it.
#[tokio::test]
async fn a_store_that_was_only_begun_is_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let begun = options.connect().await.unwrap();
    begun.close().await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
    assert!(State::open_read_only(&path).await.unwrap().is_none());
    State::open(&path).await.unwrap();
    assert!(State::open_read_only(&path).await.unwrap().is_some());
}

/// What an older release wrote is not read as it is; whoever writes brings it up to date.
#[tokio::test]
async fn a_store_of_an_older_release_is_brought_up_to_date() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    State::bring_up_to_date(&path).await.unwrap();
    assert!(!path.exists());
    let state = State::open(&path).await.unwrap();
    let run = state.start_run(new_run(RunKind::Run, None)).await.unwrap();
    state.close().await;
    let mut older = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    for sql in [
        "DROP TABLE leases",
        "DELETE FROM _sqlx_migrations WHERE description = 'leases'",
    ] {
        sqlx::query(sql).execute(&mut older).await.unwrap();
    }
    older.close().await.unwrap();
    let error = State::open_read_only(&path).await.unwrap_err();
    assert!(matches!(error, StateError::Outdated { .. }), "{error}");
    State::bring_up_to_date(&path).await.unwrap();
    let state = State::open_read_only(&path).await.unwrap().unwrap();
    assert!(state.run(&run).await.unwrap().is_some());
    assert_eq!(state.lease_holder(PROJECT).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_that_is_only_read_is_never_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    assert!(State::open_read_only(&path).await.unwrap().is_none());
    assert!(!path.exists());
    std::fs::write(&path, b"").unwrap();
    assert!(State::open_read_only(&path).await.unwrap().is_none());

    let state = State::open(&path).await.unwrap();
    let key = AssetKey {
        key: "k".to_owned(),
        semantics: 1,
        outcome: json!({"version": 1}),
        run_id: RunId::generate(),
    };
    state.put_asset_key(PROJECT, "m", &key).await.unwrap();
    // Beside a writer, and after it has gone.
    let reader = State::open_read_only(&path).await.unwrap().unwrap();
    assert_eq!(
        reader.asset_key(PROJECT, "m").await.unwrap().as_ref(),
        Some(&key)
    );
    let error = reader
        .start_run(new_run(RunKind::Run, None))
        .await
        .unwrap_err();
    assert!(matches!(error, StateError::ReadOnly { .. }), "{error}");
    reader.close().await;
    state.close().await;
    let reader = State::open_read_only(&path).await.unwrap().unwrap();
    assert_eq!(reader.asset_key(PROJECT, "m").await.unwrap(), Some(key));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let text = "not a database, and longer than the header of one: ".repeat(4);
    std::fs::write(&path, &text).unwrap();
    let error = State::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("state.db"), "{error}");
    State::open_read_only(&path).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let missing = folder.path().join("no/such/folder/state.db");
    let error = State::open(&missing).await.unwrap_err().to_string();
    assert!(error.contains("--lakehouse"), "{error}");
}

#[tokio::test]
async fn a_store_of_a_newer_release_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    state.close().await;
    let pool =
        sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&path))
            .await
            .unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    for error in [
        State::open(&path).await.unwrap_err(),
        State::open_read_only(&path).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StateError::OtherRelease { version: 99, .. }),
            "{error}"
        );
    }
}
