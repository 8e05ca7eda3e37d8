//! Streaming the rows of files, with where each of them came from.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    FILE_COLUMN, INGESTED_AT_COLUMN, ROW_COLUMN,
    csv::Records,
    discover::SourceFile,
    error::IngestError,
    options::CsvOptions,
    value::{ColumnBuilder, in_words},
};

/// How many batches of one file wait to be taken.
const WAITING_BATCHES: usize = 2;
/// Files that are read side by side, at most; more only costs memory.
const MAX_PARALLEL_FILES: usize = 8;

/// Streams the rows of `files`, in their order and each file's own, as batches of
/// `schema` (which [`infer_schema`](super::infer_schema) made, or a table has) with
/// `_file`, `_row` and `_ingested_at` added at the end. Files are read side by
/// side, a few batches ahead, whatever their number. Must be called in a Tokio
/// runtime.
///
/// # Errors
/// In the stream, as [`DataFusionError::External`] with an [`IngestError`]: the
/// first fault ends it. A file whose content is no longer what its hash says is
/// a fault too.
pub fn read(
    files: &[SourceFile],
    schema: &SchemaRef,
    options: &CsvOptions,
) -> SendableRecordBatchStream {
    let plan = Plan::new(schema, options);
    let schema = Arc::clone(&plan.output);
    let reading = Reading {
        waiting: files.iter().cloned().collect(),
        open: VecDeque::new(),
        plan: Arc::new(plan),
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
    let own = schema.fields().iter();
    let mut output: Vec<_> = own
        .filter(|field| !ADDED.contains(&field.name().as_str()))
        .cloned()
        .collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let types = [DataType::Utf8, DataType::Int64, time];
    for (name, data_type) in ADDED.into_iter().zip(types) {
        output.push(Arc::new(Field::new(name, data_type, true)));
    }
    Arc::new(Schema::new(output))
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
struct Plan {
    data: SchemaRef,
    output: SchemaRef,
    options: CsvOptions,
    ingested_at_us: i64,
}

impl Plan {
    fn new(schema: &SchemaRef, options: &CsvOptions) -> Self {
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

type Outcome = Result<RecordBatch, IngestError>;

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
                Some(Ok(batch)) => return Some(Ok(batch)),
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
        let fault = match FileReader::open(&source, &plan) {
            Ok(mut reader) => reader.send_batches(&sender).err(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
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

/// One file on its way to batches.
struct FileReader<'a> {
    source: &'a SourceFile,
    plan: &'a Plan,
    records: Records,
    builders: Vec<ColumnBuilder>,
    /// For each field of a record the builder that takes it.
    targets: Vec<usize>,
    first_is_data: bool,
    rows_before: i64,
}

impl<'a> FileReader<'a> {
    fn open(source: &'a SourceFile, plan: &'a Plan) -> Result<Self, IngestError> {
        let (records, columns, first_is_data) = Records::open_with_columns(source, &plan.options)?;
        let missing = |lacking: &str, column: &str, having: &str| IngestError::MissingColumn {
            lacking: lacking.to_owned(),
            column: column.to_owned(),
            having: having.to_owned(),
        };
        let mut targets = Vec::with_capacity(columns.len());
        for column in &columns {
            match plan.data.index_of(&column.name) {
                Ok(target) => targets.push(target),
                Err(_) => return Err(missing("the table", &column.name, &source.path)),
            }
        }
        let mut builders = Vec::with_capacity(plan.data.fields().len());
        for field in plan.data.fields() {
            if !columns.iter().any(|column| &column.name == field.name()) {
                return Err(missing(&source.path, field.name(), "the table"));
            }
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
            first_is_data,
            rows_before: 0,
        })
    }

    /// Sends batch after batch; ends early when nobody takes them.
    fn send_batches(&mut self, sender: &mpsc::Sender<Outcome>) -> Result<(), IngestError> {
        let mut rows = 0;
        while self.first_is_data || self.records.advance()? {
            self.first_is_data = false;
            self.push_record()?;
            rows += 1;
            if rows == self.plan.options.batch_rows.max(1) {
                if sender.blocking_send(Ok(self.finish_batch(rows)?)).is_err() {
                    return Ok(());
                }
                rows = 0;
            }
        }
        if self.records.hash() != self.source.content_hash {
            return Err(IngestError::Changed {
                file: self.source.path.clone(),
            });
        }
        if rows > 0 {
            // A closed channel means that the stream was dropped.
            let _ = sender.blocking_send(Ok(self.finish_batch(rows)?));
        }
        Ok(())
    }

    fn push_record(&mut self) -> Result<(), IngestError> {
        for (text, target) in self.records.fields().zip(&self.targets) {
            let nulls = &self.plan.options.null_values;
            let is_null = nulls.iter().any(|null| null == text);
            if !self.builders[*target].push((!is_null).then_some(text)) {
                let field = self.plan.data.field(*target);
                return Err(IngestError::Value {
                    file: self.records.file().to_owned(),
                    line: self.records.line(),
                    column: field.name().clone(),
                    value: shorten(text),
                    expected: in_words(field.data_type()),
                });
            }
        }
        Ok(())
    }

    fn finish_batch(&mut self, rows: usize) -> Result<RecordBatch, IngestError> {
        let cut_off = || IngestError::CutOff {
            file: self.source.path.clone(),
        };
        let count = i64::try_from(rows).map_err(|_| cut_off())?;
        let mut columns = Vec::with_capacity(self.builders.len() + 3);
        for builder in &mut self.builders {
            // The range of every value was checked when it was pushed.
            columns.push(builder.finish().map_err(|_| cut_off())?);
        }
        let first = self.rows_before + 1;
        self.rows_before += count;
        let files = std::iter::repeat_n(self.source.path.as_str(), rows);
        let times = std::iter::repeat_n(self.plan.ingested_at_us, rows);
        let added: [ArrayRef; 3] = [
            Arc::new(StringArray::from_iter_values(files)),
            Arc::new(Int64Array::from_iter_values(first..first + count)),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ];
        columns.extend(added);
        RecordBatch::try_new(Arc::clone(&self.plan.output), columns).map_err(|_| cut_off())
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
