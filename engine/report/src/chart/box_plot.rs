//! Box plots: quartiles, whiskers and outliers of groups, side by side on one axis.

use super::draw::{Anchor, circle, fitted_text, line, rect, title, width_of};
use super::frame::Frame;
use super::{Axis, Chart, Ink, Size};
use crate::html::Element;
use crate::number::{count, short};

/// Height of a box and the space below it.
const ROW: f64 = 34.0;

/// The values of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxOf {
    /// The group.
    pub name: String,
    /// How many values.
    pub rows: u64,
    /// Where the lower whisker ends.
    pub low: f64,
    /// The first quartile.
    pub first: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub third: f64,
    /// Where the upper whisker ends.
    pub high: f64,
    /// Values beyond the whiskers, or some of them.
    pub outliers: Vec<f64>,
    /// Its colour.
    pub ink: Ink,
}

/// A box plot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoxPlot {
    /// What the chart shows.
    pub title: String,
    /// The axis of the values.
    pub x: Axis,
    /// The groups, from the top.
    pub boxes: Vec<BoxOf>,
}

impl BoxPlot {
    /// The chart.
    pub fn draw(&self) -> Chart {
        let known = |group: &&BoxOf| group.median.is_finite();
        if !self.boxes.iter().any(|group| known(&group)) {
            return Chart::nothing(&self.title, "There are no values to compare.");
        }
        let width = Size::Standard.width();
        let names = self.boxes.iter().map(|group| width_of(&group.name));
        let room = names.fold(0.0, f64::max).min(width * 0.35);
        let foot = if self.x.label.is_empty() { 26.0 } else { 42.0 };
        let height = self.boxes.len() as f64 * ROW + foot;
        let values = self.boxes.iter().flat_map(|group| {
            let ends = [group.low, group.first, group.third, group.high];
            ends.into_iter().chain(group.outliers.iter().copied())
        });
        let points = values.map(|value| (value, 0.0));
        let size = (width, height);
        let y = Axis::default().between(0.0, 1.0);
        let frame = Frame::beside((&self.x, &y), points, size, room + 12.0);
        let mut content = frame.axes();
        for (at, group) in self.boxes.iter().enumerate() {
            let middle = at as f64 * ROW + ROW / 2.0 + 2.0;
            let name = fitted_text(room + 2.0, middle, Anchor::End, &group.name, room + 1.0);
            content.push(name);
            content.extend(drawn(group, middle, &frame));
        }
        let told: Vec<String> = self.boxes.iter().take(10).map(told).collect();
        Chart::new(&self.title, told.join("; "), height, content)
    }
}

fn told(group: &BoxOf) -> String {
    format!(
        "{}: median {}, quartiles {} and {}, whiskers {} and {}, {} values",
        group.name,
        short(group.median),
        short(group.first),
        short(group.third),
        short(group.low),
        short(group.high),
        count(group.rows)
    )
}

fn drawn(group: &BoxOf, middle: f64, frame: &Frame) -> Option<Element> {
    let place = |value: f64| frame.x.place(value);
    let (low, high) = (place(group.low)?, place(group.high)?);
    let (first, third) = (place(group.first)?, place(group.third)?);
    let median = place(group.median)?;
    let outliers = group.outliers.iter().filter_map(|value| {
        let dot = circle(place(*value)?, middle, 2.0).class("outlier");
        Some(dot.child(title(short(*value))))
    });
    let box_of_half = rect(
        (first, middle - 8.0),
        (third.max(first + 1.0), middle + 8.0),
    );
    Some(
        Element::new("g")
            .class(format!("box {}", group.ink.class()))
            .child(title(told(group)))
            .child(line(low, middle, high, middle, "line"))
            .child(line(low, middle - 4.0, low, middle + 4.0, "line"))
            .child(line(high, middle - 4.0, high, middle + 4.0, "line"))
            .child(box_of_half.attr("rx", "2"))
            .child(line(median, middle - 8.0, median, middle + 8.0, "median"))
            .children(outliers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let group = |name: &str, shift: f64| BoxOf {
            name: name.to_owned(),
            rows: 100,
            low: 1.0 + shift,
            first: 2.0 + shift,
            median: 2.5 + shift,
            third: 4.0 + shift,
            high: 6.0 + shift,
            outliers: vec![9.0, f64::NAN],
            ink: Ink::Series(0),
        };
        let chart = BoxPlot {
            title: "alcohol".to_owned(),
            x: Axis::new("% vol"),
            boxes: vec![
                group("good", 0.0),
                group("bad", 1.0),
                group("none", f64::NAN),
            ],
        };
        insta::assert_snapshot!(chart.draw().figure().render());
        assert!(BoxPlot::default().draw().svg().is_none());
    }
}
