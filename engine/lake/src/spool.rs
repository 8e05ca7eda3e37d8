//! Rows that are made once and read several times: in memory while they are few, on disk
//! from then on.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    datasource::MemTable,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, SpillFile, TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{
        SpillManager,
        metrics::{ExecutionPlanMetricsSet, SpillMetrics},
        stream::RecordBatchStreamAdapter,
        streaming::PartitionStream,
    },
};
use futures::TryStreamExt;

/// The most that a spool holds in memory, in bytes.
pub const SPOOL_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Rows that can be read several times.
#[derive(Debug, Clone)]
pub struct Spool {
    schema: SchemaRef,
    rows: u64,
    bytes: u64,
    held: Held,
}

#[derive(Debug, Clone)]
enum Held {
    Memory(Vec<RecordBatch>),
    Disk(OnDisk),
}

impl Spool {
    /// Reads a stream to its end. What exceeds `memory_bytes` goes into a temporary file of
    /// the session's, which is deleted with the spool.
    ///
    /// # Errors
    /// The first one of the stream; a disk that is full.
    pub async fn fill(
        mut rows: SendableRecordBatchStream,
        env: &Arc<RuntimeEnv>,
        memory_bytes: usize,
    ) -> Result<Self, DataFusionError> {
        let schema = rows.schema();
        let mut spool = Self {
            schema: Arc::clone(&schema),
            rows: 0,
            bytes: 0,
            held: Held::Memory(Vec::new()),
        };
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(Arc::clone(env), metrics, Arc::clone(&schema));
        let mut batches = Vec::new();
        let mut spilled = None;
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            spool.rows += batch.num_rows() as u64;
            spool.bytes += batch.get_array_memory_size() as u64;
            batches.push(batch);
            if spilled.is_none() && spool.bytes > memory_bytes as u64 {
                spilled = Some(manager.create_in_progress_file("rows that are read again")?);
            }
            if let Some(file) = &mut spilled {
                for batch in batches.drain(..) {
                    file.append_batch(&batch)?;
                }
            }
        }
        spool.held = match spilled {
            None => Held::Memory(batches),
            Some(mut file) => match file.finish()? {
                None => Held::Memory(batches),
                Some(file) => Held::Disk(OnDisk { manager, file }),
            },
        };
        Ok(spool)
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How much memory the rows take, or would take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the rows lie on disk.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.held, Held::Disk(_))
    }

    /// The rows, for DataFusion.
    ///
    /// # Errors
    /// None that a filled spool can give.
    pub fn table(&self) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = Arc::clone(&self.schema);
        Ok(match &self.held {
            Held::Memory(batches) => Arc::new(MemTable::try_new(schema, vec![batches.clone()])?),
            Held::Disk(rows) => {
                let partition: Arc<dyn PartitionStream> = Arc::new(rows.clone());
                Arc::new(StreamingTable::try_new(schema, vec![partition])?)
            }
        })
    }
}

/// Rows in a temporary file.
#[derive(Clone)]
struct OnDisk {
    manager: SpillManager,
    file: Arc<dyn SpillFile>,
}

impl std::fmt::Debug for OnDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnDisk").finish_non_exhaustive()
    }
}

impl PartitionStream for OnDisk {
    fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self
            .manager
            .read_spill_as_stream(Arc::clone(&self.file), None);
        rows.unwrap_or_else(|error| {
            let failed = futures::stream::iter([Err(error)]);
            let schema = Arc::clone(self.manager.schema());
            Box::pin(RecordBatchStreamAdapter::new(schema, failed))
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn filled(memory_bytes: usize) -> (SessionContext, Spool) {
        let context = SessionContext::new();
        let rows = context
            .sql("SELECT value AS id, 'word ' || value AS word FROM generate_series(1, 20000)")
            .await
            .unwrap();
        let rows = rows.execute_stream().await.unwrap();
        let spool = Spool::fill(rows, &context.runtime_env(), memory_bytes).await;
        (context, spool.unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_can_be_read_again_from_memory_and_from_disk() {
        for (memory_bytes, on_disk) in [(1 << 30, false), (1000, true)] {
            let (context, spool) = filled(memory_bytes).await;
            assert_eq!(spool.is_on_disk(), on_disk);
            assert_eq!(spool.rows(), 20000);
            assert!(spool.bytes() > 20000 * 8);
            for _ in 0..2 {
                context.deregister_table("t").unwrap();
                context.register_table("t", spool.table().unwrap()).unwrap();
                let sum = context.sql("SELECT sum(id) || ' ' || count(DISTINCT word) AS s FROM t");
                let sum = sum.await.unwrap().to_string().await.unwrap();
                assert!(sum.contains("200010000 20000"), "{sum}");
            }
        }
    }

    #[tokio::test]
    async fn no_rows_are_rows_too() {
        let context = SessionContext::new();
        let none = context.sql("SELECT 1 AS a WHERE FALSE").await.unwrap();
        let none = none.execute_stream().await.unwrap();
        let spool = Spool::fill(none, &context.runtime_env(), 0).await.unwrap();
        assert!(spool.is_empty());
        let again = context.read_table(spool.table().unwrap()).unwrap();
        assert_eq!(again.count().await.unwrap(), 0);
    }
}
