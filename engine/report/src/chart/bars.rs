//! Bars from left to right, one a name: importance, frequent values.

use super::draw::{Anchor, LETTER, fitted_text, line, rect, text, title, width_of};
use super::scale::Scale;
use super::{Chart, Ink, Size};
use crate::html::Element;

/// Height of a bar and the space below it.
const ROW: f64 = 22.0;

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it stands for.
    pub name: String,
    /// Its length; without a bar if it is no finite number.
    pub value: f64,
    /// The figure beside it.
    pub shown: String,
    /// Its colour.
    pub ink: Ink,
}

impl Bar {
    /// A bar in the main colour.
    pub fn new(name: impl Into<String>, value: f64, shown: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value,
            shown: shown.into(),
            ink: Ink::Accent,
        }
    }

    /// In another colour.
    #[must_use]
    pub fn ink(mut self, ink: Ink) -> Self {
        self.ink = ink;
        self
    }
}

/// A chart of bars.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// What the chart shows.
    pub title: String,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
    /// The largest length that there might be (1 for shares); by default the longest bar.
    pub whole: Option<f64>,
}

impl Bars {
    /// The chart.
    pub fn draw(&self) -> Chart {
        if self.bars.is_empty() {
            return Chart::nothing(&self.title, "There is nothing to show.");
        }
        let width = Size::Standard.width();
        let widest = |texts: &mut dyn Iterator<Item = &str>, most: f64| {
            texts.map(width_of).fold(0.0, f64::max).min(most)
        };
        let names = widest(&mut self.bars.iter().map(|bar| &*bar.name), width * 0.45);
        let figures = widest(&mut self.bars.iter().map(|bar| &*bar.shown), width * 0.3);
        let (left, right) = (names + 8.0, width - figures - 8.0);
        let values = self.bars.iter().map(|bar| bar.value);
        let finite = values.chain(self.whole).filter(|value| value.is_finite());
        let (low, high) = finite.fold((0.0_f64, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let high = if low < high { high } else { 1.0 };
        let scale = Scale::exact(low, high, (left, right));
        let height = self.bars.len() as f64 * ROW + 4.0;
        let zero = scale.place(0.0).unwrap_or(left);
        let mut content = Vec::new();
        for (at, bar) in self.bars.iter().enumerate() {
            let middle = at as f64 * ROW + ROW / 2.0;
            let mut row = Element::new("g")
                .class("row")
                .child(title(format!("{}: {}", bar.name, bar.shown)))
                .child(fitted_text(
                    left - 8.0,
                    middle,
                    Anchor::End,
                    &bar.name,
                    names + 1.0,
                ));
            if let Some(end) = scale.place(bar.value) {
                let corners = ((zero, middle - 6.0), (end, middle + 6.0));
                row = row.child(
                    rect(corners.0, corners.1)
                        .class(format!("fill {}", bar.ink.class()))
                        .attr("rx", "2"),
                );
            }
            let beside = scale.place(bar.value.max(0.0)).unwrap_or(zero);
            let beside = text(beside + 6.0, middle, Anchor::Start, &bar.shown);
            content.push(row.child(beside.class("figure")));
        }
        content.push(line(zero, 0.0, zero, height - 4.0, "axis"));
        let first = self.bars.iter().take(10);
        let told: Vec<String> = first
            .map(|bar| format!("{} {}", bar.name, bar.shown))
            .collect();
        let more = match self.bars.len().saturating_sub(10) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let description = format!("Bars: {}{more}.", told.join(", "));
        Chart::new(&self.title, description, height.max(LETTER), content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_chart() {
        let chart = Bars {
            title: "Importance".to_owned(),
            bars: vec![
                Bar::new("alcohol", 0.5, "50 %"),
                Bar::new("a_name_that_is_much_longer_than_its_bar", 0.25, "25 %"),
                Bar::new("broken", f64::NAN, "–").ink(Ink::Faint),
                Bar::new("below", -0.125, "-12.5 %"),
            ],
            whole: None,
        };
        insta::assert_snapshot!(chart.draw().figure().render());
    }
}
