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
    running: HashMap<String, Running>,
    screen: Screen,
    summary: Summary,
}

/// The display of a stage under way.
#[derive(Debug)]
struct Running {
    bar: ProgressBar,
    /// When it began, in milliseconds since 1970 UTC.
    started_ms: i64,
    /// The best value of its trials.
    best: Option<f64>,
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

    fn begin(&mut self, asset: &str, kind: &str, started_ms: i64) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(spinner(self.screen));
        bar.set_prefix(asset.to_owned());
        bar.set_message(kind.to_owned());
        bar.enable_steady_tick(TICK);
        let running = Running {
            bar,
            started_ms,
            best: None,
        };
        self.running.insert(asset.to_owned(), running);
    }

    fn progress(&self, asset: &str, time_ms: i64, done: u64, total: Option<u64>, unit: &str) {
        let Some(running) = self.running.get(asset) else {
            return;
        };
        let seconds = (time_ms - running.started_ms) as f64 / 1000.0;
        let words = words(done, total, unit, seconds, running.best);
        match total {
            Some(total) => self.measure(asset, done, total, words),
            None => running.bar.set_message(words),
        }
    }

    /// Shows how much of something known is done.
    fn measure(&self, asset: &str, done: u64, total: u64, words: String) {
        let Some(Running { bar, .. }) = self.running.get(asset) else {
            return;
        };
        if bar.length() != Some(total) {
            bar.set_style(measured(self.screen));
            bar.set_length(total);
        }
        bar.set_position(done);
        bar.set_message(words);
    }

    fn end(&mut self, asset: &str) {
        if let Some(Running { bar, .. }) = self.running.remove(asset) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl<W: Write> Consumer for Live<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.summary.observe(&event.kind);
        match &event.kind {
            EventKind::StageStarted { asset, kind, .. } => {
                self.begin(asset, kind, event.time_ms);
                return Ok(());
            }
            EventKind::StageProgress {
                asset,
                done,
                total,
                unit,
            } => self.progress(asset, event.time_ms, *done, *total, unit),
            EventKind::SweepResumed { asset, done, total } => {
                self.progress(asset, event.time_ms, *done, Some(*total), "trials");
            }
            EventKind::Trial {
                asset,
                number,
                total,
                best,
                ..
            } => {
                if let Some(running) = self.running.get_mut(asset) {
                    running.best = *best;
                }
                self.progress(asset, event.time_ms, *number, Some(*total), "trials");
            }
            EventKind::TrainingProgress {
                asset,
                step,
                total_steps,
                loss,
                tokens_per_second,
                seconds_left,
                ..
            } => {
                let words = steps(*loss, *tokens_per_second, *seconds_left);
                self.measure(asset, *step, *total_steps, words);
            }
            EventKind::TrainingResumed { asset, done, total } => {
                self.measure(asset, *done, *total, "steps".to_owned());
            }
            EventKind::StageSkipped { asset, .. }
            | EventKind::StageRetried { asset, .. }
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
        for (_, running) in self.running.drain() {
            running.bar.finish_and_clear();
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

/// What stands behind a stage's bar: how much, how fast, how good, how long still. The most
/// telling comes first, since narrow terminals cut it off.
fn words(done: u64, total: Option<u64>, unit: &str, seconds: f64, best: Option<f64>) -> String {
    let mut parts = Vec::new();
    parts.extend(best.map(|best| format!("best {}", figures::metric(best))));
    if total.is_none() {
        parts.push(figures::counted(done, unit));
    }
    if let Some(rate) = figures::rate(done, seconds) {
        match total {
            None => parts.push(format!("{rate} {unit}/s")),
            Some(total) => {
                let left = seconds / done as f64 * total.saturating_sub(done) as f64;
                parts.push(format!("{} left", figures::duration_roughly(left)));
                parts.push(unit.to_owned());
            }
        }
    } else if total.is_some() {
        parts.push(unit.to_owned());
    }
    parts.join(", ")
}

/// What stands behind the bar of a training in steps: the same, with its loss.
fn steps(loss: f64, tokens_per_second: f64, seconds_left: Option<f64>) -> String {
    let mut parts = vec![format!("loss {}", figures::metric(loss))];
    parts.extend(seconds_left.map(|left| format!("{} left", figures::duration_roughly(left))));
    parts.push(format!(
        "{} tokens/s",
        figures::count(tokens_per_second.max(0.0) as u64)
    ));
    parts.push("steps".to_owned());
    parts.join(", ")
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

    #[test]
    fn how_fast_and_how_long() {
        let cases = [
            words(0, None, "rows", 0.0, None),
            words(8_192, None, "rows", 0.05, None),
            words(1_234_567, None, "rows", 2.5, None),
            words(50, Some(1000), "rounds", 4.0, None),
            words(1, Some(96), "trials", 0.01, None),
            words(12, Some(96), "trials", 33.0, Some(0.912_34)),
            words(96, Some(96), "trials", 264.0, Some(0.95)),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r"
        0 rows
        8,192 rows
        1,234,567 rows, 493,827 rows/s
        2 min left, rounds
        trials
        best 0.9123, 4 min left, trials
        best 0.9500, 0 s left, trials
        ");
    }

    #[test]
    fn a_training_tells_its_loss() {
        assert_eq!(
            steps(0.512_34, 12_345.6, Some(130.0)),
            "loss 0.5123, 3 min left, 12,345 tokens/s, steps"
        );
        assert_eq!(steps(0.5, 0.0, None), "loss 0.5000, 0 tokens/s, steps");
    }

    /// What a stage under way shows, whatever the width; `NO_COLOR` leaves no escape in it.
    #[test]
    fn a_sweep_under_way_tells_its_best() {
        for width in [40, 120] {
            let screen = Screen {
                width,
                ..Screen::plain()
            };
            let mut live = Live::new(Vec::new(), screen, ProgressDrawTarget::hidden());
            let mut told = 0;
            for event in &fixture::wine() {
                live.event(event).unwrap();
                for running in live.running.values() {
                    let message = running.bar.message();
                    assert!(!message.contains('\u{1b}'), "{message:?}");
                    told += usize::from(message.starts_with("best"));
                }
            }
            assert!(told > 0);
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
