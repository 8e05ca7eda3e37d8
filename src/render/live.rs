//! A run on a terminal: a spinner or a bar for each running stage, a line for what
//! has ended, the summary when all is done.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sluice_pipelines::events::{Event, EventKind};

use super::Consumer;
use super::figures;
use super::line;
use super::screen::Screen;
use super::summary::Summary;

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(120);
/// Terminals narrower than this get a spinner without a bar, in columns.
const BAR_NEEDS_WIDTH: usize = 60;

/// Draws on a terminal, and writes the summary to `out`, which leads there too.
#[derive(Debug)]
pub(crate) struct Live<W> {
    out: W,
    bars: MultiProgress,
    running: HashMap<String, ProgressBar>,
    screen: Screen,
    summary: Summary,
}

impl<W: Write> Live<W> {
    /// A display for `screen`.
    pub(crate) fn new(out: W, screen: Screen, target: ProgressDrawTarget) -> Self {
        Self {
            out,
            bars: MultiProgress::with_draw_target(target),
            running: HashMap::new(),
            screen,
            summary: Summary::default(),
        }
    }

    fn begin(&mut self, asset: &str, kind: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(spinner(self.screen));
        bar.set_prefix(asset.to_owned());
        bar.set_message(kind.to_owned());
        bar.enable_steady_tick(TICK);
        self.running.insert(asset.to_owned(), bar);
    }

    fn progress(&self, asset: &str, done: u64, total: Option<u64>, unit: &str) {
        let Some(bar) = self.running.get(asset) else {
            return;
        };
        match total {
            Some(total) => {
                if bar.length() != Some(total) {
                    bar.set_style(measured(self.screen));
                    bar.set_length(total);
                    if !bar.message().starts_with("best") {
                        bar.set_message(unit.to_owned());
                    }
                }
                bar.set_position(done);
            }
            None => bar.set_message(figures::counted(done, unit)),
        }
    }

    fn end(&mut self, asset: &str) {
        if let Some(bar) = self.running.remove(asset) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl<W: Write> Consumer for Live<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.summary.observe(&event.kind);
        match &event.kind {
            EventKind::StageStarted { asset, kind } => {
                self.begin(asset, kind);
                return Ok(());
            }
            EventKind::StageProgress {
                asset,
                done,
                total,
                unit,
            } => self.progress(asset, *done, *total, unit),
            EventKind::SweepResumed { asset, done, total } => {
                self.progress(asset, *done, Some(*total), "trials");
            }
            EventKind::Trial {
                asset,
                number,
                total,
                best,
                ..
            } => {
                self.progress(asset, *number, Some(*total), "trials");
                if let (Some(bar), Some(best)) = (self.running.get(asset), best) {
                    bar.set_message(format!("best {}", figures::metric(*best)));
                }
            }
            EventKind::StageSkipped { asset, .. }
            | EventKind::StageFinished { asset, .. }
            | EventKind::StageFailed { asset, .. }
            | EventKind::StageBlocked { asset, .. } => self.end(asset),
            _ => {}
        }
        match line::line(&event.kind, self.screen) {
            Some(line) => self.bars.println(line),
            None => Ok(()),
        }
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        self.bars.println(text)
    }

    fn abandon(&mut self) -> io::Result<()> {
        for (_, bar) in self.running.drain() {
            bar.finish_and_clear();
        }
        self.bars.clear()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.abandon()?;
        // Not through the bars: they fill lines with blanks to the terminal's edge.
        writeln!(self.out)?;
        for line in self.summary.lines(self.screen) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}

fn spinner(screen: Screen) -> ProgressStyle {
    styled(
        screen,
        "{spinner:.green} {prefix} {wide_msg:.dim} {elapsed}",
        "{spinner} {prefix} {wide_msg} {elapsed}",
    )
}

fn measured(screen: Screen) -> ProgressStyle {
    if screen.width < BAR_NEEDS_WIDTH {
        return styled(
            screen,
            "{spinner:.green} {prefix} {pos}/{len} {wide_msg}",
            "{spinner} {prefix} {pos}/{len} {wide_msg}",
        );
    }
    styled(
        screen,
        "{spinner:.green} {prefix} [{bar:20.green}] {pos}/{len} {wide_msg} {elapsed}",
        "{spinner} {prefix} [{bar:20}] {pos}/{len} {wide_msg} {elapsed}",
    )
    .progress_chars("=> ")
}

fn styled(screen: Screen, color: &str, plain: &str) -> ProgressStyle {
    ProgressStyle::with_template(if screen.color { color } else { plain })
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    /// The templates parse: otherwise the display silently falls back.
    #[test]
    fn templates_parse() {
        for template in [
            "{spinner:.green} {prefix} {wide_msg:.dim} {elapsed}",
            "{spinner:.green} {prefix} [{bar:20.green}] {pos}/{len} {wide_msg} {elapsed}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    /// Every stage that begins leaves the display when it ends.
    #[test]
    fn no_bar_is_left_behind() {
        for events in [fixture::wine(), fixture::failing(), fixture::unchanged()] {
            let mut out = Vec::new();
            let mut live = Live::new(&mut out, Screen::plain(), ProgressDrawTarget::hidden());
            let mut most = 0;
            for event in &events {
                live.event(event).unwrap();
                most = most.max(live.running.len());
            }
            assert!(live.running.is_empty());
            assert!(most <= 1);
            live.finish().unwrap();
            let summary = String::from_utf8(out).unwrap();
            assert!(summary.contains("gold.wine_scored"), "{summary}");
        }
    }
}
