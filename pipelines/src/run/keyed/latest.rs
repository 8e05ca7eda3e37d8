//! The last row of each key.

use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{ExprFunctionExt, SortExpr, lit};

use super::{Keyed, column, greatest_first};

/// The place of a row among those of its key.
const PLACE: &str = "__sluice_place";

/// The last row of each key, unless it says that the key is gone. Sorts, within the memory of
/// the session.
pub(crate) fn latest(keyed: &Keyed, rows: DataFrame) -> Result<DataFrame> {
    let mut order: Vec<SortExpr> = Vec::new();
    if let Some(sequence) = &keyed.sequence {
        order.push(greatest_first(column(sequence)));
    }
    order.extend(keyed.greatest_content());
    let place = row_number().partition_by(keyed.key());
    let place = match order.is_empty() {
        true => place.build()?,
        false => place.order_by(order).build()?,
    };
    rows.window(vec![place.alias(PLACE)])?
        .filter(column(PLACE).eq(lit(1_u64)))?
        .filter(keyed.is_deleted().is_not_true())?
        .select(keyed.own())
}
