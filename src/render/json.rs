//! `run --json`: one event a line, as the runner emits it, and nothing else.

use std::io::{self, Write};

use sluice_pipelines::events::Event;

use super::Consumer;

/// Writes events as JSON lines to `out`.
#[derive(Debug)]
pub(crate) struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    /// Lines go to `out`.
    pub(crate) const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Consumer for Json<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn one_object_a_line() {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        let events = fixture::wine();
        for event in &events {
            json.event(event).unwrap();
        }
        json.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), events.len());
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                value["event"].is_string() && value["time_ms"].is_i64(),
                "{line}"
            );
        }
        insta::assert_snapshot!(text);
    }
}
