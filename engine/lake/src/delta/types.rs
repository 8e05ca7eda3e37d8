//! Arrow types as Delta tables can hold them.
//!
//! Delta has no unsigned numbers, no views, no dictionaries and microseconds
//! only. What has a wider or equal home goes there; what has none is an error
//! that names the column.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};

use crate::{
    error::LakeError,
    name::{TableName, check_column_names},
};

/// The schema that `table` gets for rows of `schema`: names checked, types
/// converted, every column nullable (as a `CREATE TABLE AS` makes them), the
/// columns' metadata kept.
///
/// # Errors
/// [`LakeError::Column`] and [`LakeError::ColumnType`].
pub fn delta_schema(table: &TableName, schema: &Schema) -> Result<SchemaRef, LakeError> {
    check_column_names(schema).map_err(|source| LakeError::Column {
        table: table.clone(),
        source,
    })?;
    let fields = schema
        .fields()
        .iter()
        .map(|field| delta_field(field.name(), field))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|unfit| LakeError::ColumnType {
            table: table.clone(),
            column: unfit.column,
            data_type: unfit.data_type,
            help: unfit.help,
        })?;
    Ok(Arc::new(Schema::new(fields)))
}

/// The schema with some columns as NOT NULL.
pub(super) fn with_required(schema: SchemaRef, required: &BTreeSet<String>) -> SchemaRef {
    if required.is_empty() {
        return schema;
    }
    let fields = schema.fields().iter().map(|field| {
        let nullable = field.is_nullable() && !required.contains(field.name());
        field.as_ref().clone().with_nullable(nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The key of a column's metadata with what it holds, for people.
pub const COMMENT_KEY: &str = "comment";

/// A column of a table with the comment that rows come with, or without one.
fn commented(field: &FieldRef, incoming: &Field) -> FieldRef {
    let (was, is) = (
        field.metadata().get(COMMENT_KEY),
        incoming.metadata().get(COMMENT_KEY),
    );
    if was == is {
        return Arc::clone(field);
    }
    let mut metadata = field.metadata().clone();
    metadata.remove(COMMENT_KEY);
    metadata.extend(is.map(|comment| (COMMENT_KEY.to_owned(), comment.clone())));
    Arc::new(field.as_ref().clone().with_metadata(metadata))
}

/// The type that Delta holds values of `data_type` as; itself where there is none.
pub(crate) fn stored_type(data_type: &DataType) -> DataType {
    delta_type("", data_type).unwrap_or_else(|_| data_type.clone())
}

/// A column that Delta cannot hold.
struct Unfit {
    column: String,
    data_type: String,
    help: &'static str,
}

fn delta_field(path: &str, field: &FieldRef) -> Result<FieldRef, Unfit> {
    let data_type = delta_type(path, field.data_type())?;
    Ok(Arc::new(
        Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone()),
    ))
}

/// An item of a list: its name is fixed by Delta, so that equal lists are equal.
fn delta_item(path: &str, item: &FieldRef) -> Result<FieldRef, Unfit> {
    let data_type = delta_type(path, item.data_type())?;
    Ok(Arc::new(Field::new("element", data_type, true)))
}

fn delta_type(path: &str, data_type: &DataType) -> Result<DataType, Unfit> {
    let unfit = |help| {
        Err(Unfit {
            column: path.to_owned(),
            data_type: data_type.to_string(),
            help,
        })
    };
    Ok(match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(
            TimeUnit::Microsecond,
            // Delta stores the instant; the zone is a matter of display.
            zone.as_ref().map(|_| Arc::from("UTC")),
        ),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(precision, scale) if *precision <= 38 => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => delta_type(path, values)?,
        DataType::RunEndEncoded(_, values) => delta_type(path, values.data_type())?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(delta_item(path, item)?),
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| delta_field(&format!("{path}.{}", field.name()), field))
                .collect::<Result<Fields, _>>()?,
        ),
        DataType::Map(entries, _) => delta_map(path, entries)?,
        DataType::Null => {
            return unfit("every value is NULL and has no type; write CAST(NULL AS ...)");
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            return unfit("cast it to VARCHAR, or to a TIMESTAMP");
        }
        DataType::Duration(_) | DataType::Interval(_) => {
            return unfit("cast it to a number, for example of seconds, or to VARCHAR");
        }
        DataType::Decimal256(..) => return unfit("cast it to DECIMAL(38, ...) or DOUBLE"),
        DataType::Union(..) => return unfit("take one of its members"),
        other => other.clone(),
    })
}

fn delta_map(path: &str, entries: &FieldRef) -> Result<DataType, Unfit> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Unfit {
            column: path.to_owned(),
            data_type: entries.data_type().to_string(),
            help: "a map's entries must have a key and a value",
        });
    };
    let fields = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let data_type = delta_type(path, field.data_type())?;
            let name = if index == 0 { "key" } else { "value" };
            Ok(Arc::new(Field::new(name, data_type, index > 0)))
        })
        .collect::<Result<Fields, Unfit>>()?;
    Ok(DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(fields), false)),
        false,
    ))
}

/// How the rows that come in become rows of the table: which of their columns
/// goes where, and as what type.
#[derive(Debug, Clone)]
pub(super) struct Conversion {
    target: SchemaRef,
    /// For each column of the target the place of its source.
    sources: Vec<usize>,
}

impl Conversion {
    /// Rows of `source` become rows of `target`, which [`delta_schema`] made of it.
    pub(super) fn in_place(target: SchemaRef) -> Self {
        let sources = (0..target.fields().len()).collect();
        Self { target, sources }
    }

    /// Rows whose Delta schema is `incoming` become rows of an existing table: the
    /// same columns in any order, whole numbers and floats widening where the
    /// table's column is wider. Comments are those of the rows.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(super) fn onto(incoming: &Schema, existing: SchemaRef) -> Result<Self, String> {
        let mut sources = Vec::with_capacity(existing.fields().len());
        let mut target = Vec::with_capacity(existing.fields().len());
        for field in existing.fields() {
            let Some((index, found)) = incoming.column_with_name(field.name()) else {
                return Err(format!("the column `{}` is missing", field.name()));
            };
            if !widens(found.data_type(), field.data_type()) {
                return Err(format!(
                    "the column `{}` is {}, in the table it is {}",
                    field.name(),
                    found.data_type(),
                    field.data_type()
                ));
            }
            sources.push(index);
            target.push(commented(field, found));
        }
        let extra = incoming
            .fields()
            .iter()
            .find(|field| existing.column_with_name(field.name()).is_none());
        match extra {
            Some(extra) => Err(format!("the table has no column `{}`", extra.name())),
            None => Ok(Self {
                target: Arc::new(Schema::new(target)),
                sources,
            }),
        }
    }

    /// The schema of the table.
    pub(super) fn target(&self) -> &SchemaRef {
        &self.target
    }

    /// Converts one batch; a value that does not fit is an error with its column.
    pub(super) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self
            .sources
            .iter()
            .zip(self.target.fields())
            .map(|(source, field)| convert(batch.column(*source), field))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.target), columns, &options)
    }
}

fn convert(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, field.data_type(), &options)
        .map_err(|error| ArrowError::CastError(format!("column `{}`: {error}", field.name())))
}

/// Whether every value of `from` is a value of `to`, both Delta types.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, List, Struct};
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        // Beyond 2^53 this rounds, as every SQL engine does when it mixes the two.
        | (Int64, Float64)
        | (Float32, Float64) => true,
        (List(from), List(to)) => widens(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| {
                    from.name() == to.name() && widens(from.data_type(), to.data_type())
                })
        }
        _ => from.equals_datatype(to),
    }
}

#[cfg(test)]
mod tests;
