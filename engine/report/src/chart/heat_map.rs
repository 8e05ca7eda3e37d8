//! Heat maps: confusion matrices and correlations.

use super::draw::{Anchor, LETTER, fitted_text, rect, text, title, width_of};
use super::{Chart, Size};
use crate::html::Element;

/// What the strength of a cell's colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colours {
    /// From nothing at 0 to the full colour at 1.
    #[default]
    Share,
    /// One colour for numbers up to 1, another for numbers down to -1.
    Signed,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatCell {
    /// Its strength, 0 to 1 or -1 to 1; without colour if it is no finite number.
    pub value: f64,
    /// The figure in it, shown where there is room for one; a second line of it is shown
    /// where there is room for both.
    pub shown: String,
    /// Its tooltip.
    pub tip: String,
}

/// A heat map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeatMap {
    /// What the chart shows.
    pub title: String,
    /// What the columns are.
    pub columns_label: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// What the rows are.
    pub rows_label: String,
    /// The rows, from the top: name and one cell a column.
    pub rows: Vec<(String, Vec<HeatCell>)>,
    /// What colours say.
    pub colours: Colours,
}

/// More columns than this need the page's width.
const NARROW: usize = 8;
/// The largest side of a cell.
const LARGEST: f64 = 96.0;
/// The smallest side of a cell that has room for a row's name.
const NAMED: f64 = 11.0;

/// Where the cells are.
struct Layout {
    size: Size,
    left: f64,
    top: f64,
    cell: f64,
    high: f64,
    upright: bool,
}

impl HeatMap {
    /// The chart.
    pub fn draw(&self) -> Chart {
        if self.rows.is_empty() || self.columns.is_empty() {
            return Chart::nothing(&self.title, "There is nothing to compare.");
        }
        let layout = self.layout();
        let mut content = self.heads(&layout);
        for (row, (name, cells)) in self.rows.iter().enumerate() {
            let y = layout.top + row as f64 * layout.high;
            if layout.high >= NAMED {
                let middle = y + layout.high / 2.0;
                let room = layout.left - 8.0;
                content.push(fitted_text(
                    layout.left - 6.0,
                    middle,
                    Anchor::End,
                    name,
                    room,
                ));
            }
            for (column, cell) in cells.iter().take(self.columns.len()).enumerate() {
                let x = layout.left + column as f64 * layout.cell;
                content.push(self.cell(cell, (x, y), &layout));
            }
        }
        let height = layout.top + self.rows.len() as f64 * layout.high + 2.0;
        Chart::new(&self.title, self.description(), height, content).sized(layout.size)
    }

    fn description(&self) -> String {
        format!(
            "A table of {} rows ({}) and {} columns ({}), where stronger colours are larger figures.",
            self.rows.len(),
            self.rows_label,
            self.columns.len(),
            self.columns_label
        )
    }

    fn layout(&self) -> Layout {
        let many = self.columns.len() as f64;
        let size = match self.columns.len() {
            0..=NARROW => Size::Standard,
            _ => Size::Wide,
        };
        let widest = |names: &mut dyn Iterator<Item = &String>, most: f64| {
            names
                .map(|name| width_of(name))
                .fold(0.0, f64::max)
                .min(most)
        };
        let most = if size == Size::Wide { 170.0 } else { 110.0 };
        let names = widest(&mut self.rows.iter().map(|row| &row.0), most);
        let left = names.max(width_of(&self.rows_label)) + 10.0;
        let cell = ((size.width() - left - 2.0) / many).min(LARGEST);
        let names = widest(&mut self.columns.iter(), 130.0);
        // Names stand upright where they would touch each other.
        let upright = names > cell - 4.0;
        let over = if self.columns_label.is_empty() {
            4.0
        } else {
            22.0
        };
        let heads = match (upright, cell >= NAMED) {
            (_, false) => 0.0,
            (true, true) => names + 6.0,
            (false, true) => LETTER + 6.0,
        };
        let under = if self.rows_label.is_empty() { 0.0 } else { 6.0 };
        Layout {
            size,
            left,
            top: over + heads + under,
            cell,
            high: cell.min(52.0),
            upright,
        }
    }

    /// The names of the columns, and what rows and columns are.
    fn heads(&self, layout: &Layout) -> Vec<Element> {
        let mut parts = Vec::new();
        let width = layout.size.width();
        if !self.columns_label.is_empty() {
            let room = width - layout.left;
            let y = LETTER * 0.6;
            let label = fitted_text(layout.left, y, Anchor::Start, &self.columns_label, room);
            parts.push(label.class("label"));
        }
        if !self.rows_label.is_empty() {
            let y = LETTER * 0.6;
            let room = layout.left - 8.0;
            let label = fitted_text(layout.left - 6.0, y, Anchor::End, &self.rows_label, room);
            parts.push(label.class("label"));
        }
        if layout.cell < NAMED {
            return parts;
        }
        for (at, name) in self.columns.iter().enumerate() {
            let x = layout.left + (at as f64 + 0.5) * layout.cell;
            let y = layout.top - 8.0;
            if layout.upright {
                let label = fitted_text(0.0, 0.0, Anchor::Start, name, 131.0);
                let turn = format!("translate({x:.1} {y:.1}) rotate(-90)");
                parts.push(Element::new("g").attr("transform", turn).child(label));
            } else {
                parts.push(text(x, y - 2.0, Anchor::Middle, name));
            }
        }
        parts
    }

    fn cell(&self, cell: &HeatCell, (x, y): (f64, f64), layout: &Layout) -> Element {
        let known = cell.value.is_finite();
        let strength = if known {
            cell.value.abs().min(1.0)
        } else {
            0.0
        };
        let negative = self.colours == Colours::Signed && cell.value < 0.0;
        let gap = if layout.cell > 8.0 { 1.0 } else { 0.0 };
        let corner = (x + layout.cell - gap, y + layout.high - gap);
        let colour = match (known, negative) {
            (false, _) => "heat none",
            (true, false) => "heat up",
            (true, true) => "heat down",
        };
        let square = rect((x, y), corner)
            .class(colour)
            .attr("fill-opacity", format!("{:.2}", 0.04 + 0.96 * strength));
        let tip = title(cell.tip.clone());
        let (shown, below) = cell.shown.split_once('\n').unwrap_or((&cell.shown, ""));
        if width_of(shown) > layout.cell - 6.0 || layout.high < LETTER + 2.0 {
            return square.child(tip);
        }
        let class = if strength > 0.7 { "on" } else { "under" };
        let (middle, centre) = (x + (layout.cell - gap) / 2.0, y + (layout.high - gap) / 2.0);
        let figure = |shown: &str, y: f64| text(middle, y, Anchor::Middle, shown).class(class);
        let group = Element::new("g").child(tip).child(square);
        let both = !below.is_empty()
            && width_of(below) <= layout.cell - 6.0
            && layout.high > 2.0 * LETTER + 10.0;
        if both {
            group
                .child(figure(shown, centre - LETTER * 0.6))
                .child(figure(below, centre + LETTER * 0.7))
        } else {
            group.child(figure(shown, centre))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: usize) -> HeatMap {
        let name = |at: usize| format!("class number {at}");
        let row = |row: usize| {
            let cells = (0..names).map(|column| HeatCell {
                value: if row == column { 0.9 } else { -0.1 },
                shown: "12\n9 %".to_owned(),
                tip: format!("{row} {column}"),
            });
            (name(row), cells.collect())
        };
        HeatMap {
            title: "Confusion".to_owned(),
            columns_label: "Predicted".to_owned(),
            columns: (0..names).map(name).collect(),
            rows_label: "Actual".to_owned(),
            rows: (0..names).map(row).collect(),
            colours: Colours::Signed,
        }
    }

    #[test]
    fn a_small_chart() {
        let mut map = map(2);
        map.rows[0].1[1].value = f64::NAN;
        insta::assert_snapshot!(map.draw().figure().render());
    }

    #[test]
    fn many_columns_stay_within_the_drawing() {
        for names in [1, 8, 9, 30, 100] {
            let layout = map(names).layout();
            let right = layout.left + names as f64 * layout.cell;
            assert!(right <= layout.size.width(), "{names}");
            assert_eq!(
                map(names)
                    .draw()
                    .svg()
                    .unwrap()
                    .render()
                    .matches("<rect")
                    .count(),
                names * names
            );
        }
        assert!(map(0).draw().svg().is_none());
    }
}
