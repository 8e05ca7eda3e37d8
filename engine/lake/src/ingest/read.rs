//! Streaming the rows of files, with where each of them came from.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, Int64Array, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    csv::CsvRows,
    error::IngestError,
    format::{ParquetFile, format_of},
    json_rows::JsonRows,
    options::{Format, ReadOptions},
    pieces::{Piece, deal},
    plan::Plan,
    rejects::Rejects,
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
/// [`BadRecords::Reject`](super::BadRecords::Reject), records that cannot be taken go to
/// `rejects` in the same order, or nowhere. Must be called in a Tokio runtime.
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
    FileParts::deal(files, schema, options, 1).read(0, rejects)
}

/// The rows of files, dealt out in parts that can be read side by side.
#[derive(Debug)]
pub struct FileParts {
    plan: Arc<Plan>,
    parts: Vec<Vec<Piece>>,
}

impl FileParts {
    /// Deals files out in `most` parts at most, as [`read`] would read them: each part
    /// holds the rows that follow those of the one before it. Only large files are worth
    /// it, and of these only CSV that is not packed can be divided.
    pub fn deal(files: &[SourceFile], schema: &Schema, options: &ReadOptions, most: usize) -> Self {
        Self {
            plan: Arc::new(Plan::new(schema, options)),
            parts: deal(files, most),
        }
    }

    /// How many parts there are, at least one.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// The columns of the rows: [`output_schema`](super::output_schema).
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.output
    }

    /// Streams the rows of a part, as [`read`] does.
    pub fn read(&self, part: usize, rejects: Option<Rejects>) -> SendableRecordBatchStream {
        let reading = Reading {
            waiting: self.parts[part].iter().cloned().collect(),
            ahead: parallel_files().div_ceil(self.parts.len()),
            open: VecDeque::new(),
            plan: Arc::clone(&self.plan),
            rejects: rejects.map(|rejects| rejects.of_part(part)),
            failed: false,
        };
        let batches = futures::stream::unfold(reading, |mut reading| async move {
            reading.next().await.map(|batch| (batch, reading))
        });
        let schema = Arc::clone(&self.plan.output);
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
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

/// What a reading thread gives: rows, and the bad records among them.
pub(super) struct Given {
    pub(super) rows: RecordBatch,
    pub(super) rejected: Option<RecordBatch>,
}

type Outcome = Result<Given, IngestError>;

/// A file that is being read.
struct OpenFile {
    batches: mpsc::Receiver<Outcome>,
    task: JoinHandle<()>,
    file: String,
}

/// The files that are still to come, and those that are being read; the first of
/// these is the one whose batches are taken.
struct Reading {
    waiting: VecDeque<Piece>,
    /// How many files are read side by side.
    ahead: usize,
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
            while self.open.len() < self.ahead
                && let Some(piece) = self.waiting.pop_front()
            {
                self.open.push_back(open(piece, Arc::clone(&self.plan)));
            }
            let current = self.open.front_mut()?;
            let fault = match current.batches.recv().await {
                Some(Ok(Given { rows, rejected })) => {
                    if let (Some(rejects), Some(rejected)) = (&self.rejects, rejected) {
                        rejects.send(rejected).await;
                    }
                    match rows.num_rows() {
                        0 => continue,
                        _ => return Some(Ok(rows)),
                    }
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

fn open(piece: Piece, plan: Arc<Plan>) -> OpenFile {
    let (sender, batches) = mpsc::channel(WAITING_BATCHES);
    let file = piece.source.path.clone();
    let task = tokio::task::spawn_blocking(move || {
        if let Err(fault) = send_piece(&piece, &plan, &sender) {
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

/// The rows of a piece, batch after batch.
enum Rows<'a> {
    Csv(Box<CsvRows<'a>>),
    Json(Box<JsonRows<'a>>),
    Parquet {
        file: Box<ParquetFile<'a>>,
        rows_before: i64,
    },
}

/// Sends batch after batch of a piece; ends early when nobody takes them.
fn send_piece(
    piece: &Piece,
    plan: &Plan,
    sender: &mpsc::Sender<Outcome>,
) -> Result<(), IngestError> {
    let source = &piece.source;
    let mut rows = match format_of(source, &plan.options)? {
        Format::Csv => Rows::Csv(Box::new(CsvRows::open(piece, plan)?)),
        Format::Json => Rows::Json(Box::new(JsonRows::open(source, plan)?)),
        Format::Parquet => Rows::Parquet {
            file: Box::new(ParquetFile::open(source, plan)?),
            rows_before: 0,
        },
    };
    while let Some(given) = rows.next(source, plan)? {
        if sender.blocking_send(Ok(given)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Rows<'_> {
    fn next(&mut self, source: &SourceFile, plan: &Plan) -> Result<Option<Given>, IngestError> {
        let (file, rows_before) = match self {
            Self::Csv(rows) => return rows.next(),
            Self::Json(rows) => return rows.next(),
            Self::Parquet { file, rows_before } => (file, rows_before),
        };
        let Some(columns) = file.next().transpose()? else {
            return Ok(None);
        };
        let rows = columns.first().map_or(0, |column| column.len());
        let count = i64::try_from(rows).unwrap_or(i64::MAX);
        let places = Int64Array::from_iter_values(*rows_before + 1..=*rows_before + count);
        *rows_before += count;
        Ok(Some(Given {
            rows: plan.batch(source, columns, places)?,
            rejected: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use arrow::{array::AsArray, datatypes::Int64Type, util::display::array_value_to_string};
    use futures::TryStreamExt;
    use proptest::prelude::*;

    use super::{
        super::{
            BadRecords, FileMemory, Unmatched, find_files, infer_schema, pieces::deal_parts_of,
            survey,
        },
        *,
    };

    /// Rows of a batch by their place in the file, as text.
    fn add(batch: &RecordBatch, place: usize, rows: &mut BTreeMap<i64, String>) {
        let places = batch.column(place).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter();
            let cells = cells.map(|column| array_value_to_string(column, row).unwrap());
            // Without the time.
            let cells: Vec<String> = cells.take(batch.num_columns() - 1).collect();
            assert!(rows.insert(places.value(row), cells.join("|")).is_none());
        }
    }

    /// The rows and the bad records of all parts, in whatever order they come; each part's
    /// rows are to be in order.
    async fn take(parts: &FileParts) -> (BTreeMap<i64, String>, BTreeMap<i64, String>) {
        let (rejects, mut aside) = Rejects::channel();
        let bad = tokio::spawn(async move {
            let mut bad = BTreeMap::new();
            while let Some(batch) = aside.recv().await {
                add(&batch, 1, &mut bad);
            }
            bad
        });
        let mut rows = BTreeMap::new();
        for part in 0..parts.count() {
            let first = rows.last_key_value().map_or(0, |(row, _)| *row);
            let batches = parts.read(part, Some(rejects.clone()));
            let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
            for batch in &batches {
                add(batch, batch.num_columns() - 2, &mut rows);
            }
            let behind = rows.range(first + 1..).count();
            assert_eq!(
                behind,
                batches.iter().map(RecordBatch::num_rows).sum::<usize>()
            );
        }
        drop(rejects);
        (rows, bad.await.unwrap())
    }

    async fn compare(folder: &Path, most: usize) {
        let options = ReadOptions {
            bad_records: BadRecords::Reject,
            columns: vec![("n".to_owned(), arrow::datatypes::DataType::Int64)],
            batch_rows: 50,
            ..ReadOptions::default()
        };
        let patterns = ["*.csv".to_owned()];
        let found = find_files(folder, &patterns, Unmatched::Refuse)
            .await
            .unwrap();
        let files = survey(found, &options, &FileMemory::new()).await.unwrap();
        let schema = infer_schema(&files, &options, None).await.unwrap();
        let whole = FileParts::deal(&files, &schema, &options, 1);
        let divided = FileParts {
            plan: Arc::clone(&whole.plan),
            parts: deal_parts_of(1024, &files, most),
        };
        assert_eq!(whole.count(), 1);
        let enough = files[0].size_bytes > 20_000;
        assert!(!enough || divided.count() > 1, "{:?}", files[0].cuts);
        assert_eq!(take(&divided).await, take(&whole).await);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Read from anywhere between two records, a file gives the same rows with the same
        /// numbers, and the same bad records with the same lines.
        #[test]
        fn a_divided_file_gives_what_the_whole_gives(
            texts in prop::collection::vec("[a-zé€,\"\n\r ]{0,30}", 1..200),
            faults in prop::collection::vec(0_u8..12, 200),
            mark in any::<bool>(),
            most in 2_usize..9,
        ) {
            let mut content = if mark { "\u{FEFF}n,s\n" } else { "n,s\n" }.as_bytes().to_vec();
            for round in 0..8 {
                for (row, (text, fault)) in texts.iter().zip(&faults).enumerate() {
                    let quoted = format!("\"{}\"", text.replace('"', "\"\""));
                    match fault {
                        0 => content.extend(format!("{row}\n").bytes()),
                        1 => content.extend(format!("x{row},{quoted}\r\n").bytes()),
                        2 => content.extend(b"1,\xFF\n\n"),
                        3 => content.extend(format!("{row},{quoted}x\n").bytes()),
                        _ => content.extend(format!("{row},{quoted} \n\n{round},a\n").replace(" \n", "\n").bytes()),
                    }
                }
            }
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.csv"), content).unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            runtime.block_on(compare(folder.path(), most));
        }
    }
}
