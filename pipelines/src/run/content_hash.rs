//! A seeded 64-bit hash of each row's content.
//!
//! Equal content gives an equal hash on every machine, in every release, whatever the
//! order of rows, batches and columns, and whether a whole number arrived as an integer
//! or as a float (so that a later file with `1.5` does not move the rows of the earlier
//! ones). Not a cryptographic hash.
//!
//! A value is hashed with FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>) over its
//! canonical bytes; values are mixed into the row with the finaliser of SplitMix64
//! (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Integers up to this size are the same number as a float.
const EXACT_IN_F64: i64 = 1 << 53;

/// Scrambles 64 bits so that each input bit moves every output bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fnv1a(tag: u8, bytes: &[u8]) -> u64 {
    let start = (FNV_OFFSET ^ u64::from(tag)).wrapping_mul(FNV_PRIME);
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// What a value is to a hash: a tag for its kind, and its bytes.
type Canonical<'a> = (u8, &'a [u8]);

fn canonical_f64(value: f64) -> [u8; 8] {
    let canonical = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    canonical.to_bits().to_le_bytes()
}

fn with_i64(value: i64, then: impl FnOnce(Canonical<'_>)) {
    if (-EXACT_IN_F64..=EXACT_IN_F64).contains(&value) {
        then((b'n', &canonical_f64(value as f64)));
    } else {
        then((b'i', &value.to_le_bytes()));
    }
}

/// The columns that a row's content consists of, in an order of their own.
#[derive(Debug, Clone)]
pub(crate) struct ContentHasher {
    seed: u64,
    /// Indices into the batch, by column name, so that the order of columns is no matter.
    columns: Vec<usize>,
}

impl ContentHasher {
    /// Hashes the columns that `keep` accepts.
    pub(crate) fn new(
        schema: &arrow::datatypes::Schema,
        seed: u64,
        keep: impl Fn(&str) -> bool,
    ) -> Self {
        let mut columns: Vec<usize> = (0..schema.fields().len())
            .filter(|index| keep(schema.field(*index).name()))
            .collect();
        columns.sort_by_key(|index| schema.field(*index).name().to_lowercase());
        Self { seed, columns }
    }

    /// One hash a row.
    ///
    /// # Errors
    /// A column whose type Arrow cannot turn into text.
    pub(crate) fn hash(&self, batch: &RecordBatch) -> Result<Vec<u64>, ArrowError> {
        let mut rows = vec![mix(self.seed); batch.num_rows()];
        for index in &self.columns {
            visit_values(batch.column(*index), |row, value| {
                let value = value.map_or(0, |(tag, bytes)| fnv1a(tag, bytes));
                rows[row] = mix(rows[row] ^ value);
            })?;
        }
        Ok(rows)
    }
}

/// Shows each value of a column, in order: equal values have the same bytes whatever the type
/// of their column, and NULL none.
///
/// # Errors
/// A column whose type Arrow cannot turn into text.
pub(crate) fn visit_values(
    array: &dyn Array,
    mut visit: impl FnMut(usize, Option<Canonical<'_>>),
) -> Result<(), ArrowError> {
    use DataType::{
        Boolean, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, UInt8, UInt16,
        UInt32, Utf8, Utf8View,
    };
    match array.data_type() {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => {
            let array = cast(array, &Int64)?;
            for (row, value) in array.as_primitive::<Int64Type>().iter().enumerate() {
                match value {
                    Some(value) => with_i64(value, |value| visit(row, Some(value))),
                    None => visit(row, None),
                }
            }
        }
        Float16 | Float32 | Float64 => {
            let array = cast(array, &Float64)?;
            for (row, value) in array.as_primitive::<Float64Type>().iter().enumerate() {
                let bytes = value.map(canonical_f64);
                visit(row, bytes.as_ref().map(|bytes| (b'n', bytes.as_slice())));
            }
        }
        Boolean => {
            for (row, value) in array.as_boolean().iter().enumerate() {
                let bytes = value.map(|value| [u8::from(value)]);
                visit(row, bytes.as_ref().map(|bytes| (b'b', bytes.as_slice())));
            }
        }
        Utf8 | LargeUtf8 | Utf8View => {
            let array = cast(array, &Utf8View)?;
            for (row, value) in array.as_string_view().iter().enumerate() {
                visit(row, value.map(|value| (b's', value.as_bytes())));
            }
        }
        _ => {
            let options = FormatOptions::default();
            let format = ArrayFormatter::try_new(array, &options)?;
            for row in 0..array.len() {
                match array.is_null(row) {
                    true => visit(row, None),
                    false => {
                        let text = format.value(row).to_string();
                        visit(row, Some((b's', text.as_bytes())));
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn hashes(batch: &RecordBatch, seed: u64) -> Vec<u64> {
        ContentHasher::new(&batch.schema(), seed, |name| !name.starts_with('_'))
            .hash(batch)
            .unwrap()
    }

    #[test]
    fn the_order_of_columns_and_the_kind_of_number_do_not_matter() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("")]));
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(0), None]));
        let float: ArrayRef = Arc::new(Float64Array::from(vec![Some(7.0), Some(-0.0), None]));
        let one = batch(vec![("b", Arc::clone(&text)), ("a", whole)]);
        let two = batch(vec![("a", float), ("b", text)]);
        assert_eq!(hashes(&one, 1), hashes(&two, 1));
        assert_ne!(hashes(&one, 1), hashes(&one, 2));
    }

    #[test]
    fn nulls_empty_strings_and_neighbouring_columns_are_told_apart() {
        let rows = batch(vec![
            (
                "a",
                Arc::new(StringArray::from(vec![
                    Some("x"),
                    Some(""),
                    None,
                    Some("xy"),
                ])),
            ),
            (
                "b",
                Arc::new(StringArray::from(vec![Some("y"), None, Some(""), Some("")])),
            ),
        ]);
        let mut seen = hashes(&rows, 0);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn the_hash_is_the_same_in_every_release() {
        let rows = batch(vec![
            (
                "n",
                Arc::new(Float64Array::from(vec![1.5, 2.0])) as ArrayRef,
            ),
            ("s", Arc::new(StringArray::from(vec!["red", "white"]))),
        ]);
        assert_eq!(
            hashes(&rows, 123),
            [68_812_721_111_954_510, 9_697_052_950_235_611_686]
        );
    }
}
