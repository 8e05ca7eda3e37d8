//! Telling the store again from the commits of the tables.
//!
//! One mechanism serves a lost store, a store restored from an old backup and
//! a process that ended between a Delta commit and its confirmation: commits
//! whose transaction the store does not know are applied in order.

use sqlx::SqliteConnection;

use crate::{delta::Commit, lakehouse::Lakehouse, name::TableName};

use super::{CommitRecord, RunId, State, StateError, commit_record::app_id};

/// What was told again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Commits that the store did not know, over all tables.
    pub commits: usize,
    /// Transactions that were begun and never committed.
    pub abandoned: usize,
    /// Tables that were removed or restored to an earlier version: their
    /// ledgers and keys were forgotten, and told again from what is there.
    pub went_back: Vec<String>,
    /// Runs named by those commits whose history the store does not have: it
    /// was lost or restored, and the user should hear of it.
    pub lost_runs: Vec<RunId>,
}

impl Rebuilt {
    /// Adds what another table told.
    fn merge(&mut self, other: Self) {
        self.commits += other.commits;
        self.abandoned += other.abandoned;
        self.went_back.extend(other.went_back);
        self.lost_runs.extend(other.lost_runs);
        self.lost_runs.sort();
        self.lost_runs.dedup();
    }
}

/// A commit that the store does not know.
struct News {
    txn: i64,
    version: i64,
    time_ms: i64,
    record: CommitRecord,
}

impl State {
    /// Tells the store what the commits of the project's tables say and it does
    /// not know: after a crash, or when the store, or a table, was lost or
    /// restored. Tables that are as the store remembers them cost one look at a
    /// folder.
    ///
    /// Call it while holding the pipeline's lock, before the run starts: intents
    /// that no commit answers are abandoned.
    ///
    /// # Errors
    /// [`StateError::Lake`] when the log of a table cannot be read.
    pub async fn reconcile(
        &self,
        lakehouse: &Lakehouse,
        project: &str,
        tables: &[TableName],
    ) -> Result<Rebuilt, StateError> {
        let pending = self.pending_txns(project).await?;
        let mut rebuilt = Rebuilt::default();
        for table in tables {
            let asset = table.to_string();
            let app_id = app_id(project, &asset);
            let latest = lakehouse.latest_version(table).await?;
            let latest = latest.and_then(|version| i64::try_from(version).ok());
            let known = self.last_committed(&app_id).await?;
            let remembered = known.map(|(_, version)| version);
            let intents = pending.iter().any(|pending| pending.record.asset == asset);
            if latest == remembered && !intents {
                continue;
            }
            let went_back = latest < remembered;
            let known = known.map(|(txn, _)| txn).filter(|_| !went_back);
            let commits = if lakehouse.last_txn(table, &app_id).await? > known {
                lakehouse.commits(table).await?
            } else {
                Vec::new()
            };
            let news = news(&app_id, known, &commits);
            rebuilt.merge(self.apply(project, &asset, went_back, news).await?);
        }
        Ok(rebuilt)
    }

    /// Brings transaction counter, file ledger and key of a table to what its
    /// commits say, and abandons intents that none of them answers.
    async fn apply(
        &self,
        project: &str,
        asset: &str,
        went_back: bool,
        news: Vec<News>,
    ) -> Result<Rebuilt, StateError> {
        let action = "apply the commits of a table";
        let mut rebuilt = Rebuilt::default();
        let mut tx = self.begin(action).await?;
        if went_back {
            self.forget_table(tx.connection(), project, asset).await?;
            rebuilt.went_back.push(asset.to_owned());
        }
        for News {
            txn,
            version,
            time_ms,
            record,
        } in &news
        {
            self.apply_commit(tx.connection(), record, *txn, *version, *time_ms)
                .await?;
            rebuilt.commits += 1;
            let run: Option<i64> = sqlx::query_scalar("SELECT 1 FROM runs WHERE run_id = $1")
                .bind(record.run_id.as_str())
                .fetch_optional(tx.connection())
                .await
                .map_err(self.failed(action))?;
            if run.is_none() {
                rebuilt.lost_runs.push(record.run_id.clone());
            }
        }
        let open = sqlx::query(
            "UPDATE txns SET state = 'ABANDONED' WHERE app_id = $1 AND state = 'INTENT'",
        )
        .bind(app_id(project, asset))
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        rebuilt.abandoned = usize::try_from(open.rows_affected()).unwrap_or(usize::MAX);
        self.commit(tx, action).await?;
        Ok(rebuilt)
    }

    /// Forgets what the store remembers of a table, but not the numbers of its
    /// transactions: those are never used again.
    async fn forget_table(
        &self,
        connection: &mut SqliteConnection,
        project: &str,
        asset: &str,
    ) -> Result<(), StateError> {
        let action = "forget a table";
        self.forget_table_versions(connection, asset).await?;
        self.forget_intervals(connection, project, asset).await?;
        sqlx::query(
            "UPDATE txns SET state = 'ABANDONED', table_version = NULL \
             WHERE app_id = $1 AND state = 'COMMITTED'",
        )
        .bind(app_id(project, asset))
        .execute(&mut *connection)
        .await
        .map_err(self.failed(action))?;
        sqlx::query("DELETE FROM files WHERE project = $1 AND table_name = $2")
            .bind(project)
            .bind(asset)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(action))?;
        sqlx::query("DELETE FROM asset_keys WHERE project = $1 AND asset = $2")
            .bind(project)
            .bind(asset)
            .execute(connection)
            .await
            .map_err(self.failed(action))?;
        Ok(())
    }
}

/// The commits of `app_id` after the transaction `known`, in order.
fn news(app_id: &str, known: Option<i64>, commits: &[Commit]) -> Vec<News> {
    let mut news: Vec<News> = commits
        .iter()
        .filter_map(|commit| {
            let (writer, txn) = commit.txn.as_ref()?;
            let ours = writer == app_id && known.is_none_or(|known| *txn > known);
            let record = CommitRecord::from_metadata(&commit.metadata)?;
            let version = i64::try_from(commit.version).ok()?;
            ours.then_some(News {
                txn: *txn,
                version,
                time_ms: commit.timestamp_ms.unwrap_or_default(),
                record,
            })
        })
        .collect();
    news.sort_by_key(|news| (news.txn, news.version));
    news
}
