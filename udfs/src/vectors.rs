//! `cosine_similarity(a, b)`: how far two vectors point the same way, from -1 to 1.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use sluice_learn::sql_type::SqlType;

const NAME: &str = "cosine_similarity";

/// `cosine_similarity`.
pub(crate) fn cosine_similarity() -> ScalarUDF {
    ScalarUDF::new_from_impl(CosineSimilarity {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CosineSimilarity {
    signature: Signature,
}

/// Whether values of a type are lists of numbers, or all missing.
fn is_vector(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_numeric() || item.data_type().is_null()
        }
        _ => false,
    }
}

impl ScalarUDFImpl for CosineSimilarity {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types.iter().find(|data_type| !is_vector(data_type)) {
            Some(other) => plan_err!("{NAME} takes two lists of numbers, not {}", SqlType(other)),
            None => Ok(DataType::Float64),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{NAME} takes two vectors");
        };
        let constant = matches!(
            (left, right),
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_))
        );
        let rows = if constant { 1 } else { args.number_rows };
        let (left, right) = (vectors(left, rows)?, vectors(right, rows)?);
        let mut found = Float64Builder::with_capacity(rows);
        for row in 0..rows {
            found.append_option(similarity(&left, &right, row)?);
        }
        let found: ArrayRef = Arc::new(found.finish());
        Ok(match constant {
            true => {
                ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&found, 0)?)
            }
            false => ColumnarValue::Array(found),
        })
    }
}

/// A column as lists of `f64`.
fn vectors(values: &ColumnarValue, rows: usize) -> Result<ListArray> {
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    let lists = cast(&values.to_array(rows)?, &DataType::List(item))?;
    Ok(lists.as_list::<i32>().clone())
}

/// Of two vectors; `None` where one is missing, or has no direction since all of it is 0.
fn similarity(left: &ListArray, right: &ListArray, row: usize) -> Result<Option<f64>> {
    if left.is_null(row) || right.is_null(row) {
        return Ok(None);
    }
    let (left, right) = (left.value(row), right.value(row));
    if left.len() != right.len() {
        return exec_err!(
            "{NAME} needs vectors of one length: one has {} numbers, the other {}",
            left.len(),
            right.len()
        );
    }
    if left.null_count() + right.null_count() > 0 {
        return exec_err!("{NAME} needs vectors without a NULL in them");
    }
    let left = left.as_primitive::<Float64Type>().values();
    let right = right.as_primitive::<Float64Type>().values();
    let (mut product, mut of_left, mut of_right) = (0.0, 0.0, 0.0);
    for (a, b) in left.iter().zip(right.iter()) {
        product += a * b;
        of_left += a * a;
        of_right += b * b;
    }
    let squares: f64 = of_left * of_right;
    let lengths = match squares.is_normal() {
        true => squares.sqrt(),
        // Two roots stay in the range of a number where the product of the squares does not.
        false => of_left.sqrt() * of_right.sqrt(),
    };
    if lengths == 0.0 {
        return Ok(None);
    }
    let cosine: f64 = product / lengths;
    Ok(Some(if cosine.is_nan() {
        cosine
    } else {
        cosine.clamp(-1.0, 1.0)
    }))
}
