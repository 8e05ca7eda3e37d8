//! How many rows of each file a table holds: counted while they stream into it, and counted
//! again in the table where the store has forgotten it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use sluice_lake::ingest::FILE_COLUMN;
use sluice_lake::state::State;
use sluice_lake::{Lakehouse, TableName};

use super::error::StageError;

/// Rows by file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileRows(Arc<Mutex<BTreeMap<String, i64>>>);

impl FileRows {
    /// The same rows, counted as they pass.
    pub(crate) fn watch(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, counts) = (rows.schema(), self.clone());
        let watched = rows.map(move |batch| {
            let batch = batch?;
            counts.add(&batch)?;
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, watched))
    }

    fn add(&self, batch: &RecordBatch) -> Result<(), arrow::error::ArrowError> {
        let Some(files) = batch.column_by_name(FILE_COLUMN) else {
            return Ok(());
        };
        let files = cast(files, &DataType::Utf8)?;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Rows come file by file: one look-up for each run of equal names.
        let mut run: Option<(&str, i64)> = None;
        let mut end = |run: Option<(&str, i64)>| {
            if let Some((file, rows)) = run {
                *counts.entry(file.to_owned()).or_default() += rows;
            }
        };
        for file in files.as_string::<i32>().iter().flatten() {
            run = match run {
                Some((known, rows)) if known == file => Some((known, rows + 1)),
                other => {
                    end(other);
                    Some((file, 1))
                }
            };
        }
        end(run);
        Ok(())
    }

    /// The count of each of these files; one that gave no row has none.
    pub(crate) fn of<'f>(&self, files: impl Iterator<Item = &'f str>) -> Vec<(String, i64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |file: &str| counts.get(file).copied().unwrap_or(0);
        files.map(|file| (file.to_owned(), count(file))).collect()
    }
}

/// Counts the rows of files in an ingested table as it is, where the store does not know them:
/// it was lost, or a process ended between the commit and the count.
pub(crate) async fn recount(
    lakehouse: &Lakehouse,
    state: &State,
    project: &str,
    table: &TableName,
) -> Result<(), StageError> {
    let asset = table.to_string();
    let ledger = state.ledger(project, &asset).await?;
    let unknown: Vec<&str> = ledger
        .iter()
        .filter(|file| file.rows.is_none())
        .map(|file| file.path.as_str())
        .collect();
    if unknown.is_empty() || lakehouse.latest_version(table).await?.is_none() {
        return Ok(());
    }
    let stored = lakehouse.load(table, None).await?;
    if stored.schema.field_with_name(FILE_COLUMN).is_err() {
        return Ok(());
    }
    let file = Expr::Column(Column::from_name(FILE_COLUMN));
    let counted = SessionContext::new()
        .read_table(stored.provider)?
        .aggregate(vec![file], vec![count(lit(1)).alias("rows")])?
        .collect()
        .await?;
    let mut counts = BTreeMap::new();
    for batch in &counted {
        let files = cast(batch.column(0), &DataType::Utf8).map_err(DataFusionError::from)?;
        let rows = batch.column(1).as_primitive::<Int64Type>();
        for (file, rows) in files.as_string::<i32>().iter().zip(rows.values()) {
            counts.extend(file.map(|file| (file.to_owned(), *rows)));
        }
    }
    let count = |file: &&str| counts.get(*file).copied().unwrap_or(0);
    let rows: Vec<(String, i64)> = unknown
        .iter()
        .map(|file| ((*file).to_owned(), count(file)))
        .collect();
    Ok(state.count_rows(project, &asset, &rows).await?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn rows_are_counted_by_file_wherever_a_batch_ends() {
        let counts = FileRows::default();
        let batch = |files: &[&str]| {
            let files = Arc::new(StringArray::from(files.to_vec())) as ArrayRef;
            RecordBatch::try_from_iter([(FILE_COLUMN, files)]).unwrap()
        };
        for files in [&["a", "a", "b"][..], &["b"], &[], &["a", "c", "a"]] {
            counts.add(&batch(files)).unwrap();
        }
        let rows = counts.of(["a", "b", "c", "empty"].into_iter());
        let rows: Vec<(&str, i64)> = rows
            .iter()
            .map(|(file, rows)| (file.as_str(), *rows))
            .collect();
        assert_eq!(rows, [("a", 4), ("b", 2), ("c", 1), ("empty", 0)]);
    }
}
