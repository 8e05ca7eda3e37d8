//! The rows that a model gets most wrong, as a table.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_empty_array};
use arrow::compute::cast;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use sluice_lake::delta::{RowParts, WriteMode};

use super::Evaluated;
use crate::plan::fingerprint::Fingerprint;
use crate::plan::report::worst_schema;
use crate::plan::{Asset, ReportAsset, WorstRows};
use crate::run::commit::commit;
use crate::run::context::RunContext;
use crate::run::error::StageError;

/// Writes the table anew; gives its version.
pub(crate) async fn write(
    run: &RunContext,
    asset: &Asset,
    worst: &WorstRows,
    (report, evaluated): (&ReportAsset, &Evaluated),
    fingerprint: &Fingerprint,
) -> Result<Option<i64>, StageError> {
    let table = run.catalog.table(&report.of).await?;
    let table = table.ok_or_else(|| StageError::TableGone(report.of.to_string()))?;
    let schema = worst_schema(&table.schema, evaluated.target);
    let columns: Vec<ArrayRef> = match &evaluated.looked.worst {
        None => schema
            .fields()
            .iter()
            .map(|f| new_empty_array(f.data_type()))
            .collect(),
        Some(rows) => {
            let rows = rows.slice(0, rows.num_rows().min(worst.rows));
            let typed = rows.columns().iter().zip(schema.fields());
            let typed = typed.map(|(column, field)| cast(column, field.data_type()));
            typed.collect::<Result<_, _>>()?
        }
    };
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let rows = stream::iter([Ok(rows)]);
    let rows: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    let rows = RowParts::from(rows);
    let mode = WriteMode::Overwrite;
    let written = commit(
        run,
        asset,
        &worst.table,
        mode,
        rows,
        fingerprint,
        (Vec::new(), serde_json::Map::new()),
    )
    .await?;
    Ok(i64::try_from(written.version).ok())
}
