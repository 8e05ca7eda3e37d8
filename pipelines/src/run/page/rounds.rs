//! How the metric that was watched went on, round by round.

use sluice_learn::metric::Metric;
use sluice_report::chart::Axis;
use sluice_report::chart::lines::{Line, Lines, Mark};
use sluice_report::{Chart, number};

use super::scores::figure;
use super::{AsFitted, Report};

impl AsFitted {
    /// The best round, from 0: the one that early stopping chose, else the first with the
    /// best value.
    fn best(&self) -> Option<usize> {
        if self.best_iteration.is_some() {
            return self.best_iteration;
        }
        let (_, name) = self.watched.split_once('.')?;
        let goal = Metric::find(name).ok()?.goal;
        let mut best: Option<(usize, f64)> = None;
        for (round, value) in self.history.iter().enumerate() {
            if best.is_none_or(|(_, best)| goal.better(*value, best)) {
                best = Some((round, *value));
            }
        }
        best.map(|(round, _)| round)
    }
}

impl Report {
    /// The watched metric after each round, with the best one marked.
    pub(super) fn round_chart(&self) -> Option<Chart> {
        let rounds = &self.fitted;
        if rounds.history.is_empty() {
            return None;
        }
        let points = rounds.history.iter().enumerate();
        let points = points.map(|(round, value)| ((round + 1) as f64, *value));
        let best = rounds.best().and_then(|best| {
            let value = rounds.history.get(best)?;
            Some(Mark {
                at: ((best + 1) as f64, *value),
                label: format!("{} after {}", figure(*value), best + 1),
            })
        });
        let chart = Lines {
            title: format!("{} by round", rounds.watched),
            x: Axis::new("Round").whole(),
            y: Axis::new(&rounds.watched),
            lines: vec![Line::new("", points.collect())],
            marks: best.into_iter().collect(),
            ..Lines::default()
        };
        Some(chart.draw())
    }

    pub(super) fn rounds_told(&self) -> String {
        let rounds = &self.fitted;
        let kept = number::count(rounds.kept as u64);
        match (rounds.best_iteration, rounds.history.len()) {
            (Some(best), run) => format!(
                "{} rounds of boosting were run; {} was best after round {}, and the model keeps {kept}.",
                number::count(run as u64),
                rounds.watched,
                number::count(best as u64 + 1),
            ),
            (None, 0) => format!("The model has {kept} rounds or trees."),
            (None, _) => format!("The model keeps all {kept} rounds of boosting."),
        }
    }
}
