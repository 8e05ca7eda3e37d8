//! Markdown tables, as GitHub renders them.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{Texts, options};
use super::{ResultWriter, WriteError};

/// Writes a Markdown table.
pub(super) struct Markdown<W> {
    out: W,
}

impl<W: Write> Markdown<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When the output refuses.
    pub(super) fn new(schema: &SchemaRef, mut out: W) -> Result<Self, WriteError> {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        writeln!(out, "{}", row(names))?;
        let rules = schema.fields().iter().map(|field| {
            if field.data_type().is_numeric() {
                "---:"
            } else {
                "---"
            }
        });
        writeln!(out, "{}", row(rules))?;
        Ok(Self { out })
    }
}

impl<W: Write> ResultWriter for Markdown<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let options = options();
        for cells in Texts::new(batch, &options)?.rows() {
            writeln!(self.out, "{}", row(cells.iter().map(String::as_str)))?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        Ok(self.out.flush()?)
    }
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::from("|");
    for cell in cells {
        line.push(' ');
        line.push_str(&cell.replace('|', "\\|"));
        line.push_str(" |");
    }
    line
}
