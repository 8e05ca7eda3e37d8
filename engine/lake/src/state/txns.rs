//! Exactly once: counters and intents of the transactions that Delta commits carry.
//!
//! A stage begins a transaction here, commits to Delta with that number in a
//! `txn` action, and confirms here. When the process ends in between, the
//! intent stays open and [`State::reconcile`] finds out from the table whether
//! the commit is there.

use sqlx::SqliteConnection;

use super::{
    AssetKey, CommitRecord, DESCRIBES_KEY, LATEST_KEY, State, StateError, now_ms, runs::stored_word,
};

stored_word! {
    /// How a transaction stands.
    TxnState {
        /// Begun; whether the commit is there is not known here.
        Intent = "INTENT",
        /// The commit is in the table.
        Committed = "COMMITTED",
        /// The commit is not in the table and never will be.
        Abandoned = "ABANDONED",
    }
}

/// A transaction that was begun and neither confirmed nor abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTxn {
    /// The transaction's number.
    pub txn: i64,
    /// What its commit says about itself.
    pub record: CommitRecord,
    /// When it was begun, in milliseconds since 1970 UTC.
    pub time_ms: i64,
}

impl State {
    /// Begins a transaction: the next number for the record's
    /// [`app_id`](CommitRecord::app_id), with the intent stored first.
    ///
    /// `table_last` is the last number that the table has for it. The number is
    /// above it and above all numbers known here, so that neither a lost store
    /// nor a restored table can make a new commit look like an old one.
    pub async fn next_txn(
        &self,
        record: &CommitRecord,
        table_last: Option<i64>,
    ) -> Result<i64, StateError> {
        let action = "begin a transaction";
        let app_id = record.app_id();
        let mut tx = self.begin(action).await?;
        let known: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM txns WHERE app_id = $1")
                .bind(&app_id)
                .fetch_one(tx.connection())
                .await
                .map_err(self.failed(action))?;
        let txn = known.max(table_last).unwrap_or(0) + 1;
        self.write_txn(tx.connection(), txn, TxnState::Intent, record, None)
            .await?;
        self.commit(tx, action).await?;
        Ok(txn)
    }

    /// Confirms that the commit is in the table, as `table_version` with `rows`
    /// rows written. The file ledger and the asset's key follow in the same
    /// transaction: the outcome is the record's, with `version` and `rows`.
    ///
    /// # Errors
    /// [`StateError::UnknownTxn`] when it was never begun.
    pub async fn confirm_txn(
        &self,
        app_id: &str,
        txn: i64,
        table_version: i64,
        rows: Option<i64>,
    ) -> Result<(), StateError> {
        let action = "confirm a transaction";
        let mut tx = self.begin(action).await?;
        let text: Option<String> =
            sqlx::query_scalar("SELECT record FROM txns WHERE app_id = $1 AND version = $2")
                .bind(app_id)
                .bind(txn)
                .fetch_optional(tx.connection())
                .await
                .map_err(self.failed(action))?;
        let text = text.ok_or_else(|| StateError::UnknownTxn {
            app_id: app_id.to_owned(),
            version: txn,
        })?;
        let mut record = self.parse_record(&text)?;
        if let Some(rows) = rows {
            record.outcome.insert("rows".to_owned(), rows.into());
        }
        self.apply_commit(tx.connection(), &record, txn, table_version, now_ms())
            .await?;
        self.commit(tx, action).await
    }

    /// Gives up a transaction whose commit was not made.
    pub async fn abandon_txn(&self, app_id: &str, txn: i64) -> Result<(), StateError> {
        let action = "abandon a transaction";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "UPDATE txns SET state = 'ABANDONED' \
             WHERE app_id = $1 AND version = $2 AND state = 'INTENT'",
        )
        .bind(app_id)
        .bind(txn)
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }

    /// The open transactions of a project, oldest first for each table.
    pub async fn pending_txns(&self, project: &str) -> Result<Vec<PendingTxn>, StateError> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT version, record, time FROM txns WHERE state = 'INTENT' \
             ORDER BY app_id, version",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read the open transactions"))?;
        let mut pending = Vec::with_capacity(rows.len());
        for (txn, text, time_ms) in rows {
            let record = self.parse_record(&text)?;
            if record.project == project {
                pending.push(PendingTxn {
                    txn,
                    record,
                    time_ms,
                });
            }
        }
        Ok(pending)
    }

    /// The last number for `app_id` whose commit is known to be in the table,
    /// with the version that the commit made.
    pub(super) async fn last_committed(
        &self,
        app_id: &str,
    ) -> Result<Option<(i64, i64)>, StateError> {
        sqlx::query_as(
            "SELECT version, table_version FROM txns WHERE app_id = $1 AND state = 'COMMITTED' \
             ORDER BY version DESC LIMIT 1",
        )
        .bind(app_id)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("read the transaction counter"))
    }

    /// Brings counter, ledger, lineage and key to what they are after a commit, which was
    /// made at `time_ms` (milliseconds since 1970 UTC).
    pub(super) async fn apply_commit(
        &self,
        connection: &mut SqliteConnection,
        record: &CommitRecord,
        txn: i64,
        table_version: i64,
        time_ms: i64,
    ) -> Result<(), StateError> {
        self.write_txn(
            connection,
            txn,
            TxnState::Committed,
            record,
            Some(table_version),
        )
        .await?;
        // The counter needs the highest number only, and intents are settled alone.
        sqlx::query("DELETE FROM txns WHERE app_id = $1 AND version < $2 AND state <> 'INTENT'")
            .bind(record.app_id())
            .bind(txn)
            .execute(&mut *connection)
            .await
            .map_err(self.failed("confirm a transaction"))?;
        self.apply_files(connection, record, table_version).await?;
        self.apply_intervals(connection, record).await?;
        let mut outcome = record.outcome.clone();
        match outcome.remove(DESCRIBES_KEY) {
            // What was made is an earlier version; this one has the same rows.
            Some(made) => {
                outcome.insert("version".to_owned(), made);
                outcome.insert(LATEST_KEY.to_owned(), table_version.into());
            }
            None => {
                self.write_table_version(connection, record, table_version, time_ms)
                    .await?;
                outcome.insert("version".to_owned(), table_version.into());
            }
        }
        let key = AssetKey {
            key: record.key.clone(),
            semantics: record.semantics,
            outcome: outcome.into(),
            run_id: record.run_id.clone(),
        };
        self.write_asset_key(connection, &record.project, &record.asset, &key)
            .await
    }

    async fn write_txn(
        &self,
        connection: &mut SqliteConnection,
        txn: i64,
        state: TxnState,
        record: &CommitRecord,
        table_version: Option<i64>,
    ) -> Result<(), StateError> {
        let text = serde_json::to_string(record)
            .expect("a struct of strings, numbers and JSON values has a JSON form");
        sqlx::query(
            "INSERT INTO txns (app_id, version, run_id, state, record, table_version, time) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (app_id, version) DO UPDATE SET state = excluded.state, \
             record = excluded.record, table_version = excluded.table_version, \
             time = excluded.time",
        )
        .bind(record.app_id())
        .bind(txn)
        .bind(record.run_id.as_str())
        .bind(state.as_str())
        .bind(text)
        .bind(table_version)
        .bind(now_ms())
        .execute(connection)
        .await
        .map_err(self.failed("record a transaction"))?;
        Ok(())
    }

    fn parse_record(&self, text: &str) -> Result<CommitRecord, StateError> {
        serde_json::from_str(text).map_err(|_| self.damaged("the record of a transaction", text))
    }
}
