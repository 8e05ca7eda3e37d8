//! The tables of the store, brought up to date when it is opened.
//!
//! Adding a migration is: one new file in `migrations/`, one line in
//! [`MIGRATIONS`]. A file that was released never changes.

use std::{path::Path, sync::LazyLock};

use sqlx::{
    SqlSafeStr, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::StateError;
use crate::fail_points::{self, Moment};

/// Version, description, text.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "state", include_str!("../../migrations/0001_state.sql")),
    (
        2,
        "table versions",
        include_str!("../../migrations/0002_table_versions.sql"),
    ),
    (
        3,
        "tracking",
        include_str!("../../migrations/0003_tracking.sql"),
    ),
    (
        4,
        "file memory",
        include_str!("../../migrations/0004_file_memory.sql"),
    ),
    (5, "ticks", include_str!("../../migrations/0005_ticks.sql")),
    (
        6,
        "leases",
        include_str!("../../migrations/0006_leases.sql"),
    ),
    (
        7,
        "rule kinds",
        include_str!("../../migrations/0007_rule_kinds.sql"),
    ),
    (
        8,
        "failures",
        include_str!("../../migrations/0008_failures.sql"),
    ),
    (
        9,
        "events",
        include_str!("../../migrations/0009_events.sql"),
    ),
    (
        10,
        "intervals",
        include_str!("../../migrations/0010_intervals.sql"),
    ),
    (
        11,
        "maintenance",
        include_str!("../../migrations/0011_maintenance.sql"),
    ),
    (
        12,
        "replay",
        include_str!("../../migrations/0012_replay.sql"),
    ),
];

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    Migrator::with_migrations(
        MIGRATIONS
            .iter()
            .map(|&(version, description, sql)| {
                let kind = MigrationType::Simple;
                Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
            })
            .collect(),
    )
});

/// How the tables in a file compare with those this release knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Currency {
    /// All migrations have run.
    Current,
    /// Some migrations have not run.
    Outdated,
    /// There is no table at all: a process was stopped while it created the store.
    Empty,
}

/// Runs the missing migrations, as one transaction.
///
/// sqlx takes no lock for SQLite: two processes that create the store at the
/// same moment would both run the first migration. BEGIN IMMEDIATE is that lock.
pub(super) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StateError> {
    let failed = |source: MigrateError| describe(source, path);
    let mut tx = pool
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(|source| failed(source.into()))?;
    // `run` would do, but its future cannot be spawned (its bound on `Acquire` is
    // not general enough); sqlx has this form of it for that reason.
    MIGRATOR
        .run_direct(None, &mut *tx, false)
        .await
        .map_err(failed)?;
    fail_points::pass(Moment::Before, "prepare the state store");
    tx.commit().await.map_err(|source| failed(source.into()))?;
    fail_points::pass(Moment::After, "prepare the state store");
    Ok(())
}

/// Compares the tables with those this release knows; writes nothing.
pub(super) async fn currency(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Currency, StateError> {
    let query = |source| StateError::Query {
        path: path.to_owned(),
        action: "read its migrations",
        source,
    };
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await
            .map_err(query)?;
    if tables.is_empty() {
        return Ok(Currency::Empty);
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Ok(Currency::Outdated);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await
            .map_err(query)?;
    for (version, checksum) in &applied {
        match MIGRATOR.iter().find(|known| known.version == *version) {
            None => return Err(describe(MigrateError::VersionMissing(*version), path)),
            Some(known) if known.checksum.as_ref() != checksum.as_slice() => {
                return Err(describe(MigrateError::VersionMismatch(*version), path));
            }
            Some(_) => {}
        }
    }
    Ok(if applied.len() == MIGRATIONS.len() {
        Currency::Current
    } else {
        Currency::Outdated
    })
}

fn describe(source: MigrateError, path: &Path) -> StateError {
    let other = |version, difference| StateError::OtherRelease {
        path: path.to_owned(),
        version,
        difference,
    };
    match source {
        MigrateError::VersionMissing(version) => other(version, "is not known here"),
        MigrateError::VersionMismatch(version) => other(version, "differs"),
        source => StateError::Migrate {
            path: path.to_owned(),
            source,
        },
    }
}
