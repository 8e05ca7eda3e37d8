//! Rows of a test as their tables have them: columns found, values read in their types.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use serde_json::{Map, Number, Value as Json};
use sluice_lake::ingest::type_name;

use super::Checker;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::spec::{Cell, CellValue, Fixture};

/// The rows with all columns of a table; `None` after having reported what does not fit.
pub(super) fn whole(
    checker: &mut Checker<'_>,
    table: &str,
    schema: &Schema,
    fixture: &Fixture,
) -> Option<RecordBatch> {
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let named = named_columns(checker, table, schema, fixture)?;
    read(checker, schema, fixture, &named, &columns)
}

/// The rows with the columns that one of them names, in the table's order; with all of them
/// where there is no row.
pub(super) fn named(
    checker: &mut Checker<'_>,
    table: &str,
    schema: &Schema,
    fixture: &Fixture,
) -> Option<RecordBatch> {
    if fixture.rows.is_empty() {
        return whole(checker, table, schema, fixture);
    }
    let named = named_columns(checker, table, schema, fixture)?;
    let mut columns: Vec<usize> = named.iter().flatten().copied().collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        let diagnostic = Diagnostic::error("missing_value", "these rows name no column")
            .help("name at least one, or write `[]` for no rows");
        checker
            .diagnostics
            .push(diagnostic.at_location(fixture.at.clone()));
        return None;
    }
    read(checker, schema, fixture, &named, &columns)
}

/// For each cell of each row the position of its column.
fn named_columns(
    checker: &mut Checker<'_>,
    table: &str,
    schema: &Schema,
    fixture: &Fixture,
) -> Option<Vec<Vec<usize>>> {
    let mut unknown: Vec<String> = Vec::new();
    let mut positions = Vec::with_capacity(fixture.rows.len());
    for row in &fixture.rows {
        let mut found = Vec::with_capacity(row.cells.len());
        for cell in &row.cells {
            let (name, at) = &cell.column;
            let same = |field: &FieldRef| field.name().eq_ignore_ascii_case(name);
            if let Some(position) = schema.fields().iter().position(same) {
                found.push(position);
            } else if !unknown.contains(name) {
                unknown.push(name.clone());
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let help = did_you_mean(name, names);
                let message = format!("`{table}` has no column `{name}`");
                let diagnostic = Diagnostic::error("unknown_column", message).maybe_help(help);
                checker.diagnostics.push(diagnostic.at_location(at.clone()));
            }
        }
        positions.push(found);
    }
    unknown.is_empty().then_some(positions)
}

fn read(
    checker: &mut Checker<'_>,
    schema: &Schema,
    fixture: &Fixture,
    named: &[Vec<usize>],
    columns: &[usize],
) -> Option<RecordBatch> {
    let before = checker.diagnostics.len();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    let mut fields: Vec<FieldRef> = Vec::with_capacity(columns.len());
    for column in columns {
        let field = &schema.fields()[*column];
        // A column that is left out is NULL, whatever the table says of NULLs.
        let field: FieldRef = Arc::new(Field::clone(field).with_nullable(true));
        let cells: Vec<Option<&Cell>> = fixture
            .rows
            .iter()
            .zip(named)
            .map(|(row, named)| {
                let at = named.iter().position(|named| named == column)?;
                row.cells.get(at)
            })
            .collect();
        arrays.extend(read_column(checker, &field, &cells));
        fields.push(field);
    }
    if checker.diagnostics.len() > before {
        return None;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(fixture.rows.len()));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options).ok()
}

/// The values of a column; `None` after having reported the first that does not fit.
fn read_column(
    checker: &mut Checker<'_>,
    field: &FieldRef,
    cells: &[Option<&Cell>],
) -> Option<ArrayRef> {
    let values: Vec<Json> = cells
        .iter()
        .map(|cell| cell.map_or(Json::Null, |cell| json(field.data_type(), &cell.value)))
        .collect();
    if values.iter().all(Json::is_null) {
        return Some(new_null_array(field.data_type(), values.len()));
    }
    let fits = values.iter().all(|value| refused(field, value).is_none());
    if let Some(array) = decode(field, &values).filter(|_| fits) {
        return Some(array);
    }
    for (value, cell) in values.iter().zip(cells) {
        let Some(cell) = cell else { continue };
        let words = match refused(field, value) {
            Some(words) => words,
            None if decode(field, std::slice::from_ref(value)).is_some() => continue,
            None => format!("{} is none", shown(value)),
        };
        let type_name = type_name(field.data_type());
        let message = format!("`{}` is {type_name}, and {words}", field.name());
        let quote = matches!(field.data_type(), DataType::Utf8) && !value.is_string();
        let diagnostic = Diagnostic::error("wrong_type", message)
            .maybe_help(quote.then(|| format!("quote it if it is a text: \"{value}\"")));
        checker
            .diagnostics
            .push(diagnostic.at_location(cell.at.clone()));
        return None;
    }
    let message = format!("the values of `{}` cannot be read", field.name());
    let at = cells.iter().flatten().next().map(|cell| cell.at.clone())?;
    let diagnostic = Diagnostic::error("wrong_type", message);
    checker.diagnostics.push(diagnostic.at_location(at));
    None
}

/// A value as the reader of JSON takes it.
fn json(data_type: &DataType, value: &CellValue) -> Json {
    let text = match value {
        CellValue::Value(value) => return value.clone(),
        CellValue::Text(text) => text,
    };
    let read = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => None,
        DataType::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Some(Json::Bool(true)),
            "false" => Some(Json::Bool(false)),
            _ => None,
        },
        numeric if numeric.is_integer() => text.parse::<Number>().ok().map(Json::Number),
        nested if nested.is_nested() => serde_json::from_str(text).ok(),
        _ => None,
    };
    read.unwrap_or_else(|| Json::String(text.clone()))
}

/// What the reader of JSON would take, and not as it is meant.
fn refused(field: &Field, value: &Json) -> Option<String> {
    match (field.data_type(), value) {
        (integer, Json::Number(number)) if integer.is_integer() && number.is_f64() => {
            Some(format!("{number} is no whole number"))
        }
        (integer, Json::String(text)) if integer.is_integer() => {
            Some(format!("\"{text}\" is none"))
        }
        _ => None,
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Number(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn decode(field: &FieldRef, values: &[Json]) -> Option<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let rows: Vec<Map<String, Json>> = values
        .iter()
        .map(|value| Map::from_iter([(field.name().clone(), value.clone())]))
        .collect();
    let reader = ReaderBuilder::new(schema).with_batch_size(rows.len().max(1));
    let mut decoder = reader.build_decoder().ok()?;
    decoder.serialize(&rows).ok()?;
    let batch = decoder.flush().ok()??;
    (batch.num_rows() == rows.len()).then(|| Arc::clone(batch.column(0)))
}
