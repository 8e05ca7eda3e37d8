//! A search as SQL over the `system` tables.

use std::fmt::Write as _;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

use super::filter::{ATTRIBUTES, Entity, Field, Filter, FilterError, Kind, Literal, Placed};

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

/// A search: which runs, in which order, how many.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) filter: Option<Filter>,
    pub(super) order: Vec<(Field, bool)>,
    pub(super) limit: Option<u64>,
}

impl Search {
    /// The metrics, parameters and tags that are named, each once.
    pub(super) fn keys(&self) -> Vec<&Field> {
        let mut fields = Vec::new();
        if let Some(filter) = &self.filter {
            collect(filter, &mut fields);
        }
        fields.extend(self.order.iter().map(|(field, _)| field));
        let mut keys: Vec<&Field> = Vec::new();
        for field in fields {
            let known = |other: &&Field| other.entity == field.entity && other.name == field.name;
            if !matches!(field.entity, Entity::Attribute(_)) && !keys.iter().any(known) {
                keys.push(field);
            }
        }
        keys
    }

    /// The query. Each key that is named is a column of its own.
    ///
    /// # Errors
    /// A literal that its field cannot be compared with.
    pub(super) fn sql(&self) -> Result<String, FilterError> {
        let keys = self.keys();
        let mut columns = String::from(
            "r.run_id, r.run_name, r.pipeline, r.kind, r.status, r.start_time, \
             (CAST(r.end_time AS BIGINT) - CAST(r.start_time AS BIGINT)) / 1000.0 AS seconds",
        );
        let mut joins = String::new();
        for (number, field) in keys.iter().enumerate() {
            let (table, value) = match field.entity {
                Entity::Metric => ("metrics", "last_value(value ORDER BY step, timestamp)"),
                Entity::Param => ("params", "max(value)"),
                Entity::Tag | Entity::Attribute(_) => ("tags", "max(value)"),
            };
            let title = format!("{table}.{}", field.name).replace('"', "\"\"");
            // Writing to a String cannot fail.
            let _ = write!(columns, ", k{number}.value AS \"{title}\"");
            let _ = write!(
                joins,
                " LEFT JOIN (SELECT run_id, {value} AS value FROM system.{table} \
                 WHERE key = {} GROUP BY run_id) AS k{number} ON k{number}.run_id = r.run_id",
                text_literal(&field.name)
            );
        }
        let mut sql = format!("SELECT {columns} FROM system.runs AS r{joins}");
        if let Some(filter) = &self.filter {
            let _ = write!(sql, " WHERE {}", condition(filter, &keys)?);
        }
        sql.push_str(" ORDER BY ");
        for (field, descending) in &self.order {
            let direction = if *descending { "DESC" } else { "ASC" };
            let _ = write!(sql, "{} {direction} NULLS LAST, ", value_of(field, &keys));
        }
        sql.push_str("r.start_time DESC, r.run_id DESC");
        if let Some(limit) = self.limit {
            let _ = write!(sql, " LIMIT {limit}");
        }
        Ok(sql)
    }
}

fn collect<'f>(filter: &'f Filter, fields: &mut Vec<&'f Field>) {
    match filter {
        Filter::And(all) | Filter::Or(all) => {
            for one in all {
                collect(one, fields);
            }
        }
        Filter::Compare(field, ..) | Filter::In(field, ..) | Filter::IsNull(field, _) => {
            fields.push(field);
        }
    }
}

fn condition(filter: &Filter, keys: &[&Field]) -> Result<String, FilterError> {
    let joined = |all: &[Filter], word: &str| -> Result<String, FilterError> {
        let parts: Vec<String> = all
            .iter()
            .map(|one| condition(one, keys))
            .collect::<Result<_, _>>()?;
        Ok(format!("({})", parts.join(word)))
    };
    match filter {
        Filter::And(all) => joined(all, " AND "),
        Filter::Or(all) => joined(all, " OR "),
        Filter::IsNull(field, not) => {
            let not = if *not { "NOT " } else { "" };
            Ok(format!("{} IS {not}NULL", value_of(field, keys)))
        }
        Filter::In(field, not, values) => {
            let (side, values) = compared(field, values, false, keys)?;
            let not = if *not { "NOT " } else { "" };
            Ok(format!("{side} {not}IN ({})", values.join(", ")))
        }
        Filter::Compare(field, sign, value) => {
            let pattern = sign.ends_with("LIKE");
            let (side, values) = compared(field, std::slice::from_ref(value), pattern, keys)?;
            Ok(format!("{side} {sign} {}", values[0]))
        }
    }
}

/// Both sides of a comparison as SQL.
fn compared(
    field: &Field,
    values: &[Placed],
    pattern: bool,
    keys: &[&Field],
) -> Result<(String, Vec<String>), FilterError> {
    let kind = match field.entity {
        Entity::Metric => Kind::Number,
        Entity::Param | Entity::Tag => Kind::Text,
        Entity::Attribute(position) => ATTRIBUTES[position].2,
    };
    let side = value_of(field, keys);
    if pattern && kind != Kind::Text {
        let message = format!("`{}` is no text, and has no pattern", field.name);
        return Err(FilterError::new(message, field.at.clone()).help("compare it with =, < or >"));
    }
    let numbers = values
        .iter()
        .all(|(value, _)| matches!(value, Literal::Number(_)));
    let as_number = !matches!(field.entity, Entity::Attribute(_)) && numbers && !pattern;
    let sides = values.iter().map(|(value, at)| match (kind, value) {
        (Kind::Text, Literal::Text(text)) => Ok(text_literal(text)),
        (Kind::Text, Literal::Number(number)) if as_number => Ok(number.to_string()),
        (Kind::Number | Kind::Time, Literal::Number(number)) => Ok(number.to_string()),
        (Kind::Time, Literal::Text(text)) => match string_to_timestamp_nanos(text) {
            Ok(time) => Ok(time.div_euclid(NANOSECONDS_PER_MILLISECOND).to_string()),
            Err(_) => Err(FilterError::new(format!("`{text}` is no time"), at.clone())
                .help("write '2026-03-01 12:00:00' (UTC), or milliseconds since 1970")),
        },
        (Kind::Number, Literal::Text(_)) => Err(FilterError::new(
            format!("`{}` is a number, and this is a text", field.name),
            at.clone(),
        )
        .help("leave the quotes out")),
        (Kind::Text, Literal::Number(_)) => Err(FilterError::new(
            format!("`{}` is a text, and this is a number", field.name),
            at.clone(),
        )
        .help("put it into quotes")),
    });
    let sides = sides.collect::<Result<Vec<_>, _>>()?;
    // A parameter or a tag is stored as text: compared with a number it is one.
    let side = match kind {
        Kind::Text if as_number => format!("TRY_CAST({side} AS DOUBLE)"),
        _ => side,
    };
    Ok((side, sides))
}

/// A field's value as SQL.
fn value_of(field: &Field, keys: &[&Field]) -> String {
    if let Entity::Attribute(position) = field.entity {
        return ATTRIBUTES[position].1.to_owned();
    }
    let same = |key: &&Field| key.entity == field.entity && key.name == field.name;
    let number = keys.iter().position(same).unwrap_or_default();
    format!("k{number}.value")
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
