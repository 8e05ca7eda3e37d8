//! How files are to be read.

use arrow::datatypes::{DataType, TimeUnit};

use super::{encoding::Encoding, error::IngestError};

/// Raised when a release finds other columns in the same file.
const OUTLINES: &str = "outlines 2";

/// How headers become column names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameStyle {
    /// Headers that Delta cannot hold become snake_case; the others stay.
    #[default]
    SnakeCase,
    /// Headers stay as they are; one that Delta cannot hold is an error later.
    AsIs,
}

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fields between delimiters.
    Csv,
    /// Objects of JSON: one on each line, or all in one list.
    Json,
    /// Parquet.
    Parquet,
}

/// What happens to a record that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadRecords {
    /// It ends the ingest: nothing is written.
    #[default]
    Fail,
    /// It is put aside, with the reason.
    Reject,
}

/// How a set of files is to be read, and what is known about their columns.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// What the files are; `None`: what their names and first bytes say.
    pub format: Option<Format>,
    /// What divides the fields of CSV: one ASCII byte.
    pub delimiter: u8,
    /// What stands around a field of CSV that holds a delimiter, if anything does.
    pub quote: Option<u8>,
    /// What stands before a quote inside quotes; `None`: another quote.
    pub escape: Option<u8>,
    /// Whether the first line names the columns; without it they are those of
    /// [`Self::columns`], in that order, or `column_1`, ...
    pub header: bool,
    /// Whether a comma divides a number from its fraction.
    pub decimal_comma: bool,
    /// How the characters are written.
    pub encoding: Encoding,
    /// How headers become column names.
    pub names: NameStyle,
    /// Types of columns (by column name) that are not to be inferred.
    pub columns: Vec<(String, DataType)>,
    /// Texts that mean NULL, besides the empty field.
    pub null_values: Vec<String>,
    /// What happens to a record that cannot be taken.
    pub bad_records: BadRecords,
    /// Whether the files may have different columns.
    pub evolve: bool,
    /// How many rows a batch holds.
    pub batch_rows: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            header: true,
            decimal_comma: false,
            encoding: Encoding::default(),
            names: NameStyle::default(),
            columns: Vec::new(),
            null_values: Vec::new(),
            bad_records: BadRecords::default(),
            evolve: false,
            batch_rows: 8192,
        }
    }
}

impl ReadOptions {
    /// Checks what a type cannot: the delimiter.
    ///
    /// # Errors
    /// [`IngestError::BadDelimiter`].
    pub fn check(&self) -> Result<(), IngestError> {
        let bad = !self.delimiter.is_ascii()
            || matches!(self.delimiter, b'\n' | b'\r' | 0)
            || self.quote == Some(self.delimiter);
        if bad {
            return Err(IngestError::BadDelimiter {
                delimiter: char::from(self.delimiter),
            });
        }
        Ok(())
    }

    /// What stands for this way of reading a file: as long as it is the same, what a
    /// file's columns are does not change unless the file does. How many rows a batch
    /// holds, and whether columns may change, is no part of it.
    pub fn identity(&self) -> String {
        let options = Self {
            evolve: false,
            batch_rows: 0,
            ..self.clone()
        };
        let text = format!("{OUTLINES} {options:?}");
        blake3::hash(text.as_bytes()).to_hex().to_string()
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

/// The SQL name of a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".to_owned(),
        other => other.to_string().to_uppercase(),
    }
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
            let options = ReadOptions {
                delimiter,
                ..ReadOptions::default()
            };
            assert!(matches!(
                options.check(),
                Err(IngestError::BadDelimiter { .. })
            ));
        }
        for delimiter in [b',', b';', b'\t', b'|'] {
            let options = ReadOptions {
                delimiter,
                ..ReadOptions::default()
            };
            assert!(options.check().is_ok());
        }
    }
}
