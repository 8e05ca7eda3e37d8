//! Two tables as multisets of rows.
//!
//! Both are streamed once, and each row becomes a hash of 128 bits; equal tables have equal
//! numbers of rows and equal sums of hashes, which takes no memory. Only where they differ are
//! the hashes counted, in [`MEMORY_BYTES`] and what spills to disk.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use serde_json::Value;
use sluice_lake::delta::PinnedTable;
use sluice_lake::ingest::INGESTED_AT_COLUMN;
use sluice_lake::session::{SessionOptions, session};

use super::outcome::ComparedTable;
use crate::run::error::StageError;
use crate::run::row_hash::row_hash;

/// What counting the hashes of rows that differ holds in memory, in bytes, before it spills.
const MEMORY_BYTES: usize = 512 << 20;
/// Rows that are shown of either side.
const SHOWN: usize = 3;

/// The column of hashes; no table has one that is called so.
const HASH: &str = "__sluice_hash";
/// The column that counts a row of the run as one, of the replay as minus one.
const SIDE: &str = "__sluice_side";

/// Compares the table that a run made with that of its replay. `stamped`: it has columns that
/// say when, or in which run, a row was written.
pub(super) async fn compare(
    run: &PinnedTable,
    replay: &PinnedTable,
    stamped: bool,
) -> Result<ComparedTable, StageError> {
    let ctx = session(&SessionOptions {
        memory_limit_bytes: Some(MEMORY_BYTES),
        ..SessionOptions::default()
    })?;
    let stamps: BTreeSet<&str> = match stamped {
        true => STAMPS.into_iter().collect(),
        false => BTreeSet::new(),
    };
    let common: Vec<&str> = run
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| replay.schema.field_with_name(name).is_ok() && !stamps.contains(name))
        .collect();
    let left_out = run.schema.fields().iter().map(|field| field.name());
    let left_out = left_out.filter(|name| stamps.contains(name.as_str()));
    let (ours, theirs) = (hashes(&ctx, run, &common)?, hashes(&ctx, replay, &common)?);
    let (rows, replayed) = (digest(&ours).await?, digest(&theirs).await?);
    let mut compared = ComparedTable {
        table: run.name.to_string(),
        version: run.version,
        rows: rows.0,
        replayed_rows: replayed.0,
        missing_rows: 0,
        added_rows: 0,
        columns: columns(&run.schema, &replay.schema),
        left_out: left_out.cloned().collect(),
        missing: Vec::new(),
        added: Vec::new(),
    };
    if rows == replayed {
        return Ok(compared);
    }
    let differing = differing(ours, theirs)?;
    (compared.missing_rows, compared.added_rows) = counts(&differing).await?;
    let shown = |table, positive| examples(&ctx, table, &common, &differing, positive);
    compared.missing = shown(run, true).await?;
    compared.added = shown(replay, false).await?;
    Ok(compared)
}

/// Columns that say when, or in which run, a row was written.
const STAMPS: [&str; 3] = [INGESTED_AT_COLUMN, "_run_id", "_quarantined_at"];

/// How the columns differ, in words.
fn columns(run: &Schema, replay: &Schema) -> Vec<String> {
    let mut words = Vec::new();
    for field in run.fields() {
        match replay.field_with_name(field.name()) {
            Err(_) => words.push(format!("the replay has no column `{}`", field.name())),
            Ok(other) if other.data_type() != field.data_type() => words.push(format!(
                "the column `{}` is {} in the replay, {} in the run",
                field.name(),
                other.data_type(),
                field.data_type()
            )),
            Ok(_) => {}
        }
    }
    for field in replay.fields() {
        if run.field_with_name(field.name()).is_err() {
            words.push(format!("only the replay has the column `{}`", field.name()));
        }
    }
    words
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn hashes(
    ctx: &SessionContext,
    table: &PinnedTable,
    columns: &[&str],
) -> Result<DataFrame, StageError> {
    let rows = ctx.read_table(std::sync::Arc::clone(&table.provider))?;
    Ok(rows.select(vec![hash(columns).alias(HASH)])?)
}

/// The hash of a row. One without columns is like any other.
fn hash(columns: &[&str]) -> Expr {
    let mut values: Vec<Expr> = columns.iter().map(|name| column(name)).collect();
    if values.is_empty() {
        values.push(lit(0_i64));
    }
    row_hash(values)
}

/// The number of rows and the sum of their hashes, which their order does not change.
async fn digest(hashes: &DataFrame) -> Result<(u64, u128), StageError> {
    let mut stream = hashes.clone().execute_stream().await?;
    let (mut rows, mut total) = (0_u64, 0_u128);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        for hash in batch.column(0).as_string::<i32>().iter().flatten() {
            total = total.wrapping_add(u128::from_str_radix(hash, 16).unwrap_or_default());
        }
    }
    Ok((rows, total))
}

/// The hashes that one of the tables has more often, and how much more often the run has them.
fn differing(run: DataFrame, replay: DataFrame) -> Result<DataFrame, StageError> {
    let sided = |rows: DataFrame, side: i64| rows.select(vec![column(HASH), lit(side).alias(SIDE)]);
    let both = sided(run, 1)?.union(sided(replay, -1)?)?;
    let counted = both.aggregate(vec![column(HASH)], vec![sum(column(SIDE)).alias(SIDE)])?;
    Ok(counted.filter(column(SIDE).not_eq(lit(0_i64)))?)
}

/// Rows that the replay lacks, and rows that the run lacks.
async fn counts(differing: &DataFrame) -> Result<(u64, u64), StageError> {
    let positive = when(column(SIDE).gt(lit(0_i64)), column(SIDE)).otherwise(lit(0_i64))?;
    let negative = when(column(SIDE).lt(lit(0_i64)), column(SIDE)).otherwise(lit(0_i64))?;
    let sums = differing.clone().aggregate(
        Vec::new(),
        vec![sum(positive).alias("missing"), sum(negative).alias("added")],
    )?;
    let batches = sums.collect().await?;
    let figure = |index: usize| {
        let batch = batches.first().filter(|batch| batch.num_rows() == 1);
        let values = batch.map(|batch| batch.column(index).as_primitive::<Int64Type>());
        let value = values.filter(|values| values.is_valid(0));
        value.map_or(0, |values| values.value(0).unsigned_abs())
    };
    Ok((figure(0), figure(1)))
}

/// Some rows of a table that the other has not, or not as often.
async fn examples(
    ctx: &SessionContext,
    table: &PinnedTable,
    columns: &[&str],
    differing: &DataFrame,
    of_run: bool,
) -> Result<Vec<Value>, StageError> {
    let side = match of_run {
        true => column(SIDE).gt(lit(0_i64)),
        false => column(SIDE).lt(lit(0_i64)),
    };
    // The least, so that they are the same each time.
    let some = differing
        .clone()
        .filter(side)?
        .sort(vec![column(HASH).sort(true, false)])?
        .limit(0, Some(SHOWN))?;
    let mut wanted = Vec::new();
    for batch in some.collect().await? {
        let hashes = batch.column(0).as_string::<i32>().iter().flatten();
        wanted.extend(hashes.map(lit));
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows = ctx.read_table(std::sync::Arc::clone(&table.provider))?;
    let rows = rows
        .filter(hash(columns).in_list(wanted, false))?
        .select(columns.iter().map(|name| column(name)).collect::<Vec<_>>())?
        .limit(0, Some(SHOWN))?;
    Ok(rows.collect().await?.iter().flat_map(as_json).collect())
}

/// Rows as JSON objects, each value as text or as what JSON has for it.
fn as_json(batch: &RecordBatch) -> Vec<Value> {
    let options = arrow::util::display::FormatOptions::default().with_null("null");
    let mut rows = vec![serde_json::Map::new(); batch.num_rows()];
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
        let format = arrow::util::display::ArrayFormatter::try_new(values, &options);
        for (at, row) in rows.iter_mut().enumerate() {
            let text = format.as_ref().map(|format| format.value(at).to_string());
            let value = match text {
                _ if values.is_null(at) => Value::Null,
                Err(_) => Value::Null,
                Ok(text) => typed(field.data_type(), text),
            };
            row.insert(field.name().clone(), value);
        }
    }
    rows.into_iter().map(Value::Object).collect()
}

fn typed(data_type: &DataType, text: String) -> Value {
    match data_type.is_numeric() || *data_type == DataType::Boolean {
        true => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        false => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array};
    use datafusion::datasource::MemTable;

    use super::*;

    fn table(columns: Vec<(&str, ArrayRef)>) -> PinnedTable {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let schema = batch.schema();
        let rows = MemTable::try_new(Arc::clone(&schema), vec![vec![batch]]).unwrap();
        PinnedTable {
            name: "gold.t".parse().unwrap(),
            version: 4,
            data_version: 4,
            data_commit: None,
            table_id: "id".to_owned(),
            schema,
            provider: Arc::new(rows),
        }
    }

    fn numbers(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[tokio::test]
    async fn rows_count_as_often_as_they_come_in_any_order() {
        let run = table(vec![("a", numbers(&[Some(1), Some(2), Some(2), None]))]);
        let same = table(vec![("a", numbers(&[None, Some(2), Some(1), Some(2)]))]);
        assert!(compare(&run, &same, false).await.unwrap().is_equal());
        let other = table(vec![(
            "a",
            numbers(&[None, Some(2), Some(1), Some(1), Some(7)]),
        )]);
        let found = compare(&run, &other, false).await.unwrap();
        assert_eq!((found.rows, found.replayed_rows), (4, 5));
        assert_eq!((found.missing_rows, found.added_rows), (1, 2));
        assert_eq!(found.missing[0], serde_json::json!({"a": 2}));
        assert!(
            found.added.contains(&serde_json::json!({"a": 7})),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn columns_are_compared_and_stamps_are_left_out() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let one = || numbers(&[Some(1)]);
        let run = table(vec![("a", one()), ("b", one()), ("_run_id", one())]);
        let replay = table(vec![
            ("a", floats),
            ("c", one()),
            ("_run_id", numbers(&[Some(2)])),
        ]);
        let found = compare(&run, &replay, true).await.unwrap();
        assert_eq!(found.left_out, ["_run_id"]);
        assert_eq!((found.missing_rows, found.added_rows), (0, 0));
        insta::assert_snapshot!(found.columns.join("\n"), @r"
        the column `a` is Float64 in the replay, Int64 in the run
        the replay has no column `b`
        only the replay has the column `c`
        ");
        assert!(!compare(&run, &replay, false).await.unwrap().is_equal());
    }
}
