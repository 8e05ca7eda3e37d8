//! Rows of the store as record batches, a page at a time.
//!
//! A page is one short query that starts after the last key of the page before:
//! a slow reader holds no connection and no snapshot in between, and any number
//! of scans in one query cannot starve each other of connections. Rows that are
//! written meanwhile may or may not be seen, those that were there are.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMillisecondBuilder,
    },
    datatypes::SchemaRef,
};
use datafusion::{
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_plan::{
        SendableRecordBatchStream, stream::RecordBatchStreamAdapter, streaming::PartitionStream,
    },
};
use futures::stream;
use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqlitePool, query::Query, sqlite::SqliteArguments,
    sqlite::SqliteRow,
};

use crate::state::State;

use super::tables::{Column, Kind, Table};

/// The rows of one table.
#[derive(Debug)]
pub(super) struct StatePartition {
    state: Option<State>,
    table: &'static Table,
    schema: SchemaRef,
}

impl StatePartition {
    pub(super) fn new(state: Option<State>, table: &'static Table) -> Self {
        Self {
            state,
            table,
            schema: table.schema(),
        }
    }
}

impl PartitionStream for StatePartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let start = self.state.as_ref().map(|state| Pages {
            pool: state.pool().clone(),
            table: self.table,
            schema: Arc::clone(&self.schema),
            page_rows: context.session_config().batch_size().max(1),
            after: None,
        });
        // `None` ends the stream: there is no store, or the last page was short.
        let pages = stream::try_unfold(start, |pages| async move {
            match pages {
                Some(pages) => pages.next().await,
                None => Ok(None),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            pages,
        ))
    }
}

/// A value of a primary key.
#[derive(Debug, Clone)]
enum KeyValue {
    Text(String),
    Int(i64),
}

struct Pages {
    pool: SqlitePool,
    table: &'static Table,
    schema: SchemaRef,
    page_rows: usize,
    /// The key of the last row that was read.
    after: Option<Vec<KeyValue>>,
}

impl Pages {
    /// The next batch, and what follows it.
    async fn next(mut self) -> Result<Option<(RecordBatch, Option<Self>)>> {
        let rows = self.fetch().await.map_err(external)?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.after = Some(self.key_of(last).map_err(external)?);
        let batch = self.batch(&rows)?;
        let more = rows.len() == self.page_rows;
        Ok(Some((batch, more.then_some(self))))
    }

    async fn fetch(&self) -> sqlx::Result<Vec<SqliteRow>> {
        // All parts of the text are constants of this program.
        let sql = AssertSqlSafe(self.sql());
        let mut query: Query<'_, Sqlite, SqliteArguments> = sqlx::query(sql);
        for value in self.after.iter().flatten() {
            query = match value {
                KeyValue::Text(text) => query.bind(text),
                KeyValue::Int(number) => query.bind(number),
            };
        }
        let limit = i64::try_from(self.page_rows).unwrap_or(i64::MAX);
        query.bind(limit).fetch_all(&self.pool).await
    }

    fn sql(&self) -> String {
        let columns: Vec<&str> = self
            .table
            .columns
            .iter()
            .map(|column| column.name)
            .collect();
        let key = self.table.key.join(", ");
        let (after, limit) = if self.after.is_some() {
            let count = self.table.key.len();
            let places: Vec<String> = (1..=count).map(|n| format!("${n}")).collect();
            let after = format!(" WHERE ({key}) > ({})", places.join(", "));
            (after, count + 1)
        } else {
            (String::new(), 1)
        };
        format!(
            "SELECT {} FROM {}{after} ORDER BY {key} LIMIT ${limit}",
            columns.join(", "),
            self.table.stored,
        )
    }

    fn key_of(&self, row: &SqliteRow) -> sqlx::Result<Vec<KeyValue>> {
        self.table
            .key_positions()
            .into_iter()
            .map(|position| match self.table.columns[position].kind {
                Kind::Text => row.try_get(position).map(KeyValue::Text),
                Kind::Int | Kind::Float | Kind::Time => row.try_get(position).map(KeyValue::Int),
            })
            .collect()
    }

    fn batch(&self, rows: &[SqliteRow]) -> Result<RecordBatch> {
        let columns = self
            .table
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| array(rows, position, column).map_err(external))
            .collect::<Result<Vec<ArrayRef>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn array(rows: &[SqliteRow], position: usize, column: &Column) -> sqlx::Result<ArrayRef> {
    let mut builder: Box<dyn ArrayBuilder> = match column.kind {
        Kind::Text => {
            let mut builder = StringBuilder::new();
            for row in rows {
                builder.append_option(row.try_get::<Option<&str>, _>(position)?);
            }
            Box::new(builder)
        }
        Kind::Int => {
            let mut builder = Int64Builder::with_capacity(rows.len());
            for row in rows {
                builder.append_option(row.try_get::<Option<i64>, _>(position)?);
            }
            Box::new(builder)
        }
        Kind::Float => {
            let mut builder = Float64Builder::with_capacity(rows.len());
            for row in rows {
                builder.append_option(row.try_get::<Option<f64>, _>(position)?);
            }
            Box::new(builder)
        }
        Kind::Time => {
            let mut builder =
                TimestampMillisecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
            for row in rows {
                builder.append_option(row.try_get::<Option<i64>, _>(position)?);
            }
            Box::new(builder)
        }
    };
    Ok(builder.finish())
}

fn external(error: sqlx::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
