//! Curves: one or several series over one pair of axes, with lines to compare them with and
//! points to look at.

use super::draw::{Anchor, circle, line, path, text, title, width_of};
use super::frame::Frame;
use super::simplify::simplified;
use super::{Axis, Chart, Ink, Key, Size};
use crate::html::Element;
use crate::number::short;

/// What a curve may be off, in units of the drawing, so that it has fewer points.
const TOLERANCE: f64 = 0.25;

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What the legend and the tooltip call it.
    pub name: String,
    /// Its points, joined in this order; it is broken where one has no place.
    pub points: Vec<(f64, f64)>,
    /// Its colour; faint ones have no entry in the legend.
    pub ink: Ink,
    /// Drawn as dashes.
    pub dashed: bool,
    /// With a mark at each point, which tells its figures: for few points.
    pub dots: bool,
}

impl Line {
    /// A plain curve in the main colour.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            ink: Ink::Accent,
            dashed: false,
            dots: false,
        }
    }

    /// In another colour.
    #[must_use]
    pub fn ink(mut self, ink: Ink) -> Self {
        self.ink = ink;
        self
    }

    /// With a mark at each point.
    #[must_use]
    pub fn dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// As dashes.
    #[must_use]
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }
}

/// Something to compare curves with.
#[derive(Debug, Clone, PartialEq)]
pub enum Guide {
    /// From (0, 0) to (1, 1), or along the same values of both axes.
    Diagonal,
    /// At this value of the horizontal axis.
    Vertical(f64, String),
    /// At this value of the vertical axis.
    Horizontal(f64, String),
}

/// A point to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where.
    pub at: (f64, f64),
    /// What is there.
    pub label: String,
}

/// A chart of curves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// What the chart shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves; the first are drawn last, above the others.
    pub lines: Vec<Line>,
    /// What to compare them with.
    pub guides: Vec<Guide>,
    /// Points to look at.
    pub marks: Vec<Mark>,
    /// As high as wide, for axes of one unit.
    pub square: bool,
    /// How much room it takes.
    pub size: Size,
}

impl Lines {
    /// The chart.
    pub fn draw(&self) -> Chart {
        let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let all = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().copied());
        let marks = self.marks.iter().map(|mark| mark.at);
        if !all.clone().any(|point| finite(&point)) {
            return Chart::nothing(&self.title, "There are no points to draw.");
        }
        let width = self.size.width();
        let height = match (self.square, self.size) {
            (true, _) => 320.0,
            (false, Size::Standard) => 240.0,
            (false, Size::Wide) => 300.0,
        };
        let points = all.chain(marks).filter(finite);
        let frame = Frame::new((&self.x, &self.y), points, (width, height));
        let mut content = frame.axes();
        content.extend(self.guides.iter().filter_map(|guide| drawn(guide, &frame)));
        for line in self.lines.iter().rev() {
            content.extend(curve(line, &frame));
        }
        for mark in &self.marks {
            content.extend(marked(mark, &frame));
        }
        Chart::new(&self.title, self.description(), height, content)
            .sized(self.size)
            .keyed(self.keys())
    }

    fn keys(&self) -> Vec<Key> {
        let named = self
            .lines
            .iter()
            .filter(|line| line.ink.class() != Ink::Faint.class() && !line.name.is_empty());
        let keys: Vec<Key> = named
            .map(|line| Key {
                ink: line.ink,
                name: line.name.clone(),
            })
            .collect();
        keys
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let shown = names
            .iter()
            .take(10)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = names.len().saturating_sub(10);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} by {}: {shown}{more}.", self.y.label, self.x.label)
    }
}

/// The pieces of a curve between points without a place.
fn curve(line: &Line, frame: &Frame) -> Vec<Element> {
    let places: Vec<Option<(f64, f64)>> = line
        .points
        .iter()
        .map(|(x, y)| frame.place(*x, *y))
        .collect();
    let pieces = places
        .split(Option::is_none)
        .filter(|piece| !piece.is_empty());
    let drawn: String = pieces
        .map(|piece| {
            let mut piece: Vec<(f64, f64)> = piece.iter().flatten().copied().collect();
            if let [single] = piece[..] {
                // A line of no length, which has a round end.
                piece.push(single);
            }
            path(&simplified(&piece, TOLERANCE))
        })
        .collect();
    let dashes = if line.dashed { " dashed" } else { "" };
    let mut elements = vec![
        Element::new("path")
            .class(format!("line {}{dashes}", line.ink.class()))
            .attr("d", drawn)
            .children((!line.name.is_empty()).then(|| title(line.name.clone()))),
    ];
    if line.dots {
        for (point, place) in line.points.iter().zip(&places) {
            let Some((x, y)) = *place else { continue };
            let tip = format!("{}: {}, {}", line.name, short(point.0), short(point.1));
            elements.push(
                circle(x, y, 3.0)
                    .class(format!("dot {}", line.ink.class()))
                    .child(title(tip)),
            );
        }
    }
    elements
}

pub(super) fn drawn(guide: &Guide, frame: &Frame) -> Option<Element> {
    let group = Element::new("g").class("guide");
    match guide {
        Guide::Diagonal => {
            let (low, high) = frame.common()?;
            let (x1, y1) = frame.place(low, low)?;
            let (x2, y2) = frame.place(high, high)?;
            Some(group.child(line(x1, y1, x2, y2, "line dashed")))
        }
        Guide::Vertical(at, label) => {
            let x = frame.x.place(*at).filter(|_| frame.x.holds(*at))?;
            let wide = width_of(label);
            let (anchor, shift) = if x + wide + 6.0 > frame.right {
                (Anchor::End, -4.0)
            } else {
                (Anchor::Start, 4.0)
            };
            let label = text(x + shift, frame.top + 6.0, anchor, label);
            let line = line(x, frame.top, x, frame.bottom, "line dashed");
            Some(group.child(line).child(label))
        }
        Guide::Horizontal(at, label) => {
            let y = frame.y.place(*at).filter(|_| frame.y.holds(*at))?;
            let above = if y - frame.top < 14.0 { 9.0 } else { -8.0 };
            let label = text(frame.right, y + above, Anchor::End, label);
            let line = line(frame.left, y, frame.right, y, "line dashed");
            Some(group.child(line).child(label))
        }
    }
}

fn marked(mark: &Mark, frame: &Frame) -> Option<Element> {
    let (x, y) = frame.place(mark.at.0, mark.at.1)?;
    let wide = width_of(&mark.label);
    let (anchor, shift) = if x + wide + 10.0 > frame.right {
        (Anchor::End, -8.0)
    } else {
        (Anchor::Start, 8.0)
    };
    let above = if y - frame.top < 14.0 { 12.0 } else { -10.0 };
    Some(
        Element::new("g")
            .class("mark")
            .child(circle(x, y, 4.5).class("best"))
            .child(text(x + shift, y + above, anchor, &mark.label)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let chart = Lines {
            title: "ROC curve".to_owned(),
            x: Axis::new("False positive rate").between(0.0, 1.0),
            y: Axis::new("True positive rate").between(0.0, 1.0),
            lines: vec![
                Line::new(
                    "test",
                    vec![(0.0, 0.0), (0.1, 0.8), (f64::NAN, 0.9), (1.0, 1.0)],
                ),
                Line::new("validation", vec![(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
                    .ink(Ink::Series(1))
                    .dashed(),
            ],
            guides: vec![Guide::Diagonal],
            marks: vec![Mark {
                at: (0.1, 0.8),
                label: "0.42".to_owned(),
            }],
            square: true,
            ..Lines::default()
        };
        insta::assert_snapshot!(chart.draw().figure().render());
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let chart = Lines {
            title: "Loss".to_owned(),
            lines: vec![Line::new("a", vec![(f64::NAN, 1.0)])],
            ..Lines::default()
        };
        let html = chart.draw().figure().render();
        assert!(
            html.contains("no points") && !html.contains("<svg"),
            "{html}"
        );
    }
}
