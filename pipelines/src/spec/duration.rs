//! Lengths of time, such as `10m` and `1h30m`.

use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::scalar::variable;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::yaml::Node;

/// The units, and their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A length of time, longer than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, each) in UNITS {
            if rest >= each {
                write!(f, "{}{unit}", rest / each)?;
                rest %= each;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_length(text).map(Self).ok_or_else(|| {
            "write whole numbers with units, such as `90s`, `10m`, `1h30m` or `2d`".to_owned()
        })
    }
}

/// Reads whole numbers with units, each unit smaller than the one before.
pub(super) fn parse_length(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let at = rest.find(|character: char| !character.is_ascii_digit())?;
        let (number, tail) = rest.split_at(at);
        let unit = tail.chars().next()?;
        let (_, each) = units.find(|(known, _)| *known == unit)?;
        seconds = number
            .parse::<u64>()
            .ok()?
            .checked_mul(*each)?
            .checked_add(seconds)?;
        rest = &tail[unit.len_utf8()..];
    }
    (seconds > 0).then_some(Duration::from_secs(seconds))
}

impl Decode for Length {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if let Some(length) = parse_length(&text) {
            return Some(Self(length));
        }
        cx.report(
            Diagnostic::error("bad_duration", format!("`{text}` is no length of time"))
                .help("write whole numbers with units, such as `90s`, `10m`, `1h30m` or `2d`"),
            node.span,
        );
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let variable = variable(defs);
        json!({"anyOf": [
            {
                "type": "string",
                "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
                "minLength": 2
            },
            variable
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_and_nothing_else() {
        let seconds = |text| parse_length(text).map(|length| length.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("10m"), Some(600));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("2d1s"), Some(172_801));
        for written in ["90s", "10m", "1h30m", "2d1s"] {
            let length: Length = written.parse().unwrap();
            assert_eq!(length.to_string().parse::<Length>().unwrap(), length);
        }
        assert_eq!(Length(Duration::from_secs(90)).to_string(), "1m30s");
        for wrong in [
            "",
            "10",
            "m",
            "0s",
            "1m1h",
            "1m2m",
            "1.5h",
            "-1s",
            "10 m",
            "10min",
            "99999999999999999999s",
            "999999999999999999d",
            "1ü",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }
}
