//! Rows that break a rule: how many they are, and a few of them in words.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, lit};

use super::StageError;
use super::figures::{column, other_than};

/// Examples that a message has, at most.
const EXAMPLES: usize = 3;
/// Characters of a value that a message has, at most.
const MAX_VALUE_CHARS: usize = 40;
/// Columns of a row that a message has, at most.
const MAX_COLUMNS: usize = 6;

/// How many rows have a value or a combination of values.
const COUNT: &str = "__n";
/// The value that another table is asked for.
const ASKED: &str = "__asked";
/// The values that another table has.
const THERE: &str = "__there";

/// Rows that repeat an earlier one in these columns; NULL equals nothing.
pub(super) async fn repeated(
    table: &DataFrame,
    columns: &[String],
) -> Result<(u64, String), StageError> {
    let keys: Vec<Expr> = columns.iter().map(|name| column(name)).collect();
    let mut values = table.clone().select(keys.clone())?;
    for key in &keys {
        values = values.filter(key.clone().is_not_null())?;
    }
    let counted = vec![count(lit(1_i64)).alias(COUNT)];
    let counted = values.aggregate(keys, counted)?;
    let repeated = counted.filter(column(COUNT).gt(lit(1_i64)))?;
    let extra = sum(column(COUNT) - lit(1_i64));
    let failed = number(repeated.clone().aggregate(vec![], vec![extra])?).await?;
    match failed {
        0 => Ok((0, String::new())),
        _ => {
            let found = most_frequent(repeated, columns).await?;
            Ok((failed, in_words(&found, columns, None)?))
        }
    }
}

/// The most frequent values of a column that are none of these.
pub(super) async fn other_values(
    table: &DataFrame,
    name: &str,
    values: &[ScalarValue],
) -> Result<String, StageError> {
    let others = table.clone().filter(other_than(name, values))?;
    let counted = vec![count(lit(1_i64)).alias(COUNT)];
    let counted = others.aggregate(vec![column(name)], counted)?;
    let columns = [name.to_owned()];
    let found = most_frequent(counted, &columns).await?;
    in_words(&found, &columns, Some(COUNT))
}

/// Rows whose value in a column is not in a column of another table; NULL is no value.
pub(super) async fn orphans(
    table: &DataFrame,
    name: &str,
    parent: DataFrame,
    parent_column: &str,
) -> Result<(u64, String), StageError> {
    let asked = table.clone().filter(column(name).is_not_null())?;
    let counted = vec![count(lit(1_i64)).alias(COUNT)];
    let asked = asked.aggregate(vec![column(name).alias(ASKED)], counted)?;
    let there = parent.select(vec![column(parent_column).alias(THERE)])?;
    let orphans = asked.join(there, JoinType::LeftAnti, &[ASKED], &[THERE], None)?;
    let failed = number(
        orphans
            .clone()
            .aggregate(vec![], vec![sum(column(COUNT))])?,
    )
    .await?;
    match failed {
        0 => Ok((0, String::new())),
        _ => {
            let columns = [ASKED.to_owned()];
            let found = most_frequent(orphans, &columns).await?;
            Ok((failed, in_words(&found, &columns, Some(COUNT))?))
        }
    }
}

/// The rows of a query: how many, and some of them.
pub(super) async fn given(query: DataFrame) -> Result<(u64, String), StageError> {
    let failed = query.clone().count().await? as u64;
    if failed == 0 {
        return Ok((0, String::new()));
    }
    let fields = query.schema().fields().iter().take(MAX_COLUMNS);
    let columns: Vec<String> = fields.map(|field| field.name().clone()).collect();
    let found = query.limit(0, Some(EXAMPLES))?.collect().await?;
    let mut examples = Vec::new();
    for batch in &found {
        for row in 0..batch.num_rows() {
            examples.push(example(batch, &columns, row)?);
        }
    }
    Ok((failed, examples.join("; ")))
}

/// The first few, by how often they occur, then by their values.
async fn most_frequent(
    counted: DataFrame,
    columns: &[String],
) -> Result<Vec<RecordBatch>, StageError> {
    let mut order = vec![column(COUNT).sort(false, false)];
    order.extend(columns.iter().map(|name| column(name).sort(true, true)));
    let found = counted.sort(order)?.limit(0, Some(EXAMPLES))?;
    Ok(found.collect().await?)
}

/// The only number of a query; 0 where it is NULL.
async fn number(query: DataFrame) -> Result<u64, StageError> {
    let collected = query.collect().await?;
    let batch = collected.iter().find(|batch| batch.num_rows() > 0);
    let number = batch.map(|batch| batch.column(0).as_primitive::<Int64Type>());
    let number = number.filter(|number| number.is_valid(0));
    Ok(number.map_or(0, |number| u64::try_from(number.value(0)).unwrap_or(0)))
}

/// Examples in words: `x = 1, y = a; x = 2, y = b`, or with how often each occurs
/// `opn (2 rows), shut (1 row)`.
fn in_words(
    found: &[RecordBatch],
    columns: &[String],
    counts: Option<&str>,
) -> Result<String, StageError> {
    let mut examples = Vec::new();
    for batch in found {
        for row in 0..batch.num_rows() {
            let counted = counts.and_then(|name| batch.column_by_name(name));
            examples.push(match counted {
                None => example(batch, columns, row)?,
                Some(counts) => {
                    let value = value(batch, &columns[0], row)?;
                    match counts.as_primitive::<Int64Type>().value(row) {
                        1 => format!("{value} (1 row)"),
                        rows => format!("{value} ({rows} rows)"),
                    }
                }
            });
        }
    }
    let between = if counts.is_some() { ", " } else { "; " };
    Ok(examples.join(between))
}

fn example(batch: &RecordBatch, columns: &[String], row: usize) -> Result<String, StageError> {
    let mut words = Vec::with_capacity(columns.len());
    for name in columns {
        words.push(format!("{name} = {}", value(batch, name, row)?));
    }
    Ok(words.join(", "))
}

fn value(batch: &RecordBatch, name: &str, row: usize) -> Result<String, StageError> {
    let options = FormatOptions::default().with_null("NULL");
    let Some(values) = batch.column_by_name(name) else {
        return Ok(String::new());
    };
    let formatter = ArrayFormatter::try_new(values, &options).map_err(DataFusionError::from)?;
    let text = formatter.value(row).to_string();
    Ok(match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    })
}
