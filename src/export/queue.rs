//! A queue of events on their way to somewhere that may be slow, full or gone.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sluice_pipelines::events::{Event, EventSink};

use super::Lines;
use super::output::Output;

/// Events that wait, at most; some 4 MB.
const LENGTH: usize = 8192;
/// How long the end of a run waits for what is queued.
const GRACE: Duration = Duration::from_secs(5);

/// A queue and the thread that empties it.
pub(super) struct Queue {
    name: String,
    /// Taken when the run is over: the thread ends behind the last event.
    sender: Arc<Mutex<Option<SyncSender<Event>>>>,
    counts: Arc<Counts>,
    wants: fn(&Event) -> bool,
    done: Receiver<()>,
}

/// What became of the events so far.
#[derive(Default)]
struct Counts {
    /// Events that were to be told.
    asked: AtomicU64,
    /// Events that were told, whatever they came to.
    told: AtomicU64,
    /// The first error, in words.
    error: Mutex<Option<String>>,
}

impl Queue {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start<L: Lines + 'static>(
        name: String,
        lines: L,
        output: Output,
    ) -> io::Result<Self> {
        Self::with_length(name, lines, output, LENGTH)
    }

    fn with_length<L: Lines + 'static>(
        name: String,
        lines: L,
        output: Output,
        length: usize,
    ) -> io::Result<Self> {
        let (sender, events) = sync_channel(length);
        let (ended, done) = sync_channel(1);
        let counts = Arc::new(Counts::default());
        let kept = Arc::clone(&counts);
        thread::Builder::new()
            .name("export".to_owned())
            .spawn(move || {
                empty(&events, lines, output, &kept);
                // Nobody waits any more when the grace is over.
                let _late = ended.send(());
            })?;
        Ok(Self {
            name,
            sender: Arc::new(Mutex::new(Some(sender))),
            counts,
            wants: L::wants,
            done,
        })
    }

    /// Where events go. Never waits: what does not fit is lost, and counted.
    pub(super) fn sink(&self) -> EventSink {
        let (sender, counts) = (Arc::clone(&self.sender), Arc::clone(&self.counts));
        let wants = self.wants;
        Arc::new(move |event: &Event| {
            if !wants(event) {
                return;
            }
            counts.asked.fetch_add(1, Ordering::Relaxed);
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = sender.as_ref()
                && sender.try_send(event.clone()).is_err()
            {
                counts.fail("the queue was full");
            }
        })
    }

    /// Waits for what is queued, a few seconds at most. What was lost, in words.
    pub(super) fn finish(self) -> Option<String> {
        self.finish_within(GRACE)
    }

    fn finish_within(self, grace: Duration) -> Option<String> {
        drop(
            self.sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if self.done.recv_timeout(grace).is_err() {
            self.counts.fail("no answer in time");
        }
        let asked = self.counts.asked.load(Ordering::Relaxed);
        let lost = asked.saturating_sub(self.counts.told.load(Ordering::Relaxed));
        let error = self.counts.error.lock();
        let error = error.unwrap_or_else(PoisonError::into_inner).take();
        let why = error.map_or_else(String::new, |error| format!(": {error}"));
        (lost > 0).then(|| format!("{}: {lost} of {asked} events are lost{why}", self.name))
    }
}

impl Counts {
    /// Keeps the first error.
    fn fail(&self, error: &str) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_owned());
    }
}

/// Writes events until there will be no more. An event that cannot be written is lost; the next
/// is tried all the same: a disk may have room again.
fn empty(events: &Receiver<Event>, mut lines: impl Lines, mut output: Output, counts: &Counts) {
    while let Ok(event) = events.recv() {
        match write(&mut output, &lines.of(&event)) {
            Ok(()) => {
                counts.told.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => counts.fail(&error),
        }
    }
    if let Err(error) = write(&mut output, &lines.at_end()) {
        counts.asked.fetch_add(1, Ordering::Relaxed);
        counts.fail(&error);
    }
}

fn write(output: &mut Output, lines: &[String]) -> Result<(), String> {
    lines.iter().try_for_each(|line| output.write(line))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use sluice_pipelines::events::EventKind;

    use super::super::AsTheyAre;
    use super::*;

    fn event(number: u64) -> Event {
        let kind = EventKind::Warning {
            asset: "gold.a".into(),
            message: "a word".into(),
        };
        Event {
            seq: number,
            ..Event::new(0, kind)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_says_nothing_holds_nobody_up() {
        // It takes connections and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let output = Output::file_or_url(&url).unwrap();
        let queue = Queue::with_length("OpenLineage".into(), AsTheyAre, output, 2).unwrap();
        let sink = queue.sink();
        (1..=10).for_each(|number| sink(&event(number)));
        let lost = queue.finish_within(Duration::from_millis(50)).unwrap();
        assert!(
            lost.starts_with("OpenLineage: 10 of 10 events are lost: "),
            "{lost}"
        );
        drop(listener);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_gets_every_event_with_a_post() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    if request.is_empty() {
                        request = line.trim().to_owned();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                asked.push((request, String::from_utf8(body).unwrap()));
                let answer =
                    b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                reader.get_mut().write_all(answer).unwrap();
            }
            asked
        });
        let output = Output::file_or_url(&url).unwrap();
        let queue = Queue::start("OpenLineage".into(), AsTheyAre, output).unwrap();
        let sink = queue.sink();
        sink(&event(1));
        sink(&event(2));
        let lost = tokio::task::spawn_blocking(move || queue.finish())
            .await
            .unwrap();
        assert_eq!(lost, None);
        let asked = server.join().unwrap();
        for (place, (request, body)) in asked.iter().enumerate() {
            assert_eq!(request, "POST /api/v1/lineage HTTP/1.1");
            assert!(body.contains(&format!("\"seq\":{}", place + 1)), "{body}");
        }
    }

    #[test]
    fn a_full_disk_loses_events_and_nothing_else() {
        let path = std::path::Path::new("/dev/full");
        if !path.exists() {
            return;
        }
        let queue = Queue::start("--events f".into(), AsTheyAre, Output::file(path).unwrap());
        let queue = queue.unwrap();
        let sink = queue.sink();
        sink(&event(1));
        let lost = queue.finish().unwrap();
        assert!(
            lost.starts_with("--events f: 1 of 1 events are lost: "),
            "{lost}"
        );
    }
}
