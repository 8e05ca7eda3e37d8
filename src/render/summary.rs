//! What a run came to: a fold over its events, and the tables at its end.

use std::collections::BTreeMap;

use console::measure_text_width;
use sluice_pipelines::events::{EventKind, LeaderboardRow, RunStatus};

use super::figures;
use super::grid::{Column, Grid};
use super::line;
use super::screen::{Screen, Tone};

/// Rows of a leaderboard that the summary shows.
const LEADERBOARD_ROWS: usize = 10;

/// What became of an asset.
#[derive(Debug, Default)]
enum Outcome {
    #[default]
    NotReached,
    Started,
    Made {
        rows: Option<u64>,
        version: Option<i64>,
        seconds: f64,
        metrics: BTreeMap<String, f64>,
    },
    Skipped {
        reason: String,
    },
    Failed {
        error: String,
        seconds: f64,
    },
    Blocked {
        by: String,
    },
}

#[derive(Debug)]
struct Leaderboard {
    asset: String,
    metric: String,
    maximize: bool,
    trials: u64,
    pruned: u64,
    rows: Vec<LeaderboardRow>,
    importance: Vec<(String, f64)>,
}

#[derive(Debug)]
struct End {
    run_id: String,
    status: RunStatus,
    made: u64,
    skipped: u64,
    failed: u64,
    seconds: f64,
}

/// What a run came to. Feed it every event, then ask for its lines.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    assets: Vec<(String, Outcome)>,
    broken_rules: Vec<String>,
    warnings: Vec<String>,
    leaderboards: Vec<Leaderboard>,
    scored: Vec<String>,
    reused: Vec<String>,
    reports: Vec<(String, String)>,
    registrations: Vec<(bool, String)>,
    end: Option<End>,
}

impl Summary {
    /// Takes one event in.
    pub(crate) fn observe(&mut self, event: &EventKind) {
        match event {
            EventKind::RunStarted { assets, .. } => {
                self.assets = assets
                    .iter()
                    .map(|asset| (asset.clone(), Outcome::NotReached))
                    .collect();
            }
            EventKind::StageProgress { .. }
            | EventKind::SweepResumed { .. }
            | EventKind::TrainingResumed { .. }
            | EventKind::TrainingProgress { .. }
            | EventKind::Trial { .. } => {}
            EventKind::Expectation {
                asset,
                name,
                otherwise,
                rows,
                failed,
                found,
                ..
            } => {
                if *failed > 0 {
                    let rule = line::broken_rule(name, otherwise, *rows, *failed, found.as_deref());
                    self.broken_rules.push(format!("{asset}: {rule}"));
                }
            }
            EventKind::Scoring { .. } => self.scored.extend(line::scoring(event)),
            EventKind::TrainingReused { asset, reason } => {
                self.reused.push(format!("{asset}: {reason}"));
            }
            EventKind::Warning { asset, message } => {
                self.warnings.push(format!("{asset}: {message}"));
            }
            EventKind::Leaderboard {
                asset,
                metric,
                maximize,
                trials,
                pruned,
                rows,
                importance,
            } => self.leaderboards.push(Leaderboard {
                asset: asset.clone(),
                metric: metric.clone(),
                maximize: *maximize,
                trials: *trials,
                pruned: *pruned,
                rows: rows.clone(),
                importance: importance.clone(),
            }),
            EventKind::Report { asset, path } => {
                self.reports.push((asset.clone(), path.clone()));
            }
            EventKind::Registered { moved, .. } => self
                .registrations
                .extend(line::registration(event).map(|text| (*moved, text))),
            EventKind::RunFinished {
                run_id,
                status,
                made,
                skipped,
                failed,
                seconds,
            } => {
                self.end = Some(End {
                    run_id: run_id.clone(),
                    status: *status,
                    made: *made,
                    skipped: *skipped,
                    failed: *failed,
                    seconds: *seconds,
                });
            }
            stage => self.observe_stage(stage),
        }
    }

    fn observe_stage(&mut self, event: &EventKind) {
        let (asset, outcome) = match event {
            EventKind::StageStarted { asset, .. } => (asset, Outcome::Started),
            EventKind::StageSkipped { asset, reason } => (
                asset,
                Outcome::Skipped {
                    reason: reason.clone(),
                },
            ),
            EventKind::StageFinished {
                asset,
                rows,
                version,
                seconds,
                metrics,
                ..
            } => (
                asset,
                Outcome::Made {
                    rows: *rows,
                    version: *version,
                    seconds: *seconds,
                    metrics: metrics.clone(),
                },
            ),
            EventKind::StageFailed {
                asset,
                error,
                fault,
                transient,
                seconds,
                ..
            } => (
                asset,
                Outcome::Failed {
                    error: format!("({fault}) {}{}", error.trim(), may_pass(*transient)),
                    seconds: *seconds,
                },
            ),
            EventKind::StageBlocked { asset, by } => (asset, Outcome::Blocked { by: by.clone() }),
            _ => return,
        };
        match self.assets.iter_mut().find(|(name, _)| name == asset) {
            Some(entry) => entry.1 = outcome,
            None => self.assets.push((asset.clone(), outcome)),
        }
    }

    /// The lines of the summary.
    pub(crate) fn lines(&self, screen: Screen) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.assets.is_empty() {
            lines.extend(self.asset_grid().lines(screen, 0));
        }
        for board in &self.leaderboards {
            lines.push(String::new());
            lines.extend(board.lines(screen));
        }
        let mut section = |title: &str, tone: Tone, texts: Vec<String>| {
            if texts.is_empty() {
                return;
            }
            lines.push(String::new());
            lines.push(screen.paint(tone, title));
            for text in texts {
                lines.extend(
                    text.lines()
                        .map(|line| format!("  {line}").trim_end().to_owned()),
                );
            }
        };
        section("Not trained again", Tone::Head, self.reused.clone());
        section(
            "Registered",
            Tone::Head,
            self.registrations
                .iter()
                .map(|(moved, text)| {
                    screen.paint(if *moved { Tone::Good } else { Tone::Plain }, text)
                })
                .collect(),
        );
        section("Scored", Tone::Head, self.scored.clone());
        section("Reports", Tone::Head, self.report_lines());
        section(
            "Broken expectations",
            Tone::Warning,
            self.broken_rules.clone(),
        );
        section("Warnings", Tone::Warning, self.warnings.clone());
        section("Errors", Tone::Bad, self.errors());
        lines.push(String::new());
        lines.push(self.last_line(screen));
        lines
    }

    fn asset_grid(&self) -> Grid {
        let mut grid = Grid::new(vec![
            Column::text("asset", 9),
            Column::text("outcome", 8),
            Column::number("rows", 4),
            Column::number("version", 3),
            Column::number("time", 5),
            Column::text("", 2).flexible(),
        ]);
        let cancelled = self
            .end
            .as_ref()
            .is_some_and(|end| end.status == RunStatus::Cancelled);
        for (asset, outcome) in &self.assets {
            let mut cells = vec![(Tone::Plain, asset.clone())];
            cells.extend(outcome.cells(cancelled));
            grid.row(cells);
        }
        grid
    }

    /// The assets with their pages, one below the other.
    fn report_lines(&self) -> Vec<String> {
        let wide = self
            .reports
            .iter()
            .map(|(asset, _)| measure_text_width(asset));
        let wide = wide.max().unwrap_or(0);
        let lines = self.reports.iter().map(|(asset, path)| {
            let space = " ".repeat(wide - measure_text_width(asset));
            format!("{asset}{space}  {path}")
        });
        lines.collect()
    }

    fn errors(&self) -> Vec<String> {
        self.assets
            .iter()
            .filter_map(|(asset, outcome)| match outcome {
                Outcome::Failed { error, .. } => Some(format!("{asset}: {}", error.trim())),
                _ => None,
            })
            .collect()
    }

    fn last_line(&self, screen: Screen) -> String {
        let Some(end) = &self.end else {
            return screen.paint(Tone::Bad, "The run ended without a word.");
        };
        let (tone, word) = match end.status {
            RunStatus::Finished if end.made == 0 => (Tone::Good, "Nothing to do"),
            RunStatus::Finished => (Tone::Good, "Finished"),
            RunStatus::Failed => (Tone::Bad, "Failed"),
            RunStatus::Cancelled => (Tone::Warning, "Stopped"),
        };
        let then = match end.status {
            RunStatus::Cancelled => "; run again to go on",
            _ => "",
        };
        let word = screen.paint(tone, word);
        let tail = screen.paint(Tone::Quiet, &format!("(run {})", end.run_id));
        format!(
            "{word} in {}: {} made, {} skipped, {} failed or blocked{then} {tail}",
            figures::duration(end.seconds),
            end.made,
            end.skipped,
            end.failed,
        )
    }
}

impl Outcome {
    /// Cells for outcome, rows, version, time and note.
    fn cells(&self, cancelled: bool) -> [(Tone, String); 5] {
        let plain = |text: String| (Tone::Plain, text);
        let short = |tone, word: &str, seconds: Option<f64>, note: String| {
            [
                (tone, word.to_owned()),
                plain(String::new()),
                plain(String::new()),
                plain(seconds.map(figures::duration).unwrap_or_default()),
                plain(note),
            ]
        };
        match self {
            Self::Made {
                rows,
                version,
                seconds,
                metrics,
            } => [
                (Tone::Good, "made".to_owned()),
                plain(rows.map(figures::count).unwrap_or_default()),
                plain(
                    version
                        .map(|version| version.to_string())
                        .unwrap_or_default(),
                ),
                plain(figures::duration(*seconds)),
                plain(figures::glance(metrics)),
            ],
            Self::Skipped { reason } => short(
                Tone::Quiet,
                "skipped",
                None,
                line::first_line(reason).to_owned(),
            ),
            Self::Failed { error, seconds } => short(
                Tone::Bad,
                "failed",
                Some(*seconds),
                line::first_line(error).to_owned(),
            ),
            Self::Blocked { by } => short(Tone::Warning, "blocked", None, format!("needs {by}")),
            Self::Started => short(Tone::Warning, "stopped", None, String::new()),
            Self::NotReached if cancelled => short(Tone::Quiet, "not begun", None, String::new()),
            Self::NotReached => short(Tone::Quiet, "-", None, String::new()),
        }
    }
}

impl Leaderboard {
    fn lines(&self, screen: Screen) -> Vec<String> {
        let best = if self.maximize { "largest" } else { "smallest" };
        let mut lines = vec![format!(
            "{} {}",
            screen.paint(Tone::Head, &self.asset),
            screen.paint(Tone::Quiet, &format!("by {}, {best} first", self.metric)),
        )];
        let mut names: Vec<&String> = self.rows.iter().flat_map(|row| row.params.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let mut columns = vec![
            Column::number("trial", 8),
            Column::number(self.metric.clone(), 9),
        ];
        columns.extend(names.iter().map(|name| Column::number((*name).clone(), 1)));
        let mut grid = Grid::new(columns);
        for (place, row) in self.rows.iter().take(LEADERBOARD_ROWS).enumerate() {
            let tone = if place == 0 { Tone::Good } else { Tone::Plain };
            let mut cells = vec![
                (tone, row.number.to_string()),
                (tone, figures::metric(row.value)),
            ];
            cells.extend(names.iter().map(|name| {
                let value = row.params.get(*name).map(figures::parameter);
                (Tone::Plain, value.unwrap_or_default())
            }));
            grid.row(cells);
        }
        lines.extend(grid.lines(screen, 2));
        if let Some(more) = self.rows.len().checked_sub(LEADERBOARD_ROWS + 1) {
            lines.push(format!("  … and {} more", more + 1));
        }
        if self.pruned > 0 {
            let text = format!("  {} of {} trials were pruned", self.pruned, self.trials);
            lines.push(screen.paint(Tone::Quiet, &text));
        }
        if !self.importance.is_empty() {
            lines.push(screen.paint(Tone::Quiet, "  variance explained by each alone:"));
            let parts = self.importance.iter();
            lines.extend(parts.map(|(name, part)| format!("    {name} {:.0} %", part * 100.0)));
        }
        lines
    }
}
/// What helps against a failure of the kind that passes.
fn may_pass(transient: bool) -> &'static str {
    match transient {
        true => "; this may pass: `sluice retry` goes on from here",
        false => "",
    }
}
