//! Telling the store again from the commits of the tables.
//!
//! One mechanism serves a lost store, a store restored from an old backup and
//! a process that ended between a Delta commit and its confirmation: commits
//! whose transaction the store does not know are applied in order.

use crate::{delta::Commit, lakehouse::Lakehouse, name::TableName};

use super::{CommitRecord, RunId, State, StateError, commit_record::app_id};

/// What was told again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Commits that the store did not know, over all tables.
    pub commits: usize,
    /// Transactions that were begun and never committed.
    pub abandoned: usize,
    /// Runs named by those commits whose history the store does not have: it
    /// was lost or restored, and the user should hear of it.
    pub lost_runs: Vec<RunId>,
}

impl Rebuilt {
    /// Adds what another table told.
    pub fn merge(&mut self, other: Self) {
        self.commits += other.commits;
        self.abandoned += other.abandoned;
        self.lost_runs.extend(other.lost_runs);
        self.lost_runs.sort();
        self.lost_runs.dedup();
    }
}

impl State {
    /// Tells the store what the commits of the project's tables say and it does
    /// not know: after a crash, or when the store was lost or restored. Tables
    /// that are as the store remembers them cost one look at a folder.
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
            let intents = pending.iter().any(|pending| pending.record.asset == asset);
            if !intents && self.is_current(lakehouse, project, table).await? {
                continue;
            }
            let last = lakehouse.last_txn(table, &app_id).await?;
            let commits = if last > self.last_committed(&app_id).await? {
                lakehouse.commits(table).await?
            } else {
                Vec::new()
            };
            rebuilt.merge(self.apply_commits(project, &asset, &commits).await?);
        }
        Ok(rebuilt)
    }

    /// Whether the table stands at the version that the store remembers.
    async fn is_current(
        &self,
        lakehouse: &Lakehouse,
        project: &str,
        table: &TableName,
    ) -> Result<bool, StateError> {
        let latest = lakehouse.latest_version(table).await?;
        let key = self.asset_key(project, &table.to_string()).await?;
        Ok(match (latest, key) {
            (None, _) => true,
            (Some(latest), Some(key)) => {
                key.outcome
                    .get("version")
                    .and_then(serde_json::Value::as_u64)
                    == Some(latest)
            }
            (Some(_), None) => false,
        })
    }

    /// Applies commits of the project's table that the store does not know yet:
    /// transaction counter, file ledger and the asset's key. Other commits are
    /// passed over. Intents that no commit answers are abandoned.
    async fn apply_commits(
        &self,
        project: &str,
        asset: &str,
        commits: &[Commit],
    ) -> Result<Rebuilt, StateError> {
        let action = "apply the commits of a table";
        let app_id = app_id(project, asset);
        let known = self.last_committed(&app_id).await?;
        let mut news: Vec<(i64, i64, CommitRecord)> = commits
            .iter()
            .filter_map(|commit| {
                let (writer, txn) = commit.txn.as_ref()?;
                let ours = *writer == app_id && known.is_none_or(|known| *txn > known);
                let record = CommitRecord::from_metadata(&commit.metadata)?;
                let version = i64::try_from(commit.version).ok()?;
                ours.then_some((*txn, version, record))
            })
            .collect();
        news.sort_by_key(|&(txn, version, _)| (txn, version));

        let mut rebuilt = Rebuilt::default();
        let mut tx = self.begin(action).await?;
        for (txn, version, record) in &news {
            self.apply_commit(tx.connection(), record, *txn, *version)
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
        .bind(&app_id)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        rebuilt.abandoned = usize::try_from(open.rows_affected()).unwrap_or(usize::MAX);
        rebuilt.lost_runs.sort();
        rebuilt.lost_runs.dedup();
        if rebuilt == Rebuilt::default() {
            return Ok(rebuilt);
        }
        self.commit(tx, action).await?;
        Ok(rebuilt)
    }
}
