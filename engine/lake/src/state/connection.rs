//! Opening the store, and the transactions that write to it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::fail_points::{self, Moment};

use super::{
    Lease, RunId, StateError,
    error::{is_busy, is_unshareable},
    migrations::{self, Currency},
};

/// How long a statement waits for another process before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Readers at once; writers queue up for one of them.
const MAX_CONNECTIONS: u32 = 8;

/// The state store, shared by cloning.
#[derive(Debug, Clone)]
pub struct State {
    pool: SqlitePool,
    path: Arc<Path>,
    writable: bool,
    /// Writers of one process queue here, in order; SQLite alone would let them
    /// poll for its lock, with no order and growing delays.
    writers: Arc<Mutex<()>>,
    /// The lease that every write needs, if any does.
    lease: Option<Arc<Lease>>,
}

/// A transaction that holds the write lock of the database.
pub(crate) struct WriteTx {
    tx: Transaction<'static, Sqlite>,
    _turn: OwnedMutexGuard<()>,
}

impl WriteTx {
    /// The connection that statements of this transaction run on.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }
}

impl State {
    /// Opens the store, creating it and bringing its tables up to date.
    ///
    /// # Errors
    /// [`StateError::Open`] when the file cannot be created or written,
    /// [`StateError::OtherRelease`] when a newer release wrote it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StateError> {
        let path = path.as_ref();
        let options = connect_options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let pool = connect_when_free(path, options).await?;
        migrations::migrate(&pool, path).await?;
        Ok(Self::new(pool, path, true))
    }

    /// Brings the tables of a store that an older release wrote up to date; one that is
    /// current, or not there, is left alone.
    ///
    /// # Errors
    /// As [`State::open`].
    pub async fn bring_up_to_date(path: impl AsRef<Path>) -> Result<(), StateError> {
        let path = path.as_ref();
        match Self::open_read_only(path).await {
            Err(StateError::Outdated { .. }) => Self::open(path).await?.close().await,
            Ok(Some(state)) => state.close().await,
            // What is wrong otherwise is told by whoever needs the store.
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// Opens the store to read it, never writing; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError::Outdated`] when an older release wrote it, and as
    /// [`State::open`].
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Option<Self>, StateError> {
        let path = path.as_ref();
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(open_failed(path)(sqlx::Error::Io(error))),
        }
        let options = connect_options(path).read_only(true);
        let (pool, found) = match read_tables(path, options.clone()).await {
            // In a folder that cannot be written, SQLite cannot make the files
            // that readers of a WAL share. Nobody writes there, so none are needed.
            Err(StateError::Open { source, .. } | StateError::Query { source, .. })
                if is_unshareable(&source) && !has_wal(path) =>
            {
                read_tables(path, options.immutable(true)).await?
            }
            other => other?,
        };
        match found {
            Currency::Current => Ok(Some(Self::new(pool, path, false))),
            Currency::Empty => Ok(None),
            Currency::Outdated => Err(StateError::Outdated {
                path: path.to_owned(),
            }),
        }
    }

    fn new(pool: SqlitePool, path: &Path, writable: bool) -> Self {
        Self {
            pool,
            path: path.into(),
            writable,
            writers: Arc::new(Mutex::new(())),
            lease: None,
        }
    }

    /// The same store, which writes only while `lease` is its project's newest.
    #[must_use]
    pub fn fenced(&self, lease: Lease) -> Self {
        Self {
            lease: Some(Arc::new(lease)),
            ..self.clone()
        }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the store was opened with [`State::open`].
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Closes all connections, which folds the WAL into the database file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a transaction that no other writer, in any process, can overtake; of a fenced
    /// store only if its lease is the newest.
    pub(crate) async fn begin(&self, action: &'static str) -> Result<WriteTx, StateError> {
        if !self.writable {
            return Err(StateError::ReadOnly {
                path: self.path.to_path_buf(),
                action,
            });
        }
        let turn = Arc::clone(&self.writers).lock_owned().await;
        let tx = self.pool.begin_with("BEGIN IMMEDIATE").await;
        let mut tx = tx.map_err(self.failed(action))?;
        if let Some(lease) = &self.lease {
            self.check_lease(&mut tx, lease).await?;
        }
        Ok(WriteTx { tx, _turn: turn })
    }

    pub(crate) async fn commit(&self, tx: WriteTx, action: &'static str) -> Result<(), StateError> {
        fail_points::pass(Moment::Before, action);
        tx.tx.commit().await.map_err(self.failed(action))?;
        fail_points::pass(Moment::After, action);
        Ok(())
    }

    /// Wraps what SQLite said.
    pub(crate) fn failed(
        &self,
        action: &'static str,
    ) -> impl FnOnce(sqlx::Error) -> StateError + use<> {
        let path = self.path.to_path_buf();
        move |source| StateError::Query {
            path,
            action,
            source,
        }
    }

    /// Wraps what SQLite said about a row that belongs to `run`.
    pub(crate) fn failed_of_run(
        &self,
        action: &'static str,
        run: &RunId,
    ) -> impl FnOnce(sqlx::Error) -> StateError + use<> {
        let path = self.path.to_path_buf();
        let run = run.clone();
        move |source| {
            let orphan = source
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
            if orphan {
                StateError::UnknownRun { path, run }
            } else {
                StateError::Query {
                    path,
                    action,
                    source,
                }
            }
        }
    }

    pub(crate) fn damaged(&self, what: &'static str, text: &str) -> StateError {
        StateError::Damaged {
            path: self.path.to_path_buf(),
            what,
            text: text.to_owned(),
        }
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        // A statement that waits for another process is not a slow one.
        .disable_statement_logging()
}

fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(BUSY_TIMEOUT * 2)
}

/// Connects, waiting for others that create the same file at the same moment:
/// SQLite's time-out does not hold while the journal mode changes to WAL.
async fn connect_when_free(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<SqlitePool, StateError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match pool_options().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            other => return other.map_err(open_failed(path)),
        }
    }
}

async fn read_tables(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<(SqlitePool, Currency), StateError> {
    let pool = pool_options()
        .connect_with(options)
        .await
        .map_err(open_failed(path))?;
    let mut connection = pool.acquire().await.map_err(open_failed(path))?;
    let found = migrations::currency(&mut connection, path).await?;
    drop(connection);
    Ok((pool, found))
}

fn has_wal(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(PathBuf::from(wal)).is_ok_and(|metadata| metadata.len() > 0)
}

fn open_failed(path: &Path) -> impl FnOnce(sqlx::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Open { path, source }
}
