//! Makes batches of rows of the records of a JSON file.

use arrow::{
    array::{Array, ArrayBuilder, Int64Array, Int64Builder, RecordBatch},
    compute::{filter_record_batch, is_not_null},
};

use super::{
    column::{ColumnBuilder, is_among},
    error::{Fault, IngestError},
    json::JsonRecords,
    plan::{Plan, cut_off, misfit},
    read::Given,
    record::Kind,
    rejects::RejectBuilder,
    survey::SourceFile,
};

/// The rows of one file, batch after batch.
pub(super) struct JsonRows<'a> {
    source: &'a SourceFile,
    plan: &'a Plan,
    records: JsonRecords,
    builders: Vec<ColumnBuilder>,
    /// For each column of the file the builder that takes it.
    targets: Vec<usize>,
    /// Records so far, bad ones too.
    row: i64,
    /// For each row in the builders its place in the file; NULL for one that turned out bad.
    places: Int64Builder,
    rejected: RejectBuilder,
    at_end: bool,
}

impl<'a> JsonRows<'a> {
    pub(super) fn open(source: &'a SourceFile, plan: &'a Plan) -> Result<Self, IngestError> {
        let records = JsonRecords::open(source, &plan.options)?;
        plan.check_types()?;
        let fields = plan.data.fields().iter();
        let builders = fields.map(|field| ColumnBuilder::new(field.data_type(), 0));
        Ok(Self {
            source,
            plan,
            records,
            builders: builders
                .collect::<Option<_>>()
                .ok_or_else(|| cut_off(source))?,
            targets: Vec::new(),
            row: 0,
            places: Int64Builder::new(),
            rejected: RejectBuilder::new(source, plan.ingested_at_us),
            at_end: false,
        })
    }

    /// The next rows, and the bad records among them; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Given>, IngestError> {
        if self.at_end {
            return Ok(None);
        }
        let batch_rows = self.plan.options.batch_rows.max(1);
        while self.places.len() < batch_rows && !self.rejected.is_full(batch_rows) {
            let Some(found) = self.records.advance()? else {
                self.at_end = true;
                break;
            };
            self.row += 1;
            let fault = match found.fault {
                Some(fault) => Some(fault),
                None => self.push_record()?,
            };
            if let Some(fault) = fault {
                let (what, raw) = (self.plan.options.bad_records, self.records.raw());
                self.rejected.take(what, self.row, found.line, raw, fault)?;
            }
        }
        if self.at_end && self.records.hash()? != self.source.content_hash {
            return Err(IngestError::Changed {
                file: self.source.path.clone(),
            });
        }
        let places = self.places.finish();
        Ok(Some(Given {
            rows: self.finish_batch(places)?,
            rejected: self.rejected.finish(),
        }))
    }

    /// Takes the values of the current record, or says what is wrong with one.
    fn push_record(&mut self) -> Result<Option<Fault>, IngestError> {
        let columns = self.records.columns().list();
        if columns.len() != self.targets.len() {
            self.targets = self.plan.targets(&self.source.path, columns, false)?;
        }
        let options = &self.plan.options;
        let mut fault = None;
        let mut taken = 0;
        for (column, kind, text) in self.records.values().iter() {
            let target = self.targets[column];
            let kind = match is_among(&options.null_values, text) {
                true => Kind::Null,
                false => kind,
            };
            if !self.builders[target].push_value(kind, text, options.decimal_comma) {
                fault = Some(misfit(self.plan.data.field(target), text));
                break;
            }
            taken += 1;
        }
        if fault.is_some() {
            self.places.append_null();
        } else {
            self.places.append_value(self.row);
        }
        if taken < self.builders.len() {
            let rows = self.places.len();
            for builder in &mut self.builders {
                if builder.len() < rows {
                    builder.push(None);
                }
            }
        }
        Ok(fault)
    }

    fn finish_batch(&mut self, places: Int64Array) -> Result<RecordBatch, IngestError> {
        let mut columns = Vec::with_capacity(self.builders.len());
        for builder in &mut self.builders {
            // The range of every value was checked when it was pushed.
            columns.push(builder.finish().map_err(|_| cut_off(self.source))?);
        }
        let good = (places.null_count() > 0).then(|| is_not_null(&places));
        let batch = self.plan.batch(self.source, columns, places)?;
        match good {
            None => Ok(batch),
            Some(good) => good
                .and_then(|good| filter_record_batch(&batch, &good))
                .map_err(|_| cut_off(self.source)),
        }
    }
}
