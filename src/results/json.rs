//! JSON: one array, or one object a line. NULL is written as `null`.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited, Writer};

use super::{ResultWriter, WriteError};

fn builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true)
}

/// One array of objects.
pub(super) struct Array<W: Write> {
    writer: Writer<W, JsonArray>,
}

impl<W: Write> Array<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            writer: builder().build(out),
        }
    }
}

impl<W: Write> ResultWriter for Array<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        Ok(self.writer.write(batch)?)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.writer.finish()?;
        let out = self.writer.get_mut();
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
}

/// One object a line.
pub(super) struct Lines<W: Write> {
    writer: Writer<W, LineDelimited>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            writer: builder().build(out),
        }
    }
}

impl<W: Write> ResultWriter for Lines<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.writer.write(batch)?;
        Ok(self.writer.get_mut().flush()?)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.writer.finish()?;
        Ok(self.writer.get_mut().flush()?)
    }
}
