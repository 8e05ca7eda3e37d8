//! `mode: {interval: ...}`: its settings, lengths of intervals, and moments in time.

use std::fmt;

use chrono::{DateTime, Days, Months, SecondsFormat, Utc};
use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, record};
use super::duration::{Length, parse_length};
use super::schema::Definitions;
use super::value::{self, ValueKind};
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::{Node, NodeKind};

record! {
    /// The rows of each interval of time are made once, and replaced whole when made again.
    pub struct Interval as "`interval`" {
        /// The column of the table that says which interval a row belongs to: a date or a timestamp.
        "column" column: Spanned<String>,
        /// How long an interval is: `hour`, `day`, `week`, `month`, or such as `6h` and `1d`.
        "every" every: Spanned<Every>,
        /// Where the first interval begins, in UTC: `2026-01-01` or `2026-01-01T06:00:00Z`.
        "start" start: Spanned<Instant>,
        /// So many of the last intervals are made again when what the query reads changed; by default none.
        "lookback" lookback: Option<Spanned<u64>>,
        /// So many intervals in a row are made by one query and one commit at most; by default 1.
        "batch_size" batch_size: Option<Spanned<u64>>,
        /// So many queries run side by side at most; their commits stay in order. By default 1.
        "concurrency" concurrency: Option<Spanned<u64>>,
    }
}

impl Check for Interval {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let mut right = true;
        for (name, number) in [
            ("batch_size", self.batch_size),
            ("concurrency", self.concurrency),
        ] {
            if let Some(number) = number
                && number.value == 0
            {
                right = false;
                cx.error(
                    "bad_count",
                    format!("`{name}` must be 1 or more"),
                    number.span,
                );
            }
        }
        if self.every.value == Every::Month && !self.start.value.is_first_of_month() {
            right = false;
            cx.report(
                Diagnostic::error(
                    "bad_time",
                    "months begin on their first day: `start` must be one, at midnight",
                )
                .help("write such as `start: 2026-01-01`"),
                self.start.span,
            );
        }
        right
    }
}

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many milliseconds.
    Fixed(i64),
    /// A month of the calendar.
    Month,
}

/// The words for lengths, each with what it is.
const EVERY: [(&str, Every); 4] = [
    ("hour", Every::Fixed(3_600_000)),
    ("day", Every::Fixed(86_400_000)),
    ("week", Every::Fixed(7 * 86_400_000)),
    ("month", Every::Month),
];

/// The least length, in milliseconds: shorter ones would make a ledger of nothing but ends.
const LEAST_MS: i64 = 60_000;

impl fmt::Display for Every {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((word, _)) = EVERY.iter().find(|(_, every)| every == self) {
            return out.write_str(word);
        }
        let Self::Fixed(ms) = self else {
            return out.write_str("month");
        };
        let mut rest = ms / 1000;
        for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= seconds {
                write!(out, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl Decode for Every {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if let Some((_, every)) = EVERY.iter().find(|(word, _)| *word == text) {
            return Some(*every);
        }
        let length = parse_length(&text).and_then(|length| i64::try_from(length.as_millis()).ok());
        match length {
            Some(ms) if ms >= LEAST_MS => Some(Self::Fixed(ms)),
            Some(_) => {
                cx.error(
                    "bad_duration",
                    "an interval is a minute at least",
                    node.span,
                );
                None
            }
            None => {
                cx.report(
                    Diagnostic::error("bad_duration", format!("`{text}` is no length of an interval"))
                        .help("write `hour`, `day`, `week`, `month`, or whole numbers with units, such as `15m`, `6h` or `1d`"),
                    node.span,
                );
                None
            }
        }
    }

    fn schema(defs: &mut Definitions) -> Json {
        let words: Vec<&str> = EVERY.iter().map(|(word, _)| *word).collect();
        let length = Length::schema(defs);
        json!({"anyOf": [{"enum": words}, length]})
    }
}

/// A moment, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// Reads `2026-01-01`, `2026-01-01 06:00` or RFC 3339; UTC where no offset is given.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Minutes may be enough.
        let padded = match text.len() {
            16 => format!("{text}:00"),
            _ => text.to_owned(),
        };
        let nanos = string_to_timestamp_nanos(&padded).ok()?;
        (nanos % 1_000_000 == 0).then_some(Self(nanos / 1_000_000))
    }

    fn calendar(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0)
    }

    /// The day of this moment, as `2026-01-31`.
    #[must_use]
    pub fn day(self) -> String {
        self.calendar()
            .map_or_else(String::new, |moment| moment.date_naive().to_string())
    }

    /// The moment in RFC 3339, in UTC.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.calendar().map_or_else(String::new, |moment| {
            moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        })
    }

    fn is_first_of_month(self) -> bool {
        let text = self.to_string();
        text.len() == 10 && text.ends_with("-01")
    }

    /// The end of the `count`th interval after this moment; `None` beyond the calendar.
    #[must_use]
    pub fn plus(self, every: Every, count: u64) -> Option<Self> {
        match every {
            Every::Fixed(ms) => {
                let all = i64::try_from(count).ok()?.checked_mul(ms)?;
                self.0.checked_add(all).map(Self)
            }
            Every::Month => {
                let months = Months::new(u32::try_from(count).ok()?);
                let moment = self.calendar()?.checked_add_months(months)?;
                Some(Self(moment.timestamp_millis()))
            }
        }
    }

    /// The midnight after this moment's day.
    #[must_use]
    pub fn next_day(self) -> Option<Self> {
        let day = self
            .calendar()?
            .date_naive()
            .checked_add_days(Days::new(1))?;
        Some(Self(
            day.and_time(chrono::NaiveTime::MIN)
                .and_utc()
                .timestamp_millis(),
        ))
    }
}

/// A day where it is midnight, else RFC 3339 in UTC.
impl fmt::Display for Instant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rem_euclid(86_400_000) {
            0 => out.write_str(&self.day()),
            _ => out.write_str(&self.rfc3339()),
        }
    }
}

impl Decode for Instant {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = match &node.kind {
            NodeKind::Scalar(scalar) => match value::scalar(scalar, node.span, cx)? {
                ValueKind::Text(text) => text,
                other => super::variables::as_text(&other),
            },
            _ => String::decode(node, cx)?,
        };
        if let Some(instant) = Self::parse(&text) {
            return Some(instant);
        }
        cx.report(
            Diagnostic::error("bad_time", format!("`{text}` is no moment in time")).help(
                "write such as `2026-01-01` or `2026-01-01T06:00:00Z`; without an offset it is UTC",
            ),
            node.span,
        );
        None
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 4})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        let shown = |text: &str| Instant::parse(text).map(|moment| moment.to_string());
        assert_eq!(shown("2026-01-31").as_deref(), Some("2026-01-31"));
        assert_eq!(shown("2026-01-31T00:00:00Z").as_deref(), Some("2026-01-31"));
        assert_eq!(
            shown("2026-01-31 06:30").as_deref(),
            Some("2026-01-31T06:30:00Z")
        );
        assert_eq!(
            shown("2026-01-31T06:00:00+02:00").as_deref(),
            Some("2026-01-31T04:00:00Z")
        );
        for wrong in [
            "",
            "2026",
            "31.1.2026",
            "2026-02-30",
            "tomorrow",
            "2026-01-01T00:00:00.0001Z",
        ] {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let start = Instant::parse("2023-12-01").unwrap();
        let ends: Vec<String> = (1..=3)
            .map(|count| start.plus(Every::Month, count).unwrap().to_string())
            .collect();
        assert_eq!(ends, ["2024-01-01", "2024-02-01", "2024-03-01"]);
        assert_eq!(start.plus(Every::Month, u64::MAX), None);
        assert_eq!(start.plus(Every::Fixed(i64::MAX), 2), None);
    }

    #[test]
    fn lengths_are_told_as_they_are_written() {
        let shown = |ms| Every::Fixed(ms).to_string();
        assert_eq!(shown(86_400_000), "day");
        assert_eq!(shown(6 * 3_600_000), "6h");
        assert_eq!(shown(90 * 60_000), "1h30m");
    }
}
