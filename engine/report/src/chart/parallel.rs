//! Parallel coordinates: a line for each trial through an upright axis for each parameter.
//! The page's script lets a part of an axis be chosen, which fades the lines elsewhere; all
//! is drawn without it.

use super::draw::{Anchor, LETTER, fitted, line, path, text, title, width_of};
use super::scale::Scale;
use super::{Axis, Chart, Ink, Size};
use crate::html::Element;
use crate::number::px;

/// What an axis measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Numbers between two ends, or a logarithmic axis of positive ones.
    Number {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// Whether the axis is logarithmic.
        log: bool,
    },
    /// Whole numbers between two ends.
    Whole {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// One of these, by position.
    Category(Vec<String>),
}

/// An upright axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Upright {
    /// What stands above it.
    pub name: String,
    /// What it measures.
    pub measure: Measure,
}

/// A line through all axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Polyline {
    /// Its value on each axis (a position among categories); those that have none pass below
    /// the axis.
    pub values: Vec<Option<f64>>,
    /// Its colour.
    pub ink: Ink,
    /// Its tooltip.
    pub tip: String,
}

/// A chart of parallel coordinates.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parallel {
    /// What the chart shows.
    pub title: String,
    /// The axes, from the left.
    pub axes: Vec<Upright>,
    /// The lines; later ones are drawn above earlier ones.
    pub lines: Vec<Polyline>,
    /// What the colours run from and to, for the legend.
    pub ends: Option<(String, String)>,
}

/// Height of the drawing, and of the part of it for lines without a value.
const HEIGHT: f64 = 370.0;
const FOOT: f64 = 26.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 356.0;
/// Where lines pass that have no value.
const BELOW: f64 = 380.0;
/// Categories that an axis names.
const NAMED: usize = 24;

impl Parallel {
    /// The chart.
    pub fn draw(&self) -> Chart {
        if self.axes.is_empty() || self.lines.is_empty() {
            return Chart::nothing(&self.title, "There are no trials to draw.");
        }
        let width = Size::Wide.width();
        let edge = 70.0;
        let gap = (width - 2.0 * edge) / (self.axes.len().max(2) - 1) as f64;
        let place = |at: usize| match self.axes.len() {
            1 => width / 2.0,
            _ => edge + at as f64 * gap,
        };
        let scales: Vec<Scale> = self.axes.iter().map(|axis| scale(&axis.measure)).collect();
        let lines = self.lines.iter().map(|polyline| {
            let points: Vec<(f64, f64)> = scales
                .iter()
                .enumerate()
                .map(|(at, scale)| {
                    let value = polyline.values.get(at).copied().flatten();
                    let y = value
                        .filter(|v| scale.holds(*v))
                        .and_then(|v| scale.place(v));
                    (place(at), y.unwrap_or(BELOW))
                })
                .collect();
            Element::new("path")
                .class(polyline.ink.class())
                .attr("d", path(&points))
                .child(title(polyline.tip.clone()))
        });
        let mut content = vec![Element::new("g").class("traces").children(lines)];
        let room = gap.min(width / 2.0) - 10.0;
        let mut height = HEIGHT;
        for (at, (axis, scale)) in self.axes.iter().zip(&scales).enumerate() {
            let missing = self
                .lines
                .iter()
                .any(|line| line.values.get(at).copied().flatten().is_none());
            if missing {
                height = HEIGHT + FOOT;
            }
            content.push(upright(axis, scale, place(at), room, missing));
        }
        let names: Vec<&str> = self.axes.iter().map(|axis| &*axis.name).collect();
        let description = format!("{} lines over {}.", self.lines.len(), names.join(", "));
        let chart = Chart::new(&self.title, description, height, content);
        chart.sized(Size::Wide).ramped(self.ends.clone()).brushed()
    }
}

fn scale(measure: &Measure) -> Scale {
    let (axis, low, high) = match measure {
        Measure::Number { low, high, log } => {
            let axis = Axis::default().between(*low, *high);
            (if *log { axis.log() } else { axis }, *low, *high)
        }
        Measure::Whole { low, high } => (Axis::default().between(*low, *high).whole(), *low, *high),
        Measure::Category(names) => {
            let last = names.len().saturating_sub(1) as f64;
            (Axis::default().between(-0.5, last + 0.5), 0.0, last)
        }
    };
    Scale::new(&axis, [low, high], (BOTTOM, TOP))
}

fn upright(axis: &Upright, scale: &Scale, x: f64, room: f64, missing: bool) -> Element {
    // Names are bold, and so wider.
    let name = fitted(&axis.name, (room / 1.05 - 4.0).max(30.0));
    let mut group = Element::new("g")
        .class("upright")
        .attr("data-x", px(x))
        .child(title(axis.name.clone()))
        .child(text(x, 16.0, Anchor::Middle, &name).class("label"))
        .child(line(x, TOP, x, BOTTOM, "axis"))
        .child(
            Element::new("rect")
                .class("handle")
                .num("x", x - 14.0)
                .num("y", TOP - 6.0)
                .num("width", 28.0)
                .num("height", BOTTOM - TOP + 12.0),
        );
    let ticks: Vec<(f64, String)> = match &axis.measure {
        Measure::Number { .. } | Measure::Whole { .. } => {
            let ticks = scale.ticks(6).into_iter();
            ticks.map(|tick| (tick.at, tick.label)).collect()
        }
        Measure::Category(names) if names.len() <= NAMED => {
            let places = names.iter().enumerate();
            places
                .filter_map(|(at, name)| Some((scale.place(at as f64)?, name.clone())))
                .collect()
        }
        Measure::Category(_) => Vec::new(),
    };
    for (y, label) in ticks {
        let label = fitted(&label, (room * 0.75).max(24.0));
        group = group
            .child(line(x - 3.0, y, x + 3.0, y, "axis"))
            .child(halo(x + 7.0, y, &label));
    }
    if missing {
        group = group.child(halo(x + 7.0, BELOW, "none"));
    }
    group
}

/// A text that is read above lines.
fn halo(x: f64, y: f64, label: &str) -> Element {
    let wide = width_of(label);
    let back = Element::new("rect")
        .class("halo")
        .num("x", x - 2.0)
        .num("y", y - LETTER * 0.6)
        .num("width", wide + 2.0)
        .num("height", LETTER * 1.2)
        .attr("rx", "3");
    Element::new("g")
        .child(back)
        .child(text(x, y, Anchor::Start, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let chart = Parallel {
            title: "Trials".to_owned(),
            axes: vec![
                Upright {
                    name: "learning_rate".to_owned(),
                    measure: Measure::Number {
                        low: 0.01,
                        high: 1.0,
                        log: true,
                    },
                },
                Upright {
                    name: "booster".to_owned(),
                    measure: Measure::Category(vec!["a".to_owned(), "b".to_owned()]),
                },
            ],
            lines: vec![
                Polyline {
                    values: vec![Some(0.1), Some(0.0)],
                    ink: Ink::step(0.0),
                    tip: "trial 1".to_owned(),
                },
                Polyline {
                    values: vec![Some(f64::NAN), None],
                    ink: Ink::Best,
                    tip: "trial 2".to_owned(),
                },
            ],
            ends: Some(("0.5".to_owned(), "0.9".to_owned())),
        };
        insta::assert_snapshot!(chart.draw().figure().render());
        assert!(Parallel::default().draw().svg().is_none());
    }
}
