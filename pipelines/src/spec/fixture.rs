//! Rows of a test: as a list of mappings, as CSV, or in a file.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::decode::{Check, Context, Decode, Fields, choice, decode_record, record};
use super::definition_file::DefinitionFile;
use super::fixture_csv;
use super::name::Named;
use super::scalar::{Required, decode_all};
use super::schema::Definitions;
use super::test_names::FixtureColumns;
use super::value::{Value, ValueKind};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Spanned};
use crate::yaml::{Node, NodeKind};

/// Rows that somebody wrote down, not typed yet.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The rows, in their order.
    pub rows: Vec<FixtureRow>,
    /// Where they stand.
    pub at: Location,
}

/// A row that somebody wrote down.
#[derive(Debug, Clone)]
pub struct FixtureRow {
    /// The columns that it names, with their values.
    pub cells: Vec<Cell>,
}

/// A value in a row.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The column, as written, and where.
    pub column: (String, Location),
    /// What it is.
    pub value: CellValue,
    /// Where it stands.
    pub at: Location,
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub enum CellValue {
    /// A typed value of YAML.
    Value(Json),
    /// A text of CSV, whose column says what it is.
    Text(String),
}

choice! {
    /// Rows in one of three notations.
    pub(super) enum RowsBody {
        /// A list of rows, each a mapping of columns to values; columns that are left out are NULL.
        "rows" Rows(YamlRows),
        /// Rows as CSV with a header; an empty field is NULL, `""` an empty text.
        "csv" Csv(CsvRows),
        /// A CSV file inside the project's folder.
        "file" File(CsvFile),
    }
}

record! {
    /// Rows of a table that a test's query reads.
    pub(super) struct FixtureBody as "rows" {
        /// In one of three notations: exactly one of these keys.
        .. rows: RowsBody,
    }
}

impl Check for FixtureBody {}

record! {
    /// The rows that a table is to have, and how they are compared.
    pub(super) struct ExpectedBody as "expected rows" {
        /// In one of three notations: exactly one of these keys.
        .. rows: RowsBody,
        /// Whether the rows come in this order; by default any order will do.
        "ordered" ordered: Option<Spanned<bool>>,
        /// How far apart two floating-point numbers may be and still be equal; by default not at all.
        "tolerance" tolerance: Option<Spanned<f64>>,
    }
}

impl Check for ExpectedBody {
    fn check(&self, _fields: &Fields<'_>, cx: &mut Context<'_>) -> bool {
        match self.tolerance {
            Some(tolerance) if tolerance.value < 0.0 => {
                cx.error("bad_value", "a tolerance is 0 or more", tolerance.span);
                false
            }
            _ => true,
        }
    }
}

/// The rows that a table is to have, and how they are compared.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The rows.
    pub rows: Fixture,
    /// Whether their order counts.
    pub ordered: bool,
    /// How far apart two floating-point numbers may be and still be equal.
    pub tolerance: f64,
}

impl RowsBody {
    fn into_rows(self) -> Fixture {
        match self {
            Self::Rows(rows) => rows.0,
            Self::Csv(rows) => rows.0,
            Self::File(rows) => rows.0,
        }
    }
}

impl Decode for Fixture {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Sequence(_) | NodeKind::Empty = node.kind {
            return YamlRows::decode(node, cx).map(|rows| rows.0);
        }
        let body: FixtureBody = decode_record(node, cx)?;
        let at = place(cx, body.span);
        Some(Self {
            at,
            ..body.rows.into_rows()
        })
    }

    fn schema(defs: &mut Definitions) -> Json {
        let (list, body) = (YamlRows::schema(defs), FixtureBody::schema(defs));
        json!({"anyOf": [list, body]})
    }
}

impl Decode for Expected {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if let NodeKind::Sequence(_) | NodeKind::Empty = node.kind {
            return Some(Self {
                rows: YamlRows::decode(node, cx)?.0,
                ordered: false,
                tolerance: 0.0,
            });
        }
        let body: ExpectedBody = decode_record(node, cx)?;
        let at = place(cx, body.span);
        Some(Self {
            rows: Fixture {
                at,
                ..body.rows.into_rows()
            },
            ordered: body.ordered.is_some_and(|ordered| ordered.value),
            tolerance: body.tolerance.map_or(0.0, |tolerance| tolerance.value),
        })
    }

    fn schema(defs: &mut Definitions) -> Json {
        let (list, body) = (YamlRows::schema(defs), ExpectedBody::schema(defs));
        json!({"anyOf": [list, body]})
    }
}

/// A list of mappings.
#[derive(Debug, Clone)]
pub(super) struct YamlRows(Fixture);

/// Any value of a cell.
#[derive(Debug, Clone)]
struct CellOf(Value);

impl Decode for CellOf {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        Value::decode(node, cx).map(Self)
    }

    fn schema(defs: &mut Definitions) -> Json {
        Value::schema(defs)
    }
}

impl Decode for YamlRows {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let items = match &node.kind {
            NodeKind::Sequence(items) => items.as_slice(),
            NodeKind::Empty => &[],
            _ => {
                cx.wrong_type("a list of rows", node);
                return None;
            }
        };
        let rows = decode_all(items, cx, yaml_row)?;
        Some(Self(Fixture {
            rows,
            at: place(cx, node.span),
        }))
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": ["array", "null"], "items": {"type": ["object", "null"]}})
    }
}

fn place(cx: &Context<'_>, span: crate::source::Span) -> Location {
    Location {
        source: Arc::clone(&cx.source),
        span,
    }
}

fn yaml_row(node: &Node, cx: &mut Context<'_>) -> Option<FixtureRow> {
    let named = Required::<Named<FixtureColumns, CellOf>>::decode(node, cx)?;
    let cells = named.iter().map(|(column, value)| Cell {
        column: (column.value.clone(), place(cx, column.span)),
        value: CellValue::Value(value.0.to_json()),
        at: place(cx, shown(&value.0, column)),
    });
    Some(FixtureRow {
        cells: cells.collect(),
    })
}

/// Where a value is to be shown: one that is nothing, at its column.
fn shown(value: &Value, column: &Spanned<String>) -> crate::source::Span {
    match value.kind {
        ValueKind::Null => column.span,
        _ => value.span,
    }
}

/// CSV in the pipeline.
#[derive(Debug, Clone)]
pub(super) struct CsvRows(Fixture);

impl Decode for CsvRows {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            cx.wrong_type("rows as CSV (`csv: |`)", node);
            return None;
        };
        let source = Arc::clone(&cx.source);
        let at = place(cx, node.span);
        match fixture_csv::rows(&scalar.text, &scalar.map, &source) {
            Ok(rows) => Some(Self(Fixture { rows, at })),
            Err(diagnostic) => {
                cx.diagnostics.push(*diagnostic);
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}

/// CSV in a file of its own.
#[derive(Debug, Clone)]
pub(super) struct CsvFile(Fixture);

impl Decode for CsvFile {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let file = DefinitionFile::decode(node, cx)?;
        let (text, map) = file.content();
        match fixture_csv::rows(text, &map, &file.source) {
            Ok(rows) => Some(Self(Fixture {
                rows,
                at: place(cx, file.path.span),
            })),
            Err(diagnostic) => {
                let asked = place(cx, file.path.span);
                cx.diagnostics
                    .push(Diagnostic::related(*diagnostic, asked, "the test reads it"));
                None
            }
        }
    }

    fn schema(_defs: &mut Definitions) -> Json {
        json!({"type": "string", "minLength": 1})
    }
}
