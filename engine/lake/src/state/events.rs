//! What happened in runs.

use super::{State, StateError};

/// An event of a run, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The run.
    pub run_id: String,
    /// Its place among the events of the run, from 1.
    pub seq: i64,
    /// When, in milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// Its kind, such as `stage_finished`.
    pub event: String,
    /// The asset that it is about, if it is about one.
    pub asset: Option<String>,
    /// All else that it says, as a JSON object.
    pub details: String,
}

impl State {
    /// Keeps events: all of them, or none.
    pub async fn record_events(&self, events: &[StoredEvent]) -> Result<(), StateError> {
        if events.is_empty() {
            return Ok(());
        }
        let action = "record events";
        let mut tx = self.begin(action).await?;
        for event in events {
            sqlx::query(
                "INSERT INTO events (run_id, seq, timestamp, event, asset, details) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&event.run_id)
            .bind(event.seq)
            .bind(event.timestamp)
            .bind(&event.event)
            .bind(&event.asset)
            .bind(&event.details)
            .execute(tx.connection())
            .await
            .map_err(self.failed(action))?;
        }
        self.commit(tx, action).await
    }

    /// Forgets all events but the newest `kept`, and those of the same moment as the oldest of
    /// them.
    pub async fn trim_events(&self, kept: i64) -> Result<(), StateError> {
        let action = "forget old events";
        let mut tx = self.begin(action).await?;
        sqlx::query(
            "DELETE FROM events WHERE timestamp < \
             (SELECT timestamp FROM events ORDER BY timestamp DESC LIMIT 1 OFFSET $1)",
        )
        .bind(kept.saturating_sub(1))
        .execute(tx.connection())
        .await
        .map_err(self.failed(action))?;
        self.commit(tx, action).await
    }
}
