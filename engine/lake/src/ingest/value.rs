//! Texts as values: which type a column has, and building its array.

use std::{borrow::Cow, sync::Arc};

use super::record::Kind;
use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
        Int64Builder, StringBuilder, TimestampMicrosecondBuilder, timezone::Tz,
    },
    compute::{
        cast,
        kernels::cast_utils::{parse_decimal, string_to_datetime},
    },
    datatypes::{DataType, Decimal128Type, TimeUnit},
    error::ArrowError,
};

/// What the values seen so far have in common. The order is from special to
/// general only within a family; [`Guess::and`] says what joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// Nothing but empty fields.
    Empty,
    Boolean,
    Integer,
    Float,
    Date,
    Timestamp,
    TimestampUtc,
    Text,
}

impl Guess {
    /// The type that holds both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, any) | (any, Self::Empty) => any,
            (a, b) if a == b => a,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Self::Timestamp,
            _ => Self::Text,
        }
    }

    /// The type of one value of a record.
    pub(super) fn of_value(kind: Kind, text: &str, decimal_comma: bool) -> Self {
        match kind {
            Kind::Null => Self::Empty,
            Kind::Nested => Self::Text,
            Kind::Bare if decimal_comma => Self::of_local(text),
            Kind::Bare => Self::of(text),
            // Digits in quotes are no number, but times have no other way to be written.
            Kind::Text => match Self::of(text) {
                time @ (Self::Date | Self::Timestamp | Self::TimestampUtc) => time,
                _ => Self::Text,
            },
        }
    }

    /// As [`Self::of`], where a comma stands before the fraction of a number.
    fn of_local(text: &str) -> Self {
        match Self::of(text) {
            Self::Float => Self::Text,
            Self::Text if text.contains(',') => match Self::of(&with_point(text)) {
                Self::Float => Self::Float,
                _ => Self::Text,
            },
            other => other,
        }
    }

    /// The type of one value.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            Self::Empty
        } else if !may_be_special(text) {
            Self::Text
        } else if text.parse::<i64>().is_ok() {
            Self::Integer
        } else if is_float(text) {
            Self::Float
        } else if parse_boolean(text).is_some() {
            Self::Boolean
        } else if parse_date(text).is_some() {
            Self::Date
        } else {
            match parse_timestamp(text) {
                Some((_, true)) => Self::TimestampUtc,
                Some((_, false)) => Self::Timestamp,
                None => Self::Text,
            }
        }
    }

    /// Whether values of this type may stand in a column of a type.
    fn fits(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Utf8 => true,
            DataType::Boolean => self == Self::Boolean,
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                matches!(self, Self::Integer | Self::Float)
            }
            DataType::Date32 => self == Self::Date,
            DataType::Timestamp(_, None) => matches!(self, Self::Date | Self::Timestamp),
            DataType::Timestamp(_, Some(_)) => {
                matches!(self, Self::Date | Self::Timestamp | Self::TimestampUtc)
            }
            other => other.is_integer() && self == Self::Integer,
        }
    }

    /// What the column is stored as.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Empty | Self::Text => DataType::Utf8,
        }
    }
}

/// The types of the values seen so far, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Guesses(u8);

/// The types that values may have, from which [`Guesses`] are made.
const GUESSES: [Guess; 7] = [
    Guess::Boolean,
    Guess::Integer,
    Guess::Float,
    Guess::Date,
    Guess::Timestamp,
    Guess::TimestampUtc,
    Guess::Text,
];

impl Guesses {
    pub(super) fn add(&mut self, guess: Guess) {
        if let Some(bit) = GUESSES.iter().position(|known| *known == guess) {
            self.0 |= 1 << bit;
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn seen(self) -> impl Iterator<Item = Guess> {
        let seen = GUESSES.into_iter().enumerate();
        seen.filter_map(move |(bit, guess)| (self.0 & (1 << bit) != 0).then_some(guess))
    }

    /// The type that holds them all.
    pub(super) fn joined(self) -> Guess {
        self.seen().fold(Guess::Empty, Guess::and)
    }

    /// Whether more values can tell nothing new.
    pub(super) fn is_settled(self) -> bool {
        self.0 == (1 << GUESSES.len()) - 1
    }

    /// Whether a column of this type takes any of them, or there are none.
    pub(super) fn some_fit(self, data_type: &DataType) -> bool {
        self.0 == 0 || self.seen().any(|guess| guess.fits(data_type))
    }
}

/// Whether a text begins as something other than text may.
fn may_be_special(text: &str) -> bool {
    matches!(
        text.as_bytes()[0],
        b'0'..=b'9' | b'+' | b'-' | b'.' | b't' | b'T' | b'f' | b'F' | b'n' | b'N' | b'i' | b'I'
    )
}

/// A number with a decimal comma as one with a point; a text with a point is none.
fn with_point(text: &str) -> Cow<'_, str> {
    if text.contains('.') {
        return Cow::Borrowed("?");
    }
    if text.contains(',') {
        Cow::Owned(text.replace(',', "."))
    } else {
        Cow::Borrowed(text)
    }
}

/// A number with a fraction, an exponent, or one of the three names. Digits only
/// that do not fit 64 bits are text: as a float they would lose digits.
fn is_float(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    text.parse::<f64>().is_ok()
}

fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Days since 1970 of `YYYY-MM-DD`.
fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<i32>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days)
        .contains(&day)
        .then(|| days_since_epoch(year, month, day))
}

/// Howard Hinnant's `days_from_civil`, for years from 0.
fn days_since_epoch(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Microseconds since 1970 of an ISO 8601 date and time, and whether it says its
/// zone; without one the clock's reading is taken as it is.
fn parse_timestamp(text: &str) -> Option<(i64, bool)> {
    parse_date(text.get(..10)?)?;
    let time = text.get(11..)?;
    if !matches!(text.as_bytes()[10], b' ' | b'T' | b't') || time.len() < 5 {
        return None;
    }
    let zoned = time
        .bytes()
        .any(|byte| !matches!(byte, b'0'..=b'9' | b':' | b'.'));
    let utc: Tz = "+00:00".parse().ok()?;
    // Arrow's parser wants seconds.
    let with_seconds = match time.as_bytes().get(5) {
        Some(b':') => Cow::Borrowed(text),
        _ => Cow::Owned(format!("{}:00{}", text.get(..16)?, text.get(16..)?)),
    };
    let instant = string_to_datetime(&utc, &with_seconds).ok()?;
    Some((instant.timestamp_micros(), zoned))
}

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
    /// A builder for a type; `None` when text cannot be read as it.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        let integer = |min, max| {
            Some(Self::Integer {
                builder: Int64Builder::new(),
                min,
                max,
                narrow: data_type.clone(),
            })
        };
        match data_type {
            DataType::Boolean => Some(Self::Boolean(BooleanBuilder::new())),
            DataType::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => integer(i64::MIN, i64::MAX),
            DataType::Float32 | DataType::Float64 => Some(Self::Float {
                builder: Float64Builder::new(),
                narrow: data_type.clone(),
            }),
            DataType::Decimal128(precision, scale) => Some(Self::Decimal {
                builder: Decimal128Builder::new().with_data_type(data_type.clone()),
                precision: *precision,
                scale: *scale,
            }),
            DataType::Date32 => Some(Self::Date(Date32Builder::new())),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Some(Self::Timestamp {
                builder: TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()),
                zoned: zone.is_some(),
            }),
            DataType::Utf8 => Some(Self::Text(StringBuilder::new())),
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
        let trimmed = text.map(str::trim).filter(|text| !text.is_empty());
        match self {
            Self::Text(builder) => {
                builder.append_option(text.filter(|text| !text.is_empty()));
                true
            }
            Self::Boolean(builder) => append(trimmed, parse_boolean, |v| builder.append_option(v)),
            Self::Integer {
                builder, min, max, ..
            } => {
                let range = *min..=*max;
                let parse = |text: &str| text.parse().ok().filter(|value| range.contains(value));
                append(trimmed, parse, |value| builder.append_option(value))
            }
            Self::Float { builder, .. } => append(
                trimmed,
                |text| text.parse().ok(),
                |value| builder.append_option(value),
            ),
            Self::Decimal {
                builder,
                precision,
                scale,
            } => append(
                trimmed,
                |text| parse_decimal::<Decimal128Type>(text, *precision, *scale).ok(),
                |value| builder.append_option(value),
            ),
            Self::Date(builder) => {
                append(trimmed, parse_date, |value| builder.append_option(value))
            }
            Self::Timestamp { builder, zoned } => {
                let parse = |text: &str| parse_instant(text, *zoned);
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

/// A timestamp for a column with or without a zone; a date is its midnight.
fn parse_instant(text: &str, zoned: bool) -> Option<i64> {
    if let Some(days) = parse_date(text) {
        return Some(i64::from(days) * 86_400_000_000);
    }
    let (micros, says_zone) = parse_timestamp(text)?;
    // A text with a zone has no place among clock readings; without one it is UTC.
    (zoned || !says_zone).then_some(micros)
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
    use super::*;

    #[test]
    fn values_have_types() {
        for (text, guess) in [
            ("", Guess::Empty),
            ("  ", Guess::Empty),
            ("7", Guess::Integer),
            (" -7 ", Guess::Integer),
            ("+7", Guess::Integer),
            ("9223372036854775807", Guess::Integer),
            ("9223372036854775808", Guess::Text),
            ("7.5", Guess::Float),
            (".5", Guess::Float),
            ("1e-3", Guess::Float),
            ("NaN", Guess::Float),
            ("-inf", Guess::Float),
            ("1,5", Guess::Text),
            ("0x10", Guess::Text),
            ("True", Guess::Boolean),
            ("yes", Guess::Text),
            ("2024-02-29", Guess::Date),
            ("2023-02-29", Guess::Text),
            ("2024-13-01", Guess::Text),
            ("2024-1-1", Guess::Text),
            ("2024-01-01 10:30", Guess::Timestamp),
            ("2024-01-01T10:30:15.25", Guess::Timestamp),
            ("2024-01-01T10:30:15Z", Guess::TimestampUtc),
            ("2024-01-01 10:30:15+02:00", Guess::TimestampUtc),
            ("2024-01-01 10:30Z", Guess::TimestampUtc),
            ("2024-01-01 25:30:15", Guess::Text),
            ("2024-01-01 10:3", Guess::Text),
            ("2024-01-01 10:30é", Guess::Text),
            ("2024-01-01 ", Guess::Date),
            ("-", Guess::Text),
            ("+", Guess::Text),
            ("é2024-01-01", Guess::Text),
        ] {
            assert_eq!(Guess::of(text), guess, "{text:?}");
        }
    }

    #[test]
    fn types_join() {
        assert_eq!(Guess::Integer.and(Guess::Float), Guess::Float);
        assert_eq!(Guess::Empty.and(Guess::Date), Guess::Date);
        assert_eq!(Guess::Date.and(Guess::Timestamp), Guess::Timestamp);
        assert_eq!(Guess::Integer.and(Guess::Boolean), Guess::Text);
        assert_eq!(Guess::Timestamp.and(Guess::TimestampUtc), Guess::Text);
    }

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        assert_eq!(parse_date("2000-03-01"), Some(11_017));
        assert_eq!(parse_date("2024-12-31"), Some(20_088));
        assert_eq!(parse_date("0001-01-01"), Some(-719_162));
        assert_eq!(
            parse_timestamp("2024-12-31 00:00:01"),
            Some((20_088 * 86_400_000_000 + 1_000_000, false))
        );
        assert_eq!(
            parse_timestamp("2024-12-31T02:00:01+02:00"),
            Some((20_088 * 86_400_000_000 + 1_000_000, true))
        );
    }

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
            let mut builder = ColumnBuilder::new(&data_type).unwrap();
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
                !ColumnBuilder::new(&data_type).unwrap().push(Some(text)),
                "{text}"
            );
        }
        assert!(ColumnBuilder::new(&DataType::Null).is_none());
    }
}
