//! Query plans, which have many lines and are no table.

use std::io::Write;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Schema};

use super::{ResultWriter, WriteError};
use crate::render::screen::{Screen, Tone};

/// Whether these are the columns of `EXPLAIN`: `plan_type` and `plan`.
pub(super) fn is_plan(schema: &Schema) -> bool {
    let fields = schema.fields();
    fields.len() == 2
        && fields[0].name() == "plan_type"
        && fields[1].name() == "plan"
        && fields
            .iter()
            .all(|field| field.data_type() == &DataType::Utf8)
}

/// Writes each plan under its kind.
pub(super) struct Explain<W> {
    out: W,
    screen: Screen,
}

impl<W: Write> Explain<W> {
    pub(super) const fn new(screen: Screen, out: W) -> Self {
        Self { out, screen }
    }
}

impl<W: Write> ResultWriter for Explain<W> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let kinds = batch.column(0).as_string::<i32>();
        let plans = batch.column(1).as_string::<i32>();
        for (kind, plan) in kinds.iter().zip(plans.iter()) {
            let kind = self.screen.paint(Tone::Head, kind.unwrap_or_default());
            writeln!(self.out, "{kind}")?;
            for line in plan.unwrap_or_default().lines() {
                writeln!(self.out, "  {line}")?;
            }
        }
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::Field;

    use super::*;
    use crate::results::{Format, writer};

    #[test]
    fn a_plan_keeps_its_lines() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("plan_type", DataType::Utf8, false),
            Field::new("plan", DataType::Utf8, false),
        ]));
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(StringArray::from(vec!["logical_plan"])),
                Arc::new(StringArray::from(vec!["Projection: a\n  TableScan: t"])),
            ],
        )
        .unwrap();
        let mut out = Vec::new();
        let mut plan = writer(Format::Table, &schema, Screen::plain(), &mut out).unwrap();
        plan.batch(&batch).unwrap();
        plan.finish().unwrap();
        drop(plan);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "logical_plan\n  Projection: a\n    TableScan: t\n"
        );
    }
}
