//! One column of a batch, as the profile sees it: a hash and a measure of each value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, new_empty_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions, array_value_to_string};
use serde::Serialize;

use super::hash;

/// How a column is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whole numbers, floats and decimals.
    Number,
    /// TRUE and FALSE, measured as 1 and 0.
    Boolean,
    /// Dates, times, timestamps and durations, measured in their own unit.
    Time,
    /// Text, measured in characters.
    Text,
    /// Bytes, measured by their number.
    Binary,
    /// Lists and maps, measured by their items; structs.
    Nested,
}

impl Kind {
    /// The kind of a type; `None` for what a table cannot hold or the profile cannot read.
    #[must_use]
    pub fn of(data_type: &DataType) -> Option<Self> {
        use DataType as T;
        Some(match data_type {
            T::Int8 | T::Int16 | T::Int32 | T::Int64 => Self::Number,
            T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Self::Number,
            T::Float16 | T::Float32 | T::Float64 => Self::Number,
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) => Self::Number,
            T::Boolean => Self::Boolean,
            T::Date32 | T::Date64 | T::Timestamp(..) | T::Time32(_) | T::Time64(_) => Self::Time,
            T::Duration(_) => Self::Time,
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text,
            T::Dictionary(_, value) => return Self::of(value).filter(|kind| *kind == Self::Text),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Binary,
            T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::Map(..) | T::Struct(_) => {
                Self::Nested
            }
            _ => return None,
        })
    }

    /// Whether the measure of a value is the value.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Number | Self::Boolean | Self::Time)
    }

    /// What a measure counts, for kinds whose measure is a length.
    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Number | Self::Boolean | Self::Time => None,
            Self::Text => Some("characters"),
            Self::Binary => Some("bytes"),
            Self::Nested => Some("items"),
        }
    }
}

/// The longest text that is shown of a value, in characters.
pub(crate) const SHOWN_CHARS: usize = 60;
/// The most bytes that are shown of a binary value.
const SHOWN_BYTES: usize = 16;

/// The values of one column of one batch.
pub(crate) struct Cells {
    kind: Kind,
    pub(crate) nulls: Option<NullBuffer>,
    /// The hash of each value; of NULL another one that is not counted.
    pub(crate) hashes: Vec<u64>,
    /// The number itself, or the length; NaN for NULL.
    pub(crate) measures: Vec<f64>,
    /// The value as a whole number, for whole numbers, decimals and times.
    pub(crate) whole: Option<Vec<i128>>,
    array: ArrayRef,
}

/// The hash that stands for NULL in a row's content.
const NULL_HASH: u64 = 0x6e75_6c6c;

impl Cells {
    pub(crate) fn read(array: &ArrayRef, kind: Kind) -> Result<Self, ArrowError> {
        let mut cells = Self {
            kind,
            nulls: array.logical_nulls(),
            hashes: Vec::with_capacity(array.len()),
            measures: Vec::with_capacity(array.len()),
            whole: None,
            array: Arc::clone(array),
        };
        match kind {
            Kind::Number => cells.read_numbers()?,
            Kind::Boolean => {
                let values = array.as_boolean();
                cells.fill(|row| {
                    let value = values.value(row);
                    (hash::of_whole(value.into()), f64::from(u8::from(value)))
                });
            }
            Kind::Time => {
                let whole = whole_of_time(array)?;
                cells.fill(|row| (hash::of_whole(whole[row]), whole[row] as f64));
                cells.whole = Some(whole);
            }
            Kind::Text => {
                let text = cast(array, &DataType::LargeUtf8)?;
                let values: &LargeStringArray = text.as_string();
                cells.fill(|row| {
                    let value = values.value(row);
                    (
                        hash::of_bytes(value.as_bytes()),
                        value.chars().count() as f64,
                    )
                });
                cells.array = text;
            }
            Kind::Binary => {
                let bytes = cast(array, &DataType::LargeBinary)?;
                let values = bytes.as_binary::<i64>();
                cells.fill(|row| {
                    let value = values.value(row);
                    (hash::of_bytes(value), value.len() as f64)
                });
                cells.array = Arc::clone(&bytes);
            }
            Kind::Nested => cells.read_nested()?,
        }
        Ok(cells)
    }

    fn fill(&mut self, value: impl Fn(usize) -> (u64, f64)) {
        for row in 0..self.array.len() {
            let (hash, measure) = match self.is_null(row) {
                true => (NULL_HASH, f64::NAN),
                false => value(row),
            };
            self.hashes.push(hash);
            self.measures.push(measure);
        }
    }

    fn read_numbers(&mut self) -> Result<(), ArrowError> {
        let array = Arc::clone(&self.array);
        match array.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let floats = cast(&array, &DataType::Float64)?;
                let values: &Float64Array = floats.as_primitive::<Float64Type>();
                self.fill(|row| (hash::of_float(values.value(row)), values.value(row)));
            }
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale) => {
                let decimals = cast(&array, &DataType::Decimal128(38, *scale))?;
                let values = decimals.as_primitive::<Decimal128Type>();
                let unit = 10_f64.powi(i32::from(*scale));
                let whole: Vec<i128> = (0..values.len()).map(|row| values.value(row)).collect();
                self.fill(|row| (hash::of_whole(whole[row]), whole[row] as f64 / unit));
                self.whole = Some(whole);
            }
            _ => {
                // The widest whole number is UInt64, which has 20 digits.
                let decimals = cast(&array, &DataType::Decimal128(20, 0))?;
                let values = decimals.as_primitive::<Decimal128Type>();
                let whole: Vec<i128> = (0..values.len()).map(|row| values.value(row)).collect();
                self.fill(|row| (hash::of_whole(whole[row]), whole[row] as f64));
                self.whole = Some(whole);
            }
        }
        Ok(())
    }

    fn read_nested(&mut self) -> Result<(), ArrowError> {
        let array = Arc::clone(&self.array);
        let options = FormatOptions::default().with_null("NULL");
        let format = ArrayFormatter::try_new(&array, &options)?;
        self.fill(|row| {
            let text = format.value(row).to_string();
            (hash::of_bytes(text.as_bytes()), items(&array, row))
        });
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.array.len()
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether the measure of a value does not tell which one it is.
    pub(crate) fn has_lengths(&self) -> bool {
        !self.kind.is_numeric()
    }

    /// A value as it is shown, cut where it is long.
    pub(crate) fn shown(&self, row: usize) -> String {
        if self.is_null(row) {
            return "NULL".to_owned();
        }
        match self.array.data_type() {
            // Both zeros are one value.
            DataType::Float16 | DataType::Float32 | DataType::Float64
                if self.measures[row] == 0.0 =>
            {
                "0.0".to_owned()
            }
            DataType::LargeUtf8 => shortened(self.array.as_string::<i64>().value(row)),
            DataType::LargeBinary => bytes_shown(self.array.as_binary::<i64>().value(row)),
            data_type if Kind::of(data_type) == Some(Kind::Time) => {
                let whole = self.whole.as_ref().map_or(0, |whole| whole[row]);
                time_shown(whole, data_type)
            }
            // Every type of `Kind::of` can be written.
            _ => shortened(&array_value_to_string(&self.array, row).unwrap_or_default()),
        }
    }
}

fn items(array: &ArrayRef, row: usize) -> f64 {
    match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value_length(row) as f64,
        DataType::LargeList(_) => array.as_list::<i64>().value_length(row) as f64,
        DataType::FixedSizeList(_, length) => f64::from(*length),
        DataType::Map(..) => f64::from(array.as_map().value_length(row)),
        DataType::Struct(fields) => fields.len() as f64,
        _ => f64::NAN,
    }
}

fn whole_of_time(array: &ArrayRef) -> Result<Vec<i128>, ArrowError> {
    let narrow = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(array, &DataType::Int32)?,
        _ => Arc::clone(array),
    };
    let whole = cast(&narrow, &DataType::Int64)?;
    let values: &Int64Array = whole.as_primitive::<Int64Type>();
    Ok((0..values.len())
        .map(|row| i128::from(values.value(row)))
        .collect())
}

/// A text of at most [`SHOWN_CHARS`] characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn bytes_shown(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes.iter().take(SHOWN_BYTES) {
        text.push_str(&format!("{byte:02x}"));
    }
    if bytes.len() > SHOWN_BYTES {
        text.push('…');
    }
    text
}

/// A date, a time or a moment, from its number in the unit of its type.
pub(crate) fn time_shown(whole: i128, data_type: &DataType) -> String {
    let Ok(whole) = i64::try_from(whole) else {
        return whole.to_string();
    };
    let narrow = || i32::try_from(whole).ok();
    let number: ArrayRef = Arc::new(Int64Array::from(vec![whole]));
    let typed = match data_type {
        DataType::Date32 | DataType::Time32(_) => match narrow() {
            Some(narrow) => {
                let number: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![narrow]));
                cast(&number, data_type)
            }
            None => Ok(new_empty_array(data_type)),
        },
        // Moments with a zone are stored in UTC.
        DataType::Timestamp(unit, _) => cast(&number, &DataType::Timestamp(*unit, None)),
        _ => cast(&number, data_type),
    };
    let text = typed.and_then(|typed| match typed.is_empty() {
        true => Ok(String::new()),
        false => array_value_to_string(&typed, 0),
    });
    let text = match text {
        Ok(text) if !text.is_empty() && !text.starts_with("ERROR") => text,
        _ => return whole.to_string(),
    };
    match text.strip_suffix("T00:00:00") {
        Some(date) => date.to_owned(),
        None => text.replacen('T', " ", usize::from(is_moment(data_type))),
    }
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date64)
}

/// A type by the name that SQL has for it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    use DataType as T;
    match data_type {
        T::Int8 => "TINYINT".to_owned(),
        T::Int16 => "SMALLINT".to_owned(),
        T::Int32 => "INT".to_owned(),
        T::Int64 => "BIGINT".to_owned(),
        T::UInt8 => "TINYINT UNSIGNED".to_owned(),
        T::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        T::UInt32 => "INT UNSIGNED".to_owned(),
        T::UInt64 => "BIGINT UNSIGNED".to_owned(),
        T::Float16 | T::Float32 => "FLOAT".to_owned(),
        T::Float64 => "DOUBLE".to_owned(),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) => {
            format!("DECIMAL({p}, {s})")
        }
        T::Boolean => "BOOLEAN".to_owned(),
        T::Date32 | T::Date64 => "DATE".to_owned(),
        T::Time32(_) | T::Time64(_) => "TIME".to_owned(),
        T::Timestamp(_, Some(_)) => "TIMESTAMP".to_owned(),
        T::Timestamp(_, None) => "TIMESTAMP_NTZ".to_owned(),
        T::Duration(unit) => format!("DURATION({})", unit_name(*unit)),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "STRING".to_owned(),
        T::Dictionary(_, value) => type_name(value),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "BINARY".to_owned(),
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => {
            format!("ARRAY<{}>", type_name(item.data_type()))
        }
        T::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => format!(
                "MAP<{}, {}>",
                type_name(fields[0].data_type()),
                type_name(fields[1].data_type())
            ),
            other => format!("MAP<{}>", type_name(other)),
        },
        other => other.to_string(),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "µs",
        TimeUnit::Nanosecond => "ns",
    }
}
