//! Aligned columns that give way on narrow terminals.

use console::{Alignment, measure_text_width, pad_str, truncate_str};

use super::screen::{Screen, Tone};

/// Spaces between columns.
const GAP: usize = 2;
/// A flexible column is not cut below this width, in columns.
const NARROWEST_FLEXIBLE: usize = 12;

/// A column of a [`Grid`].
#[derive(Debug, Clone)]
pub(crate) struct Column {
    title: String,
    right: bool,
    flexible: bool,
    /// Columns with the lowest rank leave first when the screen is narrow.
    rank: u8,
}

impl Column {
    /// A column of text, `rank` as in how much it matters.
    pub(crate) fn text(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into(),
            right: false,
            flexible: false,
            rank,
        }
    }

    /// A column of numbers, aligned to the right.
    pub(crate) fn number(title: impl Into<String>, rank: u8) -> Self {
        Self {
            right: true,
            ..Self::text(title, rank)
        }
    }

    /// The same column, cut with `…` before any column leaves.
    pub(crate) fn flexible(self) -> Self {
        Self {
            flexible: true,
            ..self
        }
    }
}

/// Rows under aligned columns.
#[derive(Debug)]
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Grid {
    /// An empty grid.
    pub(crate) const fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell a column.
    pub(crate) fn row(&mut self, cells: Vec<(Tone, String)>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell a column");
        self.rows.push(cells);
    }

    /// The lines, each no wider than the screen, after `indent` spaces.
    pub(crate) fn lines(&self, screen: Screen, indent: usize) -> Vec<String> {
        let available = screen.width.saturating_sub(indent).max(1);
        let (kept, widths) = self.fit(available);
        let head: Vec<(Tone, String)> = self
            .columns
            .iter()
            .map(|column| (Tone::Quiet, column.title.clone()))
            .collect();
        std::iter::once(&head)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &kept, &widths, screen, indent))
            .collect()
    }

    /// The columns that are shown, and the width of each column.
    fn fit(&self, available: usize) -> (Vec<usize>, Vec<usize>) {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|index| self.natural_width(index))
            .collect();
        let mut kept: Vec<usize> = (0..self.columns.len())
            .filter(|&index| self.rows.iter().any(|row| !row[index].1.is_empty()))
            .collect();
        loop {
            let total = kept.iter().map(|&index| widths[index]).sum::<usize>()
                + GAP * kept.len().saturating_sub(1);
            let Some(mut excess) = total.checked_sub(available).filter(|&excess| excess > 0) else {
                return (kept, widths);
            };
            for &index in &kept {
                if self.columns[index].flexible && widths[index] > NARROWEST_FLEXIBLE {
                    let cut = excess.min(widths[index] - NARROWEST_FLEXIBLE);
                    widths[index] -= cut;
                    excess -= cut;
                }
            }
            if excess == 0 {
                return (kept, widths);
            }
            // Of equal ranks the rightmost leaves.
            let leaving = kept
                .iter()
                .enumerate()
                .rev()
                .min_by_key(|&(_, &index)| self.columns[index].rank)
                .map(|(position, _)| position);
            match leaving {
                Some(position) if kept.len() > 1 => {
                    kept.remove(position);
                    for (index, width) in widths.iter_mut().enumerate() {
                        *width = self.natural_width(index);
                    }
                }
                _ => {
                    for &index in &kept {
                        widths[index] = widths[index].min(available);
                    }
                    return (kept, widths);
                }
            }
        }
    }

    fn natural_width(&self, index: usize) -> usize {
        self.rows
            .iter()
            .map(|row| measure_text_width(&row[index].1))
            .chain([measure_text_width(&self.columns[index].title)])
            .max()
            .unwrap_or(0)
    }

    fn line(
        &self,
        cells: &[(Tone, String)],
        kept: &[usize],
        widths: &[usize],
        screen: Screen,
        indent: usize,
    ) -> String {
        let mut line = " ".repeat(indent);
        for (position, &index) in kept.iter().enumerate() {
            let (tone, text) = &cells[index];
            let cut = truncate_str(text, widths[index], "…");
            let alignment = if self.columns[index].right {
                Alignment::Right
            } else {
                Alignment::Left
            };
            let padded = pad_str(&cut, widths[index], alignment, None);
            let last = position + 1 == kept.len();
            let shown = if last { padded.trim_end() } else { &padded };
            line.push_str(&screen.paint(*tone, shown));
            if !last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(vec![
            Column::text("asset", 9),
            Column::number("rows", 3),
            Column::number("time", 2),
            Column::text("note", 5).flexible(),
        ]);
        let cell = |text: &str| (Tone::Plain, text.to_owned());
        grid.row(vec![
            cell("bronze.wine"),
            cell("1,599"),
            cell("0.31 s"),
            cell("a note that is rather long and gets cut"),
        ]);
        grid.row(vec![cell("gold.wine"), cell("7"), cell("12.3 s"), cell("")]);
        grid
    }

    fn at(width: usize) -> String {
        let screen = Screen {
            width,
            ..Screen::plain()
        };
        let lines = grid().lines(screen, 2);
        for line in &lines {
            assert!(measure_text_width(line) <= width, "{width}: {line:?}");
        }
        lines.join("\n")
    }

    #[test]
    fn gives_way_to_narrow_screens() {
        let shown: Vec<String> = [80, 50, 36, 20, 8].into_iter().map(at).collect();
        insta::assert_snapshot!(shown.join("\n----\n"));
    }

    #[test]
    fn every_width_holds() {
        for width in 3..100 {
            at(width);
        }
    }
}
