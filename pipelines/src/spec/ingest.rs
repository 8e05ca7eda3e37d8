//! `ingest:`: files that become a table.

use serde_json::{Value as Json, json};

use super::column_type::ColumnType;
use super::decode::{Check, Context, Decode, Fields, record};
use super::name::{ColumnNames, Named};
use super::scalar::{AtLeastOne, word};
use super::schema::Definitions;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::yaml::Node;

record! {
    /// Files that become a table.
    pub struct Ingest as "an ingest" {
        /// Paths or patterns (`*`, `?`, `[ab]`, `**`), relative to the pipeline.
        "files" files: AtLeastOne<Spanned<String>>,
        /// How to read the files as CSV. Without `csv` and `json`, a file is what its first bytes
        /// (Parquet) and its name (`.json`, `.ndjson`, `.jsonl`) say, else CSV; any of them may
        /// be packed with gzip or zstd.
        "csv" csv: Option<Box<Csv>>,
        /// How to read the files as JSON: an object on each line, or one list of objects.
        "json" json: Option<JsonFiles>,
        /// What happens to a record that cannot be taken: it goes to the table
        /// `layer.table__rejected` with the reason (`reject`, the default), or nothing is
        /// written at all (`fail`).
        "on_bad_record" on_bad_record: Option<Spanned<OnBadRecord>>,
        /// Whether the table follows when the columns of later files differ: new columns are
        /// added, missing ones are NULL, types become wider. By default that is an error.
        "evolve" evolve: Option<Spanned<bool>>,
    }
}

impl Check for Ingest {
    fn check(&self, fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let (Some(_), Some(json)) = (fields.entry("csv"), fields.entry("json")) else {
            return true;
        };
        cx.report(
            Diagnostic::error("conflicting_keys", "files are CSV or JSON, not both")
                .help("leave one of `csv` and `json` out, or make two tables"),
            json.key.span,
        );
        false
    }
}

record! {
    /// How files of JSON become columns.
    #[derive(Default)]
    pub struct JsonFiles as "`json`" {
        /// How keys become names of columns: `snake_case` (the default) or `as_is`.
        "names" names: Option<Spanned<HeaderNames>>,
        /// Types of columns; those left out are inferred from all files.
        "columns" columns: Named<ColumnNames, Spanned<ColumnType>>,
    }
}

impl JsonFiles {
    /// How keys become names of columns.
    #[must_use]
    pub fn header_names(&self) -> HeaderNames {
        self.names
            .as_ref()
            .map_or(HeaderNames::SnakeCase, |names| names.value)
    }
}

impl Check for JsonFiles {}

/// What happens to a record that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadRecord {
    /// It goes to the table of rejected records.
    Reject,
    /// Nothing is written.
    Fail,
}

const ON_BAD_RECORD: &[(&str, OnBadRecord)] =
    &[("reject", OnBadRecord::Reject), ("fail", OnBadRecord::Fail)];

impl Decode for OnBadRecord {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("way to treat bad records", ON_BAD_RECORD, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": ON_BAD_RECORD.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

record! {
    /// The dialect of CSV files.
    #[derive(Default)]
    pub struct Csv as "`csv`" {
        /// What stands between two fields: one character, by default a comma.
        "delimiter" delimiter: Option<Spanned<Delimiter>>,
        /// What stands around a field that holds a delimiter or a line break: one character, by
        /// default `"`; `""` for nothing.
        "quote" quote: Option<Spanned<Quote>>,
        /// What stands before a quote inside quotes; by default another quote.
        "escape" escape: Option<Spanned<Delimiter>>,
        /// What stands before the fraction of a number: `"."` (the default) or `","`.
        "decimal" decimal: Option<Spanned<DecimalMark>>,
        /// Texts that mean NULL, besides the empty field.
        "nulls" nulls: Vec<Spanned<String>>,
        /// How the characters are written: `utf-8` (the default), `utf-16` or `windows-1252`. A
        /// byte order mark is found without it.
        "encoding" encoding: Option<Spanned<FileEncoding>>,
        /// Whether the first line holds the names of the columns; by default it does.
        "header" header: Option<Spanned<bool>>,
        /// How names in the header become names of columns: `snake_case` (the default) or `as_is`.
        "names" names: Option<Spanned<HeaderNames>>,
        /// Types of the columns, in the order of the file; left out, they are inferred from all files.
        "columns" columns: Named<ColumnNames, Spanned<ColumnType>>,
    }
}

impl Csv {
    /// The byte between two fields.
    #[must_use]
    pub fn delimiter_byte(&self) -> u8 {
        self.delimiter
            .as_ref()
            .map_or(b',', |delimiter| delimiter.0)
    }

    /// Whether the first line holds names.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.header.as_ref().is_none_or(|header| header.value)
    }

    /// How names in the header become names of columns.
    #[must_use]
    pub fn header_names(&self) -> HeaderNames {
        self.names
            .as_ref()
            .map_or(HeaderNames::SnakeCase, |names| names.value)
    }
}

impl Check for Csv {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        let Some(header) = self.header.filter(|header| !header.value) else {
            return true;
        };
        if !self.columns.is_empty() {
            return true;
        }
        cx.report(
            Diagnostic::error("missing_key", "files without a header need `columns:`")
                .label("then the columns have no names")
                .help("list names and types: `columns: {id: bigint, name: string}`"),
            header.span,
        );
        false
    }
}

/// The byte between two fields of a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter(pub u8);

impl Decode for Delimiter {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'"') => Some(Self(*byte)),
            _ => {
                cx.report(
                    Diagnostic::error("bad_delimiter", "a delimiter is one ASCII character")
                        .help("quote it: \";\", \",\", \"|\", or \"\\t\" for a tab"),
                    node.span,
                );
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1, "maxLength": 1})
    }
}

/// What stands around a field of a CSV file; `None` for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote(pub Option<u8>);

impl Decode for Quote {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        match text.as_bytes() {
            [] => Some(Self(None)),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(Self(Some(*byte))),
            _ => {
                cx.report(
                    Diagnostic::error("bad_quote", "a quote is one ASCII character")
                        .help("quote it, as in '\"', or write \"\" for files without quotes"),
                    node.span,
                );
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "maxLength": 1})
    }
}

/// What stands before the fraction of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMark {
    /// `1.5`.
    Point,
    /// `1,5`.
    Comma,
}

const DECIMAL_MARKS: &[(&str, DecimalMark)] =
    &[(".", DecimalMark::Point), (",", DecimalMark::Comma)];

impl Decode for DecimalMark {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("decimal mark", DECIMAL_MARKS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": DECIMAL_MARKS.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16.
    Utf16,
    /// Windows-1252.
    Windows1252,
}

const ENCODINGS: &[(&str, FileEncoding)] = &[
    ("utf-8", FileEncoding::Utf8),
    ("utf-16", FileEncoding::Utf16),
    ("windows-1252", FileEncoding::Windows1252),
    ("latin-1", FileEncoding::Windows1252),
    ("iso-8859-1", FileEncoding::Windows1252),
];

impl Decode for FileEncoding {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("encoding", ENCODINGS, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": ENCODINGS.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}

/// How names in the header become names of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderNames {
    /// `Fixed Acidity` becomes `fixed_acidity`.
    SnakeCase,
    /// Names stay as they are.
    AsIs,
}

const HEADER_NAMES: &[(&str, HeaderNames)] = &[
    ("snake_case", HeaderNames::SnakeCase),
    ("as_is", HeaderNames::AsIs),
];

impl Decode for HeaderNames {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        word("way to name columns", HEADER_NAMES, node, cx)
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"enum": HEADER_NAMES.iter().map(|(word, _)| word).collect::<Vec<_>>()})
    }
}
