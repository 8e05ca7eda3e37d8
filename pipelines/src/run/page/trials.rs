//! A search: its trials, what each parameter did, and what mattered.

use serde_json::Value;
use sluice_learn::metric::Goal;
use sluice_learn::search::{Dimension, Range, param_text};
use sluice_learn::sweep::{ParameterImportance, Trial};
use sluice_report::chart::bars::{Bar, Bars};
use sluice_report::chart::parallel::{Measure, Parallel, Polyline, Upright};
use sluice_report::chart::scatter::{Points, Scatter};
use sluice_report::chart::{Axis, Ink};
use sluice_report::{Block, Cell, Chart, Section, Table, Tile, number};

use super::scores::figure;

/// Rows of the leaderboard that the page shows at once, and in all; `leaderboard.csv` has
/// the rest.
const LEADERS: usize = 10;
const RANKED: usize = 60;
/// Parameters that stand side by side as axes: the most important ones.
const AXES: usize = 11;
/// Pairs of parameters whose importance is told.
const PAIRS: usize = 5;

/// A search that has ended.
pub(crate) struct Search {
    /// What was looked for, as `validation.auc`.
    pub(crate) objective: String,
    pub(crate) goal: Goal,
    /// The parameters that were searched, as they are written.
    pub(crate) dimensions: Vec<Dimension>,
    /// All trials, by number, from 1.
    pub(crate) trials: Vec<Trial>,
    /// The number of the best one.
    pub(crate) best: usize,
    pub(crate) importance: ParameterImportance,
    /// The numbers of all trials, the best first.
    pub(crate) ranked: Vec<usize>,
}

impl Search {
    /// The best trial.
    pub(super) fn winner(&self) -> Option<&Trial> {
        self.trial(self.best)
    }

    fn trial(&self, number: usize) -> Option<&Trial> {
        self.trials.get(number.checked_sub(1)?)
    }

    fn is_best(&self, trial: &Trial) -> bool {
        trial.number == self.best
    }

    /// The trials that went to their end with a value.
    fn complete(&self) -> impl Iterator<Item = (&Trial, f64)> {
        let ended = self.trials.iter().filter(|trial| !trial.pruned);
        ended.filter_map(|trial| Some((trial, trial.value?)))
    }

    /// What the search came to, in figures.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let value = self.winner().and_then(|trial| trial.value);
        let pruned = self.trials.iter().filter(|trial| trial.pruned).count();
        let failed = self.trials.iter().filter(|trial| trial.error.is_some());
        let seconds: f64 = self.trials.iter().map(|trial| trial.seconds).sum();
        vec![
            Tile::new(
                format!("Best {}", self.objective),
                figure(value.unwrap_or(f64::NAN)),
            )
            .note(format!("trial {}", self.best)),
            Tile::new("Trials", number::count(self.trials.len() as u64)).note(format!(
                "{} pruned, {} failed",
                number::count(pruned as u64),
                number::count(failed.count() as u64)
            )),
            Tile::new("Time in trials", number::duration(seconds)),
        ]
    }

    /// Charts of all trials.
    pub(super) fn section(&self) -> Section {
        let mut charts = vec![self.parallel(), self.history()];
        charts.extend(self.parameters());
        let slices = self.dimensions.iter().map(|d| self.slice(d));
        let told = match self.goal {
            Goal::Maximize => "larger is better",
            Goal::Minimize => "smaller is better",
        };
        Section::new("Search")
            .text(format!(
                "All trials by {} ({told}). Stronger colours are better ones; the best is orange, pruned and failed ones are grey.",
                self.objective
            ))
            .charts(charts)
            .charts(slices)
    }

    /// The values from which on and up to which colours differ: what does worst does not take
    /// the colours from the rest.
    fn colour_ends(&self) -> (f64, f64) {
        let mut values: Vec<f64> = self.complete().map(|(_, value)| value).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            let place = (share * last as f64).round() as usize;
            values.get(place).copied().unwrap_or(f64::NAN)
        };
        match self.goal {
            Goal::Maximize => (at(0.1), at(1.0)),
            Goal::Minimize => (at(0.9), at(0.0)),
        }
    }

    fn ink(&self, trial: &Trial, (worst, best): (f64, f64)) -> Ink {
        match trial.value {
            Some(_) if self.is_best(trial) => Ink::Best,
            Some(value) if !trial.pruned => match best == worst {
                true => Ink::step(1.0),
                false => Ink::step((value - worst) / (best - worst)),
            },
            _ => Ink::Faint,
        }
    }

    fn tip(&self, trial: &Trial) -> String {
        let value = trial.value.map_or_else(|| "none".to_owned(), figure);
        let state = match trial.state() {
            "complete" => String::new(),
            state => format!(" ({state})"),
        };
        let mut tip = format!("trial {}: {value}{state}", trial.number);
        for (name, value) in &trial.chosen {
            tip.push_str(&format!("\n{name} {}", shown(value)));
        }
        tip
    }

    fn parallel(&self) -> Chart {
        let ends = self.colour_ends();
        let dimensions = self.axes();
        let mut axes: Vec<Upright> = dimensions
            .iter()
            .map(|dimension| Upright {
                name: dimension.param.clone(),
                measure: measure(&dimension.range),
            })
            .collect();
        let values = self.trials.iter().filter_map(|trial| trial.value);
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        axes.push(Upright {
            name: self.objective.clone(),
            measure: Measure::Number {
                low,
                high,
                log: false,
            },
        });
        // The better above the worse, the best above all.
        let order = self.ranked.iter().rev().filter_map(|n| self.trial(*n));
        let lines = order.map(|trial| {
            let mut values: Vec<Option<f64>> = dimensions
                .iter()
                .map(|dimension| place(dimension, trial))
                .collect();
            values.push(trial.value);
            Polyline {
                values,
                ink: self.ink(trial, ends),
                tip: self.tip(trial),
            }
        });
        let chart = Parallel {
            title: "Parameters and objective".to_owned(),
            axes,
            lines: lines.collect(),
            ends: Some((figure(ends.0), figure(ends.1))),
        };
        let more = match self.dimensions.len() - dimensions.len() {
            0 => String::new(),
            _ => format!(
                " The {} most important of {} parameters.",
                dimensions.len(),
                self.dimensions.len()
            ),
        };
        chart.draw().note(format!(
            "A line for each trial. Drag along an axis to keep the lines that pass there; click it to let go.{more}"
        ))
    }

    /// The parameters that are axes: all, or the most important ones.
    fn axes(&self) -> Vec<&Dimension> {
        if self.dimensions.len() <= AXES {
            return self.dimensions.iter().collect();
        }
        let rank = |dimension: &&Dimension| {
            let ranked = &self.importance.parameters;
            ranked
                .iter()
                .position(|(name, _)| *name == dimension.param)
                .unwrap_or(usize::MAX)
        };
        let mut dimensions: Vec<&Dimension> = self.dimensions.iter().collect();
        dimensions.sort_by_key(rank);
        dimensions.truncate(AXES);
        dimensions
    }

    /// The objective of each trial, and the best so far.
    fn history(&self) -> Chart {
        let mut best: Option<f64> = None;
        let mut so_far = Vec::new();
        for (trial, value) in self.complete() {
            let number = trial.number as f64;
            if best.is_none_or(|best| self.goal.better(value, best)) {
                // A step: what was best until now was so until here.
                so_far.extend(best.map(|best| (number, best)));
                best = Some(value);
                so_far.push((number, value));
            }
        }
        so_far.extend(best.map(|best| (self.trials.len() as f64, best)));
        let chart = Scatter {
            title: "Trial by trial".to_owned(),
            x: Axis::new("Trial").whole(),
            y: Axis::new(&self.objective),
            points: self.clouds(|trial| Some(trial.number as f64), true),
            line: so_far,
            guides: Vec::new(),
            square: false,
        };
        chart.draw().note("The line is the best so far.")
    }

    /// Points by what became of the trials: the best, the complete, the pruned ones.
    fn clouds(&self, x: impl Fn(&Trial) -> Option<f64>, tips: bool) -> Vec<Points> {
        let of = |ink: Ink, wanted: &dyn Fn(&Trial) -> bool| {
            let trials = self.trials.iter().filter(|trial| wanted(trial));
            let placed = trials.filter_map(|trial| Some(((x(trial)?, trial.value?), trial)));
            let (at, trials): (Vec<_>, Vec<&Trial>) = placed.unzip();
            let told = trials.iter().map(|trial| self.tip(trial));
            Points {
                name: String::new(),
                at,
                ink,
                tips: if tips { told.collect() } else { Vec::new() },
            }
        };
        vec![
            of(Ink::Best, &|trial| self.is_best(trial)),
            of(Ink::Accent, &|trial| !trial.pruned && !self.is_best(trial)),
            of(Ink::Faint, &|trial| trial.pruned),
        ]
    }

    /// The objective against one parameter.
    fn slice(&self, dimension: &Dimension) -> Chart {
        let name = &dimension.param;
        let x = match measure(&dimension.range) {
            Measure::Number { low, high, log } => {
                let axis = Axis::new("").between(low, high);
                if log { axis.log() } else { axis }
            }
            Measure::Whole { low, high } => Axis::new("").between(low, high).whole(),
            Measure::Category(names) => Axis::new("").names(names),
        };
        let chart = Scatter {
            title: name.clone(),
            x,
            y: Axis::new(&self.objective),
            points: self.clouds(|trial| place(dimension, trial), false),
            ..Scatter::default()
        };
        chart.draw()
    }

    /// How much of the objective's variance each parameter explains.
    fn parameters(&self) -> Option<Chart> {
        if self.importance.parameters.is_empty() {
            return None;
        }
        let bar = |name: String, part: f64| Bar::new(name, part, number::percent(part));
        let alone = self.importance.parameters.iter();
        let mut bars: Vec<Bar> = alone.map(|(name, part)| bar(name.clone(), *part)).collect();
        let pairs = self.importance.pairs.iter().take(PAIRS);
        bars.extend(
            pairs.map(|((a, b), part)| bar(format!("{a} × {b}"), *part).ink(Ink::Series(1))),
        );
        let chart = Bars {
            title: "Parameter importance".to_owned(),
            bars,
            whole: None,
        };
        let chart = chart.draw();
        Some(chart.note(
            "The share of the objective's variance that a parameter explains alone, and a pair beyond its two (fANOVA).",
        ))
    }

    /// The best trials.
    pub(super) fn leaderboard(&self) -> Section {
        let all = self.trials.len();
        let told = match all > RANKED {
            true => format!(
                "The best of {} trials; leaderboard.csv beside this page has all.",
                number::count(all as u64)
            ),
            false => "The best trials first.".to_owned(),
        };
        let ranked = &self.ranked[..all.min(RANKED)];
        let (leaders, rest) = ranked.split_at(ranked.len().min(LEADERS));
        let section = Section::new("Leaderboard")
            .text(told)
            .table(self.ranking(leaders));
        if rest.is_empty() {
            return section;
        }
        let summary = format!("The next {}", rest.len());
        let rest = vec![Block::Table(self.ranking(rest))];
        section.block(Block::Details(summary, rest))
    }

    /// Trials with what they came to and their parameters.
    fn ranking(&self, numbers: &[usize]) -> Table {
        let states = self.trials.iter().any(|trial| trial.state() != "complete");
        let mut table = Table::new("Trials, the best first")
            .number("trial")
            .number(&self.objective)
            .number("rounds");
        if states {
            table = table.column("state");
        }
        for dimension in &self.dimensions {
            table = table.number(&dimension.param);
        }
        for trial in numbers.iter().filter_map(|number| self.trial(*number)) {
            let value = trial
                .value
                .map_or_else(Cell::none, |value| figure(value).into());
            let mut cells = vec![
                Cell::new(trial.number.to_string()),
                value.strong(),
                Cell::new(number::count(trial.iterations as u64)),
            ];
            if states {
                cells.push(Cell::new(trial.state()).quiet());
            }
            cells.extend(self.dimensions.iter().map(|dimension| {
                let value = trial.chosen.get(&dimension.param);
                value.map_or_else(Cell::none, |value| shown(value).into())
            }));
            match self.is_best(trial) {
                true => table.marked_row(cells),
                false => table.row(cells),
            }
        }
        table
    }
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(value) => number::significant(value, 4),
        None => param_text(value),
    }
}

fn measure(range: &Range) -> Measure {
    let number = |low, high, log| Measure::Number { low, high, log };
    match range {
        Range::Int { low, high } => Measure::Whole {
            low: *low as f64,
            high: *high as f64,
        },
        Range::Float { low, high } => number(*low, *high, false),
        Range::Log { low, high } => number(*low, *high, true),
        Range::Quantized { low, step, last } => number(*low, low + step * *last as f64, false),
        Range::Choice(values) => Measure::Category(values.iter().map(param_text).collect()),
    }
}

/// Where a trial is in one dimension: its value, or a choice's position.
fn place(dimension: &Dimension, trial: &Trial) -> Option<f64> {
    let value = trial.chosen.get(&dimension.param)?;
    match &dimension.range {
        Range::Choice(values) => {
            let at = values.iter().position(|other| other == value)?;
            Some(at as f64)
        }
        _ => value.as_f64(),
    }
}
