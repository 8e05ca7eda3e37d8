//! Points over two axes.

use super::draw::{circle, path, title};
use super::frame::Frame;
use super::lines::{Guide, drawn};
use super::{Axis, Chart, Ink, Key, Size};
use crate::html::Element;
use crate::number::px;

/// Points of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Points {
    /// What the legend calls them; without an entry if empty.
    pub name: String,
    /// Where they are.
    pub at: Vec<(f64, f64)>,
    /// Their colour.
    pub ink: Ink,
    /// The tooltip of each; without any, many points are drawn in little space.
    pub tips: Vec<String>,
}

/// A chart of points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scatter {
    /// What the chart shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The points; the first are drawn last, above the others.
    pub points: Vec<Points>,
    /// A line above the points, such as the best so far; none if empty.
    pub line: Vec<(f64, f64)>,
    /// What to compare them with.
    pub guides: Vec<Guide>,
    /// As high as wide, for axes of one unit.
    pub square: bool,
}

impl Scatter {
    /// The chart.
    pub fn draw(&self) -> Chart {
        let width = Size::Standard.width();
        let height = if self.square { 320.0 } else { 240.0 };
        let all = self.points.iter().flat_map(|points| points.at.iter());
        let all = all.chain(&self.line).copied();
        let finite = all.filter(|(x, y)| x.is_finite() && y.is_finite());
        if finite.clone().next().is_none() {
            return Chart::nothing(&self.title, "There are no points to draw.");
        }
        let frame = Frame::new((&self.x, &self.y), finite.clone(), (width, height));
        let mut content = frame.axes();
        content.extend(self.guides.iter().filter_map(|guide| drawn(guide, &frame)));
        for points in self.points.iter().rev() {
            content.extend(cloud(points, &frame));
        }
        let line: Vec<(f64, f64)> = self
            .line
            .iter()
            .filter_map(|(x, y)| frame.place(*x, *y))
            .collect();
        if !line.is_empty() {
            content.push(
                Element::new("path")
                    .class("line best")
                    .attr("d", path(&line)),
            );
        }
        let keys = self.points.iter().filter(|points| !points.name.is_empty());
        let keys = keys.map(|points| Key {
            ink: points.ink,
            name: points.name.clone(),
        });
        let description = format!(
            "{} points: {} by {}.",
            finite.count(),
            self.y.label,
            self.x.label
        );
        Chart::new(&self.title, description, height, content).keyed(keys.collect())
    }
}

fn cloud(points: &Points, frame: &Frame) -> Vec<Element> {
    let placed = points.at.iter().enumerate();
    let placed = placed.filter_map(|(at, (x, y))| Some((at, frame.place(*x, *y)?)));
    if points.tips.is_empty() {
        // Lines of no length with round ends: a few letters each.
        let drawn: String = placed
            .map(|(_, (x, y))| format!("M{} {}h0", px(x), px(y)))
            .collect();
        return vec![
            Element::new("path")
                .class(format!("points {}", points.ink.class()))
                .attr("d", drawn),
        ];
    }
    placed
        .map(|(at, (x, y))| {
            let dot = circle(x, y, 3.0).class(format!("dot {}", points.ink.class()));
            match points.tips.get(at) {
                Some(tip) => dot.child(title(tip.clone())),
                None => dot,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let chart = Scatter {
            title: "Predicted and actual".to_owned(),
            x: Axis::new("Actual"),
            y: Axis::new("Predicted"),
            points: vec![
                Points {
                    name: "test".to_owned(),
                    at: vec![(1.0, 1.5), (3.0, f64::INFINITY), (9.0, 8.0)],
                    ..Points::default()
                },
                Points {
                    at: vec![(2.0, 2.0)],
                    ink: Ink::Best,
                    tips: vec!["the best".to_owned()],
                    ..Points::default()
                },
            ],
            guides: vec![Guide::Diagonal],
            ..Scatter::default()
        };
        insta::assert_snapshot!(chart.draw().figure().render());
        assert!(Scatter::default().draw().svg().is_none());
    }
}
