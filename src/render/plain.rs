//! A run in a pipe: a line an event, then the summary.

use std::collections::HashMap;
use std::io::{self, Write};

use sluice_pipelines::events::{Event, EventKind};

use super::Consumer;
use super::line;
use super::screen::Screen;
use super::summary::Summary;

/// A sweep shows about this many of its trials.
const TRIALS_SHOWN: u64 = 10;
/// A training in steps shows so many of its parts.
const PARTS_SHOWN: u64 = 10;

/// Writes plain lines to `out`.
#[derive(Debug)]
pub(crate) struct Plain<W> {
    out: W,
    screen: Screen,
    summary: Summary,
    /// The part that each training has reached, of [`PARTS_SHOWN`].
    parts: HashMap<String, u64>,
}

impl<W: Write> Plain<W> {
    /// Lines for `screen` go to `out`.
    pub(crate) fn new(out: W, screen: Screen) -> Self {
        Self {
            out,
            screen,
            summary: Summary::default(),
            parts: HashMap::new(),
        }
    }

    /// Whether a training comes to a part that it had not reached before.
    fn reaches_part(&mut self, asset: &str, step: u64, total: u64) -> bool {
        let part = step * PARTS_SHOWN / total.max(1);
        let reached = self.parts.entry(asset.to_owned()).or_default();
        let further = part > *reached;
        *reached = part.max(*reached);
        further
    }
}

impl<W: Write> Consumer for Plain<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.summary.observe(&event.kind);
        let line = match &event.kind {
            EventKind::Trial { number, total, .. } if shown(*number, *total) => {
                line::trial(&event.kind, self.screen)
            }
            EventKind::TrainingProgress {
                asset,
                step,
                total_steps,
                ..
            } if self.reaches_part(asset, *step, *total_steps) => {
                line::training(&event.kind, self.screen)
            }
            kind => line::line(kind, self.screen),
        };
        if let Some(line) = line {
            writeln!(self.out, "{line}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        writeln!(self.out)?;
        for line in self.summary.lines(self.screen) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}

/// Whether the log shows trial `number` of `total`: every tenth part, and the last.
const fn shown(number: u64, total: u64) -> bool {
    let step = total.div_ceil(TRIALS_SHOWN);
    number >= total || step == 0 || number.is_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    fn render(events: &[Event], width: usize) -> String {
        let mut out = Vec::new();
        let mut plain = Plain::new(
            &mut out,
            Screen {
                width,
                ..Screen::plain()
            },
        );
        for event in events {
            plain.event(event).unwrap();
        }
        plain.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_run_that_makes_everything() {
        insta::assert_snapshot!(render(&fixture::wine(), 100));
    }

    #[test]
    fn a_run_that_makes_nothing() {
        insta::assert_snapshot!(render(&fixture::unchanged(), 100));
    }

    #[test]
    fn a_run_that_fails() {
        insta::assert_snapshot!(render(&fixture::failing(), 100));
    }

    #[test]
    fn a_stage_that_is_tried_again() {
        insta::assert_snapshot!(render(&fixture::retried(), 100));
    }

    #[test]
    fn a_run_that_is_stopped() {
        insta::assert_snapshot!(render(&fixture::cancelled(), 100));
    }

    #[test]
    fn a_narrow_terminal() {
        insta::assert_snapshot!(render(&fixture::wine(), 48));
    }

    #[test]
    fn shows_some_trials_and_the_last() {
        let of = |total| (1..=total).filter(|&n| shown(n, total)).collect::<Vec<_>>();
        assert_eq!(of(3), [1, 2, 3]);
        assert_eq!(of(96), [10, 20, 30, 40, 50, 60, 70, 80, 90, 96]);
    }
}
