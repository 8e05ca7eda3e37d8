//! Streaming the rows of files, with where each of them came from.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arrow::{
    array::{
        Array, ArrayBuilder, ArrayRef, Int64Array, Int64Builder, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    compute::{filter_record_batch, is_not_null},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    column::{ColumnBuilder, in_words},
    error::{Difference, Fault, IngestError},
    format::{ParquetFile, format_of},
    options::{BadRecords, Format, ReadOptions},
    record::{Column, Kind, Records},
    rejects::{RejectBuilder, Rejects},
    survey::SourceFile,
};

/// How many batches of one file wait to be taken.
const WAITING_BATCHES: usize = 2;
/// Files that are read side by side, at most; more only costs memory.
const MAX_PARALLEL_FILES: usize = 8;

/// Streams the rows of `files`, in their order and each file's own, as batches of
/// `schema` (which [`infer_schema`](super::infer_schema) made, or a table has) with
/// `_file`, `_row` and `_ingested_at` added at the end. Files are read side by
/// side, a few batches ahead, whatever their number. Where the options say
/// [`BadRecords::Reject`], records that cannot be taken go to `rejects` in the same
/// order, or nowhere. Must be called in a Tokio runtime.
///
/// # Errors
/// In the stream, as [`DataFusionError::External`] with an [`IngestError`]: the
/// first fault ends it. A file whose content is no longer what its hash says is
/// a fault too.
pub fn read(
    files: &[SourceFile],
    schema: &SchemaRef,
    options: &ReadOptions,
    rejects: Option<Rejects>,
) -> SendableRecordBatchStream {
    let plan = Plan::new(schema, options);
    let schema = Arc::clone(&plan.output);
    let reading = Reading {
        waiting: files.iter().cloned().collect(),
        open: VecDeque::new(),
        plan: Arc::new(plan),
        rejects,
        failed: false,
    };
    let batches = futures::stream::unfold(reading, |mut reading| async move {
        reading.next().await.map(|batch| (batch, reading))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// The columns that [`read`] adds, in order.
const ADDED: [&str; 3] = [FILE_COLUMN, ROW_COLUMN, INGESTED_AT_COLUMN];

/// The columns that [`read`] gives for `schema`: its own, then `_file`, `_row` and
/// `_ingested_at`.
pub fn output_schema(schema: &Schema) -> SchemaRef {
    let mut output = own_columns(schema).fields().to_vec();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let types = [DataType::Utf8, DataType::Int64, time];
    for (name, data_type) in ADDED.into_iter().zip(types) {
        output.push(Arc::new(Field::new(name, data_type, true)));
    }
    Arc::new(Schema::new(output))
}

/// The columns of a table that come from its files: all but those that [`read`] adds.
pub fn own_columns(table: &Schema) -> Schema {
    let fields = table.fields().iter();
    let own = fields.filter(|field| !ADDED.contains(&field.name().as_str()));
    Schema::new(own.cloned().collect::<Vec<_>>())
}

/// How many files are read side by side.
pub(super) fn parallel_files() -> usize {
    std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(MAX_PARALLEL_FILES)
}

/// Runs work that blocks, on `file`, where it may.
pub(super) async fn in_background<T: Send + 'static>(
    file: impl Into<String>,
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    let file = file.into();
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(IngestError::CutOff { file }),
    }
}

/// What all files have in common.
pub(super) struct Plan {
    pub(super) data: SchemaRef,
    output: SchemaRef,
    pub(super) options: ReadOptions,
    pub(super) ingested_at_us: i64,
}

impl Plan {
    fn new(schema: &SchemaRef, options: &ReadOptions) -> Self {
        let output = output_schema(schema);
        let data = output.fields()[..output.fields().len() - ADDED.len()].to_vec();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since_epoch.unwrap_or_default().as_micros();
        Self {
            data: Arc::new(Schema::new(data)),
            output,
            options: options.clone(),
            ingested_at_us: i64::try_from(micros).unwrap_or(i64::MAX),
        }
    }
}

/// What a reading thread gives.
enum Batch {
    Rows(RecordBatch),
    Rejected(RecordBatch),
}

type Outcome = Result<Batch, IngestError>;

/// A file that is being read.
struct OpenFile {
    batches: mpsc::Receiver<Outcome>,
    task: JoinHandle<()>,
    file: String,
}

/// The files that are still to come, and those that are being read; the first of
/// these is the one whose batches are taken.
struct Reading {
    waiting: VecDeque<SourceFile>,
    open: VecDeque<OpenFile>,
    plan: Arc<Plan>,
    rejects: Option<Rejects>,
    failed: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        if self.failed {
            return None;
        }
        loop {
            while self.open.len() < parallel_files()
                && let Some(file) = self.waiting.pop_front()
            {
                self.open.push_back(open(file, Arc::clone(&self.plan)));
            }
            let current = self.open.front_mut()?;
            let fault = match current.batches.recv().await {
                Some(Ok(Batch::Rows(batch))) => return Some(Ok(batch)),
                Some(Ok(Batch::Rejected(batch))) => {
                    if let Some(rejects) = &self.rejects {
                        rejects.send(batch).await;
                    }
                    continue;
                }
                Some(Err(fault)) => fault,
                None => match (&mut current.task).await {
                    Ok(()) => {
                        self.open.pop_front();
                        continue;
                    }
                    // A thread that panicked must not look like the end of a file.
                    Err(_) => IngestError::CutOff {
                        file: current.file.clone(),
                    },
                },
            };
            self.failed = true;
            self.open.clear();
            return Some(Err(DataFusionError::External(Box::new(fault))));
        }
    }
}

fn open(source: SourceFile, plan: Arc<Plan>) -> OpenFile {
    let (sender, batches) = mpsc::channel(WAITING_BATCHES);
    let file = source.path.clone();
    let task = tokio::task::spawn_blocking(move || {
        if let Err(fault) = send_file(&source, &plan, &sender) {
            // Nobody listens any more when the stream was dropped.
            let _ = sender.blocking_send(Err(fault));
        }
    });
    OpenFile {
        batches,
        task,
        file,
    }
}

/// Sends batch after batch of a file; ends early when nobody takes them.
fn send_file(
    source: &SourceFile,
    plan: &Plan,
    sender: &mpsc::Sender<Outcome>,
) -> Result<(), IngestError> {
    let format = format_of(source, &plan.options)?;
    if format != Format::Parquet {
        return FileReader::open(source, format, plan)?.send_batches(sender);
    }
    let mut rows_before = 0;
    for columns in ParquetFile::open(source, plan)? {
        let columns = columns?;
        let rows = columns.first().map_or(0, |column| column.len());
        let count = i64::try_from(rows).unwrap_or(i64::MAX);
        let places = Int64Array::from_iter_values(rows_before + 1..=rows_before + count);
        rows_before += count;
        let batch = plan.batch(source, columns, places)?;
        if sender.blocking_send(Ok(Batch::Rows(batch))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Plan {
    /// The columns of rows of a file, with those that are added.
    fn batch(
        &self,
        source: &SourceFile,
        mut columns: Vec<ArrayRef>,
        places: Int64Array,
    ) -> Result<RecordBatch, IngestError> {
        let rows = places.len();
        let files = std::iter::repeat_n(source.path.as_str(), rows);
        let times = std::iter::repeat_n(self.ingested_at_us, rows);
        let added: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter_values(files)),
            Arc::new(places),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ];
        columns.extend(added);
        RecordBatch::try_new(Arc::clone(&self.output), columns).map_err(|_| cut_off(source))
    }

    /// For each column of a file the place that takes it.
    pub(super) fn targets(
        &self,
        file: &str,
        columns: &[Column],
        strict: bool,
    ) -> Result<Vec<usize>, IngestError> {
        let mut targets = Vec::with_capacity(columns.len());
        let mut differences = Vec::new();
        for column in columns {
            match self.data.index_of(&column.name) {
                Ok(target) => targets.push(target),
                Err(_) => differences.push(Difference::New {
                    column: column.shown().to_owned(),
                    data_type: DataType::Utf8,
                }),
            }
        }
        for field in self
            .data
            .fields()
            .iter()
            .filter(|_| strict && !self.options.evolve)
        {
            if !columns.iter().any(|column| &column.name == field.name()) {
                let column = field.name().clone();
                differences.push(Difference::Missing { column });
            }
        }
        if differences.is_empty() {
            return Ok(targets);
        }
        Err(IngestError::Drift {
            file: file.to_owned(),
            against: "the table".to_owned(),
            differences,
        })
    }
}

/// A fault of our own while a file was read.
fn cut_off(source: &SourceFile) -> IngestError {
    IngestError::CutOff {
        file: source.path.clone(),
    }
}

/// One file of records on its way to batches.
struct FileReader<'a> {
    source: &'a SourceFile,
    plan: &'a Plan,
    records: Records,
    builders: Vec<ColumnBuilder>,
    /// For each column of the file the builder that takes it.
    targets: Vec<usize>,
    /// Records so far, bad ones too.
    row: i64,
    /// For each row in the builders its place in the file; NULL for one that turned out bad.
    places: Int64Builder,
    rejected: RejectBuilder,
}

impl<'a> FileReader<'a> {
    fn open(source: &'a SourceFile, format: Format, plan: &'a Plan) -> Result<Self, IngestError> {
        let records = Records::open(source, format, &plan.options)?;
        let strict = format == Format::Csv;
        let targets = plan.targets(&source.path, records.columns().list(), strict)?;
        let mut builders = Vec::with_capacity(plan.data.fields().len());
        for field in plan.data.fields() {
            let builder = ColumnBuilder::new(field.data_type());
            builders.push(builder.ok_or_else(|| IngestError::ColumnType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            })?);
        }
        Ok(Self {
            source,
            plan,
            records,
            builders,
            targets,
            row: 0,
            places: Int64Builder::new(),
            rejected: RejectBuilder::new(source, plan.ingested_at_us),
        })
    }

    fn send_batches(&mut self, sender: &mpsc::Sender<Outcome>) -> Result<(), IngestError> {
        let batch_rows = self.plan.options.batch_rows.max(1);
        while let Some(found) = self.records.advance()? {
            self.row += 1;
            let fault = match found.fault {
                Some(fault) => Some(fault),
                None => self.push_record()?,
            };
            if let Some(fault) = fault {
                self.put_aside(found.line, fault)?;
            }
            let full = self.places.len() >= batch_rows;
            if (full || self.rejected.is_full(batch_rows)) && !self.send(sender)? {
                return Ok(());
            }
        }
        if self.records.hash()? != self.source.content_hash {
            return Err(IngestError::Changed {
                file: self.source.path.clone(),
            });
        }
        self.send(sender)?;
        Ok(())
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
            let is_null = options.null_values.iter().any(|null| null == text);
            let kind = if is_null { Kind::Null } else { kind };
            if !self.builders[target].push_value(kind, text, options.decimal_comma) {
                let field = self.plan.data.field(target);
                fault = Some(Fault::Value {
                    column: field.name().clone(),
                    value: shorten(text),
                    expected: in_words(field.data_type()),
                });
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

    fn put_aside(&mut self, line: u64, fault: Fault) -> Result<(), IngestError> {
        if self.plan.options.bad_records == BadRecords::Fail {
            return Err(IngestError::BadRecord {
                file: self.source.path.clone(),
                row: self.row,
                line,
                fault: Box::new(fault),
            });
        }
        self.rejected
            .push(self.row, line, self.records.raw(), &fault);
        Ok(())
    }

    /// Sends what there is; `false` when nobody takes it.
    fn send(&mut self, sender: &mpsc::Sender<Outcome>) -> Result<bool, IngestError> {
        let mut open = true;
        if let Some(batch) = self.rejected.finish() {
            open &= sender.blocking_send(Ok(Batch::Rejected(batch))).is_ok();
        }
        let places = self.places.finish();
        if !places.is_empty() {
            let batch = self.finish_batch(places)?;
            if batch.num_rows() > 0 {
                open &= sender.blocking_send(Ok(Batch::Rows(batch))).is_ok();
            }
        }
        Ok(open)
    }

    fn finish_batch(&mut self, places: Int64Array) -> Result<RecordBatch, IngestError> {
        let mut columns = Vec::with_capacity(self.builders.len() + ADDED.len());
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

/// Enough of a value to recognise it.
fn shorten(text: &str) -> String {
    const CHARACTERS: usize = 60;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
