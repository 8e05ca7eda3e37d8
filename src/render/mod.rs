//! Consumers of the runner's events: live progress, plain lines, JSON lines.
//!
//! The runner emits [`Event`]s from many threads and must not wait for a terminal, so
//! they go through a channel to one thread that draws. Entry point: [`Display::start`].

pub(crate) mod figures;
#[cfg(test)]
mod fixture;
pub(crate) mod grid;
mod json;
mod line;
mod live;
mod plain;
pub(crate) mod screen;
mod summary;

use std::io::{self, Write as _};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use indicatif::ProgressDrawTarget;
use sluice_pipelines::events::{Event, EventSink};

use screen::Screen;

/// Shows events as they come.
trait Consumer {
    /// Shows one event.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Shows a word to the user that is no event, on standard error where standard output
    /// is for events.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn notice(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stderr().lock(), "{text}")
    }

    /// Leaves the output in order when there will be no last event.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn abandon(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Shows what is left to show after the last event.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

enum Message {
    Event(Box<Event>),
    Notice(String),
    /// Sums up.
    Last,
    /// Ends without summing up.
    Drop,
}

/// The thread that draws.
#[derive(Debug)]
pub(crate) struct Display {
    sender: mpsc::Sender<Message>,
    thread: JoinHandle<io::Result<()>>,
}

impl Display {
    /// Starts to show a run on standard output: one JSON object a line if `json`, else
    /// live progress where the terminal can be redrawn, else plain lines.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(json: bool) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || {
                let screen = Screen::stdout();
                if json {
                    draw(&receiver, json::Json::new(io::stdout()))
                } else if screen.redraws {
                    draw(
                        &receiver,
                        live::Live::new(io::stdout(), screen, ProgressDrawTarget::stdout()),
                    )
                } else {
                    draw(&receiver, plain::Plain::new(io::stdout(), screen))
                }
            })?;
        Ok(Self { sender, thread })
    }

    /// Where the runner sends its events.
    pub(crate) fn sink(&self) -> EventSink {
        let sender = self.sender.clone();
        Arc::new(move |event: &Event| {
            // The display is gone only when the run is over.
            let _gone = sender.send(Message::Event(Box::new(event.clone())));
        })
    }

    /// Says `text` to the user between two events, once.
    pub(crate) fn notice(&self, text: &'static str) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        move || {
            let _gone = sender.send(Message::Notice(text.to_owned()));
        }
    }

    /// Shows what is left and waits until it is shown. A reader that has gone away (a
    /// closed pipe) is no error.
    ///
    /// # Errors
    /// When the output could not be written.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.end(Message::Last)
    }

    /// As [`Display::finish`], without a summary: the run did not come to its end.
    ///
    /// # Errors
    /// When the output could not be written.
    pub(crate) fn drop_rest(self) -> io::Result<()> {
        self.end(Message::Drop)
    }

    fn end(self, message: Message) -> io::Result<()> {
        let _gone = self.sender.send(message);
        match self.thread.join() {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Ok(_) => Ok(()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Shows events until the last. After an output error the rest is taken in and not
/// shown: the run goes on.
fn draw(receiver: &mpsc::Receiver<Message>, mut consumer: impl Consumer) -> io::Result<()> {
    let mut shown = Ok(());
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Event(event) if shown.is_ok() => shown = consumer.event(&event),
            Message::Notice(text) if shown.is_ok() => shown = consumer.notice(&text),
            Message::Event(_) | Message::Notice(_) => {}
            Message::Last => return shown.and_then(|()| consumer.finish()),
            Message::Drop => break,
        }
    }
    shown.and_then(|()| consumer.abandon())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(usize);

    impl Consumer for Broken {
        fn event(&mut self, _: &Event) -> io::Result<()> {
            self.0 += 1;
            assert_eq!(self.0, 1, "nothing is shown after an error");
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn finish(&mut self) -> io::Result<()> {
            panic!("nothing is shown after an error")
        }
    }

    #[test]
    fn a_broken_output_does_not_stop_the_events() {
        let (sender, receiver) = mpsc::channel();
        for event in fixture::wine() {
            sender.send(Message::Event(Box::new(event))).unwrap();
        }
        sender.send(Message::Last).unwrap();
        let end = draw(&receiver, Broken(0));
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
