//! Aligned columns for people.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use console::{Alignment, measure_text_width, pad_str, truncate_str};

use super::cells::{Texts, options};
use super::{ResultWriter, WriteError};
use crate::render::figures;
use crate::render::screen::{Screen, Tone};

/// Rows that are buffered to learn the widths of the columns. Later rows are written
/// as they come; what is wider than its column then is cut on a terminal, and stands
/// out of line in a pipe.
pub(super) const SAMPLE_ROWS: usize = 1000;
/// On a terminal a column is not cut below this width, in columns: others leave first.
const NARROWEST: usize = 9;
/// Between columns.
const GAP: &str = " │ ";

/// Writes a table.
pub(super) struct Table<W> {
    out: W,
    screen: Screen,
    titles: Vec<String>,
    right: Vec<bool>,
    sample: Vec<Vec<String>>,
    layout: Option<Layout>,
    rows: u64,
}

/// Which columns are shown and how wide, in columns of the screen.
struct Layout {
    kept: Vec<usize>,
    widths: Vec<usize>,
}

impl<W: Write> Table<W> {
    pub(super) fn new(schema: &SchemaRef, screen: Screen, out: W) -> Self {
        Self {
            out,
            screen,
            titles: schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            right: schema
                .fields()
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect(),
            sample: Vec::new(),
            layout: None,
            rows: 0,
        }
    }

    /// Fixes the widths, writes the header and the rows buffered so far.
    fn begin(&mut self) -> Result<(), WriteError> {
        let layout = Layout::fit(&self.titles, &self.sample, self.screen);
        let titles = std::mem::take(&mut self.titles);
        self.line(&layout, &titles, Tone::Head)?;
        self.titles = titles;
        let rule: Vec<String> = layout
            .kept
            .iter()
            .map(|&index| "─".repeat(layout.widths[index]))
            .collect();
        if !rule.is_empty() {
            writeln!(self.out, "{}", rule.join("─┼─"))?;
        }
        for cells in std::mem::take(&mut self.sample) {
            self.line(&layout, &cells, Tone::Plain)?;
        }
        self.layout = Some(layout);
        Ok(())
    }

    fn line(&mut self, layout: &Layout, cells: &[String], tone: Tone) -> Result<(), WriteError> {
        let mut line = String::new();
        for (position, &index) in layout.kept.iter().enumerate() {
            let width = layout.widths[index];
            let text = if self.screen.redraws {
                truncate_str(&cells[index], width, "…")
            } else {
                cells[index].as_str().into()
            };
            let alignment = if self.right[index] {
                Alignment::Right
            } else {
                Alignment::Left
            };
            if position > 0 {
                line.push_str(GAP);
            }
            line.push_str(
                &self
                    .screen
                    .paint(tone, &pad_str(&text, width, alignment, None)),
            );
        }
        writeln!(self.out, "{}", line.trim_end())?;
        Ok(())
    }

    fn last_line(&self, hidden: usize) -> String {
        let rows = figures::counted(self.rows, "rows");
        if hidden == 0 {
            return format!("({rows})");
        }
        format!(
            "({rows}; {} of {} columns shown, --format csv shows all)",
            self.titles.len() - hidden,
            self.titles.len(),
        )
    }
}

impl<W: Write> ResultWriter for Table<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let options = options();
        for cells in Texts::new(batch, &options)?.rows() {
            self.rows += 1;
            match self.layout.take() {
                Some(layout) => {
                    let written = self.line(&layout, &cells, Tone::Plain);
                    self.layout = Some(layout);
                    written?;
                }
                None => {
                    self.sample.push(cells);
                    if self.sample.len() == SAMPLE_ROWS {
                        self.begin()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        if self.layout.is_none() {
            self.begin()?;
        }
        let hidden = self
            .layout
            .as_ref()
            .map_or(0, |layout| self.titles.len() - layout.kept.len());
        let last = self.last_line(hidden);
        writeln!(self.out, "{}", self.screen.paint(Tone::Quiet, &last))?;
        Ok(self.out.flush()?)
    }
}

impl Layout {
    fn fit(titles: &[String], sample: &[Vec<String>], screen: Screen) -> Self {
        let mut widths: Vec<usize> = titles
            .iter()
            .map(|title| measure_text_width(title))
            .collect();
        for cells in sample {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        let mut kept: Vec<usize> = (0..titles.len()).collect();
        if !screen.redraws {
            return Self { kept, widths };
        }
        let gap = measure_text_width(GAP);
        // Columns in the middle leave until the rest fits at its narrowest.
        while kept.len() > 1 {
            let least: usize = kept.iter().map(|&index| widths[index].min(NARROWEST)).sum();
            if least + gap * (kept.len() - 1) <= screen.width {
                break;
            }
            kept.remove(kept.len() / 2);
        }
        // The widest column gives way, one cell at a time.
        loop {
            let total = kept.iter().map(|&index| widths[index]).sum::<usize>()
                + gap * kept.len().saturating_sub(1);
            let widest = kept.iter().copied().max_by_key(|&index| widths[index]);
            match widest {
                Some(index) if total > screen.width && widths[index] > 1 => {
                    let second = kept
                        .iter()
                        .filter(|&&other| other != index)
                        .map(|&other| widths[other])
                        .max()
                        .unwrap_or(0);
                    let cut = (total - screen.width).min((widths[index] - second).max(1));
                    widths[index] = widths[index].saturating_sub(cut).max(1);
                }
                _ => return Self { kept, widths },
            }
        }
    }
}
