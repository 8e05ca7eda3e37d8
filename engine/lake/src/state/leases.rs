//! Leases: of several runs of one project one may write, wherever they are.
//!
//! A lease has a token that only grows. Whoever holds one renews it; when it has expired, or
//! its process has ended, the next run takes it with a greater token. Every write of a store
//! that was [`fenced`](State::fenced) looks whether its token is still the newest, in the
//! transaction that writes, and so does every commit to a table (see
//! [`Lakehouse::fenced`](crate::Lakehouse::fenced)): a run that was stopped for so long that
//! another took over writes nothing any more when it goes on.

use std::sync::OnceLock;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{State, StateError, now_ms};

/// How long a lease is good for without being renewed.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often its holder renews it.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The project's UUID.
    pub project: String,
    /// Greater than that of every lease of the project before.
    pub token: i64,
    owner: String,
}

/// Who asks for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The project's UUID.
    pub project: String,
    /// The project's name.
    pub pipeline: String,
    /// The machine's name, for people.
    pub host: String,
    /// Tells whether two processes are on one running machine.
    pub machine: String,
    /// The process.
    pub pid: u32,
    /// Whether it holds the pipeline's lock file.
    pub locked: bool,
}

/// Who holds a lease, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Its token.
    pub token: i64,
    owner: Option<String>,
    /// The machine's name.
    pub host: String,
    machine: String,
    /// The process.
    pub pid: i64,
    locked: i64,
    /// When it was taken: milliseconds since 1970 UTC, as the rest.
    pub taken_time: i64,
    /// When it was renewed last.
    pub renewed_time: i64,
    /// When it expires if it is not renewed.
    pub expiry_time: i64,
}

impl Claimant {
    /// This process.
    pub fn this(project: String, pipeline: String, locked: bool) -> Self {
        Self {
            project,
            pipeline,
            host: host().to_owned(),
            machine: machine().to_owned(),
            pid: std::process::id(),
            locked,
        }
    }
}

impl LeaseHolder {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            token: row.try_get("token")?,
            owner: row.try_get("owner")?,
            host: row.try_get("host")?,
            machine: row.try_get("machine")?,
            pid: row.try_get("pid")?,
            locked: row.try_get("locked")?,
            taken_time: row.try_get("taken_time")?,
            renewed_time: row.try_get("renewed_time")?,
            expiry_time: row.try_get("expiry_time")?,
        })
    }

    /// Whether `claimant` may take it over, at `now_ms`.
    fn gives_way(&self, claimant: &Claimant, now_ms: i64) -> bool {
        // Expired: its process is stopped, or gone with its machine. That its lock file is held
        // does not matter then.
        if self.owner.is_some() && self.expiry_time <= now_ms {
            return true;
        }
        // The lock is this process's now, so that whoever held it has ended.
        let ended = self.locked != 0 && self.machine == claimant.machine;
        claimant.locked && (self.owner.is_none() || ended)
    }
}

impl State {
    /// Takes the lease of a project for `claimant` from `now_ms` on, for [`LEASE`], if nobody
    /// holds it; else tells who does. Nobody holds one that was given back, that has expired,
    /// or whose process has ended on this machine, as its lock file tells.
    ///
    /// Without the lock file only a lease that has expired can be taken.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn take_lease(
        &self,
        claimant: &Claimant,
        now_ms: i64,
    ) -> Result<Result<Lease, Option<LeaseHolder>>, StateError> {
        let action = "take the lease of a project";
        let mut tx = self.begin(action).await?;
        let holder = self.holder_of(tx.connection(), &claimant.project).await?;
        let free = match &holder {
            Some(holder) => holder.gives_way(claimant, now_ms),
            None => claimant.locked,
        };
        if !free {
            let holds = holder.filter(|holder| holder.owner.is_some());
            return Ok(Err(holds));
        }
        let lease = Lease {
            project: claimant.project.clone(),
            token: holder.map_or(0, |holder| holder.token) + 1,
            owner: Uuid::now_v7().simple().to_string(),
        };
        sqlx::query(
            "INSERT INTO leases (project, pipeline, token, owner, host, machine, pid, locked, \
             taken_time, renewed_time, expiry_time) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10) \
             ON CONFLICT (project) DO UPDATE SET pipeline = excluded.pipeline, \
             token = excluded.token, owner = excluded.owner, host = excluded.host, \
             machine = excluded.machine, pid = excluded.pid, locked = excluded.locked, \
             taken_time = excluded.taken_time, renewed_time = excluded.renewed_time, \
             expiry_time = excluded.expiry_time",
        )
        .bind(&lease.project)
        .bind(&claimant.pipeline)
        .bind(lease.token)
        .bind(&lease.owner)
        .bind(&claimant.host)
        .bind(&claimant.machine)
        .bind(i64::from(claimant.pid))
        .bind(i64::from(claimant.locked))
        .bind(now_ms)
        .bind(expiry(now_ms))
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await?;
        Ok(Ok(lease))
    }

    /// Renews a lease; false when another run has taken it. One that has expired and that
    /// nobody took is good again.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn renew_lease(&self, lease: &Lease, now_ms: i64) -> Result<bool, StateError> {
        let action = "renew the lease of a project";
        let mut tx = self.begin(action).await?;
        let done = sqlx::query(
            "UPDATE leases SET renewed_time = $1, expiry_time = $2 \
             WHERE project = $3 AND token = $4 AND owner = $5",
        )
        .bind(now_ms)
        .bind(expiry(now_ms))
        .bind(&lease.project)
        .bind(lease.token)
        .bind(&lease.owner)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a lease back; one that another run has taken stays its.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be written.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StateError> {
        let action = "give back the lease of a project";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "UPDATE leases SET owner = NULL, expiry_time = $1 \
             WHERE project = $2 AND token = $3 AND owner = $4",
        )
        .bind(now_ms())
        .bind(&lease.project)
        .bind(lease.token)
        .bind(&lease.owner)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// Who holds the lease of a project, if anybody does.
    ///
    /// # Errors
    /// [`StateError`] when the store cannot be read.
    pub async fn lease_holder(&self, project: &str) -> Result<Option<LeaseHolder>, StateError> {
        let mut connection = self
            .pool()
            .acquire()
            .await
            .map_err(self.failed("read the lease of a project"))?;
        let holder = self.holder_of(&mut connection, project).await?;
        Ok(holder.filter(|holder| holder.owner.is_some()))
    }

    async fn holder_of(
        &self,
        connection: &mut SqliteConnection,
        project: &str,
    ) -> Result<Option<LeaseHolder>, StateError> {
        let action = "read the lease of a project";
        let row = sqlx::query("SELECT * FROM leases WHERE project = $1")
            .bind(project)
            .fetch_optional(connection)
            .await
            .map_err(self.failed(action))?;
        let holder = row.map(|row| LeaseHolder::of(&row)).transpose();
        holder.map_err(self.failed(action))
    }

    /// Refuses when another run has taken `lease`, or it was given back.
    pub(super) async fn check_lease(
        &self,
        connection: &mut SqliteConnection,
        lease: &Lease,
    ) -> Result<(), StateError> {
        let now = self.holder_of(connection, &lease.project).await?;
        let same = |now: &LeaseHolder| {
            now.token == lease.token && now.owner.as_deref() == Some(&lease.owner)
        };
        if now.as_ref().is_some_and(same) {
            return Ok(());
        }
        let by = now.filter(|now| now.owner.is_some());
        Err(StateError::LeaseLost {
            token: lease.token,
            taken_by: by.map(|by| format!("process {} on {}", by.pid, by.host)),
        })
    }
}

fn expiry(now_ms: i64) -> i64 {
    now_ms.saturating_add(i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX))
}

/// The machine's name.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let said = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let said = said.or_else(|| std::env::var("HOSTNAME").ok());
        let said = said.map(|name| name.trim().to_owned());
        said.filter(|name| !name.is_empty())
            .unwrap_or_else(|| "an unnamed host".to_owned())
    })
}

/// The running machine: Linux's boot id, which containers on one machine share as they share
/// locks of files. Elsewhere the machine's name.
fn machine() -> &'static str {
    static MACHINE: OnceLock<String> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        boot.map_or_else(|_| host().to_owned(), |boot| boot.trim().to_owned())
    })
}
