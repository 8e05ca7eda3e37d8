//! Writing rows into data files of a table, which nothing names yet.
//!
//! Several streams are written side by side, each on a thread of its own and into files of
//! its own: encoding Parquet is most of the work of an ingest, and one thread does one
//! stream. A stream holds a few batches and the row group that is being made, so that
//! memory depends on how many streams there are, and on nothing else.

use std::{
    num::NonZeroU64,
    sync::{Arc, atomic::Ordering},
};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::{
    error::DataFusionError,
    parquet::{
        basic::{Compression, Encoding},
        file::{metadata::KeyValue, properties::WriterProperties},
        schema::types::ColumnPath,
    },
};
use deltalake::{
    DeltaTable, DeltaTableError, ObjectStore, Path,
    datafile::writer::{DeltaWriter, WriterConfig},
    kernel::Add,
    operations::write::WriterStatsConfig,
    table::config::{DEFAULT_TARGET_FILE_SIZE, TablePropertiesExt},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use url::Url;

use super::{
    AtEnd,
    draft::{Draft, Staying},
};
use crate::ingest::ROW_COLUMN;

/// How many rows are handed to the encoder at a time.
pub(super) const ENCODED_ROWS: usize = 8192;
/// The most that a row group takes, in bytes as they are encoded.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// The key of a data file's metadata that holds [`super::CommitInfo::app_id`].
pub(super) const WRITER_KEY: &str = "sluice.writer";

/// Rows on their way into data files.
pub(super) type Rows = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// How data files are written: as Delta's other writers do, but that a row group is bounded
/// in bytes, too, and that numbers of rows, which all differ and mostly follow each other,
/// are stored by their differences and not looked up in a dictionary.
///
/// A file names who wrote it, so that one that was never committed is known for what it is.
pub(super) fn writer_properties(app_id: &str) -> WriterProperties {
    let numbers = ColumnPath::from(ROW_COLUMN);
    let writer = KeyValue::new(WRITER_KEY.to_owned(), app_id.to_owned());
    WriterProperties::builder()
        .set_key_value_metadata(Some(vec![writer]))
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_column_dictionary_enabled(numbers.clone(), false)
        .set_column_encoding(numbers, Encoding::DELTA_BINARY_PACKED)
        .build()
}

/// Where the data files of a table go, and what they hold.
pub(super) struct DataFiles {
    store: Arc<dyn ObjectStore>,
    /// The table's folder.
    root: Url,
    schema: SchemaRef,
    config: WriterConfig,
}

impl DataFiles {
    /// Of a table that is there.
    pub(super) fn of(
        table: &DeltaTable,
        schema: SchemaRef,
        app_id: &str,
    ) -> Result<Self, DeltaTableError> {
        let properties = table.snapshot()?.snapshot().table_properties();
        let target = properties.target_file_size();
        Self::of_size(table, schema, app_id, target)
    }

    /// Of a table that is there, in files of `target` bytes or less.
    pub(super) fn of_size(
        table: &DeltaTable,
        schema: SchemaRef,
        app_id: &str,
        target: NonZeroU64,
    ) -> Result<Self, DeltaTableError> {
        let snapshot = table.snapshot()?.snapshot();
        let stats = WriterStatsConfig::from_config(snapshot.table_configuration());
        let partitions = snapshot.metadata().partition_columns().to_vec();
        let layout = (partitions, target, stats);
        Ok(Self::new(table, schema, layout, app_id))
    }

    /// Of a table that is there and that from now on is partitioned by other columns.
    pub(super) fn of_other_partitions(
        table: &DeltaTable,
        schema: SchemaRef,
        app_id: &str,
        partitions: Vec<String>,
    ) -> Result<Self, DeltaTableError> {
        let snapshot = table.snapshot()?.snapshot();
        let stats = WriterStatsConfig::from_config(snapshot.table_configuration());
        let target = snapshot.table_properties().target_file_size();
        Ok(Self::new(
            table,
            schema,
            (partitions, target, stats),
            app_id,
        ))
    }

    /// Of a table that is still to be made, and partitioned by some columns.
    pub(super) fn of_new(
        table: &DeltaTable,
        schema: SchemaRef,
        app_id: &str,
        partitions: Vec<String>,
    ) -> Self {
        let stats = WriterStatsConfig::new(Default::default(), None);
        let layout = (partitions, DEFAULT_TARGET_FILE_SIZE, stats);
        Self::new(table, schema, layout, app_id)
    }

    fn new(
        table: &DeltaTable,
        schema: SchemaRef,
        (partitions, target, stats): (Vec<String>, NonZeroU64, WriterStatsConfig),
        app_id: &str,
    ) -> Self {
        let config = WriterConfig::new(
            Arc::clone(&schema),
            partitions,
            Some(writer_properties(app_id)),
            Some(target),
            Some(ENCODED_ROWS),
            stats.num_indexed_cols,
            stats.stats_columns,
        );
        Self {
            store: table.object_store(),
            root: table.table_url().clone(),
            schema,
            config,
        }
    }

    /// Writes streams of rows side by side; the files come in the order of the streams.
    /// Of several errors the first stream's is told, whichever came first, and what was
    /// written is taken back, as far as that is possible.
    pub(super) async fn write(&self, streams: Vec<Rows>) -> Result<Vec<Add>, DeltaTableError> {
        let until = Until(watch::Sender::new(usize::MAX));
        let writing = streams.into_iter().enumerate().map(|(place, rows)| {
            let lane = Lane {
                // 0 is before all of them.
                place: place + 1,
                rows,
                schema: Arc::clone(&self.schema),
                writer: DeltaWriter::new(Arc::clone(&self.store), self.config.clone()),
                until: until.0.clone(),
            };
            lane.start()
        });
        let writing: Vec<_> = writing.collect();
        let (mut adds, mut first_error) = (Vec::new(), None);
        for lane in writing {
            match lane.await {
                Ok(Ok(written)) => adds.extend(written),
                Ok(Err(error)) => {
                    first_error.get_or_insert(error);
                }
                Err(cut_off) => {
                    let error =
                        DeltaTableError::generic(format!("a writer was cut off: {cut_off}"));
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            None => Ok(adds),
            Some(error) => {
                self.take_back(&adds).await;
                Err(error)
            }
        }
    }

    /// Writes as [`Self::write`], and waits for what has to be done when all rows are there,
    /// which sees them beside those that stay.
    pub(super) async fn write_to_the_end(
        &self,
        streams: Vec<Rows>,
        staying: Staying,
        at_end: AtEnd,
    ) -> Result<NewFiles, DeltaTableError> {
        let adds = self.write(streams).await?;
        let draft = Draft::new(&self.root, &self.schema, &adds, staying);
        let judged = draft.judged();
        match at_end(draft).await {
            Ok(()) => Ok(NewFiles {
                adds,
                judged: judged.load(Ordering::Relaxed),
            }),
            Err(error) => {
                self.take_back(&adds).await;
                Err(error.into())
            }
        }
    }

    /// Deletes files that will not be committed.
    pub(super) async fn take_back(&self, adds: &[Add]) {
        let paths: Vec<_> = adds
            .iter()
            .map(|add| Path::parse(&add.path).map_err(Into::into))
            .collect();
        let deleted = self
            .store
            .delete_stream(futures::stream::iter(paths).boxed());
        if let Err(error) = deleted.try_collect::<Vec<_>>().await {
            tracing::debug!(%error, "could not take back a data file");
        }
    }
}

/// Data files that nothing names yet.
pub(super) struct NewFiles {
    pub(super) adds: Vec<Add>,
    /// Whether somebody looked at the rows of the table as these files would make it.
    pub(super) judged: bool,
}

/// The first stream that failed: those behind it need not go on. Dropped, none needs to.
struct Until(watch::Sender<usize>);

impl Drop for Until {
    fn drop(&mut self) {
        self.0.send_replace(0);
    }
}

/// One stream of rows on its way into files.
struct Lane {
    place: usize,
    rows: Rows,
    schema: SchemaRef,
    writer: DeltaWriter,
    until: watch::Sender<usize>,
}

impl Lane {
    /// Works on a thread where it may compute.
    fn start(self) -> JoinHandle<Result<Vec<Add>, DeltaTableError>> {
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(self.run()))
    }

    async fn run(mut self) -> Result<Vec<Add>, DeltaTableError> {
        match self.write_all().await {
            Ok(true) => self.writer.close().await,
            Ok(false) => {
                self.abort().await;
                Err(DeltaTableError::generic("the write was given up"))
            }
            Err(error) => {
                let place = self.place;
                self.until.send_modify(|until| *until = place.min(*until));
                self.abort().await;
                Err(error)
            }
        }
    }

    /// `false` when nobody wants the rows any more.
    async fn write_all(&mut self) -> Result<bool, DeltaTableError> {
        let place = self.place;
        let mut until = self.until.subscribe();
        loop {
            // The rows may be long in coming: a write that was given up does not wait for them.
            let batch = tokio::select! {
                biased;
                given_up = until.wait_for(|until| *until < place) => {
                    drop(given_up);
                    return Ok(false);
                }
                batch = self.rows.try_next() => batch?,
            };
            let Some(batch) = batch else {
                return Ok(true);
            };
            // Same columns and types; only the metadata of the fields may differ.
            let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            let schema = Arc::clone(&self.schema);
            let batch = RecordBatch::try_new_with_options(schema, columns, &rows)?;
            self.writer.write(&batch).await?;
        }
    }

    async fn abort(self) {
        if let Err(error) = self.writer.abort().await {
            tracing::debug!(%error, "could not take back a data file");
        }
    }
}
