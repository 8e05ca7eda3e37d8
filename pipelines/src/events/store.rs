//! Events into the state store, where `system.events` shows them: off the runner's way, many
//! in one transaction.

use std::sync::Arc;

use serde_json::Value;
use sluice_lake::state::{State, StoredEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Event, EventKind, EventSink};
use crate::check::error_chain;

/// Events that one transaction takes, at most.
const BATCH: usize = 256;
/// Events that the store keeps, the newest; some 30 MB.
const KEPT: i64 = 100_000;

/// Takes the events of one run to the store.
pub(crate) struct EventStore {
    sender: UnboundedSender<Message>,
    task: JoinHandle<()>,
}

enum Message {
    Event(StoredEvent),
    Last,
}

impl EventStore {
    /// Begins. What waits is small: progress is not kept, so that there are some five events an
    /// asset.
    pub(crate) fn start(state: State) -> Self {
        let (sender, receiver) = unbounded_channel();
        let task = tokio::spawn(store(state, receiver));
        Self { sender, task }
    }

    /// Where events go.
    pub(crate) fn sink(&self) -> EventSink {
        let sender = self.sender.clone();
        Arc::new(move |event: &Event| {
            if let Some(event) = stored(event) {
                // Gone only when the run is over.
                let _gone = sender.send(Message::Event(event));
            }
        })
    }

    /// Waits until all is stored.
    pub(crate) async fn finish(self) {
        let _gone = self.sender.send(Message::Last);
        // A task that panicked has lost events, and nothing else.
        let _lost = self.task.await;
    }
}

/// An event as it is kept; `None` for those that only say how far something is, and for trials,
/// which are runs of their own.
fn stored(event: &Event) -> Option<StoredEvent> {
    if let EventKind::StageProgress { .. }
    | EventKind::TrainingProgress { .. }
    | EventKind::Trial { .. } = event.kind
    {
        return None;
    }
    let Value::Object(mut details) = serde_json::to_value(&event.kind).ok()? else {
        return None;
    };
    let word = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let kind = word(details.remove("event"))?;
    let asset = word(details.remove("asset"));
    Some(StoredEvent {
        run_id: event.run.clone(),
        seq: i64::try_from(event.seq).unwrap_or(i64::MAX),
        timestamp: event.time_ms,
        event: kind,
        asset,
        details: Value::Object(details).to_string(),
    })
}

async fn store(state: State, mut receiver: UnboundedReceiver<Message>) {
    let mut told = false;
    let mut messages = Vec::with_capacity(BATCH);
    loop {
        let taken = receiver.recv_many(&mut messages, BATCH).await;
        let mut last = taken == 0;
        let mut events = Vec::with_capacity(taken);
        for message in messages.drain(..) {
            match message {
                Message::Event(event) => events.push(event),
                Message::Last => last = true,
            }
        }
        let mut recorded = state.record_events(&events).await;
        if last && recorded.is_ok() {
            recorded = state.trim_events(KEPT).await;
        }
        if let Err(error) = recorded
            && !told
        {
            told = true;
            tracing::error!(
                "system.events lacks events of this run: {}",
                error_chain(&error)
            );
        }
        if last {
            return;
        }
    }
}
