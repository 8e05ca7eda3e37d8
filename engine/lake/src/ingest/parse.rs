//! Texts as values: numbers, truth, dates and times.
//!
//! What most values look like is read byte by byte; the rest goes to the parsers of the
//! standard library and of Arrow, whose answer both ways give.

use std::borrow::Cow;

use arrow::{array::timezone::Tz, compute::kernels::cast_utils::string_to_datetime};

/// Digits that fit 64 bits whatever they are.
const SAFE_INTEGER_DIGITS: usize = 18;
/// Digits that a double holds exactly whatever they are.
const EXACT_FLOAT_DIGITS: usize = 15;
/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; EXACT_FLOAT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];
const MICROS_A_DAY: i64 = 86_400_000_000;

/// A text without the white space around it.
pub(super) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// A number with a decimal comma as one with a point; a text with a point is none.
pub(super) fn with_point(text: &str) -> Cow<'_, str> {
    if text.contains('.') {
        return Cow::Borrowed("?");
    }
    if text.contains(',') {
        Cow::Owned(text.replace(',', "."))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether there is a minus, and what follows the sign.
fn signed(text: &str) -> (bool, &[u8]) {
    match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

/// A whole number of 64 bits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || digits.len() > SAFE_INTEGER_DIGITS {
        return text.parse().ok();
    }
    let value = number(digits)?;
    Some(if negative { -value } else { value })
}

/// A number of digits only, of at most [`SAFE_INTEGER_DIGITS`].
fn number(digits: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(value)
}

/// A number, the nearest double to it.
pub(super) fn float(text: &str) -> Option<f64> {
    match short_decimal(text) {
        // Both are exact, so that one division rounds once (Clinger, "How to read
        // floating point numbers accurately", 1990).
        Some((value, fraction)) => Some(value / POWERS_OF_TEN[fraction]),
        None => text.parse().ok(),
    }
}

/// The digits of `12.34` as one number, and how many of them stand behind the point;
/// `None` when there is no point, or anything else, or too many digits.
fn short_decimal(text: &str) -> Option<(f64, usize)> {
    let (negative, digits) = signed(text);
    if digits.len() > EXACT_FLOAT_DIGITS + 1 {
        return None;
    }
    let (mut value, mut point) = (0_i64, None);
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
        } else if *byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let point = point.filter(|at| *at > 0)?;
    let fraction = digits.len() - 1 - point;
    let value = value as f64;
    (fraction > 0).then_some((if negative { -value } else { value }, fraction))
}

/// A number with a fraction, an exponent, or one of the three names. Digits only
/// that do not fit 64 bits are text: as a float they would lose digits.
pub(super) fn is_float(text: &str) -> bool {
    let (_, digits) = signed(text);
    if digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    short_decimal(text).is_some() || text.parse::<f64>().is_ok()
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Days since 1970 of `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let part = |digits: &[u8]| number(digits).and_then(|value| i32::try_from(value).ok());
    let (year, month, day) = (part(&bytes[..4])?, part(&bytes[5..7])?, part(&bytes[8..])?);
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
pub(super) fn timestamp(text: &str) -> Option<(i64, bool)> {
    let days = date(text.get(..10)?)?;
    let time = text.get(11..)?;
    if !matches!(text.as_bytes()[10], b' ' | b'T' | b't') || time.len() < 5 {
        return None;
    }
    if let Some(micros) = clock(time.as_bytes()) {
        return Some((i64::from(days) * MICROS_A_DAY + micros, false));
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

/// Microseconds of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`; `None` for any other way to
/// write a time.
fn clock(time: &[u8]) -> Option<i64> {
    let part = |at: usize, limit: i64| {
        let value = number(time.get(at..at + 2)?)?;
        (value < limit).then_some(value)
    };
    let divides = |at: usize| time.get(at) == Some(&b':');
    let minutes = part(0, 24)? * 60 + part(3, 60)?;
    if !divides(2) {
        return None;
    }
    let seconds = match time.len() {
        5 => 0,
        _ if divides(5) => part(6, 60)?,
        _ => return None,
    };
    let micros = match time.get(8..) {
        None | Some([]) => 0,
        Some([b'.', fraction @ ..]) if (1..=6).contains(&fraction.len()) => {
            let missing = 6 - fraction.len() as u32;
            number(fraction)? * 10_i64.pow(missing)
        }
        Some(_) => return None,
    };
    Some((minutes * 60 + seconds) * 1_000_000 + micros)
}

/// A timestamp for a column with or without a zone; a date is its midnight.
pub(super) fn instant(text: &str, zoned: bool) -> Option<i64> {
    if let Some(days) = date(text) {
        return Some(i64::from(days) * MICROS_A_DAY);
    }
    let (micros, says_zone) = timestamp(text)?;
    // A text with a zone has no place among clock readings; without one it is UTC.
    (zoned || !says_zone).then_some(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2000-03-01"), Some(11_017));
        assert_eq!(date("2024-12-31"), Some(20_088));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(
            timestamp("2024-12-31 00:00:01"),
            Some((20_088 * 86_400_000_000 + 1_000_000, false))
        );
        assert_eq!(
            timestamp("2024-12-31T02:00:01+02:00"),
            Some((20_088 * 86_400_000_000 + 1_000_000, true))
        );
    }

    /// The instant as Arrow reads it.
    fn arrows(text: &str) -> Option<i64> {
        let utc: Tz = "+00:00".parse().unwrap();
        let instant = string_to_datetime(&utc, text).ok()?;
        Some(instant.timestamp_micros())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn numbers_are_what_the_standard_library_says(
            text in "[+-]?[0-9]{0,20}|[+-]?[0-9]{0,12}\\.?[0-9]{0,12}|[+-]?[0-9.eE+-]{0,8}|-?(inf|nan|NaN)"
        ) {
            prop_assert_eq!(integer(&text), text.parse::<i64>().ok());
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            prop_assert_eq!(bits(float(&text)), bits(text.parse::<f64>().ok()));
            let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
            let no_float = digits.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(is_float(&text), !no_float && text.parse::<f64>().is_ok());
        }

        #[test]
        fn times_are_what_arrow_says(
            text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?"
        ) {
            prop_assert_eq!(timestamp(&text), arrows(&text).map(|micros| (micros, false)));
        }
    }
}
