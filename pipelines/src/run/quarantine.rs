//! Rows that break a rule with `otherwise: quarantine`: into a table of their own (see
//! [`super::side`]), with the rules that they break.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use sluice_lake::{LakeError, TableName};
use tokio::sync::mpsc::{Receiver, Sender};

use super::context::RunContext;
use super::error::StageError;
use super::side::{self, INTERVAL_COLUMN, RUN_COLUMN, Replaces, Side, Window, Writing};
use super::wash::Washer;
use crate::plan::Asset;

/// What follows a table's name in the name of its quarantine.
pub(crate) const SUFFIX: &str = "__quarantine";
/// The column with the names of the rules that a row breaks.
const RULES_COLUMN: &str = "_broken_rules";
/// The column with the moment at which a run put the row there.
const AT_COLUMN: &str = "_quarantined_at";
/// The columns that a quarantine has behind those of its table; the last only where that is made
/// by intervals.
const ADDED: [&str; 4] = [RULES_COLUMN, RUN_COLUMN, AT_COLUMN, INTERVAL_COLUMN];
/// Batches that may wait to be written.
const BATCHES_AHEAD: usize = 4;

/// The quarantine of a table.
///
/// # Errors
/// A name that would be too long.
pub(crate) fn table_of(table: &TableName) -> Result<TableName, LakeError> {
    let name = format!("{}{SUFFIX}", table.table());
    Ok(TableName::new(table.layer(), &name)?)
}

/// The columns that the quarantine of a table has behind the table's.
pub(crate) fn added(by_interval: bool) -> &'static [&'static str] {
    match by_interval {
        true => &ADDED,
        false => &ADDED[..3],
    }
}

/// The columns of the quarantine of a table with these columns, which may be made by intervals.
pub(crate) fn schema_of(table: &Schema, by_interval: bool) -> SchemaRef {
    let own = table.fields().iter();
    let own = own.map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
    let item = Field::new("element", DataType::Utf8, true);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let mut added = vec![
        Field::new(RULES_COLUMN, DataType::List(Arc::new(item)), true),
        Field::new(RUN_COLUMN, DataType::Utf8, true),
        Field::new(AT_COLUMN, utc.clone(), true),
    ];
    if by_interval {
        added.push(Field::new(INTERVAL_COLUMN, utc, true));
    }
    let fields: Vec<_> = own.chain(added.into_iter().map(Arc::new)).collect();
    Arc::new(Schema::new(fields))
}

/// The way into a quarantine.
#[derive(Debug)]
pub(crate) struct Ward {
    schema: SchemaRef,
    run_id: String,
    at_us: i64,
    /// Where the interval begins that the rows are asked for with, if they are.
    interval_us: Option<i64>,
    /// Closed when all rows are there.
    way: Mutex<Option<Sender<RecordBatch>>>,
}

impl Ward {
    /// A way into the quarantine of a table with these columns, and its other end. `window`: what
    /// the rows are asked for, if the table is made by intervals.
    pub(crate) fn new(
        run: &RunContext,
        table: &Schema,
        window: Option<Window>,
    ) -> (Self, Receiver<RecordBatch>) {
        let (way, rows) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
        let ward = Self {
            schema: schema_of(table, window.is_some()),
            run_id: run.run_id.to_string(),
            at_us: run.started_ms.saturating_mul(1000),
            interval_us: window.map(|(start, _)| start.saturating_mul(1000)),
            way: Mutex::new(Some(way)),
        };
        (ward, rows)
    }

    /// The rows of a batch that are marked, as they go into quarantine. `flags`: for each rule
    /// its name, and which rows keep it.
    pub(crate) fn admitted(
        &self,
        batch: &RecordBatch,
        marked: &BooleanArray,
        flags: &[(&str, &BooleanArray)],
    ) -> Result<RecordBatch, ArrowError> {
        let rows = filter_record_batch(batch, marked)?;
        let mut rules = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
            "element",
            DataType::Utf8,
            true,
        ));
        for row in (0..marked.len()).filter(|row| marked.value(*row)) {
            for (name, kept) in flags {
                if !(kept.is_valid(row) && kept.value(row)) {
                    rules.values().append_value(name);
                }
            }
            rules.append(true);
        }
        let count = rows.num_rows();
        let run = StringArray::from_iter_values((0..count).map(|_| &self.run_id));
        let moment = |us: i64| {
            let moments = TimestampMicrosecondArray::from(vec![us; count]);
            Arc::new(moments.with_timezone("UTC")) as ArrayRef
        };
        let mut columns = rows.columns().to_vec();
        let added: [ArrayRef; 2] = [Arc::new(rules.finish()), Arc::new(run)];
        columns.extend(added);
        columns.push(moment(self.at_us));
        columns.extend(self.interval_us.map(moment));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }

    /// Sends rows there. Where nobody takes them any more, the end of the write tells why.
    pub(crate) async fn send(&self, rows: RecordBatch) {
        let way = self.lock().clone();
        if let Some(way) = way {
            let _ = way.send(rows).await;
        }
    }

    fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Sender<RecordBatch>>> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A quarantine while it is written.
pub(crate) struct Quarantine {
    washer: Arc<Washer>,
    writing: Writing,
}

impl Quarantine {
    /// Begins to write what a washer puts aside.
    pub(crate) async fn begin(
        run: &RunContext,
        asset: &Asset,
        (table, key): (&TableName, &str),
        replaces: Replaces,
        washer: &Arc<Washer>,
        rows: Receiver<RecordBatch>,
    ) -> Result<Option<Self>, StageError> {
        let Some(ward) = washer.ward() else {
            return Ok(None);
        };
        let side = Side {
            table: table_of(table)?,
            schema: Arc::clone(&ward.schema),
            description: format!(
                "Rows that {} does not have, with the rules they break.",
                asset.name
            ),
            replaces,
            always: true,
        };
        Ok(Some(Self {
            washer: Arc::clone(washer),
            writing: Writing::begin(run, asset, key, side, rows).await?,
        }))
    }

    /// What is committed, to be asked when the stage's own rows are.
    pub(crate) fn outcome(&self) -> side::Outcome {
        self.writing.outcome()
    }

    /// Commits the rows; the table's own are all there.
    pub(crate) async fn finish(self) -> Result<(), DataFusionError> {
        self.writing.complete();
        if let Some(ward) = self.washer.ward() {
            ward.close();
        }
        self.writing.finish().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_there_with_all_the_rules_that_it_breaks() {
        let x: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let batch = RecordBatch::try_from_iter([("x", x)]).unwrap();
        let (way, _) = tokio::sync::mpsc::channel(1);
        let ward = Ward {
            schema: schema_of(&batch.schema(), true),
            run_id: "r".to_owned(),
            at_us: 0,
            interval_us: Some(86_400_000_000),
            way: Mutex::new(Some(way)),
        };
        let first = BooleanArray::from(vec![Some(true), Some(false), None]);
        let second = BooleanArray::from(vec![Some(true), Some(true), Some(false)]);
        let marked = BooleanArray::from(vec![false, true, true]);
        let flags = [("first", &first), ("second", &second)];
        let rows = ward.admitted(&batch, &marked, &flags).unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&[rows]).unwrap();
        insta::assert_snapshot!(shown, @r"
        +---+-----------------+---------+----------------------+----------------------+
        | x | _broken_rules   | _run_id | _quarantined_at      | _interval_start      |
        +---+-----------------+---------+----------------------+----------------------+
        | b | [first]         | r       | 1970-01-01T00:00:00Z | 1970-01-02T00:00:00Z |
        | c | [first, second] | r       | 1970-01-01T00:00:00Z | 1970-01-02T00:00:00Z |
        +---+-----------------+---------+----------------------+----------------------+
        ");
    }
}
