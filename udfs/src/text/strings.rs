//! Columns of text, whichever way Arrow keeps them.

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::DataType;
use sluice_learn::sql_type::SqlType;

use super::TextError;

/// Whether a column can be read as text; otherwise what to do, in words.
pub(super) fn takes(data_type: &DataType) -> Result<(), String> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(()),
        DataType::Dictionary(_, values) => takes(values),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Err(format!(
            "needs text, and this is {}: make it text, where bytes that are no UTF-8 become NULL, with `TRY_CAST(... AS STRING)`",
            SqlType(data_type)
        )),
        other => Err(format!(
            "needs text, and this is {}: write `CAST(... AS STRING)`",
            SqlType(other)
        )),
    }
}

/// A column of text.
pub(super) enum Strings<'a> {
    Short(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Strings<'a> {
    /// # Errors
    /// A column that is no text; those of dictionaries have been taken apart.
    pub(super) fn of(array: &'a ArrayRef) -> Result<Self, TextError> {
        match array.data_type() {
            DataType::Utf8 => Ok(Self::Short(array.as_string())),
            DataType::LargeUtf8 => Ok(Self::Large(array.as_string())),
            DataType::Utf8View => Ok(Self::View(array.as_string_view())),
            other => Err(format!("{other} is no text").into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Short(array) => array.len(),
            Self::Large(array) => array.len(),
            Self::View(array) => array.len(),
        }
    }

    /// The text of a row; `None` for NULL.
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Short(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&'a str>> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }
}
