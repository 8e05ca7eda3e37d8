//! Sizes of files, such as `256 MB`.

use std::fmt;

use serde_json::{Value as Json, json};

use super::decode::{Context, Decode};
use super::scalar::variable;
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::yaml::Node;

/// The units, and their bytes, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
];

/// A size in bytes, more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Reads a whole number with a unit: `256 MB`, `64MiB`.
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at(at);
        let unit = unit.trim();
        let (_, bytes) = UNITS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(unit))?;
        let size = number.parse::<u64>().ok()?.checked_mul(*bytes)?;
        (size > 0 && i64::try_from(size).is_ok()).then_some(Self(size))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS
            .iter()
            .find(|(_, bytes)| self.0.is_multiple_of(*bytes))
        {
            Some((unit, bytes)) => write!(f, "{} {unit}", self.0 / bytes),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl Decode for ByteSize {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if let Some(size) = Self::parse(text.trim()) {
            return Some(size);
        }
        cx.report(
            Diagnostic::error("bad_size", format!("`{text}` is no size"))
                .help("write a whole number and `KB`, `MB` or `GB`, such as `256 MB`"),
            node.span,
        );
        None
    }

    fn schema(defs: &mut Definitions) -> Json {
        let variable = variable(defs);
        json!({"anyOf": [
            {"type": "string", "pattern": "^[0-9]+ ?([KMGkmg][Ii]?[Bb])$"},
            variable
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_with_a_unit() {
        let bytes = |text| ByteSize::parse(text).map(|size| size.0);
        assert_eq!(bytes("256 MB"), Some(256_000_000));
        assert_eq!(bytes("64mib"), Some(64 << 20));
        assert_eq!(bytes("1GB"), Some(1_000_000_000));
        for wrong in [
            "",
            "256",
            "MB",
            "0 MB",
            "1.5 GB",
            "-1 MB",
            "1 TB",
            "99999999999 GB",
        ] {
            assert_eq!(bytes(wrong), None, "{wrong:?}");
        }
        for written in ["256 MB", "64 MiB", "3 GB", "7 KB"] {
            let size = ByteSize::parse(written).unwrap();
            assert_eq!(size.to_string(), written);
        }
    }
}
