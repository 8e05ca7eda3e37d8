//! Reliability diagrams: how often what was called likely came true, and how many rows each
//! point stands for.

use super::draw::{circle, line, path, rect, title};
use super::frame::Frame;
use super::lines::{Guide, drawn};
use super::{Axis, Chart, Ink, Key, Size};
use crate::html::Element;
use crate::number::{count, short};

/// A bin of probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Rows in it.
    pub rows: u64,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that came true.
    pub actual: f64,
}

/// The bins of one set of predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// The bins, in rising order.
    pub bins: Vec<Bin>,
    /// Its colour.
    pub ink: Ink,
}

/// A reliability diagram.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reliability {
    /// What the chart shows.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// Height of the part with the curves.
const UPPER: f64 = 320.0;
/// Height of the part with the rows.
const LOWER: f64 = 48.0;

impl Reliability {
    /// The chart.
    pub fn draw(&self) -> Chart {
        if self.curves.iter().all(|curve| curve.bins.is_empty()) {
            return Chart::nothing(&self.title, "There are no predictions to compare.");
        }
        let unit = |label: &str| Axis::new(label).between(0.0, 1.0);
        let (x, y) = (unit("Predicted probability"), unit("Came true"));
        let size = (Size::Standard.width(), UPPER);
        let frame = Frame::new((&x, &y), std::iter::empty(), size);
        let mut content = frame.axes();
        content.extend(drawn(&Guide::Diagonal, &frame));
        for curve in self.curves.iter().rev() {
            content.extend(points(curve, &frame));
        }
        content.extend(self.rows(&frame));
        let keys = self.curves.iter().map(|curve| Key {
            ink: curve.ink,
            name: curve.name.clone(),
        });
        let description = "How often rows of a predicted probability came true, in bins; \
                           on the diagonal both agree. Below: how many rows each bin has.";
        Chart::new(&self.title, description.to_owned(), UPPER + LOWER, content)
            .keyed(keys.collect())
    }

    /// Bars downwards from below the axis, the curves side by side.
    fn rows(&self, frame: &Frame) -> Vec<Element> {
        let all = self.curves.iter().flat_map(|curve| &curve.bins);
        let most = all.map(|bin| bin.rows).max().unwrap_or(0).max(1) as f64;
        let top = UPPER + 2.0;
        let wide = (14.0 / self.curves.len() as f64).max(2.0);
        let mut parts = vec![line(frame.left, top, frame.right, top, "axis")];
        for (at, curve) in self.curves.iter().enumerate() {
            let shift = (at as f64 - self.curves.len() as f64 / 2.0) * wide;
            for bin in &curve.bins {
                let Some(x) = frame.x.place(bin.predicted) else {
                    continue;
                };
                let long = (bin.rows as f64 / most * (LOWER - 6.0)).max(1.0);
                let bar = rect((x + shift, top), (x + shift + wide - 1.0, top + long));
                parts.push(
                    bar.class(format!("fill {}", curve.ink.class()))
                        .child(title(tip(curve, bin))),
                );
            }
        }
        parts
    }
}

fn tip(curve: &Curve, bin: &Bin) -> String {
    format!(
        "{}: predicted {}, came true {}, {} rows",
        curve.name,
        short(bin.predicted),
        short(bin.actual),
        count(bin.rows)
    )
}

fn points(curve: &Curve, frame: &Frame) -> Vec<Element> {
    let placed = curve.bins.iter();
    let placed: Vec<((f64, f64), &Bin)> = placed
        .filter_map(|bin| Some((frame.place(bin.predicted, bin.actual)?, bin)))
        .collect();
    let joined: Vec<(f64, f64)> = placed.iter().map(|(place, _)| *place).collect();
    let ink = curve.ink.class();
    let curved = Element::new("path")
        .class(format!("line {ink}"))
        .attr("d", path(&joined))
        .child(title(curve.name.clone()));
    let dots = placed.iter().map(|((x, y), bin)| {
        circle(*x, *y, 3.5)
            .class(format!("dot {ink}"))
            .child(title(tip(curve, bin)))
    });
    std::iter::once(curved).chain(dots).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let bin = |rows, predicted, actual| Bin {
            rows,
            predicted,
            actual,
        };
        let chart = Reliability {
            title: "Reliability".to_owned(),
            curves: vec![Curve {
                name: "test".to_owned(),
                bins: vec![
                    bin(90, 0.05, 0.1),
                    bin(10, 0.75, 0.6),
                    bin(1, f64::NAN, 0.0),
                ],
                ink: Ink::Series(0),
            }],
        };
        insta::assert_snapshot!(chart.draw().figure().render());
        assert!(Reliability::default().draw().svg().is_none());
    }
}
