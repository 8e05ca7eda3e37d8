//! What happens to the rows of a table between its query and its Delta commit: row rules
//! are counted, dropped rows fall out, others go into quarantine, `_split` is added. One pass,
//! batch by batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use sluice_lake::ingest::{FILE_COLUMN, ROW_COLUMN};

use super::quarantine::Ward;
use super::split::Splitter;
use crate::plan::RowExpectation;
use crate::spec::Otherwise;

/// A row rule at work. Its flag is a boolean column behind the table's own columns; a
/// row breaks the rule unless its flag is TRUE.
#[derive(Debug)]
pub(crate) struct RowRule {
    pub(crate) name: String,
    pub(crate) otherwise: Otherwise,
    /// Whether only rows count that no other rule keeps out of the table.
    of_kept: bool,
    failed: AtomicU64,
    /// Where the first row that broke it stands in its file, and which part that is of.
    first: Mutex<Option<(usize, String)>>,
}

impl RowRule {
    pub(crate) fn new(name: impl Into<String>, otherwise: Otherwise) -> Self {
        Self {
            name: name.into(),
            otherwise,
            of_kept: false,
            failed: AtomicU64::new(0),
            first: Mutex::new(None),
        }
    }

    /// A rule of a plan.
    pub(crate) fn of(rule: &RowExpectation) -> Self {
        Self {
            of_kept: rule.of_contract,
            ..Self::new(rule.name.clone(), rule.otherwise)
        }
    }

    /// Counts the rows that break the rule.
    fn count(&self, part: usize, batch: &RecordBatch, flags: &BooleanArray) {
        let failed = flags.len() - flags.true_count();
        self.failed.fetch_add(failed as u64, Ordering::Relaxed);
        if failed > 0 {
            let kept = |row: &usize| flags.is_valid(*row) && flags.value(*row);
            let broken = || (0..flags.len()).find(|row| !kept(row));
            self.note_first(part, || place(batch, broken()?));
        }
    }

    /// Rows that broke the rule so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Where the first row that broke it stands, for rows that come from files.
    pub(crate) fn first(&self) -> Option<String> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map(|(_, place)| place.clone())
    }

    /// Parts come in any order, each with its first row first.
    fn note_first(&self, part: usize, place: impl FnOnce() -> Option<String>) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(known, _)| part < *known) {
            *first = place().map(|place| (part, place)).or(first.take());
        }
    }
}

/// Takes rows that do not keep a rule out of those that are kept; nothing where all keep it.
fn narrow(keep: &mut Option<BooleanArray>, flags: &BooleanArray) -> Result<(), DataFusionError> {
    if flags.true_count() == flags.len() {
        return Ok(());
    }
    let flags = match flags.null_count() {
        0 => flags.clone(),
        _ => arrow::compute::prep_null_mask_filter(flags),
    };
    *keep = Some(match keep.take() {
        Some(keep) => arrow::compute::and(&keep, &flags)?,
        None => flags,
    });
    Ok(())
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
    ward: Option<Ward>,
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
            ward: None,
            rows: AtomicU64::new(0),
        }
    }

    /// The same, with a way into quarantine. Without one the rows that belong there are left
    /// out.
    pub(crate) fn with_ward(self, ward: Option<Ward>) -> Self {
        Self { ward, ..self }
    }

    /// The way into quarantine.
    pub(crate) fn ward(&self) -> Option<&Ward> {
        self.ward.as_ref()
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

    /// Washes a part of the rows.
    pub(crate) fn wash(
        self: &Arc<Self>,
        part: usize,
        input: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let washer = Arc::clone(self);
        let washed = input.then(move |batch| {
            let washer = Arc::clone(&washer);
            async move {
                let (kept, aside) = washer.wash_batch(part, &batch?)?;
                if let (Some(aside), Some(ward)) = (aside, &washer.ward) {
                    ward.send(aside).await;
                }
                Ok(kept)
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema(), washed))
    }

    /// The rows that stay, and those that go into quarantine.
    fn wash_batch(
        &self,
        part: usize,
        batch: &RecordBatch,
    ) -> Result<(RecordBatch, Option<RecordBatch>), DataFusionError> {
        self.rows
            .fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        let flags = |index: usize| batch.column(self.own_columns + index).as_boolean();
        let rules = || self.rules.iter().enumerate();
        let (mut keep, mut healthy) = (None, None);
        for (index, rule) in rules().filter(|(_, rule)| !rule.of_kept) {
            let flags = flags(index);
            rule.count(part, batch, flags);
            if matches!(rule.otherwise, Otherwise::Drop | Otherwise::Quarantine) {
                narrow(&mut keep, flags)?;
            }
            if rule.otherwise == Otherwise::Quarantine {
                narrow(&mut healthy, flags)?;
            }
        }
        let own: Vec<usize> = (0..self.own_columns).collect();
        let mut own = batch.project(&own)?;
        let aside = match (healthy, &self.ward) {
            (Some(healthy), Some(ward)) => {
                let names = rules().filter(|(_, rule)| !rule.of_kept);
                let names = names.map(|(index, rule)| (rule.name.as_str(), flags(index)));
                let names: Vec<_> = names.collect();
                Some(ward.admitted(&own, &arrow::compute::not(&healthy)?, &names)?)
            }
            _ => None,
        };
        let before = keep.clone();
        for (index, rule) in rules().filter(|(_, rule)| rule.of_kept) {
            let flags = match &before {
                // A row that is left out anyway breaks nothing.
                Some(keep) => arrow::compute::or_kleene(flags(index), &arrow::compute::not(keep)?)?,
                None => flags(index).clone(),
            };
            rule.count(part, batch, &flags);
            // The table could not hold it; that it is there fails the whole in the end.
            narrow(&mut keep, &flags)?;
        }
        if let Some(keep) = keep {
            own = filter_record_batch(&own, &keep)?;
        }
        let mut columns = own.columns().to_vec();
        if let Some(split) = &self.split {
            columns.push(split.assign(&own)?);
        }
        Ok((RecordBatch::try_new(self.schema(), columns)?, aside))
    }

    /// An error, so that no commit follows, if a rule with `otherwise: fail` was broken: to
    /// be asked when all rows are washed, so that the error tells all of them.
    pub(crate) fn verdict(&self) -> Result<(), DataFusionError> {
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
    use futures::{TryStreamExt, stream};

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
        let batches = washer.wash(0, input).try_collect().await.unwrap();
        let error = washer.verdict().err().map(|error| error.to_string());
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
    async fn fail_gives_a_verdict_on_all_the_rows() {
        let (_, _, error) = washed(Otherwise::Warn, Otherwise::Fail).await;
        let error = error.unwrap();
        assert!(error.contains("`second` failed: 2 of 6 rows"), "{error}");
    }
}
