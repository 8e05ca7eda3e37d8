//! Records that could not be taken, as they were, with the reason.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Int64Builder, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use tokio::sync::mpsc;

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    error::{Fault, IngestError},
    options::BadRecords,
    survey::SourceFile,
};

/// How many bytes of bad records wait in memory for one file, about.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// How many batches of bad records wait to be taken.
const WAITING_BATCHES: usize = 2;

/// The columns of a table of rejected records: `_file`, `_row` (the place in the file,
/// counted from 1, over good and bad records alike), `_line`, `_reason`, `_raw` (the
/// record as text), `_raw_bytes` (only for a record that is no UTF-8: what it is) and
/// `_ingested_at`.
pub fn rejects_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = [
        (FILE_COLUMN, DataType::Utf8),
        (ROW_COLUMN, DataType::Int64),
        ("_line", DataType::Int64),
        ("_reason", DataType::Utf8),
        ("_raw", DataType::Utf8),
        ("_raw_bytes", DataType::Binary),
        (INGESTED_AT_COLUMN, time),
    ];
    let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Where [`read`](super::read) sends bad records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rejects {
    sender: mpsc::Sender<RecordBatch>,
    seen: Arc<RejectsSeen>,
    /// Which part of the files they are of.
    part: usize,
}

/// What came through [`Rejects`] so far.
#[derive(Debug, Default)]
pub struct RejectsSeen {
    rows: AtomicU64,
    /// The first of the first part that has any, in words.
    first: Mutex<Option<(usize, String)>>,
}

impl Rejects {
    /// A place for bad records, and its other end, which gives batches of
    /// [`rejects_schema`] and must be read for the rows to come.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<RecordBatch>) {
        let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
        let seen = Arc::default();
        let part = 0;
        (Self { sender, seen, part }, receiver)
    }

    /// What has come so far; keeps no other end waiting.
    #[must_use]
    pub fn seen(&self) -> Arc<RejectsSeen> {
        Arc::clone(&self.seen)
    }

    /// For the records of one part of the files.
    pub(super) fn of_part(self, part: usize) -> Self {
        Self { part, ..self }
    }

    pub(super) async fn send(&self, batch: RecordBatch) {
        let rows = batch.num_rows() as u64;
        self.seen.rows.fetch_add(rows, Ordering::Relaxed);
        self.seen.note_first(self.part, &batch);
        // Nobody listens any more when the write was given up.
        let _ = self.sender.send(batch).await;
    }
}

impl RejectsSeen {
    /// How many records came.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The first of them in words: file, row and reason.
    pub fn first(&self) -> Option<String> {
        let first = self.first.lock();
        let first = first.unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map(|(_, words)| words.clone())
    }

    /// Parts come in any order, each with its first record first.
    fn note_first(&self, part: usize, batch: &RecordBatch) {
        let first = self.first.lock();
        let mut first = first.unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(known, _)| part < *known) {
            *first = in_words(batch).map(|words| (part, words));
        }
    }
}

fn in_words(batch: &RecordBatch) -> Option<String> {
    let text =
        |column: usize| arrow::util::display::array_value_to_string(batch.column(column), 0).ok();
    Some(format!("{}, row {}: {}", text(0)?, text(1)?, text(3)?))
}

/// Collects the bad records of one file.
pub(super) struct RejectBuilder {
    file: String,
    ingested_at_us: i64,
    rows: Int64Builder,
    lines: Int64Builder,
    reasons: StringBuilder,
    raw: StringBuilder,
    raw_bytes: BinaryBuilder,
    waiting: usize,
    waiting_bytes: usize,
}

impl RejectBuilder {
    pub(super) fn new(source: &SourceFile, ingested_at_us: i64) -> Self {
        Self {
            file: source.path.clone(),
            ingested_at_us,
            rows: Int64Builder::new(),
            lines: Int64Builder::new(),
            reasons: StringBuilder::new(),
            raw: StringBuilder::new(),
            raw_bytes: BinaryBuilder::new(),
            waiting: 0,
            waiting_bytes: 0,
        }
    }

    /// Puts a record aside, or says that it must not be there.
    pub(super) fn take(
        &mut self,
        what: BadRecords,
        row: i64,
        line: u64,
        raw: &[u8],
        fault: Fault,
    ) -> Result<(), IngestError> {
        match what {
            BadRecords::Reject => {
                self.push(row, line, raw, &fault);
                Ok(())
            }
            BadRecords::Fail => Err(IngestError::BadRecord {
                file: self.file.clone(),
                row,
                line,
                fault: Box::new(fault),
            }),
        }
    }

    fn push(&mut self, row: i64, line: u64, raw: &[u8], fault: &Fault) {
        self.rows.append_value(row);
        self.lines
            .append_value(i64::try_from(line).unwrap_or(i64::MAX));
        self.reasons.append_value(fault.to_string());
        match std::str::from_utf8(raw) {
            Ok(text) => {
                self.raw.append_value(text);
                self.raw_bytes.append_null();
            }
            Err(_) => {
                self.raw.append_value(String::from_utf8_lossy(raw));
                self.raw_bytes.append_value(raw);
            }
        }
        self.waiting += 1;
        self.waiting_bytes += raw.len();
    }

    /// Whether it is time to send what there is.
    pub(super) fn is_full(&self, batch_rows: usize) -> bool {
        self.waiting >= batch_rows || self.waiting_bytes >= MAX_WAITING_BYTES
    }

    /// What there is; the builder is empty again.
    pub(super) fn finish(&mut self) -> Option<RecordBatch> {
        let count = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if count == 0 {
            return None;
        }
        let files = std::iter::repeat_n(self.file.as_str(), count);
        let times = std::iter::repeat_n(self.ingested_at_us, count);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(files)),
            Arc::new(self.rows.finish()),
            Arc::new(self.lines.finish()),
            Arc::new(self.reasons.finish()),
            Arc::new(self.raw.finish()),
            Arc::new(self.raw_bytes.finish()),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ];
        let batch = RecordBatch::try_new(rejects_schema(), columns);
        Some(batch.expect("the columns are made for this schema, and have one length"))
    }
}
