//! Telling the rows of some keys from all others.
//!
//! Few keys are held in a hash table that the rows stream past; many are sorted, as the rows
//! are, in [`SORTED_BYTES`] of memory, and spill.

use std::sync::Arc;

use datafusion::{
    catalog::TableProvider,
    common::{Column, JoinType, NullEquality},
    error::DataFusionError,
    functions_aggregate::expr_fn::{max, min},
    logical_expr::{Expr, LogicalPlanBuilder, lit},
    prelude::{DataFrame, SessionContext},
    scalar::ScalarValue,
};

use super::{
    KeyRows,
    scan::{SORTED_BYTES, bounded_session},
};

/// The most that keys take in a hash table, in bytes as they are stored.
pub const HASHED_KEYS_BYTES: u64 = 64 * 1024 * 1024;

/// The name of the keys in a join.
const KEYS: &str = "__sluice_keys";

/// A session that joins with keys within bounded memory.
pub(super) fn session(keys: &KeyRows) -> Result<SessionContext, DataFusionError> {
    let context = bounded_session(SORTED_BYTES)?;
    {
        let state = context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.optimizer.prefer_hash_join = keys.keys_bytes <= HASHED_KEYS_BYTES;
    }
    Ok(context)
}

/// The rows of the keys. Files in which no key can lie, by their statistics, are not read.
pub(super) async fn going(
    context: &SessionContext,
    keys: &KeyRows,
    rows: DataFrame,
) -> Result<DataFrame, DataFusionError> {
    let mut rows = rows;
    for column in &keys.columns {
        if let Some(range) = range_of(context, keys, column).await? {
            rows = rows.filter(range)?;
        }
    }
    with_keys(context, &keys.columns, Arc::clone(&keys.keys), rows)
}

/// All other rows.
pub(super) fn staying(
    context: &SessionContext,
    keys: &KeyRows,
    rows: DataFrame,
) -> Result<DataFrame, DataFusionError> {
    without_keys(context, &keys.columns, Arc::clone(&keys.keys), rows)
}

/// Those of some rows whose `columns` are among the keys, which have columns of these names.
/// NULL is a key like any other value. The keys are what a hash join would hold.
///
/// # Errors
/// A column that one of the sides lacks.
pub fn with_keys(
    context: &SessionContext,
    columns: &[String],
    keys: Arc<dyn TableProvider>,
    rows: DataFrame,
) -> Result<DataFrame, DataFusionError> {
    join(context, columns, keys, rows, JoinType::RightSemi)
}

/// Those of some rows whose `columns` are not among the keys, as [`with_keys`].
///
/// # Errors
/// As [`with_keys`].
pub fn without_keys(
    context: &SessionContext,
    columns: &[String],
    keys: Arc<dyn TableProvider>,
    rows: DataFrame,
) -> Result<DataFrame, DataFusionError> {
    join(context, columns, keys, rows, JoinType::RightAnti)
}

/// The keys stand at the left: a hash join holds its left side.
fn join(
    context: &SessionContext,
    columns: &[String],
    keys: Arc<dyn TableProvider>,
    rows: DataFrame,
    join_type: JoinType,
) -> Result<DataFrame, DataFusionError> {
    let (state, held) = context.read_table(keys)?.into_parts();
    let (_, rows) = rows.into_parts();
    let held = LogicalPlanBuilder::from(held).alias(KEYS)?;
    let left = columns.iter();
    let left = left.map(|name| Column::new(Some(KEYS), name)).collect();
    let right: Vec<Column> = columns.iter().map(Column::from_name).collect();
    let nulls = NullEquality::NullEqualsNull;
    let joined = held.join_detailed(rows, join_type, (left, right), None, nulls)?;
    Ok(DataFrame::new(state, joined.build()?))
}

/// That a column's value is between the least and the greatest of the keys; `None` where its
/// type has no order.
async fn range_of(
    context: &SessionContext,
    keys: &KeyRows,
    column: &str,
) -> Result<Option<Expr>, DataFusionError> {
    let held = context.read_table(keys.keys.clone())?;
    let field = held.schema().field_with_unqualified_name(column)?;
    if field.data_type().is_nested() {
        return Ok(None);
    }
    let value = || Expr::Column(Column::from_name(column));
    let ends = vec![min(value()).alias("least"), max(value()).alias("greatest")];
    let ends = held.aggregate(vec![], ends)?.collect().await?;
    let Some(ends) = ends.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(None);
    };
    let least = ScalarValue::try_from_array(ends.column(0), 0)?;
    let greatest = ScalarValue::try_from_array(ends.column(1), 0)?;
    let is_null = value().is_null();
    Ok(Some(match least.is_null() || greatest.is_null() {
        // No key, or NULL alone.
        true => is_null,
        false => is_null.or(value().between(lit(least), lit(greatest))),
    }))
}
