//! Histograms: counts in bins of a number, of all rows or stacked by groups.

use super::draw::{Anchor, LETTER, fitted_text, line, rect, text, title};
use super::frame::Frame;
use super::{Axis, Chart, Ink, Key, Size};
use crate::html::Element;
use crate::number::{count, short};

/// Counts of one group of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What the legend calls it.
    pub name: String,
    /// Rows in each bin.
    pub counts: Vec<u64>,
    /// Its colour.
    pub ink: Ink,
}

/// A histogram.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// What the chart shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The borders of the bins, one more than there are bins, in rising order.
    pub edges: Vec<f64>,
    /// What the borders are called, if not by their numbers: as many, or none.
    pub edge_names: Vec<String>,
    /// The groups, from the bottom up.
    pub groups: Vec<Group>,
    /// A value of the horizontal axis to look at, and what it is.
    pub marks: Vec<(f64, String)>,
    /// Half as high, without grid and figures at the left: for cards.
    pub small: bool,
}

impl Histogram {
    /// The chart.
    pub fn draw(&self) -> Chart {
        let bins = self.edges.len().saturating_sub(1);
        let totals: Vec<u64> = (0..bins)
            .map(|bin| {
                let counts = self.groups.iter().map(|group| group.counts.get(bin));
                counts
                    .flatten()
                    .fold(0, |sum: u64, n| sum.saturating_add(*n))
            })
            .collect();
        let finite = self.edges.iter().all(|edge| edge.is_finite());
        if totals.iter().all(|total| *total == 0) || !finite {
            return Chart::nothing(&self.title, "There are no values to count.");
        }
        let highest = totals.iter().copied().max().unwrap_or(0) as f64;
        let (low, high) = (self.edges[0], self.edges[bins]);
        let x = self.x.clone().between(low, high);
        let y = match self.small {
            true => Axis::default().between(0.0, highest),
            false => Axis::new("Rows").from_zero(),
        };
        let height = if self.small { 130.0 } else { 220.0 };
        let width = Size::Standard.width();
        let corners = [(low, 0.0), (high, highest)];
        let frame = match self.small {
            true => Frame::bare((&x, &y), corners.into_iter(), (width, height)),
            false => Frame::new((&x, &y), corners.into_iter(), (width, height)),
        };
        let mut content = frame.axes();
        for (bin, total) in totals.iter().enumerate() {
            content.extend(self.bin(bin, *total, &frame));
        }
        for (at, label) in &self.marks {
            content.extend(mark(*at, label, &frame));
        }
        let keys = self.groups.iter().map(|group| Key {
            ink: group.ink,
            name: group.name.clone(),
        });
        let keys = match self.groups.len() {
            0 | 1 => Vec::new(),
            _ => keys.collect(),
        };
        let description = format!(
            "Histogram of {bins} bins from {} to {}; the highest bin has {} rows.",
            short(low),
            short(high),
            short(highest)
        );
        Chart::new(&self.title, description, height, content).keyed(keys)
    }

    fn bin(&self, bin: usize, total: u64, frame: &Frame) -> Option<Element> {
        if total == 0 {
            return None;
        }
        let (from, to) = (self.edges[bin], self.edges[bin + 1]);
        let (left, right) = (frame.x.place(from)?, frame.x.place(to)?);
        // A gap between bars that have room for one; each is seen.
        let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
        let right = (right - gap).max(left + 0.5);
        let name = |edge: usize| match self.edge_names.get(edge) {
            Some(name) => name.clone(),
            None => short(self.edges[edge]),
        };
        let range = format!("{} to {}", name(bin), name(bin + 1));
        let mut tip = format!("{range}: {}", rows(total));
        let mut bars = Vec::new();
        let mut sum = 0_u64;
        for group in &self.groups {
            let Some(&counted) = group.counts.get(bin).filter(|n| **n > 0) else {
                continue;
            };
            let bottom = frame.y.place(sum as f64)?;
            sum = sum.saturating_add(counted);
            let top = frame.y.place(sum as f64)?.min(bottom - 0.7);
            bars.push(
                rect((left, top), (right, bottom)).class(format!("fill {}", group.ink.class())),
            );
            if self.groups.len() > 1 {
                tip.push_str(&format!("\n{}: {}", group.name, count(counted)));
            }
        }
        Some(Element::new("g").child(title(tip)).children(bars))
    }
}

fn rows(number: u64) -> String {
    match number {
        1 => "1 row".to_owned(),
        _ => format!("{} rows", count(number)),
    }
}

fn mark(at: f64, label: &str, frame: &Frame) -> Option<Element> {
    let x = frame.x.place(at).filter(|_| frame.x.holds(at))?;
    let near_end = x > (frame.left + frame.right) / 2.0;
    let (anchor, shift) = match near_end {
        true => (Anchor::End, -4.0),
        false => (Anchor::Start, 4.0),
    };
    let room = (frame.right - frame.left) / 2.0;
    Some(
        Element::new("g")
            .class("guide")
            .child(line(x, frame.top, x, frame.bottom, "line dashed"))
            .child(match label.is_empty() {
                true => text(x, frame.top, anchor, ""),
                false => fitted_text(x + shift, frame.top + LETTER * 0.5, anchor, label, room),
            }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, counts: &[u64], series: usize) -> Group {
        Group {
            name: name.to_owned(),
            counts: counts.to_vec(),
            ink: Ink::Series(series),
        }
    }

    #[test]
    fn a_small_chart() {
        let chart = Histogram {
            title: "alcohol".to_owned(),
            edges: vec![8.0, 10.0, 12.0, 14.0],
            groups: vec![group("bad", &[5, 3, 0], 0), group("good", &[0, 2, 1], 1)],
            marks: vec![(11.0, "median".to_owned())],
            small: true,
            ..Histogram::default()
        };
        insta::assert_snapshot!(chart.draw().figure().render());
    }

    #[test]
    fn nothing_to_count_is_said() {
        let chart = Histogram {
            edges: vec![0.0, 1.0],
            groups: vec![group("all", &[0], 0)],
            ..Histogram::default()
        };
        assert!(chart.draw().svg().is_none());
        assert!(Histogram::default().draw().svg().is_none());
    }
}
