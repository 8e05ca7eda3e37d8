//! Which type the values of a column have.

use arrow::datatypes::{DataType, TimeUnit};

use super::{
    parse::{boolean, date, integer, is_float, timestamp, trim, with_point},
    record::Kind,
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
        let text = trim(text);
        if text.is_empty() {
            Self::Empty
        } else if !may_be_special(text) {
            Self::Text
        } else if integer(text).is_some() {
            Self::Integer
        } else if is_float(text) {
            Self::Float
        } else if boolean(text).is_some() {
            Self::Boolean
        } else if date(text).is_some() {
            Self::Date
        } else {
            match timestamp(text) {
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

    /// The set as a number, which [`Self::from_bits`] reads.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
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
}
