//! The rows of a query on their way into a table of keys: in the types that the table stores,
//! each with a place in the order of its key.
//!
//! The query is computed in a session of its own, as it is for a table that is made whole: how
//! it joins is its own affair. What tells keys apart sorts and spills in another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::cast;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Keyed, column};

/// Rows that have no place in the order of their key.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{column}`, which `sequence_by` names, is NULL in {nulls} of {rows} rows, so that which row of a key is the later cannot be told; leave them out with WHERE {column} IS NOT NULL"
)]
pub(crate) struct NoSequence {
    column: String,
    nulls: u64,
    rows: u64,
}

/// The rows of a query, to be read in another session; each time they are, the query is
/// computed.
pub(crate) fn rows_of(keyed: &Keyed, ctx: &SessionContext, query: DataFrame) -> Result<DataFrame> {
    let fields = keyed.columns.fields().iter();
    let columns = fields
        .map(|field| cast(column(field.name()), field.data_type().clone()).alias(field.name()));
    let place = |name: &String| Some((name.clone(), keyed.columns.index_of(name).ok()?));
    let rows = QueryRows {
        schema: Arc::clone(&keyed.columns),
        query: query.select(columns.collect::<Vec<_>>())?,
        sequence: keyed.sequence.as_ref().and_then(place),
    };
    let rows: Arc<dyn PartitionStream> = Arc::new(rows);
    let table = StreamingTable::try_new(Arc::clone(&keyed.columns), vec![rows])?;
    ctx.read_table(Arc::new(table))
}

/// A query whose rows stream into another.
struct QueryRows {
    schema: SchemaRef,
    query: DataFrame,
    /// The column that orders rows, and its place.
    sequence: Option<(String, usize)>,
}

impl std::fmt::Debug for QueryRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryRows")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for QueryRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (query, schema) = (self.query.clone(), Arc::clone(&self.schema));
        let counts = Arc::new(Counts {
            sequence: self.sequence.clone(),
            rows: AtomicU64::new(0),
            nulls: AtomicU64::new(0),
        });
        let (counted, target) = (Arc::clone(&counts), Arc::clone(&schema));
        let rows = stream::once(async move { query.execute_stream().await });
        let rows = rows.try_flatten().and_then(move |batch| {
            counted.add(&batch);
            // Same columns and types; only the metadata of the fields may differ.
            let batch = RecordBatch::try_new(Arc::clone(&target), batch.columns().to_vec());
            futures::future::ready(batch.map_err(DataFusionError::from))
        });
        let end = stream::iter([()]).map(move |()| counts.verdict());
        let end = end.filter_map(|verdict| futures::future::ready(verdict.err().map(Err)));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows.chain(end)))
    }
}

/// What came through.
struct Counts {
    sequence: Option<(String, usize)>,
    rows: AtomicU64,
    nulls: AtomicU64,
}

impl Counts {
    fn add(&self, batch: &RecordBatch) {
        if let Some((_, place)) = &self.sequence {
            let nulls = batch.column(*place).null_count() as u64;
            self.nulls.fetch_add(nulls, Ordering::Relaxed);
        }
        let rows = batch.num_rows() as u64;
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// When all rows came through: an error if one has no place.
    fn verdict(&self) -> Result<()> {
        let nulls = self.nulls.load(Ordering::Relaxed);
        match &self.sequence {
            Some((column, _)) if nulls > 0 => {
                Err(DataFusionError::External(Box::new(NoSequence {
                    column: column.clone(),
                    nulls,
                    rows: self.rows.load(Ordering::Relaxed),
                })))
            }
            _ => Ok(()),
        }
    }
}
