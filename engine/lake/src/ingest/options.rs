//! How CSV files are to be read.

use arrow::datatypes::{DataType, TimeUnit};

use super::error::IngestError;

/// How headers become column names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameStyle {
    /// Headers that Delta cannot hold become snake_case; the others stay.
    #[default]
    SnakeCase,
    /// Headers stay as they are; one that Delta cannot hold is an error later.
    AsIs,
}

/// The dialect of a set of CSV files, and what is known about their columns.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// What divides the fields: one ASCII byte.
    pub delimiter: u8,
    /// Whether the first line names the columns; without it they are `column_1`, ...
    pub header: bool,
    /// How headers become column names.
    pub names: NameStyle,
    /// Types of columns (by column name) that are not to be inferred.
    pub columns: Vec<(String, DataType)>,
    /// Texts that mean NULL, besides the empty field.
    pub null_values: Vec<String>,
    /// How many rows a batch holds.
    pub batch_rows: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
            names: NameStyle::default(),
            columns: Vec::new(),
            null_values: Vec::new(),
            batch_rows: 8192,
        }
    }
}

impl CsvOptions {
    /// Checks what a type cannot: the delimiter.
    ///
    /// # Errors
    /// [`IngestError::BadDelimiter`].
    pub fn check(&self) -> Result<(), IngestError> {
        let bad = !self.delimiter.is_ascii() || matches!(self.delimiter, b'"' | b'\n' | b'\r' | 0);
        if bad {
            return Err(IngestError::BadDelimiter {
                delimiter: char::from(self.delimiter),
            });
        }
        Ok(())
    }

    pub(super) fn declared(&self, column: &str) -> Option<&DataType> {
        self.columns
            .iter()
            .find(|(name, _)| name == column)
            .map(|(_, data_type)| data_type)
    }
}

/// The SQL names of types that columns can be declared as, and what they are.
const TYPES: [(&str, DataType); 19] = [
    ("BOOLEAN", DataType::Boolean),
    ("BOOL", DataType::Boolean),
    ("TINYINT", DataType::Int8),
    ("SMALLINT", DataType::Int16),
    ("INT", DataType::Int32),
    ("INTEGER", DataType::Int32),
    ("BIGINT", DataType::Int64),
    ("LONG", DataType::Int64),
    ("REAL", DataType::Float32),
    ("FLOAT", DataType::Float32),
    ("DOUBLE", DataType::Float64),
    ("DOUBLE PRECISION", DataType::Float64),
    ("VARCHAR", DataType::Utf8),
    ("STRING", DataType::Utf8),
    ("TEXT", DataType::Utf8),
    ("DATE", DataType::Date32),
    (
        "TIMESTAMP",
        DataType::Timestamp(TimeUnit::Microsecond, None),
    ),
    (
        "TIMESTAMP_NTZ",
        DataType::Timestamp(TimeUnit::Microsecond, None),
    ),
    // TIMESTAMPTZ and DECIMAL(p, s) are made in `parse_type`.
    ("CHAR", DataType::Utf8),
];

/// The type that a column is declared as: SQL's names, in any case. `None` when
/// there is no such type.
pub fn parse_type(text: &str) -> Option<DataType> {
    let upper = text.trim().to_ascii_uppercase();
    if let Some((_, data_type)) = TYPES.iter().find(|(name, _)| *name == upper) {
        return Some(data_type.clone());
    }
    if matches!(upper.as_str(), "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE") {
        return Some(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into()),
        ));
    }
    let arguments = upper
        .strip_prefix("DECIMAL")
        .or_else(|| upper.strip_prefix("NUMERIC"))?
        .trim()
        .strip_prefix('(')?
        .strip_suffix(')')?;
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let fits =
        (1..=38).contains(&precision) && (0..=precision).contains(&u8::try_from(scale).ok()?);
    fits.then_some(DataType::Decimal128(precision, scale))
}

/// The names that [`parse_type`] knows, for a message.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    TYPES
        .iter()
        .map(|(name, _)| *name)
        .chain(["TIMESTAMPTZ", "DECIMAL(10, 2)"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_sql_names() {
        assert_eq!(parse_type("double"), Some(DataType::Float64));
        assert_eq!(parse_type(" BigInt "), Some(DataType::Int64));
        assert_eq!(
            parse_type("decimal(10, 2)"),
            Some(DataType::Decimal128(10, 2))
        );
        assert_eq!(parse_type("numeric(5)"), Some(DataType::Decimal128(5, 0)));
        for bad in [
            "decimal",
            "decimal(0)",
            "decimal(39,2)",
            "decimal(3,4)",
            "decimal(3,-1)",
            "doubl",
        ] {
            assert_eq!(parse_type(bad), None, "{bad}");
        }
        let unknown: Vec<_> = type_names()
            .filter(|name| parse_type(name).is_none())
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn delimiters_are_checked() {
        for delimiter in [b'"', b'\n', b'\r', 0, 0xC3] {
            let options = CsvOptions {
                delimiter,
                ..CsvOptions::default()
            };
            assert!(matches!(
                options.check(),
                Err(IngestError::BadDelimiter { .. })
            ));
        }
        for delimiter in [b',', b';', b'\t', b'|'] {
            let options = CsvOptions {
                delimiter,
                ..CsvOptions::default()
            };
            assert!(options.check().is_ok());
        }
    }
}
