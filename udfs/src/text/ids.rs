//! Lists of numbers, one a row, that grow in one buffer for all rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};

use super::TextError;

/// The field of a list's elements.
pub(super) fn element(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

/// Where the lists of a batch end, and which of them are NULL.
pub(super) struct Ends {
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Ends {
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            ends,
            valid: Vec::with_capacity(rows),
        }
    }

    /// Ends the list of a row at `length` values of all rows together.
    ///
    /// # Errors
    /// More values than a list of Arrow counts.
    pub(super) fn end(&mut self, length: usize, valid: bool) -> Result<(), TextError> {
        let end = i32::try_from(length).map_err(|_| {
            "the tokens of one batch of rows are more than 2,147,483,647: set `datafusion.execution.batch_size` lower"
        })?;
        self.ends.push(end);
        self.valid.push(valid);
        Ok(())
    }

    pub(super) fn finish(self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let nulls = NullBuffer::from(self.valid);
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        (OffsetBuffer::new(ScalarBuffer::from(self.ends)), nulls)
    }
}

/// Lists of the numbers in `values`.
pub(super) fn lists<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    ends: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let values = PrimitiveArray::<T>::new(ScalarBuffer::from(values), None);
    let list = ListArray::new(element(T::DATA_TYPE), ends, Arc::new(values), nulls);
    Arc::new(list)
}
