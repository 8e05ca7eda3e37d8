//! Building the array of one column from texts.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
        Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
    },
    compute::{cast, kernels::cast_utils::parse_decimal},
    datatypes::{DataType, Decimal128Type, TimeUnit},
    error::ArrowError,
};

use super::{
    options::ReadOptions,
    parse::{boolean, date, float, instant, integer, trim, with_point},
    record::Kind,
};

/// How long a text is taken to be at first, in bytes.
const TEXT_BYTES: usize = 16;

/// Builds the array of one column from texts.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    /// Whole numbers from `min` to `max`, which become `narrow`.
    Integer {
        builder: Int64Builder,
        min: i64,
        max: i64,
        narrow: DataType,
    },
    Float {
        builder: Float64Builder,
        narrow: DataType,
    },
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: i8,
    },
    Date(Date32Builder),
    Timestamp {
        builder: TimestampMicrosecondBuilder,
        zoned: bool,
    },
    Text(StringBuilder),
}

impl ColumnBuilder {
    /// A builder for a type, with room for `rows` values; `None` when text cannot be read
    /// as it.
    pub(super) fn new(data_type: &DataType, rows: usize) -> Option<Self> {
        let integer = |min, max| {
            Some(Self::Integer {
                builder: Int64Builder::with_capacity(rows),
                min,
                max,
                narrow: data_type.clone(),
            })
        };
        match data_type {
            DataType::Boolean => Some(Self::Boolean(BooleanBuilder::with_capacity(rows))),
            DataType::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => integer(i64::MIN, i64::MAX),
            DataType::Float32 | DataType::Float64 => Some(Self::Float {
                builder: Float64Builder::with_capacity(rows),
                narrow: data_type.clone(),
            }),
            DataType::Decimal128(precision, scale) => Some(Self::Decimal {
                builder: Decimal128Builder::with_capacity(rows).with_data_type(data_type.clone()),
                precision: *precision,
                scale: *scale,
            }),
            DataType::Date32 => Some(Self::Date(Date32Builder::with_capacity(rows))),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Some(Self::Timestamp {
                builder: TimestampMicrosecondBuilder::with_capacity(rows)
                    .with_data_type(data_type.clone()),
                zoned: zone.is_some(),
            }),
            DataType::Utf8 => Some(Self::Text(StringBuilder::with_capacity(
                rows,
                rows * TEXT_BYTES,
            ))),
            _ => None,
        }
    }

    /// Adds a value of a record; `false`, and nothing is added, when it is not of the type.
    pub(super) fn push_value(&mut self, kind: Kind, text: &str, decimal_comma: bool) -> bool {
        match (kind, &mut *self) {
            (Kind::Null, _) => self.push(None),
            (Kind::Text, Self::Text(builder)) => {
                builder.append_value(text);
                true
            }
            (Kind::Nested, Self::Text(_)) => self.push(Some(text)),
            (Kind::Nested, _) => false,
            (Kind::Text, _) => !text.trim().is_empty() && self.push(Some(text)),
            (Kind::Bare, Self::Float { .. } | Self::Decimal { .. }) if decimal_comma => {
                self.push(Some(&with_point(text)))
            }
            (Kind::Bare, _) => self.push(Some(text)),
        }
    }

    /// Adds the values of a column of CSV, in order. One that is not of the type becomes
    /// NULL, and `misfit` is told its place among them.
    pub(super) fn push_all<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str>,
        options: &ReadOptions,
        misfit: impl FnMut(usize, &'a str),
    ) {
        let nulls = &options.null_values;
        match self {
            Self::Text(builder) => {
                let own = |text: &&str| !text.is_empty() && !is_among(nulls, text);
                texts.for_each(|text| builder.append_option(Some(text).filter(own)));
            }
            Self::Boolean(builder) => {
                let push = |value| builder.append_option(value);
                fill(texts, nulls, boolean, push, misfit);
            }
            Self::Integer {
                builder, min, max, ..
            } => {
                let range = *min..=*max;
                let parse = |text: &str| integer(text).filter(|value| range.contains(value));
                fill(
                    texts,
                    nulls,
                    parse,
                    |value| builder.append_option(value),
                    misfit,
                );
            }
            Self::Float { builder, .. } => {
                let push = |value| builder.append_option(value);
                match options.decimal_comma {
                    true => fill(texts, nulls, |text| float(&with_point(text)), push, misfit),
                    false => fill(texts, nulls, float, push, misfit),
                }
            }
            Self::Decimal {
                builder,
                precision,
                scale,
            } => {
                let decimal =
                    |text: &str| parse_decimal::<Decimal128Type>(text, *precision, *scale).ok();
                let parse = |text: &str| match options.decimal_comma {
                    true => decimal(&with_point(text)),
                    false => decimal(text),
                };
                fill(
                    texts,
                    nulls,
                    parse,
                    |value| builder.append_option(value),
                    misfit,
                );
            }
            Self::Date(builder) => {
                fill(
                    texts,
                    nulls,
                    date,
                    |value| builder.append_option(value),
                    misfit,
                );
            }
            Self::Timestamp { builder, zoned } => {
                let parse = |text: &str| instant(text, *zoned);
                fill(
                    texts,
                    nulls,
                    parse,
                    |value| builder.append_option(value),
                    misfit,
                );
            }
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Boolean(builder) => builder.len(),
            Self::Integer { builder, .. } => builder.len(),
            Self::Float { builder, .. } => builder.len(),
            Self::Decimal { builder, .. } => builder.len(),
            Self::Date(builder) => builder.len(),
            Self::Timestamp { builder, .. } => builder.len(),
            Self::Text(builder) => builder.len(),
        }
    }

    /// Adds a value, or NULL; `false` when the text is not of the type.
    pub(super) fn push(&mut self, text: Option<&str>) -> bool {
        // White space around a number is no part of it; in a text it is.
        let trimmed = text.map(trim).filter(|text| !text.is_empty());
        match self {
            Self::Text(builder) => {
                builder.append_option(text.filter(|text| !text.is_empty()));
                true
            }
            Self::Boolean(builder) => append(trimmed, boolean, |v| builder.append_option(v)),
            Self::Integer {
                builder, min, max, ..
            } => {
                let range = *min..=*max;
                let parse = |text: &str| integer(text).filter(|value| range.contains(value));
                append(trimmed, parse, |value| builder.append_option(value))
            }
            Self::Float { builder, .. } => {
                append(trimmed, float, |value| builder.append_option(value))
            }
            Self::Decimal {
                builder,
                precision,
                scale,
            } => append(
                trimmed,
                |text| parse_decimal::<Decimal128Type>(text, *precision, *scale).ok(),
                |value| builder.append_option(value),
            ),
            Self::Date(builder) => append(trimmed, date, |value| builder.append_option(value)),
            Self::Timestamp { builder, zoned } => {
                let parse = |text: &str| instant(text, *zoned);
                append(trimmed, parse, |value| builder.append_option(value))
            }
        }
    }

    /// The column's array; the builder is empty again.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer {
                builder, narrow, ..
            } => cast(&builder.finish(), narrow)?,
            Self::Float { builder, narrow } => cast(&builder.finish(), narrow)?,
            Self::Decimal { builder, .. } => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp { builder, .. } => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        })
    }
}

fn append<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
    mut push: impl FnMut(Option<T>),
) -> bool {
    match text {
        None => {
            push(None);
            true
        }
        Some(text) => match parse(text) {
            Some(value) => {
                push(Some(value));
                true
            }
            None => false,
        },
    }
}

/// Whether a text stands for NULL.
pub(super) fn is_among(nulls: &[String], text: &str) -> bool {
    nulls.iter().any(|null| null == text)
}

/// White space around a value is no part of it, and nothing is NULL.
fn fill<'a, T>(
    texts: impl Iterator<Item = &'a str>,
    nulls: &[String],
    parse: impl Fn(&str) -> Option<T>,
    mut push: impl FnMut(Option<T>),
    mut misfit: impl FnMut(usize, &'a str),
) {
    for (place, text) in texts.enumerate() {
        let trimmed = trim(text);
        if trimmed.is_empty() || is_among(nulls, text) {
            push(None);
            continue;
        }
        let value = parse(trimmed);
        if value.is_none() {
            misfit(place, text);
        }
        push(value);
    }
}

/// A type in words, as in "is not a whole number".
pub(super) fn in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "true or false".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            format!("a whole number that fits {data_type}")
        }
        DataType::Int64 => "a whole number".to_owned(),
        DataType::Float32 | DataType::Float64 => "a number".to_owned(),
        DataType::Decimal128(precision, scale) => format!("a DECIMAL({precision}, {scale})"),
        DataType::Date32 => "a date such as 2024-12-31".to_owned(),
        DataType::Timestamp(_, None) => "a time such as 2024-12-31 23:59:00".to_owned(),
        DataType::Timestamp(_, Some(_)) => "a time such as 2024-12-31T23:59:00Z".to_owned(),
        other => format!("a value of {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::guess::Guess, *};

    #[test]
    fn every_guess_has_a_builder_that_takes_its_values() {
        for text in [
            "",
            "7",
            "7.5",
            "true",
            "2024-01-01",
            "2024-01-01 10:30",
            "2024-01-01T10:30:00Z",
            "x",
        ] {
            let data_type = Guess::of(text).data_type();
            let mut builder = ColumnBuilder::new(&data_type, 2).unwrap();
            assert!(builder.push(Some(text)), "{text}");
            assert!(builder.push(None));
            let array = builder.finish().unwrap();
            assert_eq!(array.data_type(), &data_type);
            assert_eq!(array.len(), 2);
            assert_eq!(array.null_count(), if text.is_empty() { 2 } else { 1 });
        }
    }

    #[test]
    fn builders_refuse_what_does_not_fit() {
        for (data_type, text) in [
            (DataType::Int8, "128"),
            (DataType::Int64, "1.0"),
            (DataType::Float64, "1,0"),
            (DataType::Boolean, "1"),
            (DataType::Date32, "2024-01-01 10:30"),
            (DataType::Decimal128(3, 1), "1000.5"),
            (
                DataType::Timestamp(TimeUnit::Microsecond, None),
                "2024-01-01T10:30:00Z",
            ),
        ] {
            assert!(
                !ColumnBuilder::new(&data_type, 2).unwrap().push(Some(text)),
                "{text}"
            );
        }
        assert!(ColumnBuilder::new(&DataType::Null, 0).is_none());
    }
}
