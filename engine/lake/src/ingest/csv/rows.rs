//! Makes batches of rows of the records of a file.

use std::collections::BTreeMap;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array},
    compute::filter_record_batch,
};

use super::{
    super::{
        column::ColumnBuilder,
        error::{Fault, IngestError},
        input::Access,
        pieces::Piece,
        plan::{Plan, cut_off, misfit},
        read::Given,
        rejects::RejectBuilder,
        survey::SourceFile,
    },
    Chunk, CsvFile, Fields,
};

/// The rows of one file, or of a piece of one, batch after batch.
pub(in super::super) struct CsvRows<'a> {
    source: &'a SourceFile,
    plan: &'a Plan,
    file: CsvFile,
    /// For each column of the file the column of the plan that takes it.
    targets: Vec<usize>,
    fields: Fields,
    rejected: RejectBuilder,
}

impl<'a> CsvRows<'a> {
    /// Opens a file, or a piece of one.
    pub(in super::super) fn open(piece: &'a Piece, plan: &'a Plan) -> Result<Self, IngestError> {
        let (source, options) = (&*piece.source, &plan.options);
        let file = match (piece.start, piece.end) {
            (None, None) => CsvFile::open(source, options, Access::Whole)?,
            (start, end) => {
                let end = end.unwrap_or(source.size_bytes);
                CsvFile::open_piece(source, options, start, end)?
            }
        };
        let targets = plan.targets(&source.path, file.columns.list(), true)?;
        plan.check_types()?;
        Ok(Self {
            source,
            plan,
            file,
            targets,
            fields: Fields::default(),
            rejected: RejectBuilder::new(source, plan.ingested_at_us),
        })
    }

    /// The next rows, and the bad records among them; `None` at the end.
    pub(in super::super) fn next(&mut self) -> Result<Option<Given>, IngestError> {
        let records = self.plan.options.batch_rows.max(1);
        let Some(mut chunk) = self.file.cutter.next_chunk(records)? else {
            self.source.check_unchanged()?;
            return Ok(None);
        };
        let rows = self.rows_of(&mut chunk)?;
        self.file.cutter.give_back(chunk);
        let rejected = self.rejected.finish();
        Ok(Some(Given { rows, rejected }))
    }

    fn rows_of(&mut self, chunk: &mut Chunk) -> Result<RecordBatch, IngestError> {
        self.fields.take(chunk);
        let columns = self.targets.len();
        let divided = self.fields.divide(chunk, &self.file.dialect, columns);
        let rows = divided.rows();
        let mut faults: BTreeMap<usize, Fault> = divided.faults().iter().cloned().collect();
        let mut good = vec![true; rows.len()];
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; self.plan.data.fields().len()];
        for (column, target) in self.targets.iter().enumerate() {
            let field = self.plan.data.field(*target);
            let builder = ColumnBuilder::new(field.data_type(), rows.len());
            let mut builder = builder.ok_or_else(|| cut_off(self.source))?;
            let texts = divided.column(column);
            builder.push_all(texts, &self.plan.options, |row, text| {
                good[row] = false;
                // The first of a record's faults is told.
                let fault = faults.entry(rows[row] as usize);
                fault.or_insert_with(|| misfit(field, text));
            });
            arrays[*target] = Some(builder.finish().map_err(|_| cut_off(self.source))?);
        }
        let fields = self.plan.data.fields().iter();
        let arrays = arrays.into_iter().zip(fields).map(|(array, field)| {
            array.unwrap_or_else(|| new_null_array(field.data_type(), rows.len()))
        });
        let places = rows
            .iter()
            .map(|record| chunk.first_row + i64::from(*record));
        let places = Int64Array::from_iter_values(places);
        let batch = self.plan.batch(self.source, arrays.collect(), places)?;
        let mut lines = chunk.lines();
        for (place, fault) in faults {
            let (record, row) = (chunk.records[place], chunk.first_row + place as i64);
            let raw = divided.raw(place, record);
            let line = lines.of(record);
            let what = self.plan.options.bad_records;
            self.rejected.take(what, row, line, raw, fault)?;
        }
        match good.contains(&false) {
            false => Ok(batch),
            true => filter_record_batch(&batch, &BooleanArray::from(good))
                .map_err(|_| cut_off(self.source)),
        }
    }
}
