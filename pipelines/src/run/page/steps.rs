//! How a training in steps went on: losses, rates, and the evaluations meanwhile.

use std::collections::BTreeMap;

use sluice_learn::deep::trainer::Best;
use sluice_report::chart::lines::{Line, Lines, Mark};
use sluice_report::chart::{Axis, Ink};
use sluice_report::{Cell, Chart, Section, Table, number};

use super::Report;
use super::scores::figure;

/// The loss of the steps, and that of the evaluations.
const LOSSES: [(&str, &str); 2] = [("train.loss", "train"), ("validation.loss", "validation")];
/// What else is drawn where it was told.
const OTHERS: [(&str, &str); 3] = [
    ("learning_rate", "Learning rate"),
    ("grad_norm", "Norm of the gradients"),
    ("tokens_per_second", "Tokens a second"),
];
/// Evaluations that the table lists at most; the others are in steps.csv.
const LISTED: usize = 50;

/// A training in steps.
pub(crate) struct Steps {
    /// Each metric by name, as `train.loss`: steps and values.
    pub(crate) curves: BTreeMap<String, Vec<(f64, f64)>>,
    /// Steps done.
    pub(crate) steps: u64,
    /// Tokens learned from.
    pub(crate) tokens: u64,
    /// Whether it ended since figures became no better.
    pub(crate) stopped_early: bool,
    /// The best evaluation.
    pub(crate) best: Option<Best>,
    /// Weights that a fine-tuned model did not have and that were drawn.
    pub(crate) fresh: Vec<String>,
}

impl Steps {
    /// How the training went, in words.
    pub(super) fn told(&self) -> String {
        let steps = number::count(self.steps);
        let tokens = number::count(self.tokens);
        let mut words = format!("{steps} steps were taken over {tokens} tokens.");
        if self.stopped_early {
            words.push_str(" It stopped early, since the figures became no better.");
        }
        if let Some(best) = &self.best {
            words.push_str(&format!(
                " validation.{} was best after step {}, {}.",
                best.metric,
                number::count(best.step),
                figure(best.value)
            ));
        }
        if !self.fresh.is_empty() {
            words.push_str(&format!(
                " {} weights were not in the model that it began with, and were drawn: {}.",
                self.fresh.len(),
                self.fresh.join(", ")
            ));
        }
        words
    }

    fn losses(&self) -> Option<Chart> {
        let lines = LOSSES.iter().enumerate();
        let lines: Vec<Line> = lines
            .filter_map(|(series, (name, told))| {
                let points = self.curves.get(*name)?.clone();
                let line = Line::new(*told, points).ink(Ink::Series(series));
                Some(if *told == "validation" {
                    line.dots()
                } else {
                    line
                })
            })
            .collect();
        if lines.is_empty() {
            return None;
        }
        let best = self.best.as_ref().filter(|best| best.metric == "loss");
        let mark = best.map(|best| Mark {
            at: (best.step as f64, best.value),
            label: format!("{} after {}", figure(best.value), best.step),
        });
        let chart = Lines {
            title: "Loss by step".to_owned(),
            x: Axis::new("Step").whole(),
            y: Axis::new("loss"),
            lines,
            marks: mark.into_iter().collect(),
            ..Lines::default()
        };
        Some(chart.draw())
    }

    fn other(&self, name: &str, title: &str) -> Option<Chart> {
        let points = self.curves.get(name)?.clone();
        let chart = Lines {
            title: format!("{title} by step"),
            x: Axis::new("Step").whole(),
            y: Axis::new(name),
            lines: vec![Line::new("", points)],
            ..Lines::default()
        };
        Some(chart.draw())
    }

    /// Each evaluation on the validation rows while it trained.
    fn evaluations(&self) -> Option<Table> {
        let of_validation: Vec<(&str, &Vec<(f64, f64)>)> = self
            .curves
            .iter()
            .filter_map(|(name, points)| Some((name.strip_prefix("validation.")?, points)))
            .collect();
        let steps: Vec<f64> = of_validation
            .first()?
            .1
            .iter()
            .map(|(step, _)| *step)
            .collect();
        let mut table = Table::new("Evaluations on the validation rows").number("step");
        for (name, _) in &of_validation {
            table = table.number(*name);
        }
        for step in steps.iter().take(LISTED) {
            let best = self.best.as_ref();
            let is_best = best.is_some_and(|best| best.step as f64 == *step);
            let shown = number::count(*step as u64);
            let first = match is_best {
                true => Cell::new(shown).strong(),
                false => Cell::new(shown),
            };
            let values = of_validation.iter().map(|(_, points)| {
                let found = points.iter().find(|(at, _)| at == step);
                found.map_or_else(Cell::none, |(_, value)| Cell::new(figure(*value)))
            });
            table.row(std::iter::once(first).chain(values));
        }
        Some(table)
    }
}

impl Report {
    /// How a training in steps went on.
    pub(super) fn training(&self) -> Section {
        let section = Section::new("Training");
        let Some(steps) = &self.steps else {
            return section;
        };
        let others = OTHERS
            .iter()
            .filter_map(|(name, title)| steps.other(name, title));
        let charts: Vec<Chart> = steps.losses().into_iter().chain(others).collect();
        let section = section.text(steps.told());
        let section = match charts.is_empty() {
            true => section,
            false => section.charts(charts),
        };
        match steps.evaluations() {
            Some(table) => section.table(table),
            None => section,
        }
    }
}
