//! What happens to the rows of a table between its query and its Delta commit: row rules
//! are counted, dropped rows fall out, `_split` is added. One pass, batch by batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use sluice_lake::ingest::{FILE_COLUMN, ROW_COLUMN};

use super::split::Splitter;
use crate::spec::Otherwise;

/// A row rule at work. Its flag is a boolean column behind the table's own columns; a
/// row breaks the rule unless its flag is TRUE.
#[derive(Debug)]
pub(crate) struct RowRule {
    pub(crate) name: String,
    pub(crate) otherwise: Otherwise,
    failed: AtomicU64,
    /// Where the first row that broke it stands in its file.
    first: OnceLock<String>,
}

impl RowRule {
    pub(crate) fn new(name: impl Into<String>, otherwise: Otherwise) -> Self {
        Self {
            name: name.into(),
            otherwise,
            failed: AtomicU64::new(0),
            first: OnceLock::new(),
        }
    }

    /// Rows that broke the rule so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Where the first row that broke it stands, for rows that come from files.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.get().map(String::as_str)
    }
}

/// Where a row of an ingested batch stands.
fn place(batch: &RecordBatch, row: usize) -> Option<String> {
    let file = batch.column_by_name(FILE_COLUMN)?.as_string_opt::<i32>()?;
    let number = batch
        .column_by_name(ROW_COLUMN)?
        .as_primitive_opt::<Int64Type>()?;
    Some(format!("row {} of {}", number.value(row), file.value(row)))
}

/// Rows went into a table that one of its rules forbids; nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("expectation `{name}` failed: {failed} of {rows} rows break it")]
pub(crate) struct ForbiddenRows {
    name: String,
    failed: u64,
    rows: u64,
}

/// Applies a table's row rules and split to the batches of its query.
#[derive(Debug)]
pub(crate) struct Washer {
    schema: SchemaRef,
    own_columns: usize,
    rules: Vec<RowRule>,
    split: Option<Splitter>,
    rows: AtomicU64,
}

impl Washer {
    /// `input` is the query's schema: the table's columns, then one flag for each rule.
    pub(crate) fn new(input: &Schema, rules: Vec<RowRule>, split: Option<Splitter>) -> Self {
        let own_columns = input.fields().len() - rules.len();
        let own = Schema::new_with_metadata(
            input.fields()[..own_columns].to_vec(),
            input.metadata().clone(),
        );
        let schema = match &split {
            Some(_) => Splitter::schema(&own),
            None => own,
        };
        Self {
            schema: Arc::new(schema),
            own_columns,
            rules,
            split,
            rows: AtomicU64::new(0),
        }
    }

    /// The schema of what is written.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rules, with what they have counted.
    pub(crate) fn rules(&self) -> &[RowRule] {
        &self.rules
    }

    /// Rows that came in.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows that have an equal in another part of the split.
    pub(crate) fn straddling_rows(&self) -> u64 {
        self.split.as_ref().map_or(0, Splitter::straddling_rows)
    }

    /// Washes a stream. It ends with an error, so that no commit follows, if a rule with
    /// `otherwise: fail` was broken: at the end, so that the error tells all the rows.
    pub(crate) fn wash(
        self: &Arc<Self>,
        input: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let washer = Arc::clone(self);
        let washed = input.map(move |batch| washer.wash_batch(&batch?));
        let washer = Arc::clone(self);
        let verdict = stream::once(async move { washer.verdict() })
            .filter_map(|verdict| async move { verdict.err().map(Err) });
        Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            washed.chain(verdict),
        ))
    }

    fn wash_batch(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        self.rows
            .fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        let mut keep: Option<BooleanArray> = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let flags = batch.column(self.own_columns + index).as_boolean();
            let failed = flags.len() - flags.true_count();
            rule.failed.fetch_add(failed as u64, Ordering::Relaxed);
            if failed > 0 && rule.first().is_none() {
                let kept = |row: &usize| flags.is_valid(*row) && flags.value(*row);
                let broken = (0..flags.len()).find(|row| !kept(row));
                if let Some(place) = broken.and_then(|row| place(batch, row)) {
                    // Another partition may have been first.
                    let _ = rule.first.set(place);
                }
            }
            if rule.otherwise == Otherwise::Drop && failed > 0 {
                keep = Some(match keep {
                    Some(keep) => arrow::compute::and(&keep, flags)?,
                    None => flags.clone(),
                });
            }
        }
        let own: Vec<usize> = (0..self.own_columns).collect();
        let mut own = batch.project(&own)?;
        if let Some(keep) = keep {
            own = filter_record_batch(&own, &keep)?;
        }
        let mut columns = own.columns().to_vec();
        if let Some(split) = &self.split {
            columns.push(split.assign(&own)?);
        }
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn verdict(&self) -> Result<(), DataFusionError> {
        let broken = self
            .rules
            .iter()
            .find(|rule| rule.otherwise == Otherwise::Fail && rule.failed() > 0);
        match broken {
            None => Ok(()),
            Some(rule) => Err(DataFusionError::External(Box::new(ForbiddenRows {
                name: rule.name.clone(),
                failed: rule.failed(),
                rows: self.rows(),
            }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn rows() -> RecordBatch {
        let flag = |flags: Vec<Option<bool>>| Arc::new(BooleanArray::from(flags)) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([
            (
                "x",
                Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef,
                true,
            ),
            ("_e0", flag(vec![Some(true), None, Some(true)]), true),
            ("_e1", flag(vec![Some(true), Some(true), Some(false)]), true),
        ])
        .unwrap()
    }

    async fn washed(
        first: Otherwise,
        second: Otherwise,
    ) -> (Arc<Washer>, Vec<RecordBatch>, Option<String>) {
        let batch = rows();
        let rules = vec![RowRule::new("first", first), RowRule::new("second", second)];
        let washer = Arc::new(Washer::new(&batch.schema(), rules, None));
        let input = Box::pin(RecordBatchStreamAdapter::new(
            batch.schema(),
            stream::iter([Ok(batch.clone()), Ok(batch)]),
        ));
        let mut stream = washer.wash(input);
        let (mut batches, mut error) = (Vec::new(), None);
        while let Some(next) = stream.next().await {
            match next {
                Ok(batch) => batches.push(batch),
                Err(failure) => error = Some(failure.to_string()),
            }
        }
        (washer, batches, error)
    }

    #[tokio::test]
    async fn null_breaks_a_rule_and_drop_drops() {
        let (washer, batches, error) = washed(Otherwise::Drop, Otherwise::Warn).await;
        assert_eq!(error, None);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        assert_eq!(batches[0].num_columns(), 1);
        assert_eq!(washer.rows(), 6);
        assert_eq!(washer.rules()[0].failed(), 2);
        assert_eq!(washer.rules()[1].failed(), 2);
    }

    #[tokio::test]
    async fn fail_ends_the_stream_with_all_the_rows_counted() {
        let (_, _, error) = washed(Otherwise::Warn, Otherwise::Fail).await;
        let error = error.unwrap();
        assert!(error.contains("`second` failed: 2 of 6 rows"), "{error}");
    }
}
