//! Arrow columns as numbers and as category texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::error::LearnError;

/// A column as numbers; a missing value is NaN.
pub(crate) enum Numbers {
    /// A numeric column.
    Floats(Float64Array),
    /// A boolean column: 0 or 1.
    Booleans(BooleanArray),
    /// A column of type Null: this many missing values.
    Missing(usize),
}

impl Numbers {
    /// The values in order, those beyond the range of `f32` as its largest.
    pub(crate) fn singles(&self) -> Vec<f32> {
        match self {
            Self::Floats(values) => {
                let single = |value: &f64| value.clamp(f32::MIN.into(), f32::MAX.into()) as f32;
                let mut singles: Vec<f32> = values.values().iter().map(single).collect();
                if let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) {
                    for (single, present) in singles.iter_mut().zip(nulls) {
                        if !present {
                            *single = f32::NAN;
                        }
                    }
                }
                singles
            }
            other => other.iter().map(|value| value as f32).collect(),
        }
    }

    /// The values in order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            Self::Floats(values) if values.null_count() == 0 => {
                Box::new(values.values().iter().copied())
            }
            Self::Floats(values) => Box::new(values.iter().map(|v| v.unwrap_or(f64::NAN))),
            Self::Booleans(values) => Box::new(
                values
                    .iter()
                    .map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v)))),
            ),
            Self::Missing(rows) => Box::new(std::iter::repeat_n(f64::NAN, *rows)),
        }
    }
}

/// `column` as numbers.
///
/// # Errors
///
/// A type that Arrow cannot cast to a float.
pub(crate) fn numbers(name: &str, column: &ArrayRef) -> Result<Numbers, LearnError> {
    match column.data_type() {
        DataType::Null => Ok(Numbers::Missing(column.len())),
        DataType::Boolean => Ok(Numbers::Booleans(column.as_boolean().clone())),
        DataType::Float64 => Ok(Numbers::Floats(
            column.as_primitive::<Float64Type>().clone(),
        )),
        _ => {
            let floats = cast_to(name, column, &DataType::Float64)?;
            Ok(Numbers::Floats(
                floats.as_primitive::<Float64Type>().clone(),
            ))
        }
    }
}

/// `column` as texts, one a row.
///
/// # Errors
///
/// A type that Arrow cannot cast to text.
pub(crate) fn category_texts(name: &str, column: &ArrayRef) -> Result<StringArray, LearnError> {
    let texts = cast_to(name, column, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().clone())
}

fn cast_to(name: &str, column: &ArrayRef, to: &DataType) -> Result<ArrayRef, LearnError> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    cast(column, to).map_err(|source| LearnError::Arrow {
        column: name.to_owned(),
        source,
    })
}
